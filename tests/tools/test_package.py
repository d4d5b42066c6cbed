"""The artefacts: what is in them, what is not, and that nothing but the sources decides their bytes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.tree import Tree
from tools.package import main, package

if TYPE_CHECKING:
    from tools.packaging.archive import Artifact

ROOT = Path(__file__).parents[2]
LOCK = "".join(
    f"{name} \\\n    --hash=sha256:{index:064x}\n    # via raptorflow-functions (pyproject.toml:{group})\n"
    for index, (name, group) in enumerate(
        {
            "cloudevents==1.12.0": "runtime",
            "functions-framework==3.10.2": "runtime",
            "google-cloud-pubsub==2.44.0": "pubsub",
            "psycopg==3.3.9": "postgres",
            "redis==8.1.0": "redis",
        }.items()
    )
)
FACADE_WITH_CODE = '"""A package."""\n'


def made(root: Path, *names: str) -> dict[str, Artifact]:
    artifacts, problems = package(root, names)
    assert [str(problem) for problem in problems] == []
    return {artifact.function: artifact for artifact in artifacts}


def opened(artifact: Artifact) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(artifact.content))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Two functions: one with a sibling and a package of ``common`` that has data, one with neither."""
    tree = Tree(tmp_path)
    tree.write("requirements.txt", LOCK)
    tree.write("common/letters/__init__.py", FACADE_WITH_CODE)
    tree.write("common/letters/render.py", "def render(): ...")
    tree.write("common/letters/templates/base.html", "<p>")
    tree.write("common/letters/README.md", "For people.")
    tree.write("common/letters/fonts/__init__.py", FACADE_WITH_CODE)
    tree.write("common/letters/fonts/sans.ttf", "a font")
    tree.function(
        "events/on_letter", '@subscribe("letters")', "render()\nhelp_out()",
        imports="from common.letters.render import render\nfrom .helping import help_out",
    )  # fmt: skip
    tree.write("functions/events/on_letter/helping.py", "def help_out(): ...")
    tree.write("functions/events/on_letter/texts/en.txt", "Hello")
    tree.publisher("letters")
    return tree


def test_an_artefact_holds_its_main_its_siblings_what_it_reaches_and_their_data(tree: Tree) -> None:
    names = set(opened(made(tree.root)["event-on-letter"]).namelist())
    assert {"main.py", "helping.py", "texts/en.txt", "requirements.txt"} <= names
    assert {"common/__init__.py", "common/letters/__init__.py", "common/letters/render.py"} <= names
    assert "common/letters/templates/base.html" in names
    assert not [name for name in names if "fonts" in name or name.endswith((".md", ".json"))]


def test_a_package_that_is_reached_brings_its_own_data(tree: Tree) -> None:
    tree.write("common/letters/render.py", "from common.letters import fonts\ndef render(): ...")
    assert "common/letters/fonts/sans.ttf" in made(tree.root)["event-on-letter"].files


def test_what_an_editor_or_an_interpreter_leaves_behind_is_not_packed(tree: Tree) -> None:
    before = made(tree.root)["event-on-letter"].sha256
    tree.write("common/letters/__pycache__/render.cpython-311.pyc", "cache")
    tree.write("common/letters/.render.swp", "editor")
    tree.write("functions/events/on_letter/__pycache__/main.cpython-311.pyc", "cache")
    assert made(tree.root)["event-on-letter"].sha256 == before


