"""What lies between a client and its server, and may misbehave: records, stays silent, cuts."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from common import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Proxy:
    """Forwards to a port on the loopback address.

    Attributes:
        port: that it listens on.
        sent: what clients sent, read by read, all connections together.
        before_answer: how many of these reads came before the server's first byte.
        connections: how many there were.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.sent: list[bytes] = []
        self.before_answer: int | None = None
        self.connections = 0

    def go_silent(self) -> None:
        """Take what comes, answer nothing, close nothing: what a forgotten connection looks like."""
        self._open.clear()

    def speak(self) -> None:
        """Forward again what comes from now on, on new connections."""
        self._open.set()

    def cut(self) -> None:
        """Cut every connection, as a crash does."""
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, there_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                back = tasks.create_task(self._back(there_reader, writer))
                with suppress(OSError):
                    while data := await reader.read(1 << 20):
                        self.sent.append(data)
                        if self._open.is_set():
                            there_writer.write(data)
                there_writer.close()
                if not self._open.is_set():
                    back.cancel()
        finally:
            writer.close()
            there_writer.close()
            self._writers -= {writer, there_writer}

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                if self.before_answer is None:
                    self.before_answer = len(self.sent)
                if self._open.is_set():
                    writer.write(data)
            writer.close()


@asynccontextmanager
async def proxy(target: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy to ``target`` while the context lasts."""
    made = Proxy(target)
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(made.handle(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.speak()
        made.cut()
        if handlers:
            await asyncio.wait(handlers, timeout=5)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a fresh certificate for 127.0.0.1, and the file that clients trust."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - timedelta(minutes=1))
        .not_valid_after(clock.now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, secret)
    return context, trusted
