"""The local cloud: three processes, their data and their state under one folder.

    valkey      Redis, for Upstash
    postgres    Postgres with pgvector, for Supabase, migrated
    services    one Python process: everything of `tools.local.services`, from Pub/Sub to PhonePe's stand-in

`LocalCloud.up` starts what is missing, `LocalCloud.down` stops exactly what was started, also after the launcher was
killed half-way. Every process is recorded in ``state.json`` before it runs; ``lock`` keeps two launchers apart.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tools.local import environment, services, valkey
from tools.local.components import PROCESSES, SERVERS, ComponentStatus
from tools.local.environment import Secrets, WebhookMode, load_secrets
from tools.local.postgres import Postgres
from tools.local.processes import CloudError, detach, exclusive, find, last_lines, spawn, stop, wait_until
from tools.local.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tools.local.processes import Account

START_SECONDS = 30.0
"""A slow machine is waited for; a usual one is ready in two seconds."""


def _silent(_message: str) -> None:
    """Nobody wants to know."""


class LocalCloud:
    """A local cloud in a folder.

    Args:
        root: everything is kept below it. Root's Postgres is the exception, see `tools.local.postgres`.
        fast: for tests; nothing is synchronised with the disk, and ``down`` deletes the data.

    Example:
        >>> cloud = LocalCloud(Path(".local"))
        >>> cloud.up(print)
        >>> os.environ.update(cloud.environment())
        >>> cloud.down()
    """

    def __init__(self, root: Path, *, fast: bool = False) -> None:
        self.root = root.resolve()
        self._fast = fast

    def up(self, progress: Callable[[str], None] = _silent) -> None:
        """Start what is not running, wait until it answers, bring the database up to date. Safe to repeat.

        Args:
            progress: is told what happens.

        Raises:
            CloudError: something does not start; what this call started is stopped again.
            MigrationError: the database cannot be brought up to date.
        """
        with self._locked(progress):
            self._up(progress)

    def down(self, progress: Callable[[str], None] = _silent) -> None:
        """Stop every process that is ours; the data stays, except that of a ``fast`` cloud. Safe to repeat.

        Raises:
            CloudError: a process cannot be stopped.
        """
        if not self.root.exists():
            return
        with self._locked(progress):
            state = self._state()
            if not state.processes:
                progress("already down")
            self._stop(list(PROCESSES), state, progress)
            if self._fast:
                self._delete()

    def reset(self, progress: Callable[[str], None] = _silent) -> None:
        """Go down, delete the data, come up empty, at the same URLs and with the same secrets.

        Raises:
            CloudError: as `up` and `down`.
        """
        with self._locked(progress):
            self._stop(list(PROCESSES), self._state(), progress)
            progress("deleting the data")
            self._delete()
            self._up(progress)

    def status(self) -> list[ComponentStatus]:
        """How every component is now."""
        state = self._state()
        found = []
        for name in SERVERS:
            recorded = state.processes.get(name)
            process = find(recorded) if recorded else None
            healthy = self._healthy(name, state)
            found += [
                ComponentStatus(
                    component,
                    state.ports.get(component),
                    process.pid if process else None,
                    healthy,
                    self._log(name),
                )
                for component in PROCESSES[name].components
            ]
        return sorted(found, key=lambda status: status.name)

    def environment(self, mode: WebhookMode = "hmac") -> dict[str, str]:
        """What functions read, pointing here; ``mode`` says how PhonePe's webhooks are authenticated.

        Raises:
            CloudError: the cloud is not up.
        """
        ports = self._started().ports
        return environment.environment(self._secrets(), ports, mode, root=self.root)

    def admin_database_url(self) -> str:
        """The database as its superuser, for migrations, tests and people.

        Raises:
            CloudError: the cloud is not up.
        """
        port = self._started().ports["postgres"]
        return environment.admin_database_url(self._secrets(), port)

    # --- starting and stopping, with the lock held

    def _up(self, progress: Callable[[str], None]) -> None:
        state = self._state()
        missing = [name for name in SERVERS if not self._healthy(name, state)]
        try:
            self._start(missing, state, progress)
        except BaseException:
            self._stop([*missing, "initdb"], state, _silent)
            raise

    def _start(self, missing: Sequence[str], state: State, progress: Callable[[str], None]) -> None:
        self._stop([*missing, "initdb"], state, _silent)  # what hangs, or was left by a launcher that was killed
        state.choose_ports(tuple(port for name in missing for port in PROCESSES[name].components))
        secrets, postgres = self._secrets(), self._postgres()
        if not missing:
            progress("already up")
        # All at once; Postgres, which needs most steps, last and in the foreground.
        if "services" in missing:
            progress(f"starting {', '.join(services.SERVICES)}")
            self._spawn("services", services.command(self.root, state.ports), state, services.REPOSITORY)
        if "valkey" in missing:
            progress("starting Valkey")
            settings = valkey.command(self.root / "valkey", state.ports["valkey"], secrets.redis_token, fast=self._fast)
            self._spawn("valkey", settings, state, self.root)
        if "postgres" in missing:
            progress("starting Postgres")
            postgres.prepare(self._log("postgres"), lambda recorded: state.started("initdb", recorded))
            state.stopped("initdb")
            serve = postgres.command(state.ports["postgres"], fast=self._fast)
            self._spawn("postgres", serve, state, postgres.folder, postgres.account)
        self._await("postgres", state)
        for migration in postgres.migrate(state.ports["postgres"]):
            progress(f"migrated: {migration}")
        for name in missing:
            self._await(name, state)

    def _spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        state: State,
        folder: Path,
        account: Account | None = None,
    ) -> None:
        detach(
            spawn(
                command,
                log=self._log(name),
                record=lambda recorded: state.started(name, recorded),
                folder=folder,
                account=account,
            )
        )

    def _await(self, name: str, state: State) -> None:
        def ready() -> bool:
            if find(state.processes[name]) is None:
                raise CloudError(f"{name} ended at once; the end of {self._log(name)}:\n{last_lines(self._log(name))}")
            return self._healthy(name, state)

        if not wait_until(ready, START_SECONDS):
            raise CloudError(
                f"{name} does not answer after {START_SECONDS:.0f} s; "
                f"the end of {self._log(name)}:\n{last_lines(self._log(name))}"
            )

    def _stop(self, names: Sequence[str], state: State, progress: Callable[[str], None]) -> None:
        for name, process in PROCESSES.items():
            recorded = state.processes.get(name)
            if name not in names or recorded is None:
                continue
            progress(f"stopping {name}")
            stop(recorded, process.stop_signal)
            state.stopped(name)

    def _delete(self) -> None:
        for name in ("valkey", "storage", "bigquery"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        self._postgres().delete()

    # --- looking

    def _healthy(self, name: str, state: State) -> bool:
        recorded = state.processes.get(name)
        if recorded is None or find(recorded) is None:
            return False
        match name:
            case "valkey":
                return valkey.healthy(state.ports["valkey"], self._secrets().redis_token)
            case "postgres":
                return self._postgres().healthy(state.ports["postgres"])
            case _:
                return services.healthy(state.ports["identity"])

    def _started(self) -> State:
        state = self._state()
        if any(name not in state.processes for name in SERVERS):
            raise CloudError(f"the local cloud in {self.root} is not up: run `python -m tools.local up`")
        return state

    def _state(self) -> State:
        return State.read(self.root / "state.json")

    def _secrets(self) -> Secrets:
        return load_secrets(self.root)

    def _postgres(self) -> Postgres:
        return Postgres.of(self.root, self._secrets())

    def _log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def _locked(self, progress: Callable[[str], None]) -> AbstractContextManager[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return exclusive(self.root / "lock", lambda: progress("waiting for another launcher"))
