"""The PDF of a document in the bucket for invoices: written once, never replaced."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from common.billing import store
from common.functions import Drop
from common.infrastructure.errors import AlreadyExists
from common.infrastructure.storage import cloud_storage

if TYPE_CHECKING:
    from common.billing.store import Stored

log = logging.getLogger(__name__)

BUCKET = "invoices"


async def ensure(workspace_id: str, stored: Stored) -> tuple[Stored, bytes]:
    """Render the document, put it where it belongs unless it is there, and note its hash; its bytes.

    The same row renders to the same bytes, so an upload that a crash left unnoted is found to be ours. Once noted, the
    bytes in the bucket are the document, whatever a newer version of us would draw.

    Raises:
        Drop: something else lies under the document's name; nobody is mailed that.
        Unavailable: the bucket or the database cannot do it now.
    """
    from common.billing.pdf.document import render  # noqa: PLC0415 - loads the fonts' library

    content = render(stored.document)
    sha256 = hashlib.sha256(content).hexdigest()
    if stored.pdf_object:
        if stored.pdf_sha256 == sha256:
            return stored, content
        content = await cloud_storage().download_file(BUCKET, stored.pdf_object)  # drawn by an older version of us
        if hashlib.sha256(content).hexdigest() != stored.pdf_sha256:
            raise _altered(stored)
        return stored, content
    path = object_name(stored)
    try:
        await cloud_storage().upload_file(BUCKET, path, content, "application/pdf", create_only=True)
    except AlreadyExists:
        if await cloud_storage().download_file(BUCKET, path) != content:
            raise _altered(stored) from None
    await store.record_pdf(workspace_id, stored, pdf_object=path, sha256=sha256)
    return replace(stored, pdf_object=path, pdf_sha256=sha256), content


def _altered(stored: Stored) -> Drop:
    number = stored.document.number
    log.error(
        "the bucket holds another PDF of %s", number, extra={"fields": {"alert": "pdf_altered", "number": number}}
    )
    return Drop("pdf_altered", f"the bucket for invoices holds another PDF of {number}; a person must look")


def object_name(stored: Stored) -> str:
    """``invoices/2026-27/RF-2026-27-00001.pdf``."""
    number = stored.document.number
    return f"invoices/{number.split('/')[1]}/{number.replace('/', '-')}.pdf"
