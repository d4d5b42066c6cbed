"""Our Cloud Storage buckets, and what each of them does with its objects (R29).

Plain literals, so that Terraform and the local cloud make the same buckets. All of them are private: uniform access,
no public access. Code names a bucket by its short name, the one in its decorator's ``buckets=[…]``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

from common.errors import InvalidInput
from common.infrastructure.gcp import GCPClient

if TYPE_CHECKING:
    from collections.abc import Mapping

EVIDENCE_BUCKET = "evidence"
"""What customers upload."""
EXPORTS_BUCKET = "exports"
"""What they download once."""
ASSETS_BUCKET = "assets"
"""What Muse makes."""
INVOICES_BUCKET = "invoices"
"""Tax documents."""


class BucketSettings(TypedDict):
    """What a bucket does with its objects by itself; days are counted from an object's creation.

    Attributes:
        nearline_after_days: moved to the class for monthly reading; 0 never.
        coldline_after_days: moved to the class for quarterly reading; 0 never.
        delete_after_days: deleted; 0 never.
        delete_prefix: what is deleted; empty for everything.
        retention_days: can be neither deleted nor overwritten, by anyone; 0 for no such policy. An operator locks
            the policy in production, which cannot be undone.
    """

    nearline_after_days: int
    coldline_after_days: int
    delete_after_days: int
    delete_prefix: str
    retention_days: int


BUCKETS: Mapping[str, BucketSettings] = {
    # Kept as long as its workspace: deleting by age would take the source of a foundation that is still in use.
    "evidence": {
        "nearline_after_days": 30,
        "coldline_after_days": 90,
        "delete_after_days": 0,
        "delete_prefix": "",
        "retention_days": 0,
    },
    # As long as the longest signed URL works.
    "exports": {
        "nearline_after_days": 0,
        "coldline_after_days": 0,
        "delete_after_days": 7,
        "delete_prefix": "exports/",
        "retention_days": 0,
    },
    "assets": {
        "nearline_after_days": 0,
        "coldline_after_days": 0,
        "delete_after_days": 0,
        "delete_prefix": "",
        "retention_days": 0,
    },
    # CGST Act, section 36: 72 months from the due date of the year's annual return, 31 December after the fiscal year;
    # for a document of 1 April that is 7 years and 9 months. Eight years, 2 of them leap years, cover every document.
    "invoices": {
        "nearline_after_days": 0,
        "coldline_after_days": 0,
        "delete_after_days": 0,
        "delete_prefix": "",
        "retention_days": 2922,
    },
}


def bucket(name: str) -> str:
    """The name that a bucket has in Cloud Storage, where names are unique in the whole world.

    Args:
        name: its short name, in lower or upper case.

    Returns:
        what its variable says, ``<project>-<short name>`` without one.

    Raises:
        InvalidInput: there is no such bucket.
        Misconfigured: neither the variable nor ``GOOGLE_CLOUD_PROJECT`` is set.

    Example:
        >>> bucket("invoices")
        'raptorflow-local-invoices'
    """
    short = name.lower()
    if short not in BUCKETS:
        raise InvalidInput(f"no bucket is called {name}; there are {', '.join(BUCKETS)}")
    named = {
        "evidence": os.environ.get("EVIDENCE_BUCKET"),
        "exports": os.environ.get("EXPORTS_BUCKET"),
        "assets": os.environ.get("ASSETS_BUCKET"),
        "invoices": os.environ.get("INVOICES_BUCKET"),
    }
    return named[short] or f"{GCPClient().get_project_id()}-{short}"
