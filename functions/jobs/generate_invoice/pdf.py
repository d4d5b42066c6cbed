"""The PDF of a document in the bucket for invoices: written once, never replaced."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from common.billing import store
from common.infrastructure.errors import AlreadyExists
from common.infrastructure.storage import cloud_storage

if TYPE_CHECKING:
    from common.billing.store import Stored

BUCKET = "invoices"


class Altered(Exception):  # noqa: N818 - a finding
    """The bucket holds other bytes than the document's row describes."""


async def ensure(workspace_id: str, stored: Stored) -> tuple[Stored, bytes]:
    """Render the document, put it where it belongs unless it is there, and note its hash; its bytes.

    The same row renders to the same bytes, so an upload that a crash left unnoted is found to be ours.

    Raises:
        Altered: something else lies under the document's name.
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
            raise Altered(f"the PDF of {stored.document.number} was altered")
        return stored, content
    path = object_name(stored)
    try:
        await cloud_storage().upload_file(BUCKET, path, content, "application/pdf", create_only=True)
    except AlreadyExists:
        content = await cloud_storage().download_file(BUCKET, path)
        sha256 = hashlib.sha256(content).hexdigest()
    await store.record_pdf(workspace_id, stored, pdf_object=path, sha256=sha256)
    return replace(stored, pdf_object=path, pdf_sha256=sha256), content


def object_name(stored: Stored) -> str:
    """``invoices/2026-27/RF-2026-27-00001.pdf``."""
    number = stored.document.number
    return f"invoices/{number.split('/')[1]}/{number.replace('/', '-')}.pdf"
