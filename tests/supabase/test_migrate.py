from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from tools.local.migrate import SUPABASE, MigrationError, main, migrate, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEMS = [migration.stem for migration in read(SUPABASE / "migrations")]
NEXT = "20991231235959_next.sql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of ``supabase/`` to change."""
    return shutil.copytree(SUPABASE, tmp_path / "supabase")


def history(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select version, name from supabase_migrations.schema_migrations order by version")
        return [(version, name) for version, name in rows.fetchall()]


def test_an_empty_database_gets_all_of_them_in_order_and_once(new_database: Callable[[], str]) -> None:
    url = new_database()
    assert migrate(url) == STEMS
    assert migrate(url) == []
    assert ["_".join(row) for row in history(url)] == STEMS


def test_two_at_once_apply_each_of_them_once(new_database: Callable[[], str]) -> None:
    url = new_database()
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(migrate, [url] * 4))
    assert sorted(map(len, results)) == [0, 0, 0, len(STEMS)]


def test_two_databases_of_one_server_at_once(new_database: Callable[[], str]) -> None:
    urls = [new_database() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(migrate, urls)) == [STEMS] * 3


def test_a_new_migration_is_applied_to_a_database_in_use(new_database: Callable[[], str], folder: Path) -> None:
    url = new_database()
    migrate(url, folder)
    (folder / "migrations" / NEXT).write_text("create table public.added (id int);")
    assert migrate(url, folder) == [NEXT.removesuffix(".sql")]


def test_a_failing_migration_names_its_line_and_leaves_nothing(new_database: Callable[[], str], folder: Path) -> None:
    url = new_database()
    (folder / "migrations" / NEXT).write_text(
        "create table public.added (id int);\n\nselect nonsense from public.added;\n"
    )
    with pytest.raises(MigrationError, match=rf"{NEXT}:3: column .nonsense. does not exist"):
        migrate(url, folder)
    assert ["_".join(row) for row in history(url)] == STEMS
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regclass('public.added')").fetchone() == (None,)


def test_an_edited_migration_is_reported(new_database: Callable[[], str], folder: Path) -> None:
    url = new_database()
    migrate(url, folder)
    edited = folder / "migrations" / f"{STEMS[1]}.sql"
    edited.write_text(edited.read_text().replace("free", "gratis"))
    with pytest.raises(MigrationError, match=rf"{STEMS[1]}\.sql was edited"):
        migrate(url, folder)


def test_statements_stored_by_the_supabase_cli_are_recognised(new_database: Callable[[], str], folder: Path) -> None:
    url = new_database()
    (folder / "migrations" / NEXT).write_text("create table public.a (id int);\n\ncreate table public.b (id int);\n")
    migrate(url, folder)
    with psycopg.connect(url) as connection:
        connection.execute(
            "update supabase_migrations.schema_migrations set statements = %s where name = 'next'",
            (["create table public.a (id int)", "create table public.b (id int)"],),
        )
    assert migrate(url, folder) == []


def test_a_missing_and_a_late_file_are_reported(new_database: Callable[[], str], folder: Path) -> None:
    url = new_database()
    migrate(url, folder)
    (folder / "migrations" / "20200101000000_late.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match=r"20200101000000_late\.sql is older"):
        migrate(url, folder)
    (folder / "migrations" / f"{STEMS[-1]}.sql").unlink()
    with pytest.raises(MigrationError, match=f"{STEMS[-1]} was applied, but its file is gone"):
        migrate(url, folder)


@pytest.mark.parametrize("name", ["1_short.sql", "20991231235959-next.sql", "20991231235959_Next.sql"])
def test_a_badly_named_file_is_reported(folder: Path, name: str) -> None:
    (folder / "migrations" / name).write_text("select 1;")
    with pytest.raises(MigrationError, match=name):
        read(folder / "migrations")


def test_two_files_of_one_version_are_reported(folder: Path) -> None:
    (folder / "migrations" / f"{STEMS[0][:14]}_again.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match="same version"):
        read(folder / "migrations")


def test_a_database_of_supabase_is_refused(new_database: Callable[[], str]) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role supabase_auth_admin")
        try:
            with pytest.raises(MigrationError, match="supabase db push"):
                migrate(url)
        finally:
            connection.execute("drop role supabase_auth_admin")


def test_the_command(new_database: Callable[[], str], capsys: pytest.CaptureFixture[str], unused_tcp_port: int) -> None:
    url = new_database()
    assert main([url]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [f"applied {STEMS[-1]}", "the database is up to date"]
    assert main([f"postgresql://postgres@127.0.0.1:{unused_tcp_port}/x"]) == 1
    assert capsys.readouterr().err.startswith("not migrated: ")


def test_the_command_explains_itself() -> None:
    command = [sys.executable, "-m", "tools.local.migrate", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "database_url" in result.stdout
