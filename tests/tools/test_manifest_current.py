"""The committed manifest, and the literals that the runtime and the manifest must agree on."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from common.functions import resources
from common.functions.endpoints import endpoint
from common.functions.subscriptions import subscribe
from common.functions.webhooks import webhook
from tools.decorators import PARAMETERS
from tools.manifest import build, render

ROOT = Path(__file__).parents[2]


def test_the_committed_manifest_is_what_the_code_says() -> None:
    document, problems = build(ROOT)
    assert [str(problem) for problem in problems] == []
    assert (ROOT / "functions.json").read_text(encoding="utf-8") == render(document)


@pytest.mark.parametrize(("kind", "decorator"), [("webhook", webhook), ("event", subscribe), ("api", endpoint)])
def test_the_manifest_knows_the_decorators_arguments_and_defaults(kind: str, decorator: Any) -> None:
    parameters = inspect.signature(decorator).parameters
    known = PARAMETERS[decorator.__name__]
    assert {name for name, value in parameters.items() if value.kind is not value.VAR_KEYWORD} <= known.keys()
    assert parameters["timeout"].default == {**resources.DEFAULTS, **resources.DEFAULTS_BY_KIND[kind]}["timeout"]


def test_kinds_override_only_what_has_a_default() -> None:
    for own in resources.DEFAULTS_BY_KIND.values():
        assert own.keys() <= resources.DEFAULTS.keys()


def test_no_webhook_and_no_money_is_ever_too_old_to_be_handled() -> None:
    triggers = [function["trigger"] for function in build(ROOT)[0]["functions"].values()]
    lasting = [one for one in triggers if one.get("topic", "").startswith(("webhook-", "payment-", "subscription-"))]
    assert lasting
    assert not [one for one in lasting if "max_age" in one]
