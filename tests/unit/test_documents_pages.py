"""What tickets say of an event that changes: what it was at a seq, however late and from wherever that is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from boxoffice.documents import pages as module
from boxoffice.documents.errors import UnknownEventError
from boxoffice.documents.pages import EventPages, KnownEvent, Said
from boxoffice.rendering import EventPage
from boxoffice.settings import load_settings
from lua.effects import terms_fields
from models.facts import write_fact
from models.shapes import EventChanged, EventCreated
from tests.unit.story import CATEGORIES, Story, holding

STARTS = "2027-03-01T19:30:00+01:00"


class Redis:
    """Redis, as it is asked for an event's meta."""

    def __init__(self) -> None:
        self.metas: dict[str, dict[str, str]] = {}
        self.serves = True
        self.asked = 0

    def keeps(self, story: Story) -> None:
        """It has the event as the story tells it now."""
        meta = {**terms_fields(story.event), "seq": str(story.event.seq)}
        self.metas["event:{42}:meta"] = meta

    async def execute_command(self, _: str, key: str, *fields: str) -> list[bytes | None]:
        self.asked += 1
        if not self.serves:
            raise RedisConnectionError("it is down")
        meta = self.metas.get(key, {})
        return [meta[field].encode() if field in meta else None for field in fields]


class Bench:
    """Pages, with a ledger that is a list of facts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache_size: int = 100) -> None:
        self.redis = Redis()
        self.ledger: list[Any] = []
        self.searched: list[Set[str] | None] = []
        settings = load_settings(documents_cache_size=cache_size)
        self.pages = EventPages(settings, self.redis, 1)  # type: ignore[arg-type]
        monkeypatch.setattr(self.pages, "_search_ledger", self.search)

    async def search(self, _: int, wanted: Set[str] | None) -> dict[str, KnownEvent]:
        """As the ledger is read."""
        self.searched.append(wanted)
        found: dict[str, KnownEvent] = {}
        for fact in list(self.ledger):
            module._take(found, write_fact(fact), wanted)
        await asyncio.sleep(0)
        return found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def renamed() -> Story:
    """Sold with seq 2 and 5, changed with 3 (no page), 4 (the name) and 6 (the name and the hall)."""
    story = Story()
    story.buy("r-2")
    story.ask("change_event", "e-3", max_per_order=4)
    story.ask("change_event", "e-4", name="Late Night")
    story.buy("r-5")
    story.ask("change_event", "e-6", name="Night", venue="Studio")
    return story


NAMES = {1: "Night", 2: "Night", 3: "Night", 4: "Late Night", 5: "Late Night", 6: "Night"}


@pytest.mark.parametrize("source", ["seen", "seen late", "Redis", "Redis is behind", "ledger"])
async def test_what_an_event_was_at_a_seq_is_known_from_wherever_it_is_read(bench: Bench, source: str) -> None:
    story = renamed()
    bench.ledger = story.facts
    match source:
        case "seen":
            for fact in story.facts:
                if fact["type"] in ("event_created", "event_changed"):
                    bench.pages.saw(fact)
        case "seen late":
            bench.redis.keeps(renamed())
            bench.pages.saw(story.facts[5])
        case "Redis":
            bench.redis.keeps(story)
        case "Redis is behind":
            bench.redis.keeps(Story())
        case "ledger":
            bench.redis.serves = False
    # The last first: what comes before a fact has gone by, or Redis has it as well.
    for seq, name in reversed(NAMES.items()):
        assert (await bench.pages.of("42", seq)).at(seq).name == name
    known = await bench.pages.of("42", 6, whole=True)
    assert [known.at(seq).since for seq in NAMES] == [1, 1, 1, 4, 4, 6]
    assert known.before(6) == [4, 1]
    assert known.before(4) == [1]
    assert len(bench.searched) == (0 if source == "seen" else 1)


async def test_of_an_event_that_was_never_changed_redis_is_asked_once_and_the_ledger_never(bench: Bench) -> None:
    story = Story()
    story.buy("r-2")
    bench.redis.keeps(story)
    known = await bench.pages.of("42", 2, whole=True)
    assert (known.said, known.is_whole) == ([Said(1, "Night", "Hall", STARTS)], True)
    assert await bench.pages.of("42", 90, whole=True) is known
    assert (bench.redis.asked, bench.searched) == (1, [])


async def test_a_change_that_is_seen_is_not_lost_while_the_event_is_looked_for(bench: Bench) -> None:
    """It went by after the ledger's end was asked for, and Redis had not heard of it."""
    story = Story()
    story.buy("r-2")
    bench.redis.serves = False
    bench.ledger = list(story.facts)
    looking = asyncio.create_task(bench.pages.of("42", 2))
    await asyncio.sleep(0)
    bench.pages.saw(story.ask("change_event", "e-3", venue="Studio"))
    assert (await looking).at(3).venue == "Studio"
    assert (await bench.pages.of("42", 3)).at(2).venue == "Hall"


