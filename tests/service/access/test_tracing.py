"""Trace context as W3C has it, and the spans that OpenTelemetry gets when it is asked for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from joulebox.access.spans import Tracer
from joulebox.access.tracing import TraceParent, open_tracer, parse_traceparent, route
from joulebox.runtime.model import Inference
from joulebox.runtime.sampler import Provisional

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = TraceParent(TRACE, SPAN, sampled=True)
MODEL: Any = SimpleNamespace(
    name="tiny",
    version="v1",
    running=SimpleNamespace(engine=SimpleNamespace(name="onnxruntime"), variant=SimpleNamespace(name="cpu-int8")),
)
INFERENCE = Inference(outputs={}, queue_s=0.002, compute_s=0.001, items=1, batch_items=1)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    for name in ("OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    before = trace.get_tracer_provider()
    yield InMemorySpanExporter()
    assert trace.get_tracer_provider() is before, "nothing global is set"


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    return Tracer(SimpleSpanProcessor(exporter))


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
        (f"cc-{TRACE}-{SPAN}-01-", True),
    ],
)
def test_a_traceparent_is_read(header: str, sampled: bool) -> None:
    assert parse_traceparent(header.encode()) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 500}",
    ],
)
def test_a_malformed_traceparent_is_ignored(header: str) -> None:
    assert parse_traceparent(header.encode()) is None


@given(st.binary(max_size=100))
def test_no_header_breaks_the_parser(header: bytes) -> None:
    found = parse_traceparent(header)
    assert found is None or len(found.trace_id) == 32


def test_names_are_taken_out_of_a_route() -> None:
    assert route("/v2/models/tiny/versions/abc/infer") == "/v2/models/{name}/versions/{name}/infer"
    assert route("/models/a%2Fb/predict") == "/models/{name}/predict"
    assert route("/") == "/"
    assert len(route("/x" * 10_000)) < 80


def test_a_request_is_a_span_with_its_queue_and_compute_time(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.begin("POST /v2/models/{name}/infer", PARENT, b"vendor=1", {"url.path": "/v2/models/tiny/infer"})
    span.inferred(MODEL, INFERENCE, Provisional(0.5, "measured"))
    span.finish_http(200)
    found = spans(exporter)
    server, queue, compute = found["POST /v2/models/{name}/infer"], found["queue"], found["compute"]
    assert dict(server.attributes or {}) == {
        "url.path": "/v2/models/tiny/infer",
        "joulebox.model": "tiny",
        "joulebox.version": "v1",
        "joulebox.engine": "onnxruntime",
        "joulebox.variant": "cpu-int8",
        "joulebox.items": 1,
        "joulebox.energy.joules": 0.5,
        "joulebox.energy.source": "measured",
        "joulebox.energy.provisional": True,
        "http.response.status_code": 200,
    }
    assert (queue.end_time - queue.start_time, compute.end_time - compute.start_time) == (2_000_000, 1_000_000)
    assert queue.end_time == compute.start_time
    assert compute.end_time <= server.end_time
    assert queue.parent.span_id == compute.parent.span_id == server.context.span_id
    assert server.resource.attributes["service.name"] == "joulebox"


def test_a_span_belongs_to_the_callers_trace(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.begin("below", PARENT, b"vendor=1")
    assert span.trace_id == TRACE
    span.finish_http(200)
    alone = tracer.begin("alone", None)
    alone.finish_http(200)
    found = spans(exporter)
    assert f"{found['below'].parent.span_id:016x}" == SPAN
    assert found["below"].context.trace_state.to_header() == "vendor=1"
    assert found["alone"].parent is None
    assert alone.trace_id not in {TRACE, "0" * 32}


def test_a_caller_that_does_not_sample_is_followed(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.begin("unsampled", TraceParent(TRACE, SPAN, sampled=False))
    span.inferred(MODEL, INFERENCE, Provisional(None, "none"))
    span.finish_http(200)
    assert span.trace_id == TRACE
    assert not spans(exporter)


def test_unknown_energy_is_left_out(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.begin("x", None)
    span.inferred(MODEL, INFERENCE, Provisional(None, "none"))
    span.finish_http(200)
    attributes = spans(exporter)["x"].attributes or {}
    assert "joulebox.energy.joules" not in attributes
    assert attributes["joulebox.energy.source"] == "none"


def test_only_the_servers_faults_are_errors(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    for status in (200, 404, 500, 503):
        tracer.begin(f"http {status}", None).finish_http(status)
    for code in (0, 3, 13, 14):
        tracer.begin(f"grpc {code}", None).finish_grpc(code)
    failed = {name for name, span in spans(exporter).items() if not span.status.is_ok and span.status.is_unset is False}
    assert failed == {"http 500", "http 503", "grpc 13", "grpc 14"}


@given(st.binary(max_size=600))
def test_no_tracestate_breaks_a_span(state: bytes) -> None:
    Tracer(SimpleSpanProcessor(InMemorySpanExporter())).begin("x", PARENT, state).finish_http(200)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_there_is_no_tracer_unless_asked_for(environment: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    assert open_tracer(environment) is None
    assert not caplog.text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER='zipkin'; expected otlp, console or none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "expected http/protobuf or grpc"),
    ],
)
def test_what_cannot_be_had_is_one_line_of_log(
    environment: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert open_tracer(environment) is None
    assert [record.getMessage() for record in caplog.records if said in record.getMessage()]
    assert len(caplog.records) == 1


def test_a_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    assert open_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is None
    assert "opentelemetry-exporter-otlp-proto-http is not installed: pip install 'joulebox[otel]'" in caplog.text


def test_the_console_gets_a_line_for_each_span() -> None:
    script = (
        "from joulebox.access.tracing import open_tracer\n"
        "tracer = open_tracer({'OTEL_TRACES_EXPORTER': 'console'})\n"
        "tracer.begin('one', None).finish_http(200); tracer.close()"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert '"name": "one"' in line


def test_the_sdk_is_not_imported_unless_asked_for() -> None:
    script = (
        "import sys; from joulebox.access.tracing import open_tracer; open_tracer({})\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(
    not importlib.util.find_spec("opentelemetry") or not importlib.util.find_spec("opentelemetry.exporter"),
    reason="the extra otel is not installed",
)
def test_a_collector_gets_spans_and_a_dead_one_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
        monkeypatch.setenv(*environment.copy().popitem())
        tracer = open_tracer(environment)
        assert tracer is not None
        tracer.begin("sent", None).finish_http(200)
        tracer.close()
        collector.shutdown()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"sent" in body
    assert b"joulebox" in body
    tracer = open_tracer(environment)  # nobody listens there now
    assert tracer is not None
    tracer.begin("lost", None).finish_http(200)
    started_s = time.perf_counter()
    tracer.close()
    assert time.perf_counter() - started_s < 4
