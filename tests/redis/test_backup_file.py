"""A backup in a file: private, whole or not there, and refused when it is not what was written."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput, Unavailable
from common.redis.backup import RedisBackup, Restored
from tests.redis.contents import contents
from tests.redis.faults import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common.redis.client import RedisClient

ALL = "raptorflow:*"


@pytest.fixture
async def path(client: RedisClient, tmp_path: Path) -> Path:
    """A file of two keys, with an empty database beside it."""
    await client.execute("SET", "raptorflow:bytes", b"\xff\n\x00")
    await client.execute("RPUSH", "raptorflow:list", "₹ 1,00,000", "")
    path = tmp_path / "backup.jsonl"
    assert await RedisBackup().export_to_file(ALL, path) == 2
    await client.execute("FLUSHDB")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def change(path: Path, how: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(how(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


async def test_there_and_back(client: RedisClient, path: Path) -> None:
    assert await RedisBackup().import_from_file(str(path)) == Restored(2, (), ())
    assert await contents(client) == {
        "raptorflow:bytes": ("string", False, b"\xff\n\x00"),
        "raptorflow:list": ("list", False, ["₹ 1,00,000".encode(), b""]),
    }
    assert len((await RedisBackup().import_from_file(path)).existed) == 2
    assert (await RedisBackup().import_from_file(path, replace=True)).written == 2


async def test_only_its_owner_can_read_it_and_a_person_can(path: Path) -> None:
    assert mode(path) == 0o600
    head, *lines, end = lines_of(path)
    assert head["pattern"] == ALL
    assert end == {"keys": 2}
    assert {line["key"]: line["value"] for line in lines} == {
        "raptorflow:bytes": {"base64": "/woA"},
        "raptorflow:list": ["₹ 1,00,000", ""],
    }


async def test_an_export_that_fails_leaves_the_older_file(client: RedisClient, path: Path) -> None:
    older = lines_of(path)
    await client.execute("SET", "raptorflow:more", "x")
    with faults("ok", "not sent"), pytest.raises(Unavailable):
        await RedisBackup().export_to_file(ALL, path)
    assert lines_of(path) == older
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - in a coroutine


async def test_an_export_replaces_an_older_file(client: RedisClient, path: Path) -> None:
    assert await RedisBackup().export_to_file(ALL, path) == 0
    assert mode(path) == 0o600
    assert await RedisBackup().import_from_file(path) == Restored(0, (), ())


def without_end(lines: list[str]) -> list[str]:
    return lines[:-1]


def without_a_key(lines: list[str]) -> list[str]:
    return [lines[0], *lines[2:]]


def without_head(lines: list[str]) -> list[str]:
    return lines[1:]


def cut(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[2][:20]]


def doubled(lines: list[str]) -> list[str]:
    return [*lines, lines[1]]


def spoiled(lines: list[str]) -> list[str]:
    return [*lines[:2], json.dumps({**json.loads(lines[2]), "type": "json"}), lines[3]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (without_end, "not whole"),
        (without_a_key, "not whole"),
        (without_head, "no backup"),
        (cut, "line 3 .* not JSON"),
        (doubled, "goes on after"),
        (spoiled, "not as a backup writes it"),
        (lambda _lines: [], "not whole"),
        (lambda _lines: ["[]"], "line 1 .* not JSON"),
    ],
)
async def test_a_file_that_is_not_as_it_was_writes_nothing(
    client: RedisClient, path: Path, how: Any, said: str
) -> None:
    change(path, how)
    with pytest.raises(InvalidInput, match=said):
        await RedisBackup().import_from_file(path)
    assert await contents(client) == {}


async def test_a_file_that_is_not_there(client: RedisClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await RedisBackup().import_from_file(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        await RedisBackup().export_to_file(ALL, tmp_path / "none" / "file")
