"""Which traces are written, by which exporter, and that nobody waits for a collector."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from threading import Event

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from structlog.testing import capture_logs

from boxoffice import logs, metrics, tracing
from boxoffice.settings import TracingSettings, load_settings
from boxoffice.tracing.harmless import harmlessly
from boxoffice.tracing.opening import wanted_by
from boxoffice.tracing.sampling import AtMost, Rate
from boxoffice.tracing.spans import Tracing
from tests.support.traces import HOSTILE, ODD, PARENT_ID, SAMPLED, TRACE_ID, UNSAMPLED, Written, boundless, collecting
from tests.unit.test_documents import sale

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have set OpenTelemetry's variables for himself."""
    import os

    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


_BOUNDLESS, _OTHER = (boundless() for _ in range(2))


# Whether any are


@pytest.mark.parametrize(
    ("variables", "by"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_SERVICE_NAME": "box", "OTEL_RESOURCE_ATTRIBUTES": "a=b"}, None),
    ],
)
def test_traces_are_written_where_opentelemetry_s_own_variables_say_so(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], by: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wanted_by() == by


def test_without_them_nothing_of_opentelemetry_is_imported_here() -> None:
    """By us: redis-py looks for it by itself, wherever it is installed."""
    looks = (
        "import sys, boxoffice.tracing\n"
        "import boxoffice.selling.traced, boxoffice.gateway.traced, boxoffice.documents.traced\n"
        "from boxoffice.settings import load_settings\n"
        "with boxoffice.tracing.opened(load_settings().tracing, 'purchases') as traces:\n"
        "    sys.exit(traces is not None or any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", looks], cwd=PROJECT, check=False).returncode == 0


def test_a_missing_package_is_told_in_a_sentence_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "boxoffice.tracing.spans"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "boxoffice.tracing.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with capture_logs() as lines, tracing.opened(load_settings().tracing, "purchases") as traces:
        assert traces is None
    [line] = lines
    assert (line["log_level"], line["set_by"]) == ("warning", "OTEL_EXPORTER_OTLP_ENDPOINT")
    assert "OpenTelemetry is not installed" in line["event"]
    assert "boxoffice[tracing]" in line["event"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "otpl"}, "No exporter 'otpl' is installed; there are"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
            "OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, grpc: it is 'smoke'.",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "many"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "1"}, "max_export_batch_size"),
    ],
)
def test_what_cannot_be_set_up_is_told_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with capture_logs() as lines, tracing.opened(load_settings().tracing, "purchases") as traces:
        assert traces is None
    assert [told in line.get("error", "") for line in lines if line["log_level"] == "warning"] == [True]


def test_an_exporter_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTLP over HTTP unless another is named; each package says what it brings."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp,console")
    with tracing.opened(load_settings().tracing, "purchases") as traces:
        assert traces is not None
        kinds = {type(outlet._exporter._exporter) for outlet in traces._outlets}
        traces._outlets.clear()
    found = entry_points(group="opentelemetry_traces_exporter")
    assert kinds == {found["otlp_proto_http"].load(), found["console"].load()}


