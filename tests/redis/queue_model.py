"""What a queue should do, in plain Python: the model that the real one is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.redis.queue_config import QueueSettings

SETTINGS = QueueSettings(max_attempts=3, result_ttl=600, max_dead=2, dead_ttl=900)


@dataclass
class Entry:
    """A job: where it stands, how often it failed, and what holds it."""

    place: tuple[int, int, int]
    attempts: int = 0
    at: int = 0
    lease: str | None = None


@dataclass
class Model:
    """Jobs by id, each in one place; times in milliseconds."""

    now: int
    ready: dict[str, Entry] = field(default_factory=dict)
    delayed: dict[str, Entry] = field(default_factory=dict)
    leased: dict[str, Entry] = field(default_factory=dict)
    results: dict[str, tuple[int, str]] = field(default_factory=dict)  # until when, whose
    dead: dict[str, tuple[int, int]] = field(default_factory=dict)  # when it died, its priority
    priorities: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    latest: int = 0
    number: int = 0

    @property
    def known(self) -> set[str]:
        return {*self.ready, *self.delayed, *self.leased, *self.results, *self.dead}

    def place(self, priority: int, delay: int = 0) -> tuple[int, int, int]:
        self.latest = max(self.latest, self.now)
        self.number += 1
        return (-priority, self.now + delay if delay else self.latest, self.number)

    def enqueue(self, job_id: str, priority: int, place: tuple[int, int, int], delay: int) -> None:
        if job_id in self.known:
            return
        self.priorities[job_id] = priority
        if delay:
            self.delayed[job_id] = Entry(place, at=self.now + delay)
        else:
            self.ready[job_id] = Entry(place)

    def take(self, n: int) -> list[str]:
        self._look()
        self._forget()
        if self.paused:
            return []
        chosen = sorted(self.ready, key=lambda job_id: self.ready[job_id].place)[:n]
        for job_id in chosen:
            entry = self.leased[job_id] = self.ready.pop(job_id)
            entry.at, entry.lease = self.now + int(SETTINGS.lease * 1000), None
        return chosen

    def held(self, job_id: str, lease: str) -> bool:
        return job_id in self.leased and self.leased[job_id].lease == lease

    def acknowledged(self, job_id: str, lease: str) -> bool:
        return job_id in self.results and self.results[job_id][1] == lease

    def ack(self, job_id: str, lease: str) -> None:
        self.leased.pop(job_id, None)
        self.results[job_id] = (self.now + int(SETTINGS.result_ttl * 1000), lease)

    def give_back(self, job_id: str, *, spent: bool, delay: int = 0) -> None:
        entry = self.leased.pop(job_id)
        entry.attempts += spent
        if entry.attempts >= SETTINGS.max_attempts:
            self.bury(job_id)
        elif delay:
            entry.at = self.now + delay
            self.delayed[job_id] = entry
        else:
            self.ready[job_id] = entry

    def bury(self, job_id: str) -> None:
        self.leased.pop(job_id, None)
        self.dead[job_id] = (self.now, self.priorities[job_id])
        while len(self.dead) > SETTINGS.max_dead:
            del self.dead[min(self.dead, key=lambda one: (self.dead[one][0], one))]

    def replay(self, job_id: str, place: tuple[int, int, int]) -> None:
        del self.dead[job_id]
        self.ready[job_id] = Entry(place)

    def clear(self) -> int:
        removed = len(self.ready) + len(self.delayed)
        self.ready.clear()
        self.delayed.clear()
        return removed

    def _look(self) -> None:
        for job_id in [one for one, entry in self.delayed.items() if entry.at <= self.now]:
            self.ready[job_id] = self.delayed.pop(job_id)
        for job_id in [one for one, entry in self.leased.items() if entry.at <= self.now]:
            self.give_back(job_id, spent=True)

    def _forget(self) -> None:
        self.results = {job_id: kept for job_id, kept in self.results.items() if kept[0] > self.now}
        ttl = int(SETTINGS.dead_ttl * 1000)
        self.dead = {job_id: died for job_id, died in self.dead.items() if died[0] + ttl > self.now}
