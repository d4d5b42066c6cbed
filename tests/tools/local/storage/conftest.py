from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.cloud.storage import Client  # type: ignore[import-untyped] # the library has no types

from tests.tools.local.storage.server import running
from tools.local.environment import storage_key_file
from tools.local.storage.account import load_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "test-project"


@contextmanager
def library(url: str, project: str = PROJECT) -> Iterator[Any]:
    """Google's client for the server at ``url``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        with Client(project=project) as made:
            yield made


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file for all tests: making one takes longer than most of them."""
    folder = tmp_path_factory.mktemp("key")
    load_account(folder)
    return storage_key_file(folder)


@pytest.fixture
def url(tmp_path: Path, key: Path) -> Iterator[str]:
    """A server without buckets; the folder of its cloud is ``tmp_path``."""
    shutil.copy(key, storage_key_file(tmp_path))
    with running(tmp_path) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with library(url) as made:
        yield made


@pytest.fixture
def bucket(client: Any) -> Any:
    return client.create_bucket("papers", location="asia-south1")


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    """For what the client library never sends."""
    with httpx.Client(base_url=url, trust_env=False) as made:
        yield made