def test_the_archive_says_nothing_about_when_and_where_it_was_made(tree: Tree) -> None:
    entries = opened(made(tree.root)["event-on-letter"]).infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {(entry.create_system, entry.external_attr >> 16) for entry in entries} == {(3, 0o100644)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_an_edit_changes_exactly_the_artefacts_that_reach_it(tree: Tree) -> None:
    before = made(tree.root)
    for path, changed in {
        "common/letters/render.py": {"event-on-letter"},
        "functions/events/on_letter/helping.py": {"event-on-letter"},
        "common/letters/templates/base.html": {"event-on-letter"},
        "common/functions/serve.py": {"event-on-letter", "webhook-source"},
        "common/database.py": set(),
        "functions/events/on_letter/sample.json": set(),
    }.items():
        target = tree.root / path
        original = target.read_text()
        target.write_text(original + "\n")
        after = made(tree.root)
        target.write_text(original)
        assert {name for name in before if before[name].sha256 != after[name].sha256} == changed, path


def test_only_the_needed_requirements_are_in(tree: Tree) -> None:
    tree.publisher("letters")
    text = opened(made(tree.root)["webhook-source"]).read("requirements.txt").decode()
    assert "google-cloud-pubsub==2.44.0" in text
    assert "functions-framework==3.10.2" in text
    assert "--hash=sha256:" in text
    assert "redis" not in text
    assert "psycopg" not in text


def test_an_import_without_a_group_fails_and_says_what_to_add(
    tree: Tree, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tree.write("common/letters/render.py", "import weasyprint\ndef render(): ...")
    assert main(["--root", str(tree.root)]) == 1
    told = capsys.readouterr().err
    assert "common/letters/render.py:1" in told
    assert "group" in told
    assert "weasyprint" in told
    assert not (tmp_path / "build").exists()


def test_a_group_that_the_lock_does_not_know_fails_and_names_the_command(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.write("common/letters/render.py", "import httpx\ndef render(): ...")
    assert main(["--root", str(tree.root)]) == 1
    assert "no package of the group http; run `make lock`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["json", "redis"])
def test_a_sibling_that_hides_another_module_fails(tree: Tree, name: str) -> None:
    tree.write("common/letters/render.py", "import redis\ndef render(): ...")
    path = tree.write(f"functions/events/on_letter/{name}.py", "def help_out(): ...")
    main_py = tree.root / "functions/events/on_letter/main.py"
    main_py.write_text(main_py.read_text().replace("from .helping", f"from .{name}"))
    artifacts, problems = package(tree.root)
    assert artifacts == []
    assert [problem.path for problem in problems] == [path.relative_to(tree.root).as_posix()]


def test_an_unknown_function_is_named(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tree.root), "webhook-nowhere"]) == 1
    assert "there is no function webhook-nowhere" in capsys.readouterr().err


def test_the_index_lists_every_zip_and_zips_of_removed_functions_go(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    build = tree.root / "build"
    build.mkdir()
    (build / "job-of-old.zip").touch()
    assert main(["--root", str(tree.root), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed == (build / "artifacts.json").read_text()
    index = json.loads(printed)
    assert {path.name for path in build.glob("*.zip")} == {entry["file"] for entry in index.values()}
    for name, artifact in made(tree.root).items():
        assert (build / index[name]["file"]).read_bytes() == artifact.content
        assert index[name]["object"] == f"{name}/{artifact.sha256}.zip"
        assert index[name]["bytes"] == len(artifact.content)


def test_this_repositorys_artefacts_hold_no_other_functions_code_and_no_tools() -> None:
    artifacts = made(ROOT)
    mains = {artifact.function: opened(artifact).read("main.py") for artifact in artifacts.values()}
    assert len(set(mains.values())) == len(mains)
    for name, artifact in artifacts.items():
        kind, _, rest = name.partition("-")
        folder = {"event": "events", "webhook": "webhooks", "job": "jobs", "api": "api"}[kind]
        own = ROOT / "functions" / folder / rest.replace("-", "_")
        for file in artifact.files:
            assert file == "requirements.txt" or file.startswith("common/") or (own / file).is_file()
            assert "test" not in file


def test_two_checkouts_under_another_umask_zone_locale_and_clock_make_the_same_bytes(tmp_path: Path) -> None:
    made: list[str] = []
    for number, (umask, zone, locale) in enumerate([(0o022, "Asia/Kolkata", "C"), (0o077, "America/Lima", "C.UTF-8")]):
        copy = tmp_path / f"checkout-{number}" / "of it"
        skip = shutil.ignore_patterns("__pycache__")
        previous = os.umask(umask)
        try:
            for folder in ("common", "functions"):
                shutil.copytree(ROOT / folder, copy / folder, ignore=skip, copy_function=shutil.copyfile)
            for file in ("pyproject.toml", "requirements.txt"):
                shutil.copyfile(ROOT / file, copy / file)
            for path in copy.rglob("*"):
                os.utime(path, (number * 10**9 + 1, number * 10**9 + 1))
            subprocess.run(
                [sys.executable, "-m", "tools.package", "--root", copy],
                cwd=ROOT,
                check=True,
                capture_output=True,
                env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": str(number), "PYTHONUTF8": "0"},
                umask=umask,
            )
        finally:
            os.umask(previous)
        made.append((copy / "build/artifacts.json").read_text())
        assert len(json.loads(made[0])) == len(list((copy / "build").glob("*.zip")))
    assert made[0] == made[1]
