"""What a session is, as JSON and back."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.redis.errors import InvalidValue
from common.redis.session_models import SessionData
from tests.redis.test_values import JSON

SESSION = SessionData(
    session_id="route.secret",
    user_id="u",
    workspace_id="w",
    current_agent="muse",
    messages=[{"text": "hello"}],
    context={"locale": "en-IN"},
    created_at=datetime(2026, 11, 25, 6, 30, tzinfo=UTC),
    last_active_at=datetime(2026, 11, 25, 6, 31, 0, 5000, tzinfo=UTC),
    expires_at=datetime(2026, 11, 25, 12, 31, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    version=7,
)


def test_the_fields_are_named() -> None:
    names = [each.name for each in dataclasses.fields(SessionData)]
    assert names == [
        *("session_id", "user_id", "workspace_id", "current_agent", "messages", "context"),
        *("created_at", "last_active_at", "expires_at", "version"),
    ]


@settings(max_examples=50, deadline=None)
@given(
    agent=st.none() | st.text(min_size=1),
    messages=st.lists(JSON, max_size=2),
    context=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
)
def test_json_both_ways(agent: str | None, messages: list[Any], context: dict[str, Any]) -> None:
    session = dataclasses.replace(SESSION, current_agent=agent, messages=messages, context=context)
    try:
        text = session.to_json()
    except InvalidValue as error:
        assert "surrogates" in str(error)
        return
    assert SessionData.from_json(text) == session


def test_its_repr_shows_neither_its_id_nor_what_was_said() -> None:
    assert not {"secret", "hello", "locale"} & set(repr(SESSION).replace("'", " ").split())
    assert "secret" not in repr(SESSION)
    assert "hello" not in repr(SESSION)


GIVEN = json.loads(SESSION.to_json())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        (None, "must be JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "session_id must be str"),
        *(
            (json.dumps(GIVEN | {name: value}), f"a session's {name} must be")
            for name, value in {
                "user_id": 7,
                "current_agent": [],
                "messages": {},
                "context": [],
                "version": True,
                "created_at": "yesterday",
                "expires_at": "2026-11-25T06:30:00",
            }.items()
        ),
    ],
)
def test_what_is_no_session_is_refused(text: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        SessionData.from_json(text)
