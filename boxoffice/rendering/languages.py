"""The words of a ticket's page by language, and how that language writes dates, times and prices.

To add a language, add a row to ``WORDS``. Dates and prices are babel's, which has them for all languages.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import parse_pattern

from boxoffice.rendering.errors import LanguageError
from models.money import decimals
from models.times import moment


class Words(NamedTuple):
    """What stands on every ticket: labels, which are set in capitals where there are some, and sentences."""

    ticket: str
    date: str
    time: str
    price: str
    category: str
    number: str
    buyer: str
    order: str
    free: str
    """Instead of a price of nothing."""
    hint: str
    code: str
    """What is said of the QR code to those who cannot see it."""


WORDS: Final = {
    "ar": Words(
        *("تذكرة", "التاريخ", "الوقت", "السعر", "الفئة", "الرقم", "المشتري", "الطلب", "مجانًا"),
        hint="أظهر هذا الرمز عند الدخول.",
        code="رمز QR لهذه التذكرة، يُمسح عند الدخول",
    ),
    "de": Words(
        *("Ticket", "Datum", "Uhrzeit", "Preis", "Kategorie", "Nummer", "Käufer", "Bestellung", "Kostenlos"),
        hint="Zeigen Sie diesen Code am Einlass.",
        code="QR-Code dieses Tickets, der am Einlass gelesen wird",
    ),
    "en": Words(
        *("Ticket", "Date", "Time", "Price", "Category", "Number", "Buyer", "Order", "Free"),
        hint="Show this code at the door.",
        code="QR code of this ticket, to be read at the door",
    ),
    "es": Words(
        *("Entrada", "Fecha", "Hora", "Precio", "Categoría", "Número", "Comprador", "Pedido", "Gratis"),
        hint="Muestre este código en el acceso.",
        code="Código QR de esta entrada, que se lee en el acceso",
    ),
    "fr": Words(
        *("Billet", "Date", "Heure", "Prix", "Catégorie", "Numéro", "Acheteur", "Commande", "Gratuit"),
        hint="Présentez ce code à l'entrée.",
        code="Code QR de ce billet, à lire à l'entrée",
    ),
    "it": Words(
        *("Biglietto", "Data", "Ora", "Prezzo", "Categoria", "Numero", "Acquirente", "Ordine", "Gratuito"),
        hint="Mostri questo codice all'ingresso.",
        code="Codice QR di questo biglietto, da leggere all'ingresso",
    ),
    "ja": Words(
        *("チケット", "日付", "時刻", "料金", "席種", "番号", "購入者", "注文", "無料"),
        hint="入口でこのコードをご提示ください。",
        code="このチケットのQRコード。入口で読み取ります",
    ),
    "pl": Words(
        *("Bilet", "Data", "Godzina", "Cena", "Kategoria", "Numer", "Kupujący", "Zamówienie", "Bezpłatny"),
        hint="Pokaż ten kod przy wejściu.",
        code="Kod QR tego biletu, odczytywany przy wejściu",
    ),
}

# English as it is written outside of America: a day before its month, and a clock of 24 hours.
_LOCALES: Final = {"en": "en-GB"}
_SHAPE: Final = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


class Language:
    """A language, or what a country makes of it: ``de``, ``de-AT``."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.name = tag.partition("-")[0]
        if not _SHAPE.fullmatch(tag) or self.name not in WORDS:
            raise LanguageError(tag, sorted(WORDS))
        self.words = WORDS[self.name]
        try:
            self._locale = Locale.parse(_LOCALES.get(tag, tag), sep="-")
        except (UnknownLocaleError, ValueError):
            raise LanguageError(tag, sorted(WORDS)) from None

    @property
    def is_rtl(self) -> bool:
        """Whether a page is read from the right."""
        return bool(self._locale.text_direction == "rtl")

    @property
    def has_capitals(self) -> bool:
        """Whether words may be set in capitals, with space between their letters."""
        return self.words.ticket.upper() != self.words.ticket

    def date(self, starts_at: str) -> str:
        """``Monday, 1 March 2027``, where the event is."""
        return str(format_date(moment(starts_at), "full", self._locale))

    def time(self, starts_at: str) -> str:
        """``19:30``, where the event is, with seconds only where there are some."""
        start = moment(starts_at)
        return str(format_time(start.time(), "medium" if start.second else "short", locale=self._locale))

    def price(self, amount: int, currency: str) -> str:
        """``€45.00``, or ``45,00 €``; or that it is free.

        Babel's own number of decimals is what people mostly write; the smallest unit, which amounts are in, is
        ISO 4217's.
        """
        if not amount:
            return self.words.free
        places = decimals(currency)
        pattern = parse_pattern(self._locale.currency_formats["standard"].pattern)
        pattern.frac_prec = (places, places)
        value = Decimal(amount).scaleb(-places)
        # The digits are those of the ticket's number, which somebody at the door compares.
        written = pattern.apply(value, self._locale, currency=currency, currency_digits=False, numbering_system="latn")
        return str(written)


language_of = lru_cache(maxsize=16)(Language)
"""The language that a tag names.

Raises:
    LanguageError: none is named so, or its words are not there.
"""
