"""Money: how many decimals each currency has, and amounts as people write and read them.

Messages hold amounts in the currency's smallest unit, 4500 for 45.00 EUR; people never see those. The table is
ISO 4217's, and kept here. CLDR, which babel has, says how many decimals people like to see (none of HUF), not how
many the smallest unit stands for. Nor may a ticket's text change with the version of a library.
"""

from __future__ import annotations

import re
from typing import Final

from models.members import MAX_PRICE_AMOUNT

# As of 2026-01-01: what money is counted in. Metals, units of account and codes for tests have no smallest unit.
_CODES_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
        "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
        "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
        "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
        "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
        "VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
CURRENCIES: Final = {code: places for places, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}
"""Every currency that tickets can be sold in by the command line, and its decimals."""

_UNKNOWN_DECIMALS: Final = 2
"""Of a currency that is not on the list: messages may name any three letters, and most that are gone had 2."""

# Not \d, which takes the digits of every script.
_AMOUNT: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_MOST_SHOWN: Final = 40


class WrongAmountError(ValueError):
    """A text that is no amount of a currency: the message says why in a person's words."""


def is_currency(currency: str) -> bool:
    """Whether ISO 4217 has it, and money is counted in it."""
    return currency in CURRENCIES


def decimals(currency: str) -> int:
    """How many decimals the currency's smallest unit stands for: 2 for EUR, of which 1 is a cent."""
    return CURRENCIES.get(currency, _UNKNOWN_DECIMALS)


def amount_text(amount: int, currency: str, thousands: str = ",") -> str:
    """``1,234.50 EUR``, of an amount in the smallest unit. No symbol, since countries share them."""
    places = decimals(currency)
    whole, part = divmod(amount, 10**places)
    number = f"{whole:,}".replace(",", thousands)
    return f"{number}.{part:0{places}d} {currency}" if places else f"{number} {currency}"


def parse_amount(text: str, currency: str, tickets: int = 1) -> int:
    """The amount that a person typed, ``45``, ``45.00`` or ``45.00 EUR``, in the currency's smallest unit.

    Nothing else is read, so that nobody's thousands are taken for decimals.

    Raises:
        WrongAmountError: it is none, or more than so many tickets may cost.
    """
    if not is_currency(currency):
        raise WrongAmountError(no_currency(currency))
    places = decimals(currency)
    example = amount_text(45 * 10**places, currency).partition(" ")[0]
    found = _AMOUNT.fullmatch(text.removesuffix(f" {currency}"))
    if found is None:
        raise WrongAmountError(
            f"{_shown(text)} is no amount: write digits, and decimals behind a point, and no other sign ({example})"
        )
    whole, part = found[1], found[2] or ""
    if len(part) > places:
        raise WrongAmountError(f"{_shown(text)}: {currency} has {places or 'no'} decimals ({example})")
    digits = (whole + part.ljust(places, "0")).lstrip("0")
    most = tickets * MAX_PRICE_AMOUNT
    # No longer number is made of digits that somebody typed without end.
    amount = int(digits or "0") if len(digits) <= len(str(most)) else most + 1
    if amount > most:
        what = "a ticket" if tickets == 1 else f"{tickets} tickets"
        raise WrongAmountError(f"{_shown(text)} is more than {what} may cost, which is {amount_text(most, currency)}")
    return amount


def no_currency(currency: str) -> str:
    """Why an event is not put on sale in it."""
    meant = f": write {currency.upper()}" if is_currency(currency.upper()) else ""
    return f"{_shown(currency)} is no currency of ISO 4217{meant or ', which has EUR, USD, JPY and others'}"


def _shown(text: str) -> str:
    shown = repr(text[:_MOST_SHOWN])
    return shown if len(text) <= _MOST_SHOWN else f"{shown}…"
