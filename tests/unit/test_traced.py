"""The spans of a command over HTTP, and of a ticket's document: below whom they stand, and that they harm nobody."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from boxoffice.documents.drawing import Drawn
from boxoffice.documents.errors import DrawingError
from boxoffice.documents.making import Making
from boxoffice.documents.queue import Job, Order
from boxoffice.documents.traced import DRAWING, MAKING, REMOVING, STORING
from boxoffice.documents.traced import SENDING as ANNOUNCING
from boxoffice.gateway.answers import Answers
from boxoffice.gateway.lanes import Lanes
from boxoffice.gateway.messages import Problem
from boxoffice.gateway.traced import SENDING
from boxoffice.gateway.waiters import Outcome, Result, Waiter, Waiters
from boxoffice.settings import load_settings
from models.facts import write_fact
from models.shapes import PurchaseCancelled, PurchaseConfirmed
from tests.support.settings import changed
from tests.support.traces import HOSTILE, ODD, PARENT_ID, SAMPLED, TRACE_ID, UNSAMPLED, Written, ids
from tests.unit.gateway_requests import answered
from tests.unit.records import record
from tests.unit.test_documents import cancellation, sale
from tests.unit.test_flawed_documents import Announcer, Pages
from tests.unit.test_gateway_posting import SHOP, Bench

PDF = b"%PDF"


def traced_bench(written: Written) -> Bench:
    """A shop whose commands may be traced."""
    bench = Bench()
    bench.posting._tracing = written.tracing
    return bench


async def published_header(bench: Bench, **headers: str) -> str | None:
    """The ``traceparent`` with which a purchase is published."""
    await answered(bench.posting.purchase(bench.request(**headers), "42"))
    value = bench.desk.published[-1][2].get("traceparent")
    return value.decode() if value is not None else None


async def test_a_command_over_http_names_the_span_of_its_publishing() -> None:
    written = Written("gateway")
    bench = traced_bench(written)
    header = await published_header(bench, traceparent=SAMPLED)
    [sending], [whole] = written.named(SENDING), written.named("purchase")
    assert ids(whole)[::2] == (TRACE_ID, PARENT_ID)
    assert ids(sending)[::2] == ids(whole)[:2]
    assert header == f"00-{TRACE_ID}-{ids(sending)[1]}-01"
    assert (whole.kind, sending.kind) == (SpanKind.SERVER, SpanKind.PRODUCER)
    assert dict(whole.attributes or {}) == {
        "boxoffice.event_id": "42",
        "boxoffice.request_id": f"{SHOP}:k-1",
        "boxoffice.answer": "answered",
    }


async def test_a_caller_who_has_no_trace_gets_one_so_many_times_a_second() -> None:
    written = Written("gateway", begun_rate=1)
    bench = traced_bench(written)
    first = await published_header(bench)
    assert first is not None
    assert first.endswith("-01")
    assert [await published_header(bench) for _ in range(3)] == [None] * 3
    [whole] = written.named("purchase")
    assert whole.parent is None


@pytest.mark.parametrize("header", [UNSAMPLED, *ODD, *HOSTILE])
async def test_a_purchase_is_made_whatever_its_traceparent_says(header: str) -> None:
    """What names no parent goes on as it came where no trace begins here, as it did before there were any."""
    published = await published_header(traced_bench(Written("gateway")), traceparent=header)
    assert published == header or (published is not None and published.endswith("-01") and len(published) == 55)
    cut = await published_header(traced_bench(Written("gateway", begun_rate=0, most_rate=0)), traceparent=header)
    assert cut == await published_header(Bench(), traceparent=header)


async def test_who_is_not_let_in_uses_up_no_trace() -> None:
    written = Written("gateway", begun_rate=1)
    bench = traced_bench(written)
    for refused in (bench.request(key="nobody"), bench.request(body={})):
        with pytest.raises(Problem):
            await answered(bench.posting.purchase(refused, "42"))
    assert written.spans() == []
    assert await published_header(bench) is not None


async def test_what_no_broker_acknowledged_is_an_error() -> None:
    written = Written("gateway")
    bench = traced_bench(written)
    bench.desk.result = Result(Outcome.UNKNOWN)
    with pytest.raises(Problem):
        await answered(bench.posting.purchase(bench.request(), "42"))
    assert [span.status.is_ok or span.status.is_unset for span in written.spans()] == [False, False]


async def test_a_caller_who_goes_away_leaves_spans_that_say_so() -> None:
    written = Written("gateway")
    bench = traced_bench(written)
    bench.desk.result = None
    asking = asyncio.create_task(answered(bench.posting.purchase(bench.request(), "42")))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [whole] = written.named("purchase")
    assert whole.status.description == "the caller has gone away"


async def test_a_fault_in_tracing_sells_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written("gateway")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    for name in ("begin", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(written.tracing, name, fail)
            bench = traced_bench(written)
            assert (await answered(bench.posting.purchase(bench.request(), "42"))).status == 201


async def test_a_command_that_landed_says_when() -> None:
    """By which the span of its publishing ends."""

    class Sender:
        def __init__(self) -> None:
            self.acknowledged = asyncio.get_running_loop().create_future()

        def create_batch(self) -> Any:
            return self

        def append(self, **_: object) -> object:
            return self

        async def send(self, *_: object) -> Any:
            return self

    waiters = Waiters(0.0)
    answers = Answers(1, waiters, 1.0)
    sender: Any = Sender()
    lanes = Lanes(sender, 1, answers, lambda error: pytest.fail(repr(error)))
    waiter = Waiter(0, "r-1")
    lanes.put(waiter, b"42", b"{}", [])
    await asyncio.sleep(0.01)
    assert waiter.landed_ns == 0
    sender.offset = 7
    sender.acknowledged.set_result(sender)
    await asyncio.sleep(0)
    assert (waiter.landed, waiter.landed_ns > 10**18) == (7, True)


# Documents


class Paperwork:
    """The documents process with a store of its own, and nobody else."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, written: Written | None) -> None:
        settings = changed(load_settings(), documents_url=(folder / "documents").as_uri())
        pages: Any = Pages()
        nobody: Any = None
        traces = written.tracing if written is not None else None
        self.making = Making(settings.kafka, settings.documents, nobody, pages, nobody, nullcontext, tracing=traces)
        self.announcer = Announcer()
        monkeypatch.setattr(self.making, "_announcer", self.announcer)
        monkeypatch.setattr(self.making, "_draw", self.draw)
        self.fails = False

    async def draw(self, *_: object) -> Drawn:
        if self.fails:
            raise DrawingError("it hangs")
        return Drawn(PDF, sha256(PDF).hexdigest(), ())

    async def do(self, fact: PurchaseConfirmed | PurchaseCancelled, trace: bytes | None = SAMPLED.encode()) -> Job:
        """Make or remove the first ticket's document."""
        headers = (("traceparent", trace),) if trace is not None else ()
        job = Job(Order(fact, record(5, write_fact(fact), headers=headers)), fact["tickets"][0])
        async with asyncio.timeout(30):
            await self.making._do(job)
        return job


