"""Where a request comes from, by W3C Trace Context, and whether OpenTelemetry is asked for.

https://www.w3.org/TR/trace-context/. Spans are made only when the environment asks for them, as OpenTelemetry has it:
`OTEL_TRACES_EXPORTER` (otlp, console, none) or `OTEL_EXPORTER_OTLP_ENDPOINT`; OTLP needs the extra `joulebox[otel]`. Without
that there is no tracer, the SDK is not imported, and a request costs one look at None.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from joulebox.access.spans import Tracer

log = logging.getLogger("joulebox.tracing")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HEADER_MAX = 512
ROUTE_MAX = 200

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_WORDS = frozenset(
    {
        "v2",
        "health",
        "live",
        "ready",
        "models",
        "versions",
        "infer",
        "stats",
        "config",
        "repository",
        "index",
        "load",
        "unload",
    }
    | {"systemsharedmemory", "region", "status", "register", "unregister", "predict", "energy", "metrics"}
)


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The span of the caller that this request belongs to."""

    trace_id: str
    """32 lowercase hex digits, not all 0."""
    span_id: str
    """16 lowercase hex digits, not all 0."""
    sampled: bool


def parse_traceparent(header: bytes) -> TraceParent | None:
    """The caller's span; None for no header, and for one to be ignored because it is not exactly as specified.

    A version after 00 may have more at its end, which is not looked at.
    """
    match = _TRACEPARENT.fullmatch(header) if len(header) <= HEADER_MAX else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest) or not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return TraceParent(trace_id.decode(), span_id.decode(), sampled=bool(int(flags, 16) & 1))


def route(path: str) -> str:
    """A path with the names in it taken out, as the name of a span: `/v2/models/{name}/infer`."""
    parts = path[:ROUTE_MAX].split("/")[1:9]
    return "".join("/" + (part if not part or part in _WORDS else "{name}") for part in parts)


def open_tracer(environment: Mapping[str, str]) -> Tracer | None:
    """The tracer that the environment asks for; None, with an error in the log, where that cannot be had.

    Where to send spans, how many and with which headers, the SDK reads from the process's own `OTEL_*` variables.
    """
    kind = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    asked = kind or ("otlp" if any(environment.get(name) for name in ENDPOINTS) else "none")
    if asked == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        exporter = _exporter(asked, environment)
        from joulebox.access.spans import Tracer  # noqa: PLC0415  # the SDK's import takes long, and is for tracing only

        return Tracer.to(exporter)
    except Exception as error:  # the SDK and the exporters have their own ways to say that a variable is malformed
        log.error("no traces: %s", error)
        return None


def _exporter(asked: str, environment: Mapping[str, str]) -> Any:
    if asked == "console":
        return import_module("opentelemetry.sdk.trace.export").ConsoleSpanExporter(formatter=_line)
    if asked != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER={asked[:80]!r}; expected otlp, console or none")
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol not in {"http/protobuf", "grpc"}:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol[:80]!r}; expected http/protobuf or grpc")
    transport = protocol.partition("/")[0]
    try:
        return import_module(f"opentelemetry.exporter.otlp.proto.{transport}.trace_exporter").OTLPSpanExporter()
    except ImportError as error:
        package = f"opentelemetry-exporter-otlp-proto-{transport}"
        extra = "'joulebox[otel]'" if transport == "http" else package
        raise RuntimeError(f"{package} is not installed: pip install {extra} ({error})") from error


def _line(span: ReadableSpan) -> str:
    return span.to_json(indent=None) + "\n"
