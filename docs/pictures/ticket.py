"""Save a ticket as a picture: python docs/pictures/ticket.py FILE.png."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]

from boxoffice.rendering import EventPage, TicketPage, render_ticket

SCALE = 3
CODE = json.loads((Path(__file__).parents[1] / "codes.json").read_text(encoding="utf-8"))["good"][0]["code"]
EVENT = EventPage("42", "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR", "Stalls")


def main() -> None:
    """Render the ticket and write the picture."""
    rendered = render_ticket(TicketPage(EVENT, "42-000001", "b-77", "550e8400-e29b-41d4-a716-446655440000", CODE))
    picture = pypdfium2.PdfDocument(rendered.pdf)[0].render(scale=SCALE).to_pil()
    picture.quantize(64).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
