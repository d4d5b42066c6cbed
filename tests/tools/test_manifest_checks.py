"""Every rule, with its sentence: where it is broken, what is wrong, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

PUBSUB = "from common.infrastructure.pubsub_client import pubsub_client"
SECRETS = "from common.config.secrets import secret_values"
EVENTS = "from common.events.types import PaymentCompleted"
STORAGE = "from common.infrastructure.storage import CloudStorage"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


# --- folders and main.py


@pytest.mark.parametrize(
    ("decorator", "changes", "expected"),
    [
        ("@webhook()", {"docstring": ""}, "main.py:4: a has no docstring; its first sentence describes the function"),
        ("@webhook()", {"last": "main = a"}, "main.py:7: the last line must be `main = serve(a)`; write it."),
        ("@webhook()", {"last": "main = serve(a)\nother = 1"}, "main.py:8: the last line must be `main = serve(a)`"),
        ("@webhook()", {"name": "b"}, "main.py:4: the function is called b and its folder a; give both one name"),
        ("@endpoint()", {}, "main.py:4: must decorate one function, with @webhook; functions/webhooks is for these."),
        ("@webhook", {}, "main.py:3: @webhook is a call; write @webhook()."),
        ("@webhook(timeout=3601)", {}, "main.py:3: timeout is 3601 s, the longest for this trigger is 3600 s; shorten"),
        ("@webhook(timeout=True)", {}, "main.py:3: timeout must be a positive whole number, not True."),
        ("@webhook(timeout=0)", {}, "main.py:3: timeout must be a positive whole number, not 0."),
        ("@webhook(timeout=None)", {}, "main.py:3: timeout must be a positive whole number, not None."),
        ("@webhook(timeout=SECONDS)", {}, "main.py:3: timeout is no literal; write the value here"),
        ("@webhook(topic='x')", {}, "main.py:3: @webhook takes no argument 'topic'; it takes timeout, publishes"),
        ("@webhook('x')", {}, "main.py:3: @webhook takes no argument '*'"),
        ("@webhook(**OPTIONS)", {}, "main.py:3: @webhook takes no argument '**'"),
        ("@webhook(secrets='x')", {}, "main.py:3: secrets must be a list of texts, each of them once, not 'x'."),
        ("@webhook(buckets=['x', 'x'])", {}, "main.py:3: buckets must be a list of texts, each of them once"),
    ],
)
def test_main_py(tree: Tree, decorator: str, changes: dict[str, str], expected: str) -> None:
    tree.function("webhooks/a", decorator, **changes)
    (problem,) = tree.problems()
    assert problem.startswith(f"functions/webhooks/a/{expected}")


def test_two_decorated_functions_are_one_too_many(tree: Tree) -> None:
    path = tree.function("webhooks/a", "@webhook()")
    path.write_text(path.read_text().replace("main = ", "@webhook()\nasync def b(r): ...\nmain = "))
    (problem,) = tree.problems()
    assert "must decorate one function, with @webhook" in problem


def test_a_folder_is_complete(tree: Tree) -> None:
    tree.function("webhooks/a", "@webhook()")
    (tree.root / "functions/webhooks/a/sample.json").unlink()
    tree.function("webhooks/b", "@webhook()")
    tree.write("functions/webhooks/b/sample.json", "{\n  x}")
    tree.write("functions/webhooks/c/sample.json", "{}")
    tree.function("webhooks/dD", "@webhook()")
    tree.function("crons/e", "@webhook()")
    tree.write("functions/webhooks/removed/__pycache__/main.pyc", "")
    assert [problem.partition(" (")[0] for problem in tree.problems()] == [
        "functions/crons/e:1: is no kind of function; the kinds are api, events, jobs, webhooks.",
        "functions/webhooks/a/sample.json:1: is missing; write the event that the function receives.",
        "functions/webhooks/b/sample.json:2: is not JSON; correct it",
        "functions/webhooks/c/main.py:1: is missing; write it, or remove the folder.",
        "functions/webhooks/dD:1: names the function, so it must be snake_case; rename the folder.",
    ]


@pytest.mark.parametrize(("length", "fits"), [(40, True), (41, False)])
def test_a_name_leaves_room_for_the_environment(tree: Tree, length: int, fits: bool) -> None:
    tree.function(f"webhooks/{'a' * (length - len('webhook-'))}", "@webhook()")
    assert tree.problems() == [] if fits else "has more than 40 characters; shorten" in tree.problems()[0]


# --- triggers


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ("@subscribe()", "@subscribe needs a topic; write it as the first argument."),
        ("@subscribe('nobody')", "no function publishes to 'nobody'; correct the topic, or declare it where it is"),
        ("@subscribe('dead-letter', timeout=591)", "timeout is 591 s, the longest for this trigger is 590 s; shorten"),
        (f"@subscribe('dead-letter', filter={'x' * 257!r})", "filter has more than 256 characters; filter in the"),
        ("@subscribe('dead-letter', ordered=1)", "ordered must be True or False, not 1."),
        (
            "@subscribe('dead-letter', publishes=['x'])",
            "publishes has 'x', but no code that is reached uses it; remove",
        ),
    ],
)
def test_subscriptions(tree: Tree, decorator: str, expected: str) -> None:
    tree.function("events/on_a", decorator)
    (problem,) = tree.problems()
    assert problem.startswith(f"functions/events/on_a/main.py:3: {expected}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("'b'", "the function is called b and its folder a; give both one name, logs show it."),
        ("'a', schedule='0 9 * * 1'", "schedule '0 9 * * 1': write weekdays by name (MON-FRI): Cloud Scheduler counts"),
        ("'a', per='workspace'", "per needs a schedule to fan out on; add schedule= or remove per=."),
        ("'a', per='user', schedule='0 9 * * *'", "per is 'user'; the only fan-out is per=\"workspace\"."),
        ("'a', queue='fast'", "queue is 'fast', a rate class is one of bulk, default; use one."),
        ("'a', schedule='0 9 * * *', retries=6", "Cloud Scheduler retries 5 times at most; lower retries."),
        ("'a', schedule='0 9 * * *', timeout=1786", "timeout is 1786 s, the longest for this trigger is 1785 s"),
        ("'a', timeout=1786", "timeout is 1786 s, the longest for this trigger is 1785 s"),
    ],
)
def test_jobs(tree: Tree, arguments: str, expected: str) -> None:
    tree.function("jobs/a", f"@job({arguments})")
    (problem,) = tree.problems()
    assert problem.partition(": ")[2].startswith(expected)


# --- what the code uses against what is declared

USES = [
    ("publishes", "topic-a", 'await pubsub_client().publish("topic-a", b"")', PUBSUB),
    ("publishes", "topic-a", 'await pubsub_client().publish(topic="topic-a", message=b"")', PUBSUB),
    ("publishes", "topic-a", "await pubsub_client().publish(TOPIC, b'')", f"{PUBSUB}\nTOPIC = 'topic-a'"),
    (
        "publishes",
        "payment-completed",
        "await pubsub_client().publish(PaymentCompleted.TOPIC, b'')",
        f"{PUBSUB}\n{EVENTS}",
    ),
    ("publishes", "payment-completed", "PaymentCompleted()", EVENTS),
    ("publishes", "payment-completed", "types.PaymentCompleted()", "from common.events import types"),
    ("publishes", "payment-completed", "events.PaymentCompleted()", "from common import events"),
    ("publishes", "payment-completed", "Done()", "from common.events import PaymentCompleted as Done"),
    ("enqueues", "b_c", 'await enqueue_job("b_c", scope="s", period="p", arguments={})', ""),
    ("enqueues", "b_c", 'await enqueue_job(job="b_c", scope="s", period="p", arguments={})', ""),
    ("buckets", "evidence", 'await CloudStorage().upload_file("evidence", "p", b"", "t")', STORAGE),
    (
        "buckets",
        "evidence",
        'await client.generate_signed_url(ALIAS, "p", 60)',
        "from common.infrastructure.storage_config import ALIAS",
    ),
    (
        "buckets",
        "evidence",
        'await client.delete_file(storage_config.EVIDENCE_BUCKET, "p")',
        "from common.infrastructure import storage_config",
    ),
    ("datasets", "analytics", 'await client.insert_rows("analytics.events", [])', ""),
    ("datasets", "analytics", 'await client.insert_rows(f"{DATASET}.events", [])', "DATASET = 'analytics'"),
    ("datasets", "analytics", 'await client.create_table_if_not_exists("p.analytics.events", [])', ""),
    ("secrets", "api-key", 'secret_values("api-key")', SECRETS),
    ("secrets", "api-key", 'await SecretsManager().get_secret("api-key")', ""),
]


@pytest.mark.parametrize(("resource", "name", "body", "imports"), USES)
def test_what_is_used_must_be_declared_and_the_other_way_round(
    tree: Tree, resource: str, name: str, body: str, imports: str
) -> None:
    tree.function("jobs/b_c", '@job("b_c")')
    tree.function("webhooks/a", f"@webhook({resource}=[{name!r}])", body, imports=imports)
    assert tree.manifest()["functions"]["webhook-a"][resource] == [name]

    path = tree.function("webhooks/a", "@webhook()", body, imports=imports)
    text = path.read_text()
    decorated = text[: text.index("@webhook")].count("\n") + 1
    used = text[: text.rindex(body)].count("\n") + 1
    main = "functions/webhooks/a/main.py"
    (problem,) = tree.problems()
    assert problem == (
        f"{main}:{decorated}: {resource} lacks {name!r}, which {main}:{used} uses; "
        "add it, or the platform refuses the call."
    )

    tree.function("webhooks/a", f"@webhook({resource}=[{name!r}])")
    (problem,) = tree.problems()
    assert problem == (
        f"{main}:3: {resource} has {name!r}, but no code that is reached uses it; remove the dead permission."
    )


def test_uses_count_wherever_they_are_reached(tree: Tree) -> None:
    tree.write("common/ledger.py", f"{EVENTS}\ndef settle(): return PaymentCompleted()")
    tree.write("functions/webhooks/a/own.py", "from common import ledger")
    tree.function("webhooks/a", "@webhook()", imports="from . import own")
    tree.function("webhooks/b", "@webhook()")
    assert [problem.partition("uses;")[0] for problem in tree.problems()] == [
        "functions/webhooks/a/main.py:4: publishes lacks 'payment-completed', which common/ledger.py:2 "
    ]


def test_a_secret_is_used_by_reading_its_environment_variable(tree: Tree) -> None:
    imports = "from common.database import execute"
    tree.function("webhooks/a", '@webhook(secrets=["database-url"])', imports=imports)
    assert tree.problems() == []
    tree.function("webhooks/b", "@webhook()", imports=imports)
    assert [problem.partition("uses;")[0] for problem in tree.problems()] == [
        "functions/webhooks/b/main.py:4: secrets lacks 'database-url', which common/database.py:5 "
    ]


def test_a_secret_written_in_a_docstring_is_not_used(tree: Tree) -> None:
    tree.function("webhooks/a", '@webhook(secrets=["api-key"])', docstring='"""API_KEY"""')
    assert "remove the dead permission" in tree.problems()[0]


def test_a_redis_channel_is_no_topic(tree: Tree) -> None:
    body = """
        await PubSubService().publish("agent_updates", {})
        live = PubSubService()
        await live.publish("agent_updates", {})
        """
    tree.function("webhooks/a", "@webhook()", body, imports="from common.redis import PubSubService")
    assert tree.problems() == []


@pytest.mark.parametrize("decorator", [None, '@job("b", schedule="0 9 * * *")'])
def test_only_a_job_that_takes_tasks_can_be_enqueued(tree: Tree, decorator: str | None) -> None:
    body = 'await enqueue_job("b", scope="s", period="p", arguments={})'
    tree.function("webhooks/a", '@webhook(enqueues=["b"])', body)
    if decorator:
        tree.function("jobs/b", decorator)
    (problem,) = tree.problems()
    assert problem.endswith("enqueues 'b', but functions/jobs/b takes no tasks; correct the name, or write the job.")


def test_a_declared_dataset_may_be_read_by_a_query(tree: Tree) -> None:
    body = 'await client.execute_query("select 1 from analytics.events", {})'
    tree.function("webhooks/a", '@webhook(datasets=["analytics"])', body)
    assert tree.problems() == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("await pubsub_client().publish(topic, b'')", "the topic of publish(…)"),
        ("TOPIC = event\nawait pubsub_client().publish(TOPIC, b'')", "the topic of publish(…)"),
        ("await client.upload_file(event.bucket, '', b'', '')", "the bucket of upload_file(…)"),
        ("await client.insert_rows('events', [])", "the dataset.table of insert_rows(…)"),
        ("await client.insert_rows(f'{event}.events', [])", "the dataset.table of insert_rows(…)"),
        ("secret_values(event)", "the name of secret_values(…)"),
        ("secret_values()", "the name of secret_values(…)"),
    ],
)
def test_a_name_that_cannot_be_read_is_an_error_in_functions_only(tree: Tree, body: str, what: str) -> None:
    imports = f"{PUBSUB}\n{SECRETS}\nfrom common import generic\nTOPIC = 'topic-a'"
    indented = body.replace("\n", "\n    ")
    tree.write("common/generic.py", f"{PUBSUB}\n{SECRETS}\nasync def f(event, client, topic):\n    {indented}\n")
    tree.function("webhooks/a", "@webhook()", imports=imports)
    assert tree.problems() == []
    tree.function("webhooks/a", "@webhook()", body, imports=imports)
    (problem,) = tree.problems()
    assert problem.endswith(f": {what} cannot be read; write a literal or a module-level constant.")


def test_a_function_of_ours_that_shares_a_name_is_left_alone(tree: Tree) -> None:
    tree.write("functions/webhooks/a/ledger.py", "async def publish(rows): ...")
    body = "await ledger.publish(event)\nawait dead_letter.publish(event, topic='x')"
    tree.function(
        "webhooks/a", "@webhook()", body, imports="from common.functions import dead_letter\nfrom . import ledger"
    )
    assert tree.problems() == []


def test_a_subscriber_may_be_fed_by_an_event_class(tree: Tree) -> None:
    tree.function("webhooks/a", '@webhook(publishes=["payment-completed"])', "PaymentCompleted()", imports=EVENTS)
    tree.function("events/on_payment_completed", '@subscribe("payment-completed")')
    assert tree.problems() == []


# --- dependency groups


def test_an_import_without_a_group_says_what_to_do(tree: Tree) -> None:
    tree.function("webhooks/a", "@webhook()", "import numpy.linalg")
    (problem,) = tree.problems()
    assert problem == (
        "functions/webhooks/a/main.py:6: imports numpy.linalg, but no dependency group of pyproject.toml has numpy; "
        "add it to the group 'numpy' and run `make lock`."
    )


def test_development_groups_are_not_deployed_even_from_common_that_nobody_reaches(tree: Tree) -> None:
    tree.write("common/testing.py", "import pytest")
    tree.function("webhooks/a", "@webhook()", "import pyjwt")
    advice = "which is not deployed; use a deployed group."
    assert tree.problems() == [
        f"common/testing.py:1: imports pytest of the group dev, {advice}",
        f"functions/webhooks/a/main.py:6: imports pyjwt of the group local, {advice}",
    ]


def test_only_the_scheduler_imports_apscheduler(tree: Tree) -> None:
    tree.write("common/jobs/scheduler.py", "import apscheduler.triggers.cron")
    assert tree.problems() == []
    tree.write("common/jobs/other.py", "import apscheduler")
    (problem,) = tree.problems()
    assert problem == (
        "common/jobs/other.py:1: imports apscheduler of the group scheduler; only common.jobs.scheduler may."
    )


def test_groups_and_clients_follow_from_everything_reached(tree: Tree) -> None:
    tree.function(
        "webhooks/a",
        "@webhook()",
        imports="import httpx\nfrom common.redis import PubSubService\nfrom common import database\n" + STORAGE,
    )
    tree.function(
        "webhooks/b", '@webhook(secrets=["upstash-redis-url"])', imports="from common.redis import PubSubService"
    )
    tree.write(
        "functions/webhooks/a/main.py",
        (tree.root / "functions/webhooks/a/main.py")
        .read_text()
        .replace("@webhook()", '@webhook(secrets=["upstash-redis-url"])'),
    )
    functions = tree.manifest()["functions"]
    assert functions["webhook-a"]["groups"] == ["http", "postgres", "redis", "runtime", "storage"]
    assert functions["webhook-a"]["clients"] == ["http", "postgres", "redis", "storage"]
    assert functions["webhook-b"]["groups"] == ["redis", "runtime"]
