"""The README's commands, tried on gcloud's own parser: no network, no credentials, nothing is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "common/infrastructure/README.md"
VARIABLES = {
    "BILLING": "000000-000000-000000",
    "HOST": "f-1.a.run.app",
    "INVOKER": "invoker@p-1.iam.gserviceaccount.com",
    "NUMBER": "123456789012",
    "PROJECT": "p-12345",
    "REGION": "asia-south1",
    "REVISION": "webhook-phonepe-00001-abc",
    "TRACE": "0af7651916cd43dd8448eb211c80319c",
    "URL": "https://f-1.a.run.app",
    "VALUE": "v",
}
"""What the shell would put in."""
PARSER = """
import json, sys
root = sys.argv[1]
sys.path[:0] = [root + "/lib", root + "/lib/third_party"]
from googlecloudsdk import gcloud_main
parser = gcloud_main.CreateCLI([])._CLI__parser
said = []
for arguments in json.load(sys.stdin):
    try:
        parser.parse_args(arguments)
        said.append(0)
    except SystemExit as exit:
        said.append(exit.code)
print("parsed:" + json.dumps(said))
"""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Each command of each block as the shell would split it."""
    found = []
    for block in blocks():
        lexer = shlex.shlex(string.Template(block.replace("\\\n", " ")).substitute(VARIABLES), posix=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        lexer.whitespace = " \t"
        words: list[str] = []
        for word in [*split_lines(list(lexer)), "\n"]:
            if word in {"\n", "|", ";", "&&"}:
                found.append(words)
                words = []
            else:
                words.append(word)
    return [words for words in found if words]


def split_lines(words: list[str]) -> list[str]:
    """The ends of lines as words of their own: with ``\\n`` not a blank, they stick to their neighbours."""
    return [part for word in words for part in re.split(r"(\n)", word) if part]


def gcloud_commands() -> list[list[str]]:
    """Their arguments, without redirections."""
    mine = [words[1:] for words in commands() if words[0] == "gcloud"]
    return [words[: words.index(">")] if ">" in words else words for words in mine]


def parsed(arguments: list[list[str]], tmp_path: Path) -> tuple[list[int], str]:
    """How gcloud's parser ends with each, 0 where it takes it, and what it says to the others."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed: the README's commands were not tried on its parser")
    environment = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(tmp_path),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
    }
    # -S: without this project's packages, some of which are called like gcloud's own
    done = subprocess.run(
        [sys.executable, "-S", "-c", PARSER, str(Path(gcloud).resolve().parents[1])],
        env=environment,
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    ends: list[int] = json.loads(done.stdout.rpartition("parsed:")[2])
    return ends, done.stderr


def test_each_command_is_one_that_gcloud_takes(tmp_path: Path) -> None:
    mine = gcloud_commands()
    assert len(mine) == README.read_text().count("\ngcloud ") + README.read_text().count("| gcloud ")
    wrong = [  # which the parser must refuse, or the test says nothing
        [*mine[0], "--no-such-flag=1"],
        ["pubsub", "topics", "make", "a"],
        ["tasks", "queues", "create", "q", "--max-attempts=many"],
    ]
    ends, said = parsed([*mine, *wrong], tmp_path)
    refused = [shlex.join(command) for command, end in zip(mine, ends, strict=False) if end]
    assert refused == [], said
    assert ends[-len(wrong) :] == [2, 2, 2]
    for expected in ("unrecognized arguments: --no-such-flag=1", "Invalid choice: 'make'", "--max-attempts"):
        assert expected in said


def test_commands_of_this_repository_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    others = [words for words in commands() if words[0] not in {"gcloud", "export", "printf", "unzip"}]
    assert others
    for words in others:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        else:
            assert words[:2] == ["python", "-m"], words
            module = REPOSITORY / words[2].replace(".", "/")
            assert module.with_suffix(".py").exists() or module.is_dir(), words


def test_what_it_names_is_in_the_manifest() -> None:
    manifest = json.loads((REPOSITORY / "functions.json").read_text())
    for words in gcloud_commands():
        match words:
            case ["pubsub", "topics", "create", topic, *_]:
                assert topic in manifest["topics"]
            case ["pubsub", "subscriptions", "create", name, *rest]:
                topic = next(word.partition("=")[2] for word in rest if word.startswith("--topic="))
                assert manifest["functions"][name]["trigger"]["topic"] == topic
            case ["tasks", "queues", "create", queue, *_]:
                assert queue in manifest["queues"]
            case ["scheduler", "jobs", "create", "http", name, *rest]:
                assert f"--schedule={manifest['functions'][name]['trigger']['schedule']}" in rest
            case ["secrets", "create", secret, *_]:
                assert secret in manifest["secrets"]
            case ["functions", "deploy", name, *rest]:
                given = next(word.partition("=")[2] for word in rest if word.startswith("--set-secrets="))
                secrets = {pair.partition("=")[2].partition(":")[0] for pair in given.split(",")}
                assert secrets == set(manifest["functions"][name]["secrets"])


def test_each_module_of_the_table_exists() -> None:
    named = re.findall(r"`(\w+\.py)`", README.read_text())
    assert named
    assert [name for name in named if not (README.parent / name).exists()] == []
