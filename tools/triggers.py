"""What calls a function, as the manifest says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.schedule import complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.declarations import Declaration
    from tools.problem import Problem
    from tools.resources import Literals

MAX_TIMEOUT = {"pubsub": 590, "schedule": 1785, "task": 1785, "http": 3600}
"""Seconds. A push waits 600 s for its answer at most, Scheduler and Tasks 1800 s, each with a margin; HTTP an hour."""
MAX_FILTER = 256
"""Characters (Pub/Sub)."""
MAX_SCHEDULE_RETRIES = 5
"""Of Cloud Scheduler."""


def trigger_of(declaration: Declaration, literals: Literals) -> dict[str, Any]:
    """The ``trigger`` of a function."""
    arguments = declaration.arguments
    match declaration.kind:
        case "event":
            topic = arguments.get("topic", "")
            return {
                "kind": "pubsub",
                "topic": topic,
                "ordered": arguments.get("ordered", False),
                "dead_letter": topic != literals.dead_letter_topic,
                **{key: arguments[key] for key in ("filter", "max_age") if key in arguments},
            }
        case "job":
            return _job_trigger(arguments, literals)
        case kind:
            return {"kind": "http", "public": kind == "webhook" or arguments.get("public", False)}


def _job_trigger(arguments: dict[str, Any], literals: Literals) -> dict[str, Any]:
    retries = {"retries": arguments.get("retries", 3)}
    schedule = {"schedule": arguments.get("schedule"), "time_zone": literals.time_zone}
    if "schedule" in arguments and "per" not in arguments:
        return {"kind": "schedule", **schedule, **retries}
    task = {"kind": "task", "rate_class": arguments.get("queue", "default"), **retries}
    return {**task, "dispatch": {**schedule, "per": arguments.get("per")}} if "schedule" in arguments else task


def trigger_problems(
    declaration: Declaration, trigger: dict[str, Any], timeout: int, literals: Literals
) -> Iterator[Problem]:
    """What the platform would refuse, or the local cloud would read differently."""
    arguments = declaration.arguments
    longest = MAX_TIMEOUT[trigger["kind"]]
    if timeout > longest:
        text = f"timeout is {timeout} s, the longest for this trigger is {longest} s; shorten it or split the work."
        yield declaration.problem(text)
    if len(arguments.get("filter", "")) > MAX_FILTER:
        yield declaration.problem(f"filter has more than {MAX_FILTER} characters; filter in the handler.")
    if declaration.kind == "job":
        yield from _job_problems(declaration, trigger, literals)


def _job_problems(declaration: Declaration, trigger: dict[str, Any], literals: Literals) -> Iterator[Problem]:
    arguments = declaration.arguments
    if "schedule" in arguments and (text := complaint(arguments["schedule"])):
        yield declaration.problem(f"schedule {arguments['schedule']!r}: {text}.")
    if "per" in arguments and arguments["per"] != "workspace":
        yield declaration.problem(f'per is {arguments["per"]!r}; the only fan-out is per="workspace".')
    if "per" in arguments and "schedule" not in arguments:
        yield declaration.problem("per needs a schedule to fan out on; add schedule= or remove per=.")
    if trigger["kind"] == "schedule" and trigger["retries"] > MAX_SCHEDULE_RETRIES:
        yield declaration.problem(f"Cloud Scheduler retries {MAX_SCHEDULE_RETRIES} times at most; lower retries.")
    if "rate_class" in trigger and trigger["rate_class"] not in literals.rate_classes:
        known = ", ".join(sorted(literals.rate_classes))
        yield declaration.problem(f"queue is {trigger['rate_class']!r}, a rate class is one of {known}; use one.")
