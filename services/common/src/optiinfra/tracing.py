"""Traces over OTLP, where OpenTelemetry's own variables name an endpoint.

Spans are opened through OpenTelemetry's API, which does next to nothing while nobody
listens. Who listens is its SDK: the extra `otel`, imported only when it is asked for. What
a span says holds no value that somebody asked with, and no secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context

from optiinfra.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TOKEN_IN_ADDRESS = re.compile(r"((?:access_)?token=)[^&]*", re.IGNORECASE)
T = TypeVar("T")
_tracer = trace.get_tracer("optiinfra")


def configure_tracing(service: str) -> bool:
    """Send this process's spans where the environment says; whether it says so.

    `OTEL_SERVICE_NAME` wins over `service`. Raises ConfigError where the SDK is missing.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's SDK is not installed; "
            "install optiinfra-common[otel]"
        ) from error

    class Discreet(SpanProcessor):
        """Takes tokens out of addresses: they are refused there, but were sent."""

        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            query = (span.attributes or {}).get("url.query")
            if isinstance(query, str):
                span.set_attribute("url.query", _TOKEN_IN_ADDRESS.sub(r"\1REDACTED", query))

    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(Discreet())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


@contextmanager
def incoming(name: str, carrier: Mapping[str, str]) -> Iterator[None]:
    """A span around work that a message asks for; `carrier` is what came with it."""
    with _span(name, trace.SpanKind.CONSUMER, propagate.extract(carrier)):
        yield


@contextmanager
def outgoing(name: str, *, parent: Context | None = None) -> Iterator[None]:
    """A span around something that another process is asked for.

    Its parent is the span that is open in this thread, or `parent` where the work was
    handed to another one.
    """
    with _span(name, trace.SpanKind.CLIENT, parent):
        yield


@contextmanager
def _span(name: str, kind: trace.SpanKind, parent: Context | None) -> Iterator[None]:
    # An error's text may hold what a provider answered; its type says enough.
    with _tracer.start_as_current_span(
        name, context=parent, kind=kind, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def streamed(name: str, pieces: Iterator[T]) -> Iterator[T]:
    """The pieces, in a span from the first to the last, whichever threads ask for them."""
    span = _tracer.start_span(name, kind=trace.SpanKind.CLIENT)
    try:
        yield from pieces
    finally:
        span.end()
