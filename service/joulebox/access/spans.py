"""OpenTelemetry spans of requests: one of the server, with its time in the queue and in the engine as children.

The provider is our own: nothing global of OpenTelemetry's is set or read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

import joulebox
from joulebox.access.tracing import HEADER_MAX, TraceParent
from joulebox.runtime.model import Inference, Model
from joulebox.runtime.sampler import Provisional

CLOSE_S = 3.0  # for the last spans to be sent
ATTRIBUTE_MAX = 200
GRPC_FAULTS = {2, 4, 12, 13, 14, 15}  # codes that are the server's fault, by OpenTelemetry's conventions


class Tracer:
    """Makes the spans of requests, and hands them to `processor`."""

    def __init__(self, processor: SpanProcessor) -> None:
        ours = Resource.create({SERVICE_NAME: "joulebox", SERVICE_VERSION: joulebox.__version__})
        resource = ours.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME and the like win
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("joulebox", joulebox.__version__)

    @classmethod
    def to(cls, exporter: SpanExporter) -> Tracer:
        """Sends spans from a thread, in batches; its queue is bounded, and a full one drops spans."""
        return cls(BatchSpanProcessor(exporter))

    def begin(
        self, name: str, parent: TraceParent | None, state: bytes = b"", attributes: Mapping[str, str] | None = None
    ) -> RequestSpan:
        """A span from now on, below the caller's; `state` is the header `tracestate`, which goes along."""
        cut = {key: value[:ATTRIBUTE_MAX] for key, value in (attributes or {}).items()}
        return RequestSpan(self, self._tracer.start_span(name, _context(parent, state), SpanKind.SERVER, cut))

    def child(self, parent: Span, name: str, start_ns: int, end_ns: int) -> None:
        """A span within another, of something that is over."""
        within = set_span_in_context(parent, Context())
        self._tracer.start_span(name, within, start_time=start_ns).end(end_ns)

    def close(self) -> None:
        """Sends what is left, for a few seconds at most: a collector that is gone must not hold a stop up."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class RequestSpan:
    """The span of one request."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str:
        """For the log: the caller's, or a new one."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def inferred(self, model: Model, inference: Inference, energy: Provisional) -> None:
        """Notes an inference that has just ended: what answered, its queue and compute time, and its energy."""
        if not self._span.is_recording():
            return
        self._span.set_attributes(
            {
                "joulebox.model": model.name,
                "joulebox.version": model.version,
                "joulebox.engine": model.running.engine.name,
                "joulebox.variant": model.running.variant.name,
                "joulebox.items": inference.items,
                "joulebox.energy.source": energy.source,
                "joulebox.energy.provisional": True,
            }
        )
        if energy.joules is not None:
            self._span.set_attribute("joulebox.energy.joules", energy.joules)
        end_ns = time.time_ns()
        compute_ns = end_ns - int(1e9 * inference.compute_s)
        self._tracer.child(self._span, "queue", compute_ns - int(1e9 * inference.queue_s), compute_ns)
        self._tracer.child(self._span, "compute", compute_ns, end_ns)

    def finish_http(self, status: int) -> None:
        self._finish("http.response.status_code", status, failed=status >= 500)

    def finish_grpc(self, code: int) -> None:
        """`code` is gRPC's number."""
        self._finish("rpc.grpc.status_code", code, failed=code in GRPC_FAULTS)

    def _finish(self, key: str, code: int, *, failed: bool) -> None:
        self._span.set_attribute(key, code)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _context(parent: TraceParent | None, state: bytes) -> Context:
    if parent is None:
        return Context()
    states = TraceState.from_header([state.decode("ascii", "replace")]) if 0 < len(state) <= HEADER_MAX else None
    span = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT),
        trace_state=states,
    )
    return set_span_in_context(NonRecordingSpan(span), Context())
