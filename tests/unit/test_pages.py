"""The pages as files: nothing that a strict policy forbids, nothing of other hosts, and the rules of the messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from models.api_keys import new_id, new_key
from models.commands import Purchase
from models.figures import BUCKETS, Status
from models.members import EVENT_ID_PATTERN, GENERAL, MAX_QUANTITY
from models.money import CURRENCIES, decimals
from models.reasons import Reason

PAGES: Final = Path(__file__).parents[2] / "boxoffice" / "live" / "pages"
SERVED_AT: Final = "/"
ROOMS: Final = {"/", "/buy", "/operator"}
"""Where the server gives the pages themselves."""
LEAST_CONTRAST: Final = 4.5
_VOID: Final = frozenset({"meta", "link", "input", "br"})
_LABELLED: Final = frozenset({"input", "select", "textarea"})

pages = pytest.mark.parametrize("path", sorted(PAGES.glob("*.html")), ids=lambda path: path.name)
modules = pytest.mark.parametrize("path", sorted(PAGES.glob("*.js")), ids=lambda path: path.name)


@dataclass
class Element:
    """An element of a page, and those around it."""

    name: str
    attributes: dict[str, str | None]
    around: tuple[Element, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """What a page has in it."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Element(tag, dict(attrs), tuple(self.open))
        assert len(attrs) == len(found.attributes), f"an attribute stands twice: {attrs}"
        self.elements.append(found)
        if tag not in _VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag, f"</{tag}> ends something else, at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def ids(self) -> list[str]:
        """All of them, in their order."""
        return [element.attributes["id"] or "" for element in self.elements if "id" in element.attributes]

    def named(self, *names: str) -> Iterator[Element]:
        """The elements of these names."""
        return (element for element in self.elements if element.name in names)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert not page.open, f"not ended: {page.open}"
    return page


def imported(path: Path) -> set[Path]:
    """A module, and all that it imports."""
    found = {path}
    waiting = [path]
    while waiting:
        for name in re.findall(r' from "\./([^"]+)"', waiting.pop().read_text(encoding="utf-8")):
            if (other := PAGES / name) not in found:
                found.add(other)
                waiting.append(other)
    return found


