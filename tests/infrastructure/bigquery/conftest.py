"""A local BigQuery of each test's own, and two clients of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from google.cloud import bigquery

from common.infrastructure.bigquery import BigQueryClient, bigquery_client
from common.infrastructure.bigquery_schemas import (
    DATASET,
    usage_events_schema,
)
from tests.tools.local.storage.server import running
from tools.local.bigquery.app import application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import Stack


@pytest.fixture
def service(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local BigQuery of the test's own."""
    del stack
    with running(tmp_path, application=application) as url:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
        yield


@pytest.fixture
def library(service: None) -> bigquery.Client:
    """Google's client, with the dataset made."""
    del service
    made = bigquery_client_of_the_library()
    made.create_dataset(DATASET)
    return made


def bigquery_client_of_the_library() -> bigquery.Client:
    from google.auth.credentials import AnonymousCredentials

    return bigquery.Client(
        project=os.environ["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
    )


@pytest.fixture
async def client(library: bigquery.Client) -> BigQueryClient:
    del library
    made = bigquery_client()
    await made.create_table_if_not_exists("usage_events", usage_events_schema)
    return made
