"""The literals that the manifest, Terraform, the local cloud and the runtime share.

Everything here is a plain literal: `tools/manifest.py` reads this file by AST, without importing it, and the runtime
imports it for nothing but its constants. Sizes and limits with their reasons stand in the documentation of each.
"""

from __future__ import annotations

DEFAULTS = {
    "runtime": "python311",
    "entry_point": "main",
    "memory": "512Mi",
    "cpu": "1",
    "concurrency": 20,
    "timeout": 30,
    "min_instances": 0,
    "max_instances": 10,
}
"""What a function gets where neither its decorator nor `DEFAULTS_BY_KIND` says otherwise.

``timeout`` is in seconds. ``cpu`` is 1 because the platform allows ``concurrency`` above 1 only from one vCPU on.
"""

DEFAULTS_BY_KIND = {
    "webhook": {"concurrency": 20, "timeout": 30},
    "event": {"concurrency": 10, "timeout": 60},
    "job": {"concurrency": 1, "timeout": 300, "max_instances": 3},
    "api": {"concurrency": 20, "timeout": 30},
}
"""What differs by kind of function: a job has its instance for itself, and at most three of it run."""

RATE_CLASSES = {
    "default": {"rate": 10, "concurrent": 3},
    "bulk": {"rate": 1, "concurrent": 1},
}
"""What ``queue=`` of a job names: dispatches per second, and tasks that may run at once, of its own task queue.

``concurrent`` is no more than the instances of a job: a task that finds none is refused, and slows its queue down.
"""

DEAD_LETTER_TOPIC = "dead-letter"
"""Where every subscription but its own sends what it could not deliver, and handlers what they drop."""

MAX_DELIVERY_ATTEMPTS = 30
"""Of a subscription, before its message becomes a dead letter; with the backoff below about four hours."""

MINIMUM_BACKOFF_SECONDS = 10
MAXIMUM_BACKOFF_SECONDS = 600
"""The shortest and the longest wait of a subscription before it delivers a message again."""

TIME_ZONE = "Asia/Kolkata"
"""Schedules are written in it; it decides billing days too."""
