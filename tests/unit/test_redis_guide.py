"""The page about Redis says what stands there."""

from __future__ import annotations

import re
from typing import Any

from lua.keys import (
    drill_key,
    event_keys,
    event_statistics_key,
    global_statistics_key,
    loading_keys,
    probe_key,
    process_key,
    rebuild_key,
)
from lua.records import record
from models.accepted import unpack
from tests.integration.redis_tables import (
    HOME,
    Table,
    addition,
    at_home,
    calling_off,
    cancellation,
    creation,
    order,
    purchase,
    removal,
)
from tests.support.office import ROOT

GUIDE = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")


def tables() -> tuple[list[str], list[str]]:
    """The keys and the fields that the page's tables name, without the ids of categories."""
    keys, fields = (part.partition("\n\n## ")[0] for part in GUIDE.split("|---|---|---|\n")[1:])
    return [named for row in keys.splitlines() for named in first_cell(row)], [
        named for row in fields.splitlines() for named in first_cell(row)
    ]


def first_cell(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row.split("|")[1]) if row.startswith("|") else []


def hall() -> dict[str, Any]:
    priced = {"stalls": (20, 4500), "box-1": (4, 9000)}
    return {
        "categories": [
            {"id": id_, "name": id_.title(), "capacity": capacity, "price": {"amount": amount, "currency": "EUR"}}
            for id_, (capacity, amount) in priced.items()
        ],
        "hold_s": 600,
    }


def plain() -> Table:
    table = Table()
    table.take(at_home([creation(), purchase("r-1", 2), purchase("r-2"), addition("a-1", 5)]))
    table.take(at_home([cancellation("x-1", "r-2")], 4))
    return table


def of_categories() -> Table:
    table = Table()
    bought = order("r-1", "7", "b-2", **{"stalls": 2, "box-1": 1})
    table.take(at_home([creation("7", "c-1", **hall()), bought], 1))
    return table


def of_the_first_rules() -> Table:
    table = Table(first_rules={"42"})
    table.take(at_home([creation(), purchase("r-1"), cancellation("x-1", "r-1")]))
    return table


def record_of(table: Table, request_id: str, event_id: str = "42") -> str:
    event = table.event(event_id)
    return record(event, request_id, unpack(event.accepted[request_id]), HOME)


def test_the_keys_are_those_that_there_are() -> None:
    live = event_keys("", "42", ("general", "stalls"))
    assert tables()[0] == [
        *live.all,
        loading_keys("", "42", "ATTEMPT").meta,
        event_statistics_key("", "42"),
        global_statistics_key(""),
        process_key("", "NAME", "INSTANCE"),
        drill_key(""),
        rebuild_key(""),
        probe_key(""),
    ]


def test_the_fields_of_meta_are_those_that_there_are() -> None:
    first = of_the_first_rules()
    first.take(at_home([removal("m-1", 1), calling_off("z-1")], 3))
    metas = [plain().copy().meta, of_categories().copy("7").meta, first.copy().meta]
    found = {field.partition(":")[0] for meta in metas for field in meta}
    assert sorted(tables()[1]) == sorted(found)


def test_what_is_said_of_the_rules_is_so() -> None:
    """Which fields an event of rules 1 has, without and with what these rules did not know."""
    first = of_the_first_rules()
    later = {"held", "removed", "first_price", "categories", "rules_since", "cancelled"}
    later |= {"on_sale_at", "off_sale_at", "hold_s", "max_per_buyer"}
    assert set(tables()[1]) - set(first.copy().meta) == later
    assert set(plain().copy().meta) >= later - {"categories"}
    first.take(at_home([removal("m-1", 1), calling_off("z-1")], 3))
    assert set(first.copy().meta) & later == {"removed", "cancelled"}


def test_the_records_are_what_is_written() -> None:
    shown = [line for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]
    assert shown == [
        record_of(plain(), "r-1"),
        record_of(plain(), "r-2"),
        record_of(of_categories(), "r-1", "7"),
        record_of(plain(), "a-1"),
        record_of(of_the_first_rules(), "c-1"),
        record_of(of_the_first_rules(), "x-1"),
    ]
