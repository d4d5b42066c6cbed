"""Place of supply, heads, rounding (domain 3.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.billing.config import SellerConfig, address_lines
from common.billing.gst import AmountMismatch, ProfileIncomplete, half_up, place_of_supply, tax_on
from common.billing.gstin import check_digit, is_gstin
from common.billing.models import Party
from common.billing.states import STATES
from common.errors import Misconfigured

SELLER = SellerConfig(Party("RaptorFlow", (), "29AABCU9603R1ZJ", "29", "Karnataka", "IN", ""))


def buyer(code: str) -> Party:
    return Party("Asha Raman", (), "", code, STATES[code], "DE" if code == "96" else "IN", "")


def heads(taxable: int, code: str, gst: int) -> dict[str, int]:
    tax = tax_on(taxable_paise=taxable, gst_paise=gst, seller=SELLER, buyer=buyer(code))
    return {head.name: head.amount_paise for head in tax.heads} | {"round_off": tax.round_off_paise}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("29", {"CGST": 26991, "SGST": 26991, "round_off": 0}),  # Karnataka, where we are
        ("33", {"IGST": 53982, "round_off": 0}),  # Tamil Nadu
        ("07", {"IGST": 53982, "round_off": 0}),  # Delhi
        ("38", {"IGST": 53982, "round_off": 0}),  # Ladakh, not in the old lists
        ("96", {"IGST": 53982, "round_off": 0}),  # abroad, tax charged: export with payment of integrated tax
    ],
)
def test_heads_by_place(code: str, expected: dict[str, int]) -> None:
    assert heads(299_900, code, 53_982) == expected


def test_rupees_513_71_differ_by_a_paisa_within_a_state() -> None:
    assert heads(51_371, "33", 9_247) == {"IGST": 9_247, "round_off": 0}
    assert heads(51_371, "29", 9_247) == {"CGST": 4_623, "SGST": 4_623, "round_off": 1}
    assert heads(51_371, "29", 9_245) == {"CGST": 4_623, "SGST": 4_623, "round_off": -1}


@pytest.mark.parametrize(("code", "gst"), [("29", 9_248), ("29", 9_244), ("33", 9_249), ("33", 0)])
def test_more_than_a_paisa_is_nothing_to_issue(code: str, gst: int) -> None:
    with pytest.raises(AmountMismatch):
        heads(51_371, code, gst)


def test_an_export_without_tax_needs_an_undertaking() -> None:
    with pytest.raises(AmountMismatch):
        tax_on(taxable_paise=299_900, gst_paise=0, seller=SELLER, buyer=buyer("96"))
    with_lut = replace(SELLER, lut="AD290326000001A")
    tax = tax_on(taxable_paise=299_900, gst_paise=0, seller=with_lut, buyer=buyer("96"))
    assert (tax.supply_type, tax.heads, tax.round_off_paise) == ("export", (), 0)
    assert tax.endorsement == (
        "SUPPLY MEANT FOR EXPORT UNDER BOND OR LETTER OF UNDERTAKING WITHOUT PAYMENT OF INTEGRATED TAX"
        " (LUT AD290326000001A)"
    )


def test_an_export_that_was_charged_tax_says_so_even_with_an_undertaking() -> None:
    tax = tax_on(
        taxable_paise=299_900, gst_paise=53_982, seller=replace(SELLER, lut="AD290326000001A"), buyer=buyer("96")
    )
    assert tax.endorsement == "SUPPLY MEANT FOR EXPORT ON PAYMENT OF INTEGRATED TAX"


def test_an_economic_zone_next_door_is_another_state() -> None:
    tax = tax_on(taxable_paise=299_900, gst_paise=53_982, seller=SELLER, buyer=buyer("29"), special_economic_zone=True)
    assert (tax.supply_type, [head.name for head in tax.heads]) == ("sez", ["IGST"])
    assert tax.endorsement.startswith("SUPPLY MEANT FOR SEZ")


@pytest.mark.parametrize(
    ("country", "gstin", "state_code", "place"),
    [
        ("IN", "", "33", "33"),
        ("IN", "29AABCU9603R1ZJ", "", "29"),
        ("IN", "29AABCU9603R1ZJ", "29", "29"),
        ("IN", "07AABCU9603R1ZP", "", "07"),  # Delhi's GSTIN, and no state recorded
        ("DE", "", "", "96"),
        ("DE", "", "29", "96"),
    ],
)
def test_place_of_supply_is_the_gstins_else_the_recorded_state(
    country: str, gstin: str, state_code: str, place: str
) -> None:
    assert place_of_supply(country=country, gstin=gstin, state_code=state_code) == place


@pytest.mark.parametrize(
    ("gstin", "state_code", "reason"),
    [
        ("", "", "no_state"),
        ("", "99", "unknown_state"),
        ("", "28", "unknown_state"),  # Andhra Pradesh as it was
        ("", "96", "unknown_state"),  # abroad is a country, not a state
        ("29AABCU9603R1ZM", "29", "invalid_gstin"),
        ("29AABCU9603R1ZJ", "33", "state_contradicts_gstin"),
    ],
)
def test_a_place_is_never_guessed(gstin: str, state_code: str, reason: str) -> None:
    with pytest.raises(ProfileIncomplete) as caught:
        place_of_supply(country="IN", gstin=gstin, state_code=state_code)
    assert caught.value.reason == reason


def test_whoever_is_in_an_economic_zone_is_registered() -> None:
    with pytest.raises(ProfileIncomplete) as caught:
        place_of_supply(country="IN", gstin="", state_code="29", special_economic_zone=True)
    assert caught.value.reason == "zone_without_gstin"
    place = place_of_supply(country="IN", gstin="29AABCU9603R1ZJ", state_code="", special_economic_zone=True)
    assert place == "29"


@pytest.mark.parametrize("gstin", ["27AAPFU0939F1ZV", "29AABCU9603R1ZJ", "29AAGCB7383J1Z4"])
def test_real_gstins(gstin: str) -> None:
    assert is_gstin(gstin)


@pytest.mark.parametrize(
    "gstin", ["", "29AABCU9603R1ZM", "29aabcu9603r1zj", "99AABCU9603R1ZJ", "29AABCU9603R1ZJ\n", "96AABCU9603R1ZJ"]
)
def test_what_is_no_gstin(gstin: str) -> None:
    assert not is_gstin(gstin)


@given(st.from_regex(r"\A(29|33|07|38)[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z\Z"), st.integers(0, 12), st.data())
def test_one_wrong_digit_is_found(first: str, place: int, data: st.DataObject) -> None:
    whole = first + check_digit(first)
    assert is_gstin(whole)
    alphabet = "0123456789" if whole[place].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    wrong = data.draw(st.sampled_from(alphabet.replace(whole[place], "")))
    assert not is_gstin(whole[:place] + wrong + whole[place + 1 :])


@given(st.integers(1, 10**12), st.sampled_from(sorted(STATES)))
def test_any_amount_adds_up_to_what_was_charged(taxable: int, code: str) -> None:
    gst = half_up(taxable, 1800)
    tax = tax_on(taxable_paise=taxable, gst_paise=gst, seller=SELLER, buyer=buyer(code))
    assert sum(head.amount_paise for head in tax.heads) + tax.round_off_paise == gst
    assert abs(tax.round_off_paise) <= 1


ENVIRONMENT = {
    "SELLER_LEGAL_NAME": "RaptorFlow Labs Private Limited",
    "SELLER_ADDRESS": "12 Residency Road | Bengaluru 560025",
    "SELLER_GSTIN": "29AABCU9603R1ZJ",
}


def test_the_seller_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    seller = SellerConfig.from_environment()
    assert (seller.party.state_code, seller.party.state_name) == ("29", "Karnataka")
    assert seller.party.address == ("12 Residency Road", "Bengaluru 560025")
    assert (seller.sac, seller.rate_basis_points, seller.lut) == ("998315", 1800, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, "") for name in ENVIRONMENT]
    + [
        ("SELLER_GSTIN", "29AABCU9603R1ZM"),
        ("SELLER_GSTIN", "04AABCU9603R1ZV"),  # Chandigarh's second head is UTGST
        ("SELLER_LEGAL_NAME", "रैप्टरफ्लो"),
        ("SELLER_ADDRESS", "१२ रेजीडेंसी रोड"),
        ("SELLER_LUT", "№ 1"),
        ("GST_RATE_BASIS_POINTS", "18%"),
    ],
)
def test_a_seller_that_cannot_issue(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for variable, good in ENVIRONMENT.items():
        monkeypatch.setenv(variable, good)
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=name.partition("_")[0]):
        SellerConfig.from_environment()


def test_addresses_have_lines() -> None:
    assert address_lines(" 7 Besant Avenue \n\nChennai|600020 ") == ("7 Besant Avenue", "Chennai", "600020")
