"""Money: a text and an amount stand for each other in every currency, and nothing is read by half."""

from __future__ import annotations

from pathlib import Path

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.members import MAX_PRICE_AMOUNT
from models.money import CURRENCIES, WrongAmountError, amount_text, decimals, is_currency, parse_amount

ROOT = Path(__file__).parents[2]
currencies = st.sampled_from(sorted(CURRENCIES))
amounts = st.integers(0, MAX_PRICE_AMOUNT)


def test_the_currencies_are_those_that_iso_4217_lists_with_a_smallest_unit() -> None:
    published = {one.code: one.exponent for one in iso4217.Currency if one.exponent is not None}
    assert published == CURRENCIES


def test_the_documents_name_the_currencies_with_other_decimals_than_two() -> None:
    money = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8").split("### Money")[1].split("### ")[0]
    for count, said in ((0, "none"), (3, "3"), (4, "4")):
        named = ", ".join(sorted(code for code, places in CURRENCIES.items() if places == count))
        assert f"| {said} | {named} |" in money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (4500, "EUR", "45.00 EUR"),
        (5, "USD", "0.05 USD"),
        (0, "EUR", "0.00 EUR"),
        (4500, "JPY", "4,500 JPY"),
        (4500, "KWD", "4.500 KWD"),
        (4500, "HUF", "45.00 HUF"),
        (67_497_800, "EUR", "674,978.00 EUR"),
        (10_000, "CLF", "1.0000 CLF"),
        (4500, "ZZZ", "45.00 ZZZ"),
        (10**36, "JPY", "1,000,000,000,000,000,000,000,000,000,000,000,000 JPY"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(amount: int, currency: str, text: str) -> None:
    assert amount_text(amount, currency) == text


@given(amounts, currencies)
def test_what_is_written_is_read_as_the_same_amount(amount: int, currency: str) -> None:
    text = amount_text(amount, currency, thousands="")
    assert parse_amount(text, currency) == amount
    assert parse_amount(text.removesuffix(f" {currency}"), currency) == amount
    assert amount_text(amount, currency).replace(",", "") == text


@given(st.integers(0, 10**7), currencies)
def test_whole_amounts_need_no_decimals(whole: int, currency: str) -> None:
    assert parse_amount(str(whole), currency) == whole * 10 ** decimals(currency)


@given(st.text() | st.from_regex(r"[-+ ]?[0-9_,.' ]{1,9}([eE][0-9])?( EUR| eur)?", fullmatch=True), currencies)
def test_whatever_is_typed_is_read_whole_or_refused_in_a_sentence(text: str, currency: str) -> None:
    number = text.removesuffix(f" {currency}")
    try:
        amount = parse_amount(text, currency)
    except WrongAmountError as wrong:
        sentence = str(wrong)
    else:
        sentence = "read"
        whole, _, part = number.partition(".")
        assert number == (f"{whole}.{part}" if part else whole)
        assert amount == int(whole + part.ljust(decimals(currency), "0"))
        assert set(number) <= set("0123456789.")
    assert sentence.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "45,00", "4,500", "4'500", "4 500", "4_500", "+45", "-45", " 45", "45 ", "45\n", ".5", "45.", "1e3"),
        *(
            "0x2d",
            "45.0.0",
            "45 eur",
            "45EUR",
            "45 USD",
            "EUR 45",
            "€45",
            "nan",
            "inf",
            "٤٥",
            "\uff14\uff15",
            "45\u00a0EUR",
        ),
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(WrongAmountError, match="is no amount: write digits") as wrong:
        parse_amount(text, "EUR")
    assert str(wrong.value).endswith("(45.00)")


@pytest.mark.parametrize(
    ("text", "currency", "sentence"),
    [
        ("45.001", "EUR", "'45.001': EUR has 2 decimals (45.00)"),
        ("45.0", "JPY", "'45.0': JPY has no decimals (45)"),
        ("1.0000", "KWD", "'1.0000': KWD has 3 decimals (45.000)"),
        ("10000000000.01", "EUR", "'10000000000.01' is more than a ticket may cost, which is 10,000,000,000.00 EUR"),
        ("9" * 5000, "EUR", f"'{'9' * 40}'… is more than a ticket may cost, which is 10,000,000,000.00 EUR"),
        ("45", "eur", "'eur' is no currency of ISO 4217: write EUR"),
        ("45", "ZZZ", "'ZZZ' is no currency of ISO 4217, which has EUR, USD, JPY and others"),
        ("45", "XAU", "'XAU' is no currency of ISO 4217, which has EUR, USD, JPY and others"),
    ],
)
def test_a_sentence_says_why_an_amount_is_refused(text: str, currency: str, sentence: str) -> None:
    with pytest.raises(WrongAmountError) as wrong:
        parse_amount(text, currency)
    assert str(wrong.value) == sentence


def test_a_currency_that_is_gone_or_never_was_is_none() -> None:
    assert not any(is_currency(code) for code in ("DEM", "BGN", "ZZZ", "XXX", "XAU", "eur", ""))
