"""docs/messages.md says what the definitions say, and shows what is published."""

from __future__ import annotations

import json
import re
from typing import Any

from boxoffice.schema.examples import FURTHER_COMMANDS, further_facts
from boxoffice.schema.headers import HEADERS
from boxoffice.schema.payloads import FACTS, STATISTICS
from boxoffice.settings import StatisticsSettings
from models.commands import BY_TYPE, MAX_COMMAND_BYTES, MAX_HEADER_BYTES
from models.figures import BUCKETS
from models.reasons import PaymentReason, Reason
from tests.unit.test_schema import DOCS, MEMBERS, SCHEMAS, Json, resolve
from topics import TOPICS, dead_letters
from topics.definition import DAY_MS

GUIDE = (DOCS / "messages.md").read_text(encoding="utf-8")


def tables() -> list[list[list[str]]]:
    """The guide's tables, as rows of cells, with the head row and without the ruler."""
    found = re.findall(r"(?:^\|.*\|\n)+", GUIDE, re.MULTILINE)
    rows = [[[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()] for table in found]
    return [[table[0], *table[2:]] for table in rows]


def table(head: str) -> list[list[str]]:
    """The rows of the first table whose first column is so named."""
    return next(rows[1:] for rows in tables() if rows[0][0] == head)


def code(cell: str) -> str:
    return cell.strip("`")


def test_the_guide_shows_every_message_as_it_is() -> None:
    """The example of each type first; others of a type are examples too."""
    shown: dict[str, list[Json]] = {}
    for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL):
        message = json.loads(block)
        shown.setdefault(message.get("type", STATISTICS), []).append(message)
    assert {type_: messages[0] for type_, messages in shown.items()} == MEMBERS
    for type_, messages in shown.items():
        others = [FURTHER_COMMANDS.get(type_), *(fact for fact in further_facts() if fact["type"] == type_)]
        assert all(message in others for message in messages[1:]), type_


def test_the_guides_topics_are_the_definitions() -> None:
    def kept(config: Any) -> str:
        if config["cleanup.policy"] == "compact":
            return "compacted"
        retention_ms = int(config["retention.ms"])
        return "for ever" if retention_ms < 0 else f"{retention_ms // DAY_MS} days"

    told = [[code(row[0]), *row[1:]] for row in table("topic")]
    assert told == [[topic.name, topic.holds, topic.key, kept(topic.config)] for topic in TOPICS]


def test_the_guides_reasons_are_the_definitions() -> None:
    assert [code(row[0]) for row in table("reason")] == [reason.value for reason in Reason]
    assert [code(row[0]) for row in table("refused payment")] == [reason.value for reason in PaymentReason]


def test_the_guide_says_of_every_command_which_facts_answer_it() -> None:
    rows = {code(row[0]): {*re.findall(r"`(\w+)`", row[1])} for row in table("command")}
    assert rows.keys() == BY_TYPE.keys()
    facts = set().union(*rows.values())
    assert facts == FACTS.keys() - {"command_rejected", "command_forwarded", "command_unreadable", "offsets_passed"}


def _bounds(schema: Any, whole: Json) -> set[int]:
    """Every bound in a member's schema, but the ones that a pattern hides."""
    if isinstance(schema, list):
        return {bound for item in schema for bound in _bounds(item, whole)}
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return _bounds(resolve(whole, schema["$ref"]), whole)
    own = {schema[name] for name in BOUNDS if name in schema}
    return own | {bound for item in schema.values() for bound in _bounds(item, whole)}


BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
OF_ALL = {"type", "event_id", "request_id", "actor"}


def test_the_guides_bounds_are_the_definitions() -> None:
    rows = {(code(row[0]), code(of)): row for row in table("member") for of in row[1].split(", ")}
    defined = {
        (member, "all" if member in OF_ALL else name): (schema, SCHEMAS[name])
        for name in BY_TYPE
        for member, schema in SCHEMAS[name]["properties"].items()
    }
    assert rows.keys() == defined.keys()
    for (member, of), (schema, whole) in defined.items():
        told = {int(number) for number in re.findall(r"\d+", rows[member, of][2])}
        expected = _bounds(schema, whole)
        if member in {"request_id", "purchase", "payment"}:
            expected = {1, 64}
            assert "{1,64}" in schema["pattern"]
        if member not in {"type", "event_id"} and "_at" not in member:
            assert expected <= told, member
        if of != "all":
            assert (rows[member, of][3] == "yes") == (member in whole["required"]), member


def test_the_guides_figures_are_the_definitions() -> None:
    told = [code(name) for row in table("figure") for name in row[0].split(", ")]
    assert sorted(told) == sorted(SCHEMAS[STATISTICS]["properties"])
    assert f"in each of {BUCKETS} seconds or minutes" in GUIDE
    assert f"`BOXOFFICE_STATS_INTERVAL_MS` ({StatisticsSettings.model_fields['interval_ms'].default} ms" in GUIDE


def test_the_guides_sizes_are_the_definitions() -> None:
    assert f"at most {MAX_COMMAND_BYTES} bytes" in GUIDE
    assert f"together at most {MAX_HEADER_BYTES} " in GUIDE


def test_the_guides_headers_are_the_definitions() -> None:
    facts, letters = (rows[1:] for rows in tables() if rows[0][0] == "header")
    assert {code(row[0]) for row in facts} == HEADERS["factHeaders"]["properties"].keys()
    cloud_event = ["ce_specversion", "ce_source", "ce_type", "ce_id", "ce_time", "content-type"]
    assert [code(row[0]) for row in letters] == [
        *cloud_event,
        dead_letters.REASON_HEADER,
        dead_letters.POSITION_HEADER,
        dead_letters.TICKET_HEADER,
        dead_letters.CUT_HEADER,
    ]


def test_the_guides_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in GUIDE.splitlines() if line[:1] == "#"
    }
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target[1:] in headings if target.startswith("#") else (DOCS / target.partition("#")[0]).exists(), target
