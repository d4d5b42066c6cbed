"""The mails as pages; whatever a mail says is escaped, and its HTML runs in a sandbox."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;color:#14181f}"
    "table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.4rem;border-bottom:1px solid #c8ccd2}"
    "iframe{width:100%;height:24rem;border:1px solid #c8ccd2}pre{white-space:pre-wrap}"
)
_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"}


def mailbox(mails: Iterable[dict[str, Any]]) -> HTMLResponse:
    """All mails, in the order given."""
    rows = "".join(
        f"<tr><td><a href='/mails/{mail['id']}'>{escape(mail['subject'])}</a></td>"
        f"<td>{escape(', '.join(mail['to']))}</td><td>{mail['created_at'][:19]}</td></tr>"
        for mail in mails
    )
    table = f"<table><tr><th>Subject</th><th>To</th><th>UTC</th></tr>{rows}</table>"
    return _page("Mails", table if rows else "<p>No mail yet.</p>")


def one(mail: dict[str, Any]) -> HTMLResponse:
    """One mail with its attachments."""
    files = "".join(
        f"<li><a href='/mails/{mail['id']}/{number}'>{escape(item['filename'])}</a></li>"
        for number, item in enumerate(mail.get("attachments") or [])
    )
    return _page(
        mail["subject"],
        f"<p>From {escape(mail['from'])}<br>To {escape(', '.join(mail['to']))}</p><ul>{files}</ul>"
        f'<iframe sandbox srcdoc="{escape(mail.get("html") or "", quote=True)}"></iframe>'
        f"<h2>Plain text</h2><pre>{escape(mail.get('text') or '')}</pre>",
    )


def _page(title: str, body: str) -> HTMLResponse:
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    page = f"<!doctype html><html lang=en><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>"
    return HTMLResponse(page, headers=_POLICY)
