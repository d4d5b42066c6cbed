from __future__ import annotations

import subprocess
import sys

import pytest

import common.database


def test_importing_the_package_and_its_names_does_not_import_psycopg() -> None:
    code = (
        "import sys\n"
        "import common.database\n"
        "assert 'common.database.transactions' not in sys.modules\n"
        "from common.database import after_commit, current, execute, fetch_all, fetch_one, transaction\n"
        "assert not [name for name in sys.modules if name.startswith('psycopg')]\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=30)


def test_every_export_exists() -> None:
    for name in common.database.__all__:
        assert callable(getattr(common.database, name))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = common.database.nothing_here
