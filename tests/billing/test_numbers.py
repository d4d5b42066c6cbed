"""Fiscal years, numbers, words, and the split of refunds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.billing.fiscal import SeriesExhausted, billing_date, document_number, fiscal_year
from common.billing.refund_split import Amounts, split
from common.billing.words import in_figures, in_words


@pytest.mark.parametrize(
    ("instant", "day", "fy"),
    [
        (datetime(2027, 3, 31, 18, 29, tzinfo=UTC), date(2027, 3, 31), "2026-27"),  # 23:59 in India
        (datetime(2027, 3, 31, 18, 31, tzinfo=UTC), date(2027, 4, 1), "2027-28"),  # 00:01
        (datetime(2099, 12, 31, 12, 0, tzinfo=UTC), date(2099, 12, 31), "2099-00"),
    ],
)
def test_the_year_turns_at_midnight_in_india(instant: datetime, day: date, fy: str) -> None:
    assert billing_date(instant) == day
    assert fiscal_year(day) == fy


def test_numbers_have_sixteen_characters() -> None:
    assert document_number("RF", "2026-27", 99_999) == "RF/2026-27/99999"
    assert len(document_number("RC", "2026-27", 1)) == 16
    for seq in (0, 100_000):
        with pytest.raises(SeriesExhausted):
            document_number("RF", "2026-27", seq)


@pytest.mark.parametrize(
    ("paise", "words", "figures"),
    [
        (0, "Rupees Zero Only", "0.00"),
        (1, "Rupees Zero and One Paise Only", "0.01"),
        (60_618, "Rupees Six Hundred Six and Eighteen Paise Only", "606.18"),
        (353_882, "Rupees Three Thousand Five Hundred Thirty-Eight and Eighty-Two Paise Only", "3,538.82"),
        (10_000_000, "Rupees One Lakh Only", "1,00,000.00"),
        (
            1_234_567_890,
            "Rupees One Crore Twenty-Three Lakh Forty-Five Thousand Six Hundred Seventy-Eight and Ninety Paise Only",
            "1,23,45,678.90",
        ),
        (100_000, "Rupees One Thousand Only", "1,000.00"),
    ],
)
def test_words_and_figures(paise: int, words: str, figures: str) -> None:
    assert in_words(paise) == words
    assert in_figures(paise) == figures


def test_below_nothing() -> None:
    assert in_figures(-100_001) == "-1,000.01"
    with pytest.raises(ValueError, match="negative"):
        in_words(-1)


AMOUNTS = st.one_of(
    st.builds(Amounts, st.integers(0, 10**9), st.integers(0, 10**8), st.just(0), st.integers(-1, 1)),
    st.builds(Amounts, st.integers(0, 10**9), st.just(0), st.integers(0, 10**8), st.integers(-1, 1)),
    st.builds(Amounts, st.integers(0, 3), st.integers(0, 3), st.just(0), st.integers(-1, 1)),
).filter(lambda amounts: amounts.total > 0)


@given(AMOUNTS, st.data())
def test_refunds_take_back_exactly_the_invoice(whole: Amounts, data: st.DataObject) -> None:
    left = whole
    for _ in range(6):
        part = split(data.draw(st.integers(1, left.total)), left)
        assert min(part.taxable, part.each, part.igst) >= 0
        assert abs(part.round_off) <= 1
        left -= part
        assert min(left.taxable, left.each, left.igst) >= 0
        if left.total == 0:
            break
    else:
        left -= split(left.total, left)
    assert left == Amounts(0, 0, 0, 0)


@given(AMOUNTS, st.data())
def test_a_part_is_in_proportion(whole: Amounts, data: st.DataObject) -> None:
    refund = data.draw(st.integers(1, whole.total))
    part = split(refund, whole)
    assert part.total == refund
    exact = Fraction(refund * whole.taxable, max(1, whole.total - whole.round_off))
    assert abs(part.taxable - exact) <= 1


@pytest.mark.parametrize("refund", [0, -1, 101])
def test_no_refund_beyond_what_is_left(refund: int) -> None:
    with pytest.raises(ValueError, match="refund"):
        split(refund, Amounts(85, 0, 15, 0))
