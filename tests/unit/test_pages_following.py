"""How the pages follow what sells: their own modules, run by node, with streams and clocks that do as they are told."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.support.figures import written
from tests.support.node import needs_node, run

pytestmark = [*needs_node]

FOLLOW: Final = """
const [module, steps] = given;
const timers = new Map();
globalThis.setTimeout = (wake, ms) => { const id = timers.size + 1; timers.set(id, { wake, ms }); return id; };
globalThis.clearTimeout = (id) => timers.delete(id);
const sources = [];
globalThis.EventSource = class {
  static CLOSED = 2;
  constructor() { this.readyState = 0; this.listeners = {}; sources.push(this); }
  addEventListener(name, heard) { this.listeners[name] = heard; }
  close() { this.readyState = 2; }
};
const { follow } = await import(module);
const told = [];
const end = follow("/v1/stream", {
  figures: ({ event_id: id, seq }) => told.push(`${id}-${seq}`),
  removed: (id) => told.push(`removed ${id}`),
  state: (state) => told.push(state),
});
const waits = () => [...timers.values()].map(({ ms }) => ms);
const waited = [];
for (const [name, data] of steps) {
  const source = sources.at(-1);
  if (name === "silence") [...timers.values()].forEach(({ wake }) => wake());
  else if (name === "refused") { source.readyState = 2; source.listeners.error(); }
  else source.listeners[name]({ data });
  waited.push(waits());
}
const open = sources.filter(({ readyState }) => readyState !== 2).length;
end();
console.log(JSON.stringify({ told, waited, sources: sources.length, open, left: timers.size }));
"""


def followed(*steps: tuple[str, str | None]) -> Any:
    return run(FOLLOW, "stream.js", steps)


OPEN: Final = ("open", None)
BEAT: Final = ("beat", "")
SILENCE: Final = ("silence", None)
FIGURES: Final = ("stats", written("42", 7)[1].decode())


def test_what_changes_is_told_and_what_is_no_figures_is_not() -> None:
    found = followed(OPEN, FIGURES, ("stats", "{}"), ("stats", "tickets please"), ("removed", '{"event_id":"42"}'))
    assert found["told"] == ["live", "42-7", "removed 42"]
    assert (found["sources"], found["open"], found["left"]) == (1, 1, 0)


def test_a_stream_on_which_nothing_is_heard_is_opened_anew_and_the_old_one_is_closed() -> None:
    found = followed(OPEN, BEAT, SILENCE, OPEN)
    assert found["told"] == ["live", "reconnecting", "live"]
    assert (found["sources"], found["open"]) == (2, 1)


def test_whatever_is_heard_begins_the_wait_anew_and_there_is_one_wait() -> None:
    found = followed(OPEN, FIGURES, BEAT, ("removed", '{"event_id":"42"}'))
    assert found["waited"] == [[40_000]] * 4


def test_a_stream_that_is_refused_is_opened_again_after_longer_and_longer() -> None:
    found = followed(*[("refused", None), SILENCE] * 8, OPEN, ("refused", None))
    pauses = [one for [one] in found["waited"] if one != 40_000]
    bounds = [*(min(2 ** (at + 1), 30) for at in range(8)), 2]
    assert all(500 * bound <= pause <= 1_500 * bound for pause, bound in zip(pauses, bounds, strict=True))
    assert found["told"][-2:] == ["live", "reconnecting"]


def test_a_connection_that_broke_is_left_to_the_browser_which_opens_it_again() -> None:
    found = followed(OPEN, ("error", None), OPEN)
    assert (found["told"], found["sources"]) == (["live", "reconnecting", "live"], 1)


EVENTS: Final = """
const [module, waiting, taken, wanted] = given;
const asked = [];
globalThis.fetch = async (url) => {
  asked.push(url);
  const [status, body] = waiting.shift();
  return new Response(JSON.stringify(body), { status });
};
const { Events } = await import(module);
const events = new Events();
const news = taken.map((figures) => events.take(figures).isNew);
const isThere = wanted === null ? null : await events.loadOne(wanted);
let failure = null;
try {
  if (waiting.length > 0) await events.load((figures) => events.take(figures));
} catch (error) {
  failure = error.message;
}
const ids = events.all().map(({ event_id: id }) => id);
console.log(JSON.stringify({ asked, news, isThere, failure, ids, isCut: events.isCut }));
"""


def figures(event_id: int, seq: int = 1) -> Any:
    return json.loads(written(str(event_id), seq)[1])


def page(first: int, cursor: str | None, count: int = 100) -> Any:
    return [200, {"events": [figures(number) for number in range(first, first + count)], "next_cursor": cursor}]


def loaded(*pages: Any, taken: list[Any] | None = None, one: str | None = None) -> Any:
    return run(EVENTS, "events.js", pages, taken or [], one)


def test_figures_are_taken_if_they_are_newer_and_all_pages_are_asked_for() -> None:
    found = loaded(
        page(1, "2", 2), page(9, None, 2), taken=[figures(10, 5), figures(10, 5), figures(10, 4), figures(7)]
    )
    assert found["news"] == [True, False, False, True]
    # What the server has no more is forgotten, and 9 stands before 10.
    assert (found["ids"], found["isCut"]) == (["1", "2", "9", "10"], False)
    assert found["asked"] == ["/v1/events?limit=100", "/v1/events?limit=100&cursor=2"]


def test_no_more_events_are_known_than_a_person_reads_and_it_is_said() -> None:
    found = loaded(*(page(1 + 100 * number, "1") for number in range(20)), taken=[figures(9_999)])
    assert (len(found["ids"]), found["isCut"], len(found["asked"])) == (2_000, True, 20)
    # The one that somebody came for is among them.
    assert "9999" in found["ids"]


@pytest.mark.parametrize(
    ("wanted", "answers", "is_there", "asked"),
    [
        ("42", [[200, figures(42)]], True, ["/v1/events/42"]),
        ("42", [[404, {}]], False, ["/v1/events/42"]),
        ("../operator", [], False, []),
        ("042", [], False, []),
    ],
)
def test_an_event_that_somebody_came_for_is_asked_for_by_its_id(
    wanted: str, answers: Any, is_there: bool, asked: list[str]
) -> None:
    found = loaded(*answers, one=wanted)
    assert (found["isThere"], found["asked"]) == (is_there, asked)


def test_a_server_that_cannot_answer_is_no_server_without_events() -> None:
    found = loaded([503, {"title": "Not loaded."}], taken=[figures(42)])
    assert (found["failure"], found["ids"]) == ("The server answered 503.", ["42"])
