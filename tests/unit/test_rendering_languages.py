"""The page in the languages that it may be in: its words, its dates and prices, and from where it is read."""

from __future__ import annotations

import unicodedata

import pytest

from agents.documents import main
from boxoffice.errors import SettingsError
from boxoffice.rendering import EventPage, LanguageError, Rendered, Style, TicketPage, check_style, render_ticket
from boxoffice.rendering.design import WIDTH
from boxoffice.rendering.languages import WORDS, Language
from boxoffice.settings import load_settings
from models.money import decimals
from tests.unit.test_rendering import CODE, OPERA, characters, scanned, text_of

MOMENT = "2027-03-01T19:30:00+01:00"


def ticket_in(
    language: str, amount: int = 4500, currency: str = "EUR", name: str = "Opera", category: str = ""
) -> Rendered:
    event = EventPage("42", name, "Main Hall", MOMENT, amount, currency, category)
    return render_ticket(TicketPage(event, "42-000001", "b-77", "r-1", CODE), Style(language=language))


def bare(text: str) -> str:
    """Letters alone: readers put the marks of a vowel before or behind them as they see them."""
    return "".join(char for char in text if unicodedata.category(char) not in {"Cf", "Mn", "Zs"} and char != "\n")


def test_there_are_words_in_the_languages_that_are_promised() -> None:
    assert WORDS.keys() >= {"en", "de", "fr", "es", "it", "pl", "ar", "ja"}
    for words in WORDS.values():
        assert all(word.strip() for word in words)
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("language", sorted(WORDS))
def test_a_page_says_its_words_in_its_language(language: str) -> None:
    rendered = ticket_in(language, category="Stalls 1")
    said = bare(text_of(rendered)).casefold()
    words, its = WORDS[language], Language(language)
    for word in (*words[:8], words.hint, its.date(MOMENT), "Stalls 1"):
        assert bare(word).casefold() in said
    # A sign beside a number stands on its other side where all is read from the right.
    assert all(part in said for part in bare(its.price(4500, "EUR")).split("€"))
    assert rendered.flaws == ()
    assert scanned(rendered) == [CODE]


@pytest.mark.parametrize(
    ("language", "date", "time", "price"),
    [
        ("en", "Monday, 1 March 2027", "19:30", "€1,234.50"),
        ("en-US", "Monday, March 1, 2027", "7:30 PM", "€1,234.50"),
        ("de", "Montag, 1. März 2027", "19:30", "1.234,50 €"),
        ("de-AT", "Montag, 1. März 2027", "19:30", "€ 1.234,50"),
        ("fr", "lundi 1 mars 2027", "19:30", "1 234,50 €"),
        ("es", "lunes, 1 de marzo de 2027", "19:30", "1.234,50 €"),
        ("it", "lunedì 1 marzo 2027", "19:30", "1.234,50 €"),
        ("pl", "poniedziałek, 1 marca 2027", "19:30", "1234,50 €"),
        ("ar", "الاثنين، 1 مارس 2027", "7:30 م", "1,234.50 €"),
        ("ja", "2027年3月1日月曜日", "19:30", "€1,234.50"),
    ],
)
def test_dates_times_and_prices_are_as_the_language_writes_them(
    language: str, date: str, time: str, price: str
) -> None:
    its = Language(language)
    written = (its.date(MOMENT), its.time(MOMENT), its.price(123450, "EUR"))
    assert tuple(map(bare, written)) == tuple(map(bare, (date, time, price)))


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "CLF", "IQD", "ISK", "RSD", "UGX"])
def test_a_price_has_the_decimals_of_its_smallest_unit_in_every_language(language: str, currency: str) -> None:
    """What babel mostly writes leaves decimals away that can be charged."""
    digits = [char for char in Language(language).price(123_456, currency) if char.isdecimal()]
    assert "".join(digits) == "123456"
    whole = Language(language).price(7 * 10 ** decimals(currency), currency)
    assert "".join(char for char in whole if char.isdecimal()) == "7" + "0" * decimals(currency)


@pytest.mark.parametrize("language", sorted(WORDS))
def test_a_free_ticket_says_so(language: str) -> None:
    assert Language(language).price(0, "EUR") == WORDS[language].free
    assert bare(WORDS[language].free) in bare(text_of(ticket_in(language, amount=0)))


def test_a_page_in_arabic_is_read_from_the_right() -> None:
    """Its code stands on the right, and so does all text, also of Latin letters."""
    left, right = ticket_in("en"), ticket_in("ar")
    assert scanned(right) == [CODE]
    opera = {
        language: min(box[0] for char, box in characters(page) if char == "O")
        for language, page in (("en", left), ("ar", right))
    }
    assert opera["en"] < WIDTH / 4
    assert opera["ar"] > WIDTH / 2


@pytest.mark.parametrize("tag", ["xx", "de-XX", "DE", "de_AT", "", "english", "pt"])
def test_a_language_without_words_is_refused_with_those_that_there_are(tag: str) -> None:
    with pytest.raises(LanguageError, match="the languages are ar, de, en, es, fr, it, ja, pl"):
        check_style(Style(language=tag))


@pytest.mark.parametrize(
    ("language", "error"), [("xx", LanguageError), ("german", SettingsError), ("de_AT", SettingsError)]
)
def test_documents_are_not_begun_in_a_language_without_words(
    language: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_LANGUAGE", language)
    with pytest.raises(error) as refused:
        main(load_settings())
    assert "cannot be written in 'xx'" in str(refused.value) or "must be a language, and a country" in str(
        refused.value
    )


def test_the_price_of_the_opera() -> None:
    assert "PREIS 45,00 €" in text_of(
        render_ticket(TicketPage(OPERA, "42-000001", "b", "r", CODE), Style(language="de"))
    )
