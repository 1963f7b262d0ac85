"""What tracing costs a worker: off, as it is set by default, and with each hundredth command traced, in turn."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.bench import Bench
from benchmarks.decisions import Digests, check_equal
from benchmarks.measuring import Span, steady, undisturbed, watch
from benchmarks.processes import PURCHASES, BenchmarkError, Program
from benchmarks.results import Outcome
from benchmarks.sale import Headers, Sale, event_ids, purchases, tickets_each
from benchmarks.tracing_parts import parts
from topics.purchase_requests import TRACE_HEADER

EVENTS: Final = 50
EACH: Final = 100
"""One command of so many is traced."""
SPANS: Final = 3
"""What a worker writes of a command that is traced, at least."""

OFF: Final = Program("off", PURCHASES.arguments)
DEFAULT: Final = Program("by default", PURCHASES.arguments)
TRACED: Final = Program("1% traced", PURCHASES.arguments)
CONTESTANTS: Final = (OFF, DEFAULT, TRACED)


async def tracing(bench: Bench) -> Outcome:
    """CPU time of a worker for each decision; all contestants decide the same commands, with the same headers."""
    count = bench.size(400_000, 60_000)
    ids = event_ids(EVENTS)
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    ledgers: dict[str, Digests] = {}
    with _collector() as collector:
        async with bench.sale(ids, capacity=tickets_each(count, EVENTS)) as sale:
            await sale.publish(purchases(ids, count), traced)
            # Not counted: the broker's own compiler has just begun.
            await undisturbed(partial(_run, bench, sale, OFF, count, collector))
            for program in CONTESTANTS * bench.rounds:
                spans[program.name].append(await undisturbed(partial(_run, bench, sale, program, count, collector)))
                if program.name not in ledgers:
                    ledgers[program.name] = await sale.ledger_digests()
    check_equal(ledgers)
    outcome = Outcome()
    for name, of_contestant in spans.items():
        cpu_us = [span.cpu_us_per_fact(name) for span in of_contestant]
        outcome.add_rounds("tracing_cpu_per_decision", cpu_us, "µs", name)
    measured = [parts(traced) for _ in range(bench.rounds)]
    outcome.add_rounds("tracing_cpu_share", [one.share for one in measured], "%", TRACED.name)
    for program in (DEFAULT, TRACED):
        share = _cpu_us(outcome, program) / _cpu_us(outcome, OFF) - 1
        outcome.add("tracing_cost", 100 * share, "% of a worker's CPU time", program.name)
    return outcome


def traced(number: int) -> Headers:
    """The headers of a command: one of so many belongs to a trace that is sampled."""
    return [] if number % EACH else [(TRACE_HEADER, b"00-%032x-%016x-01" % (number + 1, number + 1))]


async def _run(bench: Bench, sale: Sale, program: Program, count: int, collector: _Collector) -> Span:
    await sale.begin_again()
    told = collector.spans
    async with bench.worker(program, sale, **_variables(program, collector)) as worker:
        span = steady(await watch(sale, [worker], bench.servers, count))
    seen = collector.spans - told
    if (program is OFF) != (seen == 0) or (program is TRACED and seen < SPANS * count // EACH):
        raise BenchmarkError(f"{program.name}: {seen} spans came, of {count} commands.")
    return span


def _variables(program: Program, collector: _Collector) -> Mapping[str, str]:
    if program is OFF:
        return {}
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
    return variables if program is DEFAULT else {**variables, "BOXOFFICE_TRACING_MOST_RATE": "100000"}


def _cpu_us(outcome: Outcome, program: Program) -> float:
    return outcome.value("tracing_cpu_per_decision", program.name)


class _Collector:
    """Takes spans by OTLP over HTTP, and counts them."""

    def __init__(self) -> None:
        self.spans = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.spans += sum(
                    len(of_scope.spans) for of_process in request.resource_spans for of_scope in of_process.scope_spans
                )
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def _collector() -> Iterator[_Collector]:
    collector = _Collector()
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()
