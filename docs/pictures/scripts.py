"""Save tickets in twelve scripts as one picture: python docs/pictures/scripts.py FILE.png."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pypdfium2  # type: ignore[import-untyped]
from PIL import Image

from boxoffice.rendering import EventPage, Style, TicketPage, render_ticket

SCALE: Final = 1.5
COLUMNS: Final = 4
GAP: Final = 12
GREY: Final = (0xD5, 0xD7, 0xDC)
CODE: Final = json.loads((Path(__file__).parents[1] / "codes.json").read_text(encoding="utf-8"))["good"][0]["code"]


class Sample(NamedTuple):
    """A ticket in one script, on a page in one language."""

    name: str
    venue: str
    buyer: str
    price: tuple[int, str]
    language: str = "en"


SAMPLES: Final = {
    "Latin with combining marks": Sample(
        "De\u0302m nha\u0323c Vie\u0323\u0302t Nam, Z\u030cluťoučký kůň",
        "Nhà hát Lớn Hà Nội",
        "Nguyễn Văn Ánh",
        (0, "EUR"),
    ),
    "Greek": Sample("Φεστιβάλ Κλασικής Μουσικής", "Ωδείο Ηρώδου του Αττικού", "Ρένα Παπαδοπούλου", (4500, "EUR"), "de"),
    "Cyrillic": Sample("Ночь в опере: «Евгений Онегин»", "Большой театр", "Ґанна Ђорђевић", (250_000, "RUB"), "pl"),
    "Arabic": Sample(
        "مهرجان الموسيقى الكلاسيكية ٢٠٢٧", "دار الأوبرا (القاهرة)", "فاطمة الزهراء", (75_000, "EGP"), "ar"
    ),
    "Hebrew": Sample("פסטיבל הג'אז (2027) שָׁלוֹם", "היכל התרבות, תל אביב", "יעל כהן", (18_000, "ILS"), "fr"),
    "Devanagari": Sample("शास्त्रीय संगीत महोत्सव", "क्षत्रिय सभागृह, पुणे", "कृष्णा शर्मा", (150_000, "INR"), "en"),
    "Bengali": Sample("রবীন্দ্রসঙ্গীত সন্ধ্যা", "জ্ঞান মঞ্চ, কলকাতা", "শ্রীমতী দ্রৌপদী", (50_000, "INR"), "es"),
    "Tamil": Sample("கர்நாடக இசை விழா", "ஸ்ரீ கிருஷ்ண சபா, சென்னை", "லட்சுமி", (80_000, "INR"), "it"),
    "Thai": Sample("เทศกาลดนตรีคลาสสิกนานาชาติกรุงเทพมหานครครั้งที่ยี่สิบ", "ศูนย์วัฒนธรรมแห่งประเทศไทย", "น้ำผึ้ง", (120_000, "THB")),
    "Han": Sample("北京国家大剧院新年音乐会", "国家大剧院音乐厅", "王小明", (38_000, "CNY"), "en"),
    "Kana": Sample("東京のクラシックコンサート「よろこびのうた」", "サントリーホール", "さくら", (4_500, "JPY"), "ja"),
    "Hangul": Sample("서울시립교향악단 신년 음악회", "예술의전당 콘서트홀", "김민수", (55_000, "KRW"), "de"),
}


def ticket(sample: Sample) -> Image.Image:
    """A sample's ticket as a picture."""
    event = EventPage("42", sample.name, sample.venue, "2027-03-01T19:30:00+01:00", *sample.price)
    page = TicketPage(event, "42-000001", sample.buyer, "550e8400-e29b-41d4-a716-446655440000", CODE)
    rendered = render_ticket(page, Style(language=sample.language))
    assert not rendered.flaws, rendered.flaws
    return pypdfium2.PdfDocument(rendered.pdf)[0].render(scale=SCALE).to_pil()


def main() -> None:
    """Render the tickets and write the picture."""
    tickets = list(map(ticket, SAMPLES.values()))
    width, height = tickets[0].size
    rows = -(-len(tickets) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) + GAP, rows * (height + GAP) + GAP), GREY)
    for index, picture in enumerate(tickets):
        row, column = divmod(index, COLUMNS)
        sheet.paste(picture, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    sheet.quantize(64).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
