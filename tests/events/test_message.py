"""Our CloudEvents are what the library of the CloudEvents project makes of the same."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from common.events.message import message_attributes
from common.functions import context

SPECIFIED = {"id", "source", "type", "time", "subject", "data", "specversion", "datacontenttype", "dataschema"}
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12).filter(
    lambda name: name not in SPECIFIED
)
words = st.text(min_size=1, max_size=20)


@given(words, words, words, st.datetimes(timezones=st.just(UTC)), st.text(max_size=20), st.dictionaries(names, words))
def test_a_message_is_the_binary_mode_of_the_event(
    identity: str, source: str, kind: str, time: datetime, subject: str, extensions: dict[str, str]
) -> None:
    said = {"id": identity, "source": source, "type": kind, "time": time.isoformat(), **extensions}
    said |= {"datacontenttype": "application/json"} | ({"subject": subject} if subject else {})
    expected, _ = to_binary(CloudEvent(said, b"{}"), data_marshaller=lambda data: data)
    assert message_attributes(
        id=identity, source=source, type=kind, time=time, subject=subject, extensions=extensions
    ) == dict(expected)


def test_the_running_invocations_trace_travels_unless_another_is_given() -> None:
    running = context.RequestContext.from_headers({}, function="f")
    made = partial(message_attributes, id="1", source="//a", type="t", time=datetime(2026, 11, 23, tzinfo=UTC))
    with context.bind(running):
        assert made()["traceparent"] == running.traceparent
        assert made(traceparent="00-other")["traceparent"] == "00-other"
    assert "traceparent" not in made()
