"""A trace, drawn as a tree from log lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tools.trace import lines_of, main, newest, read, roots

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "a" * 32, "b" * 32


def line(trace: str, span: str, parent: str, name: str, second: int, outcome: str = "done") -> str:
    return json.dumps(
        {
            "time": f"2026-11-25T06:30:{second:02}.000000Z",
            "logging.googleapis.com/trace": f"projects/p/traces/{trace}",
            "logging.googleapis.com/spanId": span,
            "outcome": outcome,
            "span": {"name": name, "parent": parent, "seconds": 0.5},
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = lines_of(tmp_path)
    path.parent.mkdir()
    path.write_text(
        "\n".join(
            [
                json.dumps({"message": "no span", "time": "2026-11-25T06:30:00Z"}),
                line(OLD, "1", "0", "webhook-phonepe", 1),
                # Ended before what caused it did, as children do.
                line(NEW, "3", "2", "publishing to webhook-phonepe", 2),
                line(NEW, "2", "", "webhook-phonepe", 3),
                line(NEW, "5", "4", "sending a mail", 8),
                line(NEW, "4", "2", "job-generate-invoice", 9, "retry"),
            ]
        )
    )
    return tmp_path


def test_spans_stand_below_what_caused_them_in_the_order_they_began(root: Path) -> None:
    traces = read(lines_of(root))
    for _ in range(2):  # looking changes nothing
        (top,) = roots(traces[NEW])
        assert [below.name for below in top.below] == ["publishing to webhook-phonepe", "job-generate-invoice"]
        assert [below.name for below in top.below[1].below] == ["sending a mail"]
    assert newest(traces) == NEW


def test_the_newest_is_drawn_and_says_what_did_not_end_well(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root)]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert drawn[0] == f"trace {NEW}"
    assert [line.strip("│├└─ ") for line in drawn[1:]] == [
        "webhook-phonepe  500.0 ms",
        "publishing to webhook-phonepe  500.0 ms",
        "job-generate-invoice  500.0 ms  retry",
        "sending a mail  500.0 ms",
    ]


def test_others_are_listed_and_found_by_how_they_begin(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root), "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["--root", str(root), "aaa"]) == 0
    assert f"trace {OLD}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["fff"], ["--lines", "/nowhere"]])
def test_what_is_not_there_is_said(root: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root), *arguments]) == 1
    assert capsys.readouterr().err


def test_what_gcloud_wrote_is_read_as_it_is(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "read.json"
    entry = {
        "insertId": "x",
        "timestamp": "2026-11-25T06:30:03.000000Z",
        "trace": f"projects/p/traces/{NEW}",
        "spanId": "2",
        "jsonPayload": {"outcome": "done", "span": {"name": "webhook-phonepe", "parent": "", "seconds": 0.5}},
    }
    path.write_text(json.dumps([entry, {"textPayload": "hello", "timestamp": "2026-11-25T06:30:03Z"}], indent=2))
    assert [span.name for span in read(path)[NEW]] == ["webhook-phonepe"]
    assert read(path)[NEW][0] == next(span for span in read(lines_of(root))[NEW] if span.id == "2")


def test_lines_of_other_programs_are_passed_over(root: Path) -> None:
    path = lines_of(root)
    before = read(path)
    path.write_text("Listening at: http://127.0.0.1:1\n\n" + path.read_text())
    assert read(path) == before