async def test_a_change_that_changes_no_page_makes_no_new_one(bench: Bench) -> None:
    story = Story()
    bench.pages.saw(story.facts[0])
    bench.pages.saw(story.ask("change_event", "e-2", prices=[{"category": "general", "amount": 1}], hold_s=60))
    assert [said.since for said in (await bench.pages.of("42", 2)).said] == [1]
    assert story.event.page_since == 1


async def test_while_redis_is_down_a_ledger_is_read_once_for_all_its_events(bench: Bench) -> None:
    for number in ("42", "7", "9"):
        created = Story().facts[0]
        bench.ledger.append({**created, "event_id": number})
    bench.redis.serves = False
    for number in ("42", "7", "9", "42"):
        assert (await bench.pages.of(number, 1)).event_id == number
    assert bench.searched == [None]
    with pytest.raises(UnknownEventError):
        await bench.pages.of("8", 1)


async def test_whoever_was_not_there_meanwhile_asks_again(bench: Bench) -> None:
    """The partition was another worker's, who has seen the event change."""
    story = Story()
    bench.pages.saw(story.facts[0])
    story.ask("change_event", "e-2", name="Late Night")
    bench.redis.keeps(story)
    bench.pages.forget()
    assert (await bench.pages.of("42", 2)).at(2).name == "Late Night"


def page(known: KnownEvent, fact: Any, ticket: str) -> EventPage:
    return known.page(fact["seq"], fact, ticket)


@pytest.mark.parametrize("source", ["seen", "Redis", "ledger"])
async def test_a_ticket_says_its_category_and_what_was_paid_for_it_whatever_that_costs_now(
    bench: Bench, source: str
) -> None:
    story = holding()
    sold = story.buy("r-2", lines=[{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}])
    story.ask("change_event", "e-3", prices=[{"category": "stalls", "amount": 9900}])
    paid = story.pay("p-4", "r-2", "pay-1", sold["amount"])
    bench.ledger = story.facts
    if source == "seen":
        bench.pages.saw(story.facts[0])
    elif source == "Redis":
        bench.redis.keeps(story)
    else:
        bench.redis.serves = False
    known = await bench.pages.of("42", paid["seq"])
    said = [(one.category, one.amount, one.currency) for one in (page(known, paid, t) for t in paid["tickets"])]
    assert said == [("Stalls", 4500, "EUR"), ("Stalls", 4500, "EUR"), ("Balcony", 3000, "EUR")]
    assert [category["name"] for category in CATEGORIES] == ["Stalls", "Balcony"]


@pytest.mark.parametrize("source", ["seen", "Redis", "ledger"])
async def test_a_sale_by_the_rules_before_says_what_tickets_cost_when_the_event_began(
    bench: Bench, source: str
) -> None:
    story = Story()
    sale = story.buy("r-2")
    before = {name: value for name, value in sale.items() if name not in ("lines", "amount", "currency", "purchase")}
    story.ask("change_event", "e-3", prices=[{"category": "general", "amount": 9900}])
    bench.ledger = story.facts
    if source == "seen":
        bench.pages.saw(story.facts[0])
    elif source == "Redis":
        bench.redis.keeps(story)
    else:
        bench.redis.serves = False
    known = await bench.pages.of("42", 2)
    assert page(known, before, "42-000001") == EventPage("42", "Night", "Hall", STARTS, 4500, "EUR")


# When events begin


async def test_when_events_begin_is_told_as_it_is_now(bench: Bench) -> None:
    story = Story()
    story.ask("change_event", "e-2", starts_at="2028-01-01T00:00:00Z")
    bench.redis.keeps(story)
    assert await bench.pages.begin_at(["42"]) == {"42": "2028-01-01T00:00:00Z"}
    bench.redis.serves = False
    assert await bench.pages.begin_at(["42"]) == {}
    assert bench.searched == []


async def test_of_an_archived_event_the_ledger_is_asked_once(bench: Bench) -> None:
    story = Story()
    story.ask("close_event", "z-2")
    story.ask("archive_event", "z-3")
    bench.ledger = story.facts
    for _ in range(2):
        assert await bench.pages.begin_at(["42", "not an event", "77"]) == {"42": STARTS}
    assert bench.searched == [{"42", "77"}]


async def test_an_event_that_only_redis_has_lost_may_change_still(bench: Bench) -> None:
    story = Story()
    bench.ledger = story.facts
    assert await bench.pages.begin_at(["42"]) == {"42": STARTS}
    story.ask("change_event", "e-2", starts_at="2028-01-01T00:00:00Z")
    assert await bench.pages.begin_at(["42"]) == {"42": "2028-01-01T00:00:00Z"}


async def test_no_more_events_are_kept_than_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, cache_size=2)
    created: EventCreated = Story().facts[0]
    changed: EventChanged = Story().ask("change_event", "e-2", name="Other")
    for number in ("1", "2", "3"):
        bench.pages.saw({**created, "event_id": number})
        bench.pages.saw({**changed, "event_id": f"9{number}"})
    kept: Sequence[Any] = (bench.pages._events, bench.pages._changed)
    assert [len(one) for one in kept] == [2, 2]
