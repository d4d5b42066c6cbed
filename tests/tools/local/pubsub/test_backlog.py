from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from common.clock import now
from tools.local.pubsub.backlog import Backlog
from tools.local.pubsub.messages import Message, Policy
from tools.local.rpc import ServiceError

POLICY = Policy(
    ack_deadline=10,
    minimum_backoff=0,
    maximum_backoff=0,
    max_attempts=None,
    ordered=False,
    exactly_once=False,
    retention=None,
)


def backlog(policy: Policy = POLICY) -> Backlog:
    return Backlog(policy, bury=lambda _message, _attempts: False)


def message(text: str, key: str = "") -> Message:
    return Message(id=text, data=text.encode(), attributes={}, ordering_key=key, publish_time=now())


def taken(waiting: Backlog, limit: int = 100) -> list[str]:
    return [delivery.message.id for delivery in waiting.take(limit)]


def test_messages_come_in_the_order_of_publishing_and_no_more_than_asked_for() -> None:
    waiting = backlog()
    for text in "abc":
        waiting.add(message(text))
    assert [taken(waiting, 2), taken(waiting, 2), taken(waiting, 2)] == [["a", "b"], ["c"], []]
    assert (waiting.size, waiting.outstanding) == (3, 3)


def test_a_late_acknowledgement_counts_unless_delivery_is_exactly_once() -> None:
    for exactly_once in (False, True):
        waiting = backlog(replace(POLICY, exactly_once=exactly_once))
        waiting.add(message("a"))
        [late] = waiting.take(1, lease=0)
        [again] = [*waiting.take(1), *waiting.take(1)]
        if exactly_once:
            with pytest.raises(ServiceError) as error:
                waiting.ack([late.ack_id, again.ack_id])
            assert error.value.rich is not None
            assert late.ack_id in str(error.value.rich)
            assert again.ack_id not in str(error.value.rich)
        else:
            waiting.ack([late.ack_id, again.ack_id])
        assert (again.attempt, waiting.size) == (2, 0)


def test_a_late_refusal_does_not_touch_the_next_delivery() -> None:
    waiting = backlog()
    waiting.add(message("a"))
    [late] = waiting.take(1, lease=0)
    [again] = [*waiting.take(1), *waiting.take(1)]
    waiting.modify_deadline([late.ack_id], 0)
    assert waiting.holds(again.ack_id)
    assert not waiting.holds(late.ack_id)


@pytest.mark.parametrize("ack_id", ["", "x", "a.b.c", f"{'0' * 32}.1.1", f"{'0' * 32}.{'9' * 5000}.1", "é"])
def test_a_foreign_or_malformed_ack_id_is_refused_before_anything_is_done(ack_id: str) -> None:
    waiting = backlog()
    waiting.add(message("a"))
    [delivery] = waiting.take(1)
    with pytest.raises(ServiceError):
        waiting.ack([delivery.ack_id, ack_id])
    with pytest.raises(ServiceError):
        waiting.modify_deadline([delivery.ack_id, ack_id], 0)
    assert waiting.holds(delivery.ack_id)


def test_one_message_of_a_key_is_out_at_a_time_in_whatever_order_keys_are_finished() -> None:
    waiting = backlog(replace(POLICY, ordered=True))
    for text in ("a1", "b1", "a2", "free", "b2"):
        waiting.add(message(text, key=text[0] if text[-1].isdigit() else ""))
    first = waiting.take(100)
    assert [delivery.message.id for delivery in first] == ["a1", "b1", "free"]
    waiting.modify_deadline([first[0].ack_id], 0)
    waiting.ack([first[1].ack_id])
    assert sorted(taken(waiting)) == ["a1", "b2"]


def test_a_buried_message_makes_room_for_the_next_of_its_key() -> None:
    graves: list[tuple[str, int]] = []

    def bury(buried: Message, attempts: int) -> bool:
        graves.append((buried.id, attempts))
        return True

    waiting = Backlog(replace(POLICY, ordered=True, max_attempts=5), bury)
    waiting.add(message("1", "k"))
    waiting.add(message("2", "k"))
    for _attempt in range(5):
        [delivery] = waiting.take(10)
        waiting.modify_deadline([delivery.ack_id], 0)
    assert graves == [("1", 5)]
    assert taken(waiting) == ["2"]


def test_without_a_grave_a_message_is_tried_for_ever() -> None:
    waiting = backlog(replace(POLICY, max_attempts=5))
    waiting.add(message("a"))
    for attempt in range(1, 9):
        [delivery] = waiting.take(1)
        assert delivery.attempt == attempt
        waiting.modify_deadline([delivery.ack_id], 0)


def test_seek_brings_back_in_order_what_is_retained_and_voids_leases() -> None:
    waiting = backlog(replace(POLICY, ordered=True, retention=timedelta(days=7)))
    start = now() - timedelta(seconds=1)
    for text in "123":
        waiting.add(message(text, "k"))
    for _number in range(2):
        waiting.ack([delivery.ack_id for delivery in waiting.take(1)])
    [out] = waiting.take(1)
    waiting.seek(start)
    assert not waiting.holds(out.ack_id)
    seen = []
    while deliveries := waiting.take(10):
        seen += [delivery.message.id for delivery in deliveries]
        waiting.ack([delivery.ack_id for delivery in deliveries])
    assert seen == ["1", "2", "3"]
    waiting.seek(start)
    assert waiting.size == 3


def test_seek_forgets_what_is_not_retained() -> None:
    waiting = backlog()
    waiting.add(message("a"))
    waiting.ack([delivery.ack_id for delivery in waiting.take(1)])
    waiting.seek(now() - timedelta(days=1))
    assert waiting.size == 0


async def test_who_waits_gets_a_message_when_its_backoff_ends() -> None:
    waiting = backlog(replace(POLICY, minimum_backoff=0.05, maximum_backoff=1))
    waiting.add(message("a"))
    [delivery] = waiting.take(1)
    waiting.modify_deadline([delivery.ack_id], 0)
    assert waiting.take(1) == []
    async with asyncio.timeout(2):
        [again] = await waiting.take_soon(1)
    assert again.attempt == 2


async def test_who_waits_is_sent_away_when_the_subscription_is_deleted() -> None:
    waiting = backlog()
    pulls = [asyncio.create_task(waiting.take_soon(1)) for _number in range(3)]
    await asyncio.sleep(0)
    waiting.close()
    async with asyncio.timeout(2):
        assert await asyncio.gather(*pulls) == [[], [], []]


def test_backoff_doubles_from_its_minimum_to_its_maximum() -> None:
    policy = replace(POLICY, minimum_backoff=10, maximum_backoff=600)
    assert [policy.backoff(attempt) for attempt in (1, 2, 6, 7, 10**9)] == [10, 20, 320, 600, 600]