def constant(module: str, name: str) -> str:
    """The text behind a constant's name."""
    text = (PAGES / module).read_text(encoding="utf-8")
    found = re.search(rf"^(?:export )?const {name} = (.+?);$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{module} has no {name}"
    return found[1]


@pages
def test_a_page_has_no_script_and_no_style_of_its_own(path: Path) -> None:
    """A strict policy runs what comes from files alone: what a stranger's text smuggles in does nothing."""
    page = read(path)
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"], element
    assert not list(page.named("style", "iframe", "object", "embed", "base"))
    scripts = list(page.named("script"))
    assert [script.attributes.get("type") for script in scripts] == ["module"]
    assert not scripts[0].text.strip()


@pages
def test_whatever_a_page_names_is_served_here(path: Path) -> None:
    for element in read(path).elements:
        for name in ("href", "src", "action", "srcset", "poster", "data"):
            where = element.attributes.get(name)
            if where is None or where.startswith("#") or where in ROOMS:
                continue
            assert where.startswith(SERVED_AT), where
            assert (PAGES / where.removeprefix(SERVED_AT)).is_file(), where


def test_no_file_names_another_host() -> None:
    """But for the namespace of SVG, which is a name and fetches nothing."""
    for path in (path for path in PAGES.iterdir() if path.is_file()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|[\"'(]//|@import", text), path.name
        for where in re.findall(r"url\((.*?)\)", text):
            assert (PAGES / where.strip('"').removeprefix(SERVED_AT)).is_file(), where


@modules
def test_a_module_reads_no_text_as_markup_or_program(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|javascript:"
    assert not re.search(forbidden, text)
    assert not re.search(r"""setTimeout\(\s*["'`]""", text)


@modules
def test_a_module_imports_what_is_there(path: Path) -> None:
    assert all(other.is_file() for other in imported(path))


@pages
def test_a_page_has_every_element_that_its_modules_ask_for(path: Path) -> None:
    page = read(path)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    [script] = page.named("script")
    entry = PAGES / (script.attributes["src"] or "").removeprefix(SERVED_AT)
    for module in imported(entry):
        wanted = set(re.findall(r'byId\("([^"]+)"\)', module.read_text(encoding="utf-8")))
        assert wanted <= set(ids), f"{module.name}: {wanted - set(ids)}"
    if path.name == "buy.html":
        fields = re.findall(r'"(\w+)"', constant("order.js", "FIELDS"))
        assert {f"{name}-wrong" for name in fields} <= set(ids)


@pages
def test_whoever_cannot_see_a_page_is_told_what_is_where(path: Path) -> None:
    page = read(path)
    ids = set(page.ids())
    [html] = page.named("html")
    assert html.attributes["lang"] == "en"
    assert len(list(page.named("h1"))) == len(list(page.named("main"))) == len(list(page.named("title"))) == 1
    labels = {element.attributes.get("for") for element in page.named("label")}
    for element in page.named(*_LABELLED):
        inside = any(around.name == "label" for around in element.around)
        assert inside or element.attributes.get("id") in labels, element
    for element in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((element.attributes.get(name) or "").split()) <= ids, element
    levels = [int(element.name[1]) for element in page.named("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pages
def test_no_field_is_sent_where_a_page_cannot_run(path: Path) -> None:
    """A form without its module would be sent into an address, with the key in it."""
    names = [element.attributes.get("name") for element in read(path).named(*_LABELLED) if element.around]
    assert set(names) <= {None, "span"}
    assert all(form.attributes.get("action") is None for form in read(path).named("form"))


def test_amounts_have_the_decimals_that_messages_have() -> None:
    table = dict(re.findall(r'(\d): "([A-Z ]+)"', constant("numbers.js", "CURRENCIES_BY_DECIMALS")))
    shown = {code: int(places) for places, codes in table.items() for code in codes.split()}
    usual = int(constant("numbers.js", "MOST_COMMON_DECIMALS"))
    assert {code: shown.get(code, usual) for code in CURRENCIES} == CURRENCIES
    assert shown.keys() <= CURRENCIES.keys()
    assert decimals("XXX") == usual


def test_the_pages_know_the_bounds_of_the_messages() -> None:
    buyer = Purchase.model_json_schema()["properties"]["buyer"]
    assert int(constant("order.js", "MOST_BUYER")) == buyer["maxLength"]
    assert int(constant("order.js", "MOST_TICKETS")) == MAX_QUANTITY
    assert int(constant("figures.js", "BUCKETS")) == BUCKETS
    assert constant("figures.js", "EVENT_ID") == f"/^{EVENT_ID_PATTERN}$/"
    form = constant("order.js", "KEY").strip("/")
    assert re.search(form, new_key(new_id()))
    [quantity] = [one for one in read(PAGES / "buy.html").named("input") if one.attributes["id"] == "quantity"]
    assert quantity.attributes["max"] == str(MAX_QUANTITY)


def test_every_reason_for_which_a_purchase_is_refused_has_words() -> None:
    told = set(re.findall(r"^  (\w+):", constant("purchase.js", "REASONS"), re.MULTILINE))
    others = {
        *(Reason.EVENT_EXISTS, Reason.EVENT_OPEN, Reason.NO_SUCH_PURCHASE, Reason.NO_SUCH_TICKET),
        *(Reason.EARLIER_RULES, Reason.ALREADY_CANCELLED, Reason.NOT_DUE, Reason.NOT_HELD, Reason.PAYMENT_REUSED),
    }
    assert told == set(Reason) - others


def test_every_status_of_figures_has_words_and_every_word_is_of_a_state_that_there_is() -> None:
    words = set(re.findall(r'^  "?([\w-]+)"?:', constant("figures.js", "STATE_WORDS"), re.MULTILINE))
    ended = dict(re.findall(r'(\w+): "([\w-]+)"', constant("figures.js", "ENDED")))
    assert set(ended) == set(Status) - {Status.OPEN}
    assert words == {"open", "soon", "all-held", "sold-out", "ended", *ended.values()}
    styled = set(re.findall(r'\.ticket\[data-state="([\w-]+)"\]', (PAGES / "style.css").read_text(encoding="utf-8")))
    held = set(re.findall(r"(\w+): ", constant("held.js", "STATES")))
    assert styled == (words | held) - {"open"}


def test_the_one_category_of_an_event_that_names_none_is_known() -> None:
    assert constant("figures.js", "GENERAL") == f'"{GENERAL}"'


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "paper"])
@pytest.mark.parametrize("colour", ["ink", "faint", "accent", "good", "warn", "border", "focus"])
def test_whatever_is_said_has_contrast(scheme: str, ground: str, colour: str) -> None:
    colours = palette(scheme)
    assert contrast(colours[colour], colours[ground]) >= LEAST_CONTRAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_button_can_be_read(scheme: str) -> None:
    colours = palette(scheme)
    for ground in ("button", "button-over"):
        assert contrast(colours["on-button"], colours[ground]) >= LEAST_CONTRAST


def palette(scheme: str) -> dict[str, str]:
    """The colours of the light, or of the dark."""
    text = (PAGES / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return colours | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else {})


def contrast(one: str, other: str) -> float:
    """By WCAG 2."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
