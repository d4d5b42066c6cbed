"""The sides of a comparison: processes that do something when asked, so that their rounds can alternate."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from tests.redis.counting import Counter, Spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scripts.benchmarks.bench import Bench


@dataclass(frozen=True, slots=True)
class Answer:
    """What a side did.

    Attributes:
        seconds: that it took.
        result: what the operation returned.
    """

    seconds: float
    result: Any


class Side:
    """One process; see `scripts.benchmarks.sides.serve`.

    Args:
        module: below ``scripts.benchmarks.sides``.
        python: the interpreter of its environment.
        variables: of its environment.
        log: where its errors go.

    Raises:
        RuntimeError: it does not start.
    """

    def __init__(self, module: str, python: str | Path, variables: Mapping[str, str], log: Path) -> None:
        self._module = module
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [python, "-m", f"scripts.benchmarks.sides.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=variables,
                text=True,
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a process without pipes")
        self._asking, self._answers = self._process.stdin, self._process.stdout
        try:
            self._read()
        except RuntimeError:
            self.close()
            raise

    def ask(self, operation: str, tasks: int, count: int) -> None:
        """Let it begin; `answer` waits for the end."""
        self._asking.write(json.dumps({"operation": operation, "tasks": tasks, "count": count}) + "\n")
        self._asking.flush()

    def answer(self) -> Answer:
        """What it was asked last.

        Raises:
            RuntimeError: it failed.
        """
        told = self._read()
        return Answer(told["seconds"], told["result"])

    def do(self, operation: str, *, tasks: int = 1, count: int = 1) -> Answer:
        """Ask, and wait.

        Raises:
            RuntimeError: it failed.
        """
        self.ask(operation, tasks, count)
        return self.answer()

    def close(self) -> None:
        """End it."""
        with suppress(BrokenPipeError):
            self._asking.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _read(self) -> Any:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended: {self._log.read_text(errors='replace')[-2000:]}")
        return json.loads(line)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation costs on average.

    Attributes:
        commands: that the server executes, those inside scripts included (X).
        round_trips: reads of the server's (RT).
    """

    commands: float
    round_trips: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides on one Redis, which nobody else uses meanwhile.

    Attributes:
        sides: by their modules' names.
        redis: where they are.
    """

    sides: Mapping[str, Side]
    redis: RedisConfig

    def __getitem__(self, name: str) -> Side:
        return self.sides[name]

    def flush(self) -> None:
        """Empty the server."""
        asyncio.run(self._flush())

    def spent(self, work: Callable[[], object]) -> Spent:
        """What the server did for ``work``: commands, those inside scripts included, and reads of its sockets."""
        return asyncio.run(self._spent(work))

    def alternate(self, rounds: int, operations: Mapping[str, str], tasks: int, count: int) -> dict[str, list[float]]:
        """Microseconds for each operation, by side, round by round; one more round warms up.

        Args:
            rounds: how many.
            operations: of each side that takes part, by its name.
            tasks: at once.
            count: of one round.
        """
        taken: dict[str, list[float]] = {name: [] for name in operations}
        for number in range(rounds + 1):
            for name, operation in operations.items():
                answer = self[name].do(operation, tasks=tasks, count=count)
                if number:
                    taken[name].append(answer.seconds / count * 1e6)
        return taken

    def cost(self, name: str, operation: str, count: int = 50) -> Cost:
        """What one operation of a side costs, done one after another."""
        spent = self.spent(lambda: self[name].do(operation, count=count))
        return Cost(spent.commands / count, spent.round_trips / count)

    async def _flush(self) -> None:
        client = RedisClient(self.redis)
        await client.execute("FLUSHALL", seconds=30)
        await client.aclose()

    async def _spent(self, work: Callable[[], object]) -> Spent:
        counter = Counter(self.redis)
        async with counter() as spent:
            await asyncio.to_thread(work)
        await counter.aclose()
        return spent


@contextmanager
def comparison(bench: Bench, modules: Mapping[str, str]) -> Iterator[Comparison]:
    """Start sides on the local cloud's Redis.

    Args:
        bench: makes their environments.
        modules: their names, and the file of requirements below ``sides`` that each needs; empty for this environment.
            ``name@2`` is a second process of the same.
    """
    cloud = bench.cloud()
    os.environ.update({name: value for name, value in cloud.items() if name.startswith("UPSTASH_")})
    pythons: dict[str, str | Path] = {}
    for name, requirements in modules.items():
        pythons[name] = sys.executable
        if requirements:
            wanted = bench.root / "scripts/benchmarks/sides" / f"{requirements}.txt"
            pythons[name] = bench.installed(wanted.read_text(encoding="utf-8")) / "bin" / "python"
    with started(RedisConfig.from_environment(), pythons, bench.folder / "sides") as together:
        yield together


@contextmanager
def started(redis: RedisConfig, pythons: Mapping[str, str | Path], folder: Path) -> Iterator[Comparison]:
    """Start sides on a Redis, which is emptied.

    Args:
        redis: where it is.
        pythons: names as in `comparison`, and the interpreters that run them.
        folder: of their logs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {"BENCHMARK_REDIS_URL": redis.url, "UPSTASH_REDIS_URL": redis.url, "UPSTASH_REDIS_TOKEN": ""}
    variables = {**os.environ, **own, "PYTHONPATH": str(Path.cwd())}
    with ExitStack() as stack:
        made = {}
        for name, python in pythons.items():
            made[name] = Side(name.partition("@")[0], python, variables, folder / f"{name}.log")
            stack.callback(made[name].close)
        together = Comparison(made, redis)
        together.flush()
        yield together