async def test_a_document_s_spans_stand_below_its_fact_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written("documents")
    paperwork = Paperwork(tmp_path, monkeypatch, written)
    fact = sale()
    await paperwork.do(fact)
    sent = written.tracing.follow(SAMPLED.encode())
    assert sent is not None
    [whole] = written.named(MAKING)
    assert ids(whole)[::2] == (TRACE_ID, f"{written.tracing.of_fact(sent, fact).span_id:016x}")
    assert dict(whole.attributes or {}) == {"boxoffice.event_id": "42", "boxoffice.ticket": "42-000001"}
    assert [span.name for span in written.spans()] == [DRAWING, STORING, ANNOUNCING, MAKING]
    assert {ids(span)[::2] for span in written.spans()[:-1]} == {ids(whole)[:2]}
    await paperwork.do(cancellation(fact, 3))
    [removal] = written.named(REMOVING)
    assert ids(removal)[0] == TRACE_ID


async def test_a_document_that_is_not_traced_is_made_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written("documents")
    traced, plain = Paperwork(tmp_path, monkeypatch, written), Paperwork(tmp_path, monkeypatch, None)
    for trace in (None, UNSAMPLED.encode(), *(header.encode(errors="replace") for header in HOSTILE)):
        await traced.do(sale(), trace)
        await plain.do(sale(), trace)
    assert written.spans() == []
    assert traced.announcer.announced == plain.announcer.announced


async def test_a_step_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written("documents")
    paperwork = Paperwork(tmp_path, monkeypatch, written)
    paperwork.fails = True

    async def bury(*_: object) -> None:
        pass

    monkeypatch.setattr(paperwork.making, "_bury", bury)
    await paperwork.do(sale())
    [drawing] = written.named(DRAWING)
    assert drawing.status.description == "DrawingError"


async def test_a_fault_in_tracing_makes_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written("documents")
    paperwork = Paperwork(tmp_path, monkeypatch, written)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    for name in ("follow", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(written.tracing, name, fail)
            await paperwork.do(sale())
    assert len(paperwork.announcer.announced) == 2