@pytest.mark.parametrize("given", ["authorization Bearer-{}", "api-key={},authorization=Bearer%20{}", "a={}=,b"])
def test_no_secret_of_an_exporter_s_headers_is_logged(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """OpenTelemetry's library says which header it cannot read, and that is the one with a mistake in a token."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", given.replace("{}", "k3e8r9t7"))
    stream = io.StringIO()
    logs.configure(load_settings(), "purchases", stream)
    try:
        with tracing.opened(load_settings().tracing, "purchases") as traces:
            assert traces is not None
        for told in (given, given.partition("=")[2], "Bearer {}"):
            logging.getLogger("opentelemetry.x").warning("%s", told.replace("{}", "k3e8r9t7"))
    finally:
        logging.basicConfig(force=True)
        structlog.reset_defaults()
    assert "traces are written" in stream.getvalue()
    assert "***" in stream.getvalue()
    assert "k3e8r9t7" not in stream.getvalue()


def test_a_process_is_called_by_its_name_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Written("gateway").tracing._resource.attributes["service.name"] == "boxoffice-gateway"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "opera")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    attributes = Written("gateway").tracing._resource.attributes
    assert attributes["service.name"] == "opera"
    assert attributes["deployment.environment.name"] == "test"
    assert attributes["boxoffice.process"] == "gateway"


# Which are


@pytest.mark.parametrize("header", HOSTILE)
def test_what_is_no_traceparent_names_no_parent(header: str) -> None:
    tracing_ = Written().tracing
    assert tracing_.follow(header.encode()) is None
    begun = tracing_.begin(header.encode())
    assert begun is not None
    assert begun.parent is None


@given(st.one_of(st.binary(max_size=256), st.text(max_size=64).map(str.encode)))
@example(SAMPLED.encode())
@example(SAMPLED.encode() + b"\n")
def test_no_header_harms_anybody(header: bytes) -> None:
    _BOUNDLESS.tracing.seems_sampled(header)
    parent = _BOUNDLESS.tracing.follow(header)
    assert parent is None or parent.is_valid
    begun = _BOUNDLESS.tracing.begin(header)
    assert begun is not None
    assert begun.context.is_valid


@pytest.mark.parametrize("header", [SAMPLED, *ODD])
def test_a_sampled_parent_is_followed_whatever_else_its_flags_say(header: str) -> None:
    tracing_ = Written().tracing
    assert tracing_.seems_sampled(header.encode())
    begun = tracing_.begin(header.encode())
    assert begun is not None
    assert begun.parent is not None
    assert (f"{begun.parent.trace_id:032x}", f"{begun.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    assert tracing_.header(begun.context) == f"00-{TRACE_ID}-{begun.context.span_id:016x}-01".encode()


def test_a_parent_that_is_not_sampled_has_no_children() -> None:
    tracing_ = Written().tracing
    assert not tracing_.seems_sampled(UNSAMPLED.encode())
    assert tracing_.begin(UNSAMPLED.encode()) is None
    assert tracing_.follow(UNSAMPLED.encode()) is None


def test_opentelemetry_s_own_sampler_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracing_ = Written().tracing
    assert tracing_.begin(None) is None
    assert tracing_.begin(SAMPLED.encode()) is not None


def test_so_many_traces_are_begun_a_second_and_so_many_written() -> None:
    now_s = 0.0
    written = Written()
    written.tracing._sampler = AtMost(ALWAYS_ON, Rate(2, lambda: now_s))
    written.tracing._rate = Rate(5, lambda: now_s)
    cut = metrics.TRACES_CUT._value.get()
    assert [written.tracing.begin(None) is not None for _ in range(4)] == [True, True, False, False]
    assert [written.tracing.follow(SAMPLED.encode()) is not None for _ in range(5)] == [True, True, True, False, False]
    assert metrics.TRACES_CUT._value.get() - cut == 2
    now_s = 0.5
    assert [written.tracing.begin(None) is not None for _ in range(2)] == [True, False]
    now_s = 1_000.0
    assert sum(written.tracing.begin(SAMPLED.encode()) is not None for _ in range(20)) == 5


def test_none_a_second_are_none() -> None:
    assert not any(Rate(0).take() for _ in range(3))
    assert Rate(0.1).take()


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(1, 10**6))
def test_a_fact_s_span_is_the_same_for_whoever_reads_its_header(trace: int, span: int, seq: int) -> None:
    header = b"00-%032x-%016x-01" % (trace, span)
    here, there = _BOUNDLESS.tracing, _OTHER.tracing
    sent, read = here.follow(header), there.follow(header)
    assert sent is not None
    assert read is not None
    fact, next_one = sale(seq=seq), sale(seq=seq + 1)
    assert here.of_fact(sent, fact) == there.of_fact(read, fact)
    assert here.of_fact(sent, fact).span_id not in {0, sent.span_id, here.of_fact(sent, next_one).span_id}


# On their way out


class Slow(SpanExporter):
    """Takes nothing until it is let."""

    def __init__(self) -> None:
        self.begun, self.goes_on = Event(), Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        self.begun.set()
        self.goes_on.wait()
        return SpanExportResult.SUCCESS


class Broken(SpanExporter):
    """Raises."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        raise OSError("no such host")


@pytest.fixture
def _small_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    yield
    structlog.reset_defaults()


def _counted() -> dict[str, float]:
    return {name: metrics.SPANS.labels(name)._value.get() for name in ("exported", "not_exported", "queue_full")}


def _write(traces: Tracing, count: int) -> None:
    for _ in range(count):
        traces.write("x", "INTERNAL", traces.alone(), (1, 2))


@pytest.mark.usefixtures("_small_queue")
def test_a_span_that_finds_the_queue_full_is_dropped_and_counted() -> None:
    slow, before = Slow(), _counted()
    written = Written(exporter=slow)
    _write(written.tracing, 4)
    assert slow.begun.wait(30)
    # Four are with the exporter, eight wait.
    _write(written.tracing, 8 + 5)
    assert _counted()["queue_full"] - before["queue_full"] == 5
    assert len(written.tracing._outlets[0]._processor._batch_processor._queue) == 8
    slow.goes_on.set()
    written.tracing.close()
    counted = _counted()
    assert {name: counted[name] - before[name] for name in counted} == {
        "exported": 12,
        "not_exported": 0,
        "queue_full": 5,
    }


@pytest.mark.usefixtures("_small_queue")
def test_an_exporter_that_raises_is_told_of_and_the_next_spans_are_tried() -> None:
    before = _counted()
    written = Written(exporter=Broken())
    with capture_logs() as lines:
        _write(written.tracing, 3)
        written.tracing.close()
    assert _counted()["not_exported"] - before["not_exported"] == 3
    assert {line["error"] for line in lines} == {"OSError: no such host"}


@pytest.mark.usefixtures("_small_queue")
def test_who_ends_waits_for_a_collector_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.tracing.spans.CLOSE_S", 0.05)
    slow = Slow()
    written = Written(exporter=slow)
    _write(written.tracing, 1)
    written.tracing.close()
    assert not slow.goes_on.is_set()
    slow.goes_on.set()


def test_spans_are_sent_by_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        for name, value in collector.variables.items():
            monkeypatch.setenv(name, value)
        with tracing.opened(TracingSettings(), "purchases") as traces:
            assert traces is not None
            begun = traces.begin(SAMPLED.encode())
            assert begun is not None
            other = traces.alone()
            times_ns = (10**18, 10**18 + 1)
            traces.write("decide", "CONSUMER", begun, times_ns, {"a": 1}, links=[other.context], error="no")
        [told] = collector.told
    assert (told.service, told.name, told.trace_id, told.parent_id) == (
        "boxoffice-purchases",
        "decide",
        TRACE_ID,
        PARENT_ID,
    )
    assert told.links == [f"{other.context.span_id:016x}"]
    assert told.attributes == {"a": 1}
    assert told.failed


def test_what_goes_wrong_with_a_span_is_told_and_no_more() -> None:
    def fail() -> None:
        raise RuntimeError("a fault")

    with capture_logs() as lines:
        with harmlessly():
            fail()
        with harmlessly():
            pass
    assert [line["event"] for line in lines] == ["spans were not written"]
