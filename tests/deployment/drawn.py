"""Say as what a ticket is drawn, in each language and with names in many scripts: an image draws it as we do here.

It is run in both, as ``python -``, so it needs nothing of the tests.
"""

from __future__ import annotations

import sys
from hashlib import sha256

from boxoffice.rendering import EventPage, Style, TicketPage, render_ticket
from boxoffice.rendering.languages import WORDS

LANGUAGES = (*sorted(WORDS), "de-AT", "en-US", "fr-CA")
NAMES = (
    "Ночь в опере",
    "オペラ座の夜へようこそ",
    "歌剧院之夜",
    "오페라의 밤",
    "ค่ำคืนที่โรงละครโอเปร่า",
    "ليلة في الأوبرا",
    "לילה באופרה",
    "ओपेरा में रात",
    "Vigdís Þórðardóttir & Ζωή 🎭",
)


def drawn(language: str, name: str) -> str:
    """A ticket's digest, and what is wrong with it."""
    event = EventPage("42", name, "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")
    rendered = render_ticket(TicketPage(event, "42-000001", name, "r-1", "BX1:TEST"), Style(language=language))
    return f"{sha256(rendered.pdf).hexdigest()} {rendered.flaws}"


def main() -> None:
    """Say it of all."""
    for language in LANGUAGES:
        for name in NAMES:
            sys.stdout.write(f"{language} {name} {drawn(language, name)}\n")


if __name__ == "__main__":
    main()
