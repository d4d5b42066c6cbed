"""The PDF: everything that the law wants on it, and the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from fontTools.ttLib import TTFont

from common.billing.gst import WITHOUT_PAYMENT
from common.billing.models import Document, Line, Party, Reference, TaxHead
from common.billing.pdf.document import render
from common.billing.printable import RANGES, is_printable, normal
from common.billing.words import in_words

SELLER = Party(
    "RaptorFlow Labs Private Limited",
    ("4th Floor, 12 Residency Road", "Bengaluru 560025"),
    "29AABCU9603R1ZJ",
    "29",
    "Karnataka",
    "IN",
    "billing@raptorflow.example",
)
BUYER = Party(
    "Łódź & Söhne LLP", ("7 Besant Avenue", "Chennai 600020"), "33AAPFU0939F1Z2", "33", "Tamil Nadu", "IN", ""
)
INVOICE = Document(
    kind="invoice",
    number="RF/2026-27/00001",
    issue_date=date(2026, 11, 23),
    seller=SELLER,
    buyer=BUYER,
    lines=(Line("RaptorFlow Growth – monthly, 12 Nov 2026 to 11 Dec 2026", "998315", 1, 299_900),),  # noqa: RUF001
    heads=(TaxHead("IGST", 1800, 53_982),),
    taxable_paise=299_900,
    round_off_paise=0,
    total_paise=353_882,
    supply_type="inter",
    place_of_supply="33",
    place_name="Tamil Nadu",
    endorsement="",
    words=in_words(353_882),
)
NEIGHBOUR = replace(BUYER, address=("1 MG Road", "Bengaluru 560001"), gstin="", state_code="29", state_name="Karnataka")
NOTE = replace(
    INVOICE,
    kind="credit_note",
    number="RC/2026-27/00007",
    buyer=NEIGHBOUR,
    lines=(replace(INVOICE.lines[0], taxable_paise=51_371),),
    supply_type="intra",
    place_of_supply="29",
    place_name="Karnataka",
    heads=(TaxHead("CGST", 900, 4_623), TaxHead("SGST", 900, 4_623)),
    taxable_paise=51_371,
    round_off_paise=1,
    total_paise=60_618,
    words=in_words(60_618),
    refers_to=Reference("RF/2026-27/00001", date(2026, 11, 23)),
    reason="Refund",
)
EXPORT = replace(
    INVOICE,
    buyer=Party("Müller & Söhne GmbH", ("Hauptstraße 1", "10115 Berlin"), "", "96", "Other Country", "DE", ""),
    heads=(),
    total_paise=299_900,
    supply_type="export",
    place_of_supply="96",
    place_name="Other Country",
    endorsement=f"SUPPLY MEANT FOR EXPORT {WITHOUT_PAYMENT} (LUT AD29)",
    words=in_words(299_900),
)


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return " ".join(" ".join(page.get_textpage().get_text_range().split()) for page in document)


@pytest.mark.parametrize(
    "expected",
    [
        "Tax Invoice",
        "Original for recipient",
        "RF/2026-27/00001",
        "23 Nov 2026",
        "RaptorFlow Labs Private Limited",
        "GSTIN 29AABCU9603R1ZJ",
        "State Karnataka, code 29",
        "Łódź & Söhne LLP",
        "7 Besant Avenue",
        "GSTIN 33AAPFU0939F1Z2",
        "State Tamil Nadu, code 33",
        "Tamil Nadu (33)",
        "RaptorFlow Growth – monthly, 12 Nov 2026 to 11 Dec 2026",  # noqa: RUF001
        "998315",
        "2,999.00",
        "IGST @ 18 % 539.82",
        "Total ₹3,538.82",
        "Rupees Three Thousand Five Hundred Thirty-Eight and Eighty-Two Paise Only",
        "REVERSE CHARGE No",
        "Authorised signatory",
        "Page 1 of 1",
    ],
)
def test_an_invoice_shows(expected: str) -> None:
    assert expected in text_of(render(INVOICE))


@pytest.mark.parametrize(
    "expected",
    [
        "Credit Note",
        "RC/2026-27/00007",
        "ORIGINAL INVOICE RF/2026-27/00001",
        "REASON Refund",
        "CGST @ 9 % 46.23",
        "SGST @ 9 % 46.23",
        "Round off 0.01",
        "Total ₹606.18",
        "Karnataka (29)",
        "RaptorFlow Labs Private Limited",
        "Rupees Six Hundred Six and Eighteen Paise Only",
        "Authorised signatory",
    ],
)
def test_a_credit_note_shows(expected: str) -> None:
    assert expected in text_of(render(NOTE))


@pytest.mark.parametrize(
    "expected",
    ["Country DE", "Other Country (96)", "SUPPLY MEANT FOR EXPORT UNDER BOND", "(LUT AD29)", "Total ₹2,999.00"],
)
def test_an_invoice_for_abroad_shows(expected: str) -> None:
    text = text_of(render(EXPORT))
    assert expected in text
    assert text.count("GSTIN") == text.count("State ") == 1  # ours


def test_the_rate_is_exact() -> None:
    odd = replace(INVOICE, heads=(TaxHead("CGST", 250, 1), TaxHead("SGST", 1000, 1), TaxHead("IGST", 5, 1)))
    assert "CGST @ 2.5 % 0.01 SGST @ 10 % 0.01 IGST @ 0.05 % 0.01" in text_of(render(odd))


def test_a_buyer_who_is_not_registered_is_said_to_be() -> None:
    assert "GSTIN not registered" in text_of(render(replace(INVOICE, buyer=replace(BUYER, gstin=""))))


SCRIPT = """
import hashlib, json, sys
from common.billing.gst import WITHOUT_PAYMENT
from common.billing.models import Document
from common.billing.pdf.document import render
print(hashlib.sha256(render(Document.from_json(json.load(sys.stdin)))).hexdigest())
"""


def test_the_same_row_is_the_same_bytes_in_another_process_place_and_time() -> None:
    ours = hashlib.sha256(render(INVOICE)).hexdigest()
    environment = {**os.environ, "PYTHONPATH": ".", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(INVOICE.as_json()).encode(),
        env=environment,
        capture_output=True,
        check=True,
    )
    assert answer.stdout.decode().strip() == ours
    assert hashlib.sha256(render(NOTE)).hexdigest() != ours


def test_a_stored_document_is_the_document() -> None:
    for document in (INVOICE, NOTE, EXPORT):
        assert Document.from_json(json.loads(json.dumps(document.as_json()))) == document


def test_a_page_is_drawn(tmp_path: Path) -> None:
    """Kept as build/invoice.png and so on, for people to look at."""
    folder = Path(os.environ.get("ARTEFACTS", tmp_path))
    folder.mkdir(exist_ok=True)
    for document, name in ((INVOICE, "invoice.png"), (NOTE, "credit-note.png"), (EXPORT, "invoice-abroad.png")):
        page = pypdfium2.PdfDocument(render(document))[0]
        image = page.render(scale=2).to_pil().convert("L")
        image.save(folder / name)
        dark = sum(count for shade, count in enumerate(image.histogram()) if shade < 128)
        assert 0.005 < dark / (image.width * image.height) < 0.2


def test_long_names_wrap_and_many_lines_take_more_pages() -> None:
    long = replace(BUYER, legal_name="Sri Venkateswara " * 12, address=("Plot 12, " * 30,) * 3)
    pdf = render(replace(INVOICE, buyer=long, lines=INVOICE.lines * 60))
    assert len(pypdfium2.PdfDocument(pdf)) > 1
    assert "Page 2 of" in text_of(pdf)
    assert text_of(pdf).count("Venkateswara") == 12


def test_the_fonts_have_every_character_that_is_said_to_be_printable() -> None:
    for path in Path("common/billing/pdf/fonts").glob("*.ttf"):
        known = TTFont(path).getBestCmap()
        missing = [code for first, last in RANGES for code in range(first, last + 1) if code not in known]
        assert missing == [], path


def test_what_cannot_be_shown_is_refused() -> None:
    assert is_printable("René Rao & Söhne – ₹")  # noqa: RUF001
    assert normal("Rene\u0301 \t Rao") == "René Rao"
    assert not is_printable("ஆஷா ராமன்")
    with pytest.raises(ValueError, match="fonts"):
        render(replace(INVOICE, buyer=replace(BUYER, legal_name="आशा रमन")))
