"""What a careless world asks: all commands, most of them about what is there, some of them twice or for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any, Final

from models.accepted import Accepted, State
from models.event import Event
from models.facts import at_text
from tests.simulation.truth import Truth

Members = dict[str, Any]

EVENT_IDS: Final = ("42", "7", "1")
BUYERS: Final = ("b-1", 'Zoë "the\\fan"', "\u2028 b,2 ]}")
CATEGORY_IDS: Final = ("stalls", "box-1", "0_x")
NOWHERE: Final = "roof"
"""A category of no event."""
ACTORS: Final[tuple[Members, ...]] = ({}, {}, {}, {"actor": 'till "3"'})


class Asking:
    """Commands, one after the other. ``is_new_known`` says whether every worker knows what the present release does."""

    def __init__(self, random: Random, truth: Truth, now_ms: Callable[[], int]) -> None:
        self.random = random
        self.asked: list[Members] = []
        self.is_new_known = True
        self._truth = truth
        self._now_ms = now_ms

    def next(self) -> Members:
        """Whatever comes next."""
        event_id = self.random.choice(EVENT_IDS)
        request_id = f"{self.random.choice('rxa')}-{self.random.randrange(90)}"
        known = self._by_all_releases if not self.is_new_known else self._by_the_present_one
        return known(event_id, request_id, self.random.random())

    def _by_all_releases(self, event_id: str, request_id: str, roll: float) -> Members:
        choose = self.random.choice
        bought = [asked for asked in self.asked[-30:] if asked["type"] == "purchase"]
        if roll < 0.1:
            return self.creation(event_id, choose(("c-1", "c-2")))
        if roll < 0.25 and bought:
            one = choose(bought)
            buyer = choose(({}, {"buyer": one["buyer"]}, {"buyer": choose(BUYERS)}))
            return members_of("cancel_purchase", one["event_id"], request_id, purchase=one["request_id"], **buyer)
        if roll < 0.32:
            return members_of("add_tickets", event_id, request_id, count=self.random.randint(1, 6))
        if roll < 0.33:
            return members_of("close_event", event_id, request_id)
        return members_of("purchase", event_id, request_id, buyer=choose(BUYERS), quantity=choose((1, 1, 2, 3, 5)))

    def _by_the_present_one(self, event_id: str, request_id: str, roll: float) -> Members:
        event = self._truth.event(event_id)
        if roll < 0.06:
            return self._by_all_releases(event_id, request_id, self.random.random())
        if event is None:
            return self.creation(event_id, "c-1") if roll < 0.5 else self._purchase(event_id, request_id, None)
        if roll < 0.45:
            return self._about_a_purchase(event, request_id)
        if roll < 0.58:
            return self._about_the_event(event, request_id)
        return self._purchase(event_id, request_id, event)

    # Events

    def creation(self, event_id: str, request_id: str) -> Members:
        """A create_event."""
        limit = self.random.choice(({}, {}, {"max_per_order": 4}))
        terms = self._terms_of_the_present_release() if self.is_new_known else {}
        if "categories" not in terms:
            terms |= {"capacity": self.random.randint(1, 25), "price": {"amount": 4500, "currency": "EUR"}}
        return members_of(
            "create_event",
            event_id,
            request_id,
            name="Night at the Opera",
            venue="Große Halle",
            # As different languages write it.
            starts_at="2027-03-01T19:30+01:00" if request_id == "c-2" else "2027-03-01T19:30:00Z",
            **limit,
            **terms,
        )

    def _terms_of_the_present_release(self) -> Members:
        choose = self.random.choice
        terms: Members = choose(({}, {"hold_s": 60}, {"hold_s": 60}, {"hold_s": 600}))
        terms = terms | choose(({}, {"max_per_buyer": 3}, {"max_per_buyer": 6})) | self._times(0.1) | choose(ACTORS)
        if self.random.random() < 0.6:
            some = self.random.sample(CATEGORY_IDS, self.random.randint(1, 3))
            terms["categories"] = [self._category(category) for category in some]
        return terms

    def _category(self, category: str) -> Members:
        price = {"amount": self.random.choice((0, 1500, 4500)), "currency": "EUR"}
        return {"id": category, "name": f'The "{category}"', "capacity": self.random.randint(1, 12), "price": price}

    def _times(self, chance: float) -> Members:
        """When the sale opens and ends, some time from now."""
        times = {}
        for name, within_s in (("on_sale_at", 60), ("off_sale_at", 1200)):
            if self.random.random() < chance:
                times[name] = at_text(self._now_ms() + self.random.randint(-10_000, within_s * 1000))
        return times

    def _about_the_event(self, event: Event, request_id: str) -> Members:
        choose, roll = self.random.choice, self.random.random()
        ids = [category.id for category in event.categories]
        some: Members = choose(({}, {"category": choose((*ids, NOWHERE))}))
        count = self.random.randint(1, 6)
        if (event.closed or event.cancelled) and roll < 0.5:
            return self._of(event, "archive_event", request_id)
        if roll < 0.25:
            return self._of(event, "add_tickets", request_id, count=count, **some)
        if roll < 0.45:
            return self._of(event, "remove_tickets", request_id, count=count, **some)
        if roll < 0.85:
            return self._change(event, request_id, ids)
        kind = choose(("close_event", "cancel_event", "archive_event"))
        return self._of(event, kind, request_id)

    def _change(self, event: Event, request_id: str, ids: list[str]) -> Members:
        choose = self.random.choice
        given: Members = {
            **choose(({}, {"name": 'Night "2"'}, {"venue": "Kleine Halle"})),
            **choose(({}, {"hold_s": 0}, {"hold_s": 60}, {"max_per_buyer": choose((0, 8))}, {"max_per_order": 0})),
            **self._times(0.05),
        }
        if self.random.random() < 0.4:
            given["prices"] = [{"category": choose((*ids, *ids, NOWHERE)), "amount": choose((0, 70, 4500))}]
        return self._of(event, "change_event", request_id, **given)

    def _of(self, event: Event, kind: str, request_id: str, **members: Any) -> Members:
        return members_of(kind, event.event_id, request_id, **members, **self.random.choice(ACTORS))

    # Purchases

    def _purchase(self, event_id: str, request_id: str, event: Event | None) -> Members:
        choose, roll = self.random.choice, self.random.random()
        ids = [category.id for category in event.categories] if event is not None else list(CATEGORY_IDS)
        if roll < 0.3:
            lines = [{"category": one, "quantity": choose((1, 1, 2, 3))} for one in self.random.sample(ids, len(ids))]
            wanted: Members = {"lines": lines[: choose((1, 2, 3))]}
        else:
            wanted = {"quantity": choose((1, 1, 2, 3, 5)), "category": choose((*ids * 8, NOWHERE))}
            if wanted["category"] == "general" and roll < 0.7:
                del wanted["category"]
        return members_of("purchase", event_id, request_id, buyer=choose(BUYERS), **wanted, **choose(ACTORS))

    def _about_a_purchase(self, event: Event, request_id: str) -> Members:
        """Pay for one that is there, look whether it is due, or give tickets of it back."""
        purchase = self._some_purchase(event)
        if self.random.random() < 0.05:
            return self._for_nothing(event, request_id)
        if purchase is None:
            return self._purchase(event.event_id, request_id, event)
        choose, (id_, found) = self.random.choice, purchase
        kinds = ["pay", "pay", "pay", "expire", "expire", "give back", "give back"]
        if found.state in (State.HELD, State.EXPIRED):
            kinds += ["pay", "expire", "expire"]
        match choose(kinds):
            case "pay":
                amount = event.amount_of(found.runs, event.lines_of(found)) + choose((0, 0, 0, 0, 0, 1))
                paid = {"payment": f"pay-{self.random.randrange(50)}", "amount": amount, "currency": "EUR"}
                return self._of(event, "confirm_purchase", request_id, purchase=id_, **paid)
            case "expire":
                derived = f"expire:{sha256(id_.encode()).hexdigest()[:32]}"
                again = choose((derived, derived, request_id))
                return members_of("expire_hold", event.event_id, again, purchase=id_)
        tickets = event.tickets(found.runs)
        some: Members = {"tickets": self.random.sample(tickets, self.random.randint(1, len(tickets)))}
        if self.random.random() < 0.1:
            some["tickets"].append(f"{event.event_id}-999999")
        buyer = choose(({}, {"buyer": found.buyer}, {"buyer": choose(BUYERS)}))
        return self._of(event, "cancel_purchase", request_id, purchase=id_, **buyer, **choose(({}, some)))

    def _for_nothing(self, event: Event, request_id: str) -> Members:
        """About a purchase that there is not: it was refused, is another request, or never came."""
        purchase = self.random.choice(("c-1", "r-1", "never"))
        paid = {"payment": f"pay-{self.random.randrange(50)}", "amount": 4500, "currency": "EUR"}
        kind = self.random.choice(("confirm_purchase", "expire_hold", "cancel_purchase"))
        return self._of(event, kind, request_id, purchase=purchase, **(paid if kind == "confirm_purchase" else {}))

    def _some_purchase(self, event: Event) -> tuple[str, Accepted] | None:
        """One that has changed lately, or another one; most likely one that is not paid for."""
        known = list(event.accepted)
        some = (*known[-1:-6:-1], *self.random.sample(known, min(9, len(known))))
        found = [(id_, purchase) for id_ in some if (purchase := event.purchase(id_)) is not None]
        owed = [one for one in found if one[1].state in (State.HELD, State.EXPIRED)]
        chosen = owed if owed and self.random.random() < 0.6 else found
        return self.random.choice(chosen) if chosen else None


def members_of(kind: str, event_id: str, request_id: str, **members: Any) -> Members:
    """The members of a command."""
    return {"type": kind, "event_id": event_id, "request_id": request_id, **members}


def serialized(members: Members) -> bytes:
    """A command as its sender's language writes it: some write null for what was not set, and others leave it out."""
    if members["request_id"][-1] not in "13579":
        return json.dumps(members).encode()
    if members.get("quantity") == 1 and members["type"] == "purchase":
        members = {**members, "quantity": None}
    return json.dumps({"buyer": None, "count": None, **members}).encode()
