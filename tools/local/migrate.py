"""Migrate a local database: Supabase's surroundings first, then ``supabase/migrations`` in order.

Deployed databases are migrated with ``supabase db push``. Layout and history table are the Supabase CLI's, and so are
the rules: what this command refuses, the deployment would refuse as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from common.errors import RaptorFlowError

SUPABASE = Path(__file__).parents[2] / "supabase"

_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = 0x5241_5054_4F52  # "RAPTOR": one migration of a database at a time
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""


class MigrationError(RaptorFlowError):
    """The migrations cannot be applied; the message says which file, and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: str
    name: str
    sql: str

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return f"{self.version}_{self.name}"


def migrate(database_url: str, folder: Path = SUPABASE) -> list[str]:
    """Bring a database up to date, and return the migrations that were applied now, oldest first.

    Each migration is applied in a transaction of its own, together with its row in the history. Safe to repeat, and to
    run twice at once.

    Args:
        database_url: of a superuser.
        folder: holds ``local/bootstrap.sql`` and ``migrations/``.

    Raises:
        MigrationError: a migration fails, was edited after it had been applied, or is not in order.
        psycopg.OperationalError: the database cannot be reached.
    """
    migrations = read(folder / "migrations")
    bootstrap = folder / "local" / "bootstrap.sql"
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("set client_min_messages = warning")  # no notice for everything that exists already
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        _apply(connection, bootstrap.name, bootstrap.read_text("utf-8") + _HISTORY)
        rows = connection.execute(
            "select version, name, statements from supabase_migrations.schema_migrations order by 1"
        )
        applied = rows.fetchall()
        _compare(applied, migrations)
        pending = migrations[len(applied) :]
        for migration in pending:
            _apply(connection, f"{migration.stem}.sql", migration.sql, migration)
    return [migration.stem for migration in pending]


def read(folder: Path) -> list[Migration]:
    """The migrations in ``folder``, oldest first.

    Raises:
        MigrationError: a file is not called ``<14 digits>_<name>.sql``, or two have the same version.
    """
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: call it <14-digit timestamp>_<name>.sql")
        if migrations and migrations[-1].version == match["version"]:
            raise MigrationError(f"{path.name}: {migrations[-1].stem}.sql has the same version")
        migrations.append(Migration(match["version"], match["name"], path.read_text("utf-8")))
    return migrations


def _compare(applied: list[Any], migrations: list[Migration]) -> None:
    """What was applied must be how the files begin, unchanged."""
    files = {migration.version: migration for migration in migrations}
    for version, name, statements in applied:
        if version not in files:
            raise MigrationError(
                f"{version}_{name} was applied, but its file is gone: restore it, or reset the database"
            )
        if statements is not None and _comparable("".join(statements)) != _comparable(files[version].sql):
            raise MigrationError(
                f"{files[version].stem}.sql was edited after it had been applied: "
                "put the change into a new migration, or reset the database"
            )
    done = {version for version, _, _ in applied}
    for migration in migrations[: len(applied)]:
        if migration.version not in done:
            raise MigrationError(f"{migration.stem}.sql is older than what was applied: give it a new timestamp")


def _comparable(sql: str) -> str:
    """``sql`` without white space and semicolons: the Supabase CLI stores a file split into statements and trimmed."""
    return re.sub(r"[\s;]+", "", sql)


def _apply(connection: psycopg.Connection[Any], file: str, sql: str, migration: Migration | None = None) -> None:
    try:
        with connection.transaction():
            connection.execute(sql.encode())
            if migration is not None:
                connection.execute(
                    "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                    (migration.version, migration.name, [migration.sql]),
                )
    except psycopg.Error as error:
        position = error.diag.statement_position
        where = f"{file}:{sql.count(chr(10), 0, int(position)) + 1}" if position else file
        raise MigrationError(f"{where}: {error.diag.message_primary or error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 when the database is up to date, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tools.local.migrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("database_url", help="of a superuser: postgresql://postgres@127.0.0.1:5432/postgres")
    url = parser.parse_args(arguments).database_url
    try:
        applied = migrate(url)
    except (MigrationError, psycopg.OperationalError) as error:
        print(f"not migrated: {error}", file=sys.stderr)
        return 1
    for stem in applied:
        print(f"applied {stem}")
    print("the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
