"""The hub: who is told what, when it is told together, and who is cut off. Transports stand in for connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from boxoffice import metrics
from boxoffice.live import framing
from boxoffice.live.hub import AT_ONCE, BEAT_S, Hub, Stream
from boxoffice.statistics.states import EventStates
from tests.support.figures import states_of, written

MOST_BUFFERED = 1_000


class Line:
    """What a viewer is sent."""

    def __init__(self, *, buffered: int = 0) -> None:
        self.sent = b""
        self.buffered = buffered
        self.closing = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.aborted
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.closing or self.aborted

    def abort(self) -> None:
        self.aborted = True


def hub_of(states: EventStates, interval_s: float = 0) -> Hub:
    return Hub(states, interval_s, MOST_BUFFERED)


def watch(hub: Hub, event_id: str | None, line: Line | None = None, *, is_chunked: bool = False) -> tuple[Stream, Line]:
    line = line or Line()
    ended = asyncio.get_running_loop().create_future()
    stream = Stream(cast(asyncio.Transport, line), event_id, ended, is_chunked=is_chunked)
    hub.join(stream)
    return stream, line


def read(sent: bytes) -> list[tuple[str, str, Any]]:
    """Name, id and data of each server-sent event, by the rules of the HTML standard."""
    told = []
    for block in sent.decode().split("\n\n"):
        members = [line.partition(":")[::2] for line in block.split("\n")]
        fields = {name: value.removeprefix(" ") for name, value in members if name}
        if fields.get("data"):
            told.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return told


def names(line: Line) -> list[str]:
    return [event_id for _, event_id, _ in read(line.sent)]


async def test_who_watches_an_event_is_told_how_it_is_and_what_changes_and_of_no_other() -> None:
    states = states_of(("42", 1), ("7", 1))
    hub = hub_of(states)
    _, line = watch(hub, "42")
    assert names(line) == ["42-1"]
    states.take(*written("42", 2))
    states.take(*written("7", 2))
    await hub.tell_changes()
    [_, (name, event_id, figures)] = read(line.sent)
    assert (name, event_id, figures) == ("stats", "42-2", json.loads(written("42", 2)[1]))


async def test_who_watches_all_is_told_of_all_in_the_order_of_the_changes() -> None:
    states = states_of(("42", 1), ("7", 1))
    hub = hub_of(states)
    _, line = watch(hub, None)
    states.take(*written("42", 2))
    states.take(*written("7", 2))
    states.take(*written("42", 3))
    await hub.tell_changes()
    assert names(line) == ["7-2", "42-3"]
    await hub.tell_changes()
    assert names(line) == ["7-2", "42-3"]


async def test_what_changes_within_the_interval_is_told_together() -> None:
    states = states_of(("42", 1))
    hub = hub_of(states, interval_s=3_600)
    _, line = watch(hub, "42")
    running = asyncio.create_task(hub.run())
    for seq in range(2, 50):
        states.take(*written("42", seq))
        hub.wake()
    while names(line)[-1] != "42-49":
        await asyncio.sleep(0)
    # From here on the interval runs, which lasts longer than the test.
    states.take(*written("42", 50))
    hub.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert names(line) == ["42-1", "42-49"]
    running.cancel()
    await asyncio.wait([running])


async def test_what_nobody_was_told_makes_nobody_wait() -> None:
    """As what was read before anybody came: the first change that somebody sees is told at once."""
    states = states_of(("42", 1))
    hub = hub_of(states, interval_s=3_600)
    running = asyncio.create_task(hub.run())
    states.take(*written("7", 2))
    hub.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    _, line = watch(hub, "42")
    states.take(*written("42", 2))
    hub.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert names(line) == ["42-1", "42-2"]
    running.cancel()
    await asyncio.wait([running])


async def test_who_comes_while_others_are_told_is_told_nothing_older_than_he_knows() -> None:
    states = states_of(("7", 1), ("42", 1))
    hub = hub_of(states)
    for _ in range(AT_ONCE):
        watch(hub, "7")
    states.take(*written("7", 2))
    states.take(*written("42", 2))
    telling = asyncio.create_task(hub.tell_changes())
    await asyncio.sleep(0)
    states.take(*written("42", 3))
    _, line = watch(hub, "42")
    await telling
    assert names(line) == ["42-3", "42-3"]


async def test_an_event_that_turned_out_to_be_none_is_told() -> None:
    states = states_of(("42", 1))
    hub = hub_of(states)
    _, line = watch(hub, "42")
    states.take(b"42", None)
    await hub.tell_changes()
    assert read(line.sent)[1:] == [("removed", "", {"event_id": "42"})]


async def test_who_does_not_take_what_he_is_sent_is_cut_off_and_nobody_waits() -> None:
    states = states_of(("42", 1))
    hub = hub_of(states)
    slow, quick = Line(buffered=MOST_BUFFERED + 1), Line(buffered=MOST_BUFFERED)
    watch(hub, "42", slow)
    watch(hub, "42", quick)
    states.take(*written("42", 2))
    await hub.tell_changes()
    assert (slow.aborted, names(slow), quick.aborted, names(quick)) == (True, ["42-1"], False, ["42-1", "42-2"])


async def test_nothing_is_written_to_who_is_gone_or_has_been_ended() -> None:
    states = states_of(("42", 1))
    hub = hub_of(states)
    (gone, first), (_, closing), (ended, third) = (watch(hub, "42") for _ in range(3))
    hub.leave(gone)
    closing.closing = True
    ended.end()
    states.take(*written("42", 2))
    await hub.tell_changes()
    assert [names(line) for line in (first, closing, third)] == [["42-1"]] * 3
    assert len(hub) == 2


@pytest.mark.parametrize("watchers", [AT_ONCE * 2 + 1])
async def test_others_get_their_turn_while_many_are_told(watchers: int) -> None:
    states = states_of(("42", 1))
    hub = hub_of(states)
    lines = [watch(hub, "42")[1] for _ in range(watchers)]
    states.take(*written("42", 2))
    telling = asyncio.create_task(hub.tell_changes())
    await asyncio.sleep(0)
    told = sum(b"42-2" in line.sent for line in lines)
    assert 0 < told <= AT_ONCE
    await telling
    assert all(names(line) == ["42-1", "42-2"] for line in lines)


async def test_beats_are_spread_over_the_seconds() -> None:
    hub = hub_of(states_of(("42", 1)))
    for _ in range(2 * BEAT_S):
        watch(hub, "42")
    assert [len(slot) for slot in hub._slots] == [2] * BEAT_S


async def test_updates_are_counted_that_were_sent() -> None:
    states = states_of(("42", 1))
    hub = hub_of(states)
    watch(hub, "42")
    for line in (Line(buffered=MOST_BUFFERED + 1), Line()):
        watch(hub, "42", line)
    line.closing = True
    before = sends()
    states.take(*written("42", 2))
    await hub.tell_changes()
    assert sends() == before + 1


def sends() -> float:
    return metrics.LIVE.get_sample_value("boxoffice_stream_sends_total") or 0


async def test_all_streams_are_ended_once_and_leave_nothing_behind() -> None:
    hub = hub_of(states_of(("42", 1)))
    streams = [watch(hub, event_id)[0] for event_id in (None, "42", "42") * AT_ONCE]
    await hub.end()
    await hub.end()
    assert all(stream.ended.done() for stream in streams)
    for stream in streams:
        hub.leave(stream)
        hub.leave(stream)
    assert (len(hub), hub._of_event, hub._of_all) == (0, {}, set())


async def test_a_stream_of_http_1_1_gets_chunks() -> None:
    hub = hub_of(states_of(("42", 1)))
    _, plain = watch(hub, "42")
    _, chunked = watch(hub, "42", is_chunked=True)
    size, _, rest = chunked.sent.partition(b"\r\n")
    assert rest == plain.sent + b"\r\n"
    assert int(size, 16) == len(plain.sent)


def test_frames_are_what_the_standard_of_server_sent_events_asks_for() -> None:
    [state] = states_of(("42", 3)).newest(1)
    assert framing.update(state) == b"event: stats\nid: 42-3\ndata: " + state.body + b"\n\n"
    assert framing.retry(2_500).plain == b"retry: 2500\n\n"
    # With a field of data, though an empty one: without it nobody would be told.
    assert framing.BEAT == (b"event: beat\ndata:\n\n", b"13\r\nevent: beat\ndata:\n\n\r\n")
    assert [name for name, _, _ in read(framing.updates([state, state]))] == ["stats", "stats"]
