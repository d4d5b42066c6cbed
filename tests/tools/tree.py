"""Small repositories for the tests of the manifest: a real runtime facade, clients of the real names, one event."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from common.functions import resources
from tools.manifest import build

PYPROJECT = """
[dependency-groups]
runtime = ["functions-framework==3.10.2", "cloudevents==1.12.0", "starlette", "uvloop ; sys_platform != 'win32'"]
redis = ["redis>=8.1,<9"]
postgres = ["psycopg[binary]>=3.3,<4", "psycopg-pool>=3.3,<4"]
pubsub = ["google-cloud-pubsub>=2.44,<3"]
storage = ["google-cloud-storage>=3"]
http = ["httpx>=0.28,<0.29"]
scheduler = ["apscheduler>=3.11,<4"]
local = ["pyjwt[crypto]>=2.10,<3"]
dev = ["pytest>=9.2,<10", {include-group = "local"}]
"""

FACADE = """
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from {package}.{module} import {name}

def __getattr__(name: str) -> Any:
    from importlib import import_module
    return getattr(import_module("{package}.{module}"), name)
"""

COMMON = {
    "common/__init__.py": '"""Shared."""',
    "common/functions/__init__.py": """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from common.functions.endpoint import endpoint
            from common.functions.serve import serve
            from common.functions.subscribe import subscribe
            from common.functions.webhook import webhook
        """,
    "common/functions/endpoint.py": "def endpoint(**_): ...",
    "common/functions/serve.py": "import functions_framework.aio\ndef serve(function): ...",
    "common/functions/subscribe.py": "from common.functions import dead_letter\ndef subscribe(topic, **_): ...",
    "common/functions/webhook.py": "def webhook(**_): ...",
    "common/functions/dead_letter.py": """
        from common.functions.resources import DEAD_LETTER_TOPIC

        async def publish(delivery, *, topic):
            from common.infrastructure.pubsub_client import pubsub_client
            await pubsub_client().publish(DEAD_LETTER_TOPIC, delivery.data)
        """,
    "common/jobs/__init__.py": FACADE.format(package="common.jobs", module="decorators", name="job"),
    "common/jobs/decorators.py": "def job(name, **_): ...",
    "common/config/secrets.py": "def secret_values(name): ...",
    "common/infrastructure/pubsub_client.py": """
        def pubsub_client():
            from google.pubsub_v1 import PublisherAsyncClient
            return PublisherAsyncClient()
        """,
    "common/infrastructure/storage_config.py": 'EVIDENCE_BUCKET = "evidence"\nALIAS = EVIDENCE_BUCKET',
    "common/infrastructure/storage.py": """
        class CloudStorage:
            async def upload_file(self, bucket, path, content, content_type):
                from google.cloud import storage
        """,
    "common/redis/__init__.py": FACADE.format(package="common.redis", module="pubsub", name="PubSubService"),
    "common/redis/pubsub.py": """
        import os

        class PubSubService:
            async def publish(self, channel, message):
                import redis.asyncio
                os.environ["UPSTASH_REDIS_URL"]
        """,
    "common/events/__init__.py": FACADE.format(package="common.events", module="types", name="PaymentCompleted"),
    "common/events/types.py": """
        from typing import ClassVar

        class Event:
            TYPE: ClassVar[str]
            TOPIC: ClassVar[str]

        class PaymentCompleted(Event):
            TYPE: ClassVar[str] = "raptorflow.payment.completed.v1"
            TOPIC: ClassVar[str] = "payment-completed"
        """,
    "common/database.py": """
        import os

        async def execute(statement):
            import psycopg
            return os.environ.get("DATABASE_URL")
        """,
}


class Tree:
    """A repository in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", PYPROJECT)
        self.write("common/functions/resources.py", Path(resources.__file__).read_text(encoding="utf-8"))
        for path, text in COMMON.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return target

    def function(
        self,
        folder: str,
        decorator: str,
        body: str = "pass",
        *,
        imports: str = "",
        name: str = "",
        docstring: str = '"""Do it. And more."""',
        last: str = "",
    ) -> Path:
        """Write ``functions/<folder>``: its ``main.py`` with one decorated function, and ``sample.json``."""
        name = name or folder.rpartition("/")[2]
        package = "common.jobs" if decorator.startswith("@job") else "common.functions"
        lines = [
            "from common.functions import serve",
            f"from {package} import {decorator[1:].partition('(')[0]}",
            *textwrap.dedent(imports).strip().splitlines(),
            decorator,
            f"async def {name}(event):",
            *(f"    {line}" for line in [docstring, *textwrap.dedent(body).strip().splitlines()] if line),
            last or f"main = serve({name})",
        ]
        self.write(f"functions/{folder}/sample.json", "{}")
        return self.write(f"functions/{folder}/main.py", "\n".join(lines) + "\n")

    def publisher(self, *topics: str) -> None:
        """A webhook that publishes to ``topics``, so that they may be subscribed to."""
        calls = "\n".join(f'await pubsub_client().publish("{topic}", b"")' for topic in topics)
        imports = "from common.infrastructure.pubsub_client import pubsub_client"
        self.function("webhooks/source", f"@webhook(publishes={list(topics)!r})", calls, imports=imports)

    def manifest(self) -> dict[str, Any]:
        """The manifest of a tree in which nothing is wrong."""
        document, problems = build(self.root)
        assert [str(problem) for problem in problems] == []
        decoded: dict[str, Any] = json.loads(json.dumps(document))
        return decoded

    def problems(self) -> list[str]:
        return [str(problem) for problem in build(self.root)[1]]
