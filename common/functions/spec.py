"""What a decorator knows about the function below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar

from starlette.responses import Response

from common.functions.request import MAX_BODY_BYTES, Request

ATTRIBUTE = "__raptorflow__"

Function = TypeVar("Function", bound=Callable[..., Any])
Adapter = Callable[[Callable[..., Any], Request], Awaitable[Response]]
"""Parses a request for a function, calls it, and says in HTTP what it returned."""


class Resources(TypedDict, total=False):
    """What the manifest reads of a decorator, for Terraform: permissions and sizes. Literals only.

    ``publishes`` topics, ``enqueues`` task queues, ``buckets``, ``datasets``, ``secrets``; ``memory`` ("512Mi"),
    ``cpu`` ("1"), ``concurrency`` (requests per instance), ``min_instances``, ``max_instances``.
    """

    publishes: list[str]
    enqueues: list[str]
    buckets: list[str]
    datasets: list[str]
    secrets: list[str]
    memory: str
    cpu: str
    concurrency: int
    min_instances: int
    max_instances: int


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """How the runtime serves one function.

    Attributes:
        kind: which trigger calls it.
        timeout: seconds, the platform's; the invocation's own deadline comes a margin earlier.
        adapter: see `Adapter`.
        caller: who may call: ``anyone``; whoever IAM has ``admitted``; only the identity of the function's ``trigger``.
        methods: what it answers; anything else is 405.
        max_body: bytes.
    """

    kind: Literal["webhook", "event", "job", "api"]
    timeout: float
    adapter: Adapter
    caller: Literal["anyone", "admitted", "trigger"]
    methods: tuple[str, ...] = ("POST",)
    max_body: int = MAX_BODY_BYTES


def attach(spec: FunctionSpec) -> Callable[[Function], Function]:
    """Attach ``spec`` and return the function unchanged: it stays callable, and testable, as what it is."""

    def decorate(function: Function) -> Function:
        setattr(function, ATTRIBUTE, spec)
        return function

    return decorate


def spec_of(function: Callable[..., Any]) -> FunctionSpec:
    """The spec that a decorator attached.

    Raises:
        TypeError: none did.
    """
    spec = getattr(function, ATTRIBUTE, None)
    if not isinstance(spec, FunctionSpec):
        raise TypeError(f"{function!r} is not decorated with @webhook, @subscribe or @endpoint")
    return spec
