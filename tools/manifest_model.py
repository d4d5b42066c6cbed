"""``functions.json`` as types, with the defaults merged in: what the gateway, packaging and the tests read.

Example:
    >>> manifest = load(Path("functions.json"))
    >>> manifest.functions["event-on-phonepe-event"].trigger.topic
    'webhook-phonepe'
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TUPLES = ("publishes", "enqueues", "buckets", "datasets", "secrets", "clients", "groups", "modules")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """When ``jobs/dispatch`` makes one task of a job for each ``per`` (workspace)."""

    schedule: str
    time_zone: str
    per: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """What calls a function.

    Attributes:
        kind: ``http`` by its URL, ``pubsub`` by push, ``schedule`` by Cloud Scheduler, ``task`` by Cloud Tasks.
        public: http: open to everyone.
        topic: pubsub: its short name.
        filter: pubsub: in Pub/Sub's filter language; None lets everything through.
        ordered: pubsub: one ordering key's messages one after the other.
        dead_letter: pubsub: whether what cannot be delivered goes to the dead-letter topic.
        max_age: pubsub: seconds after which the function drops an event; None never.
        schedule: schedule: five cron fields in ``time_zone``.
        time_zone: schedule: the IANA name.
        retries: schedule, task: after the first attempt.
        rate_class: task: how fast its queue dispatches, a key of `Manifest.rate_classes`.
        dispatch: task: what makes its tasks by the clock; None if only other functions do.
    """

    kind: Literal["http", "pubsub", "schedule", "task"]
    public: bool = False
    topic: str | None = None
    filter: str | None = None
    ordered: bool = False
    dead_letter: bool = False
    max_age: int | None = None
    schedule: str | None = None
    time_zone: str | None = None
    retries: int | None = None
    rate_class: str | None = None
    dispatch: Dispatch | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One deployed function.

    Attributes:
        name: ``event-on-phonepe-event``.
        source: its folder, ``functions/events/on_phonepe_event``.
        description: the first sentence of its docstring.
        trigger: see `Trigger`.
        publishes: topics.
        enqueues: task queues.
        buckets: short names.
        datasets: of BigQuery.
        secrets: short names.
        clients: the services it has a client of: redis, postgres, http, pubsub and other Google products.
        groups: dependency groups of ``pyproject.toml``.
        modules: dotted names of the files it needs, its own included.
        runtime: of the platform, ``python311``.
        entry_point: the name in ``main.py``.
        memory: ``512Mi``.
        cpu: in vCPU, as text.
        concurrency: requests per instance.
        timeout: seconds.
        min_instances: kept warm.
        max_instances: at most.
    """

    name: str
    source: str
    description: str
    trigger: Trigger
    publishes: tuple[str, ...]
    enqueues: tuple[str, ...]
    buckets: tuple[str, ...]
    datasets: tuple[str, ...]
    secrets: tuple[str, ...]
    clients: tuple[str, ...]
    groups: tuple[str, ...]
    modules: tuple[str, ...]
    runtime: str
    entry_point: str
    memory: str
    cpu: str
    concurrency: int
    timeout: int
    min_instances: int
    max_instances: int

    @property
    def module(self) -> str:
        """What to import, ``functions.events.on_phonepe_event.main``."""
        return f"{self.source.replace('/', '.')}.main"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic: the event types known to be published there, and whether a subscription of it is ordered."""

    types: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RateClass:
    """How fast a task queue dispatches: per second, and how many at once."""

    rate: float
    concurrent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Every function and what they need."""

    functions: Mapping[str, Function]
    topics: Mapping[str, Topic]
    rate_classes: Mapping[str, RateClass]
    queues: tuple[str, ...]
    buckets: tuple[str, ...]
    datasets: tuple[str, ...]
    secrets: tuple[str, ...]


def load(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        OSError: there is none.
        ValueError: it is not JSON.
        TypeError: it was made by another version of the tool.
    """
    return parse(json.loads(path.read_bytes()))


def parse(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest that is at hand, such as the one that `tools.manifest.build` returns."""
    return Manifest(
        functions={
            name: _function(name, {**document["defaults"], **values}) for name, values in document["functions"].items()
        },
        topics={
            name: Topic(types=tuple(topic["types"]), ordered=topic["ordered"])
            for name, topic in document["topics"].items()
        },
        rate_classes={name: RateClass(**values) for name, values in document["rate_classes"].items()},
        queues=tuple(document["queues"]),
        buckets=tuple(document["buckets"]),
        datasets=tuple(document["datasets"]),
        secrets=tuple(document["secrets"]),
    )


def _function(name: str, values: Mapping[str, Any]) -> Function:
    trigger = dict(values["trigger"])
    if "dispatch" in trigger:
        trigger["dispatch"] = Dispatch(**trigger["dispatch"])
    lists = {key: tuple(values[key]) for key in _TUPLES}
    return Function(**{**values, **lists, "name": name, "trigger": Trigger(**trigger)})
