"""Spans of OpenTelemetry's SDK for Python, through each of its exporters and back.

An exporter in memory stands beside the one that is tried: what it holds is what must be in the store, field by field.
"""

import json
import os
import sys
import urllib.request

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.exporter.zipkin.encoder import Protocol
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACES = 20
# OTLP's numbers of kinds; the SDK counts from internal as 0.
KIND = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}


def produce(tracer, number):
    """A trace with each thing a span can say."""
    attributes = {"text": f"números {number} ✓", "int": number - 5, "big": 2**53 + number, "double": number / 7, "yes": True, "list": ["a", "b"]}
    with tracer.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER, attributes=attributes) as server:
        with tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT) as client:
            client.set_attribute("peer.service", "bank")
            client.add_event("retry", {"attempt": number})
            if number % 3 == 0:
                client.record_exception(ValueError("declined"))
                client.set_status(trace.StatusCode.ERROR, "declined")
        link = trace.Link(client.get_span_context(), {"why": "follows"})
        with tracer.start_as_current_span("send", kind=trace.SpanKind.PRODUCER, links=[link]):
            pass
        with tracer.start_as_current_span("work"):
            server.set_status(trace.StatusCode.OK)


def get(door, path):
    with urllib.request.urlopen(f"http://{door}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def plain(value):
    """An OTLP value as Python has it."""
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return [plain(element) for element in inner.get("values", [])]
    return int(inner) if kind == "intValue" else inner


def attributes_of(listed):
    return {entry["key"]: plain(entry["value"]) for entry in listed or []}


def as_sent(attributes):
    return {key: list(value) if isinstance(value, tuple) else value for key, value in (attributes or {}).items()}


def from_sdk(span):
    context = span.get_span_context()
    return {
        "trace": f"{context.trace_id:032x}", "id": f"{context.span_id:016x}", "parent": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name, "kind": KIND[span.kind.name], "start": span.start_time, "end": span.end_time, "attributes": as_sent(span.attributes),
        "status": (STATUS[span.status.status_code.name], span.status.description or ""), "resource": as_sent(span.resource.attributes),
        "scope": (span.instrumentation_scope.name, span.instrumentation_scope.version),
        "events": [(event.name, event.timestamp, as_sent(event.attributes)) for event in span.events],
        "links": [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", as_sent(link.attributes)) for link in span.links],
    }


def from_store(document):
    for of_resource in document["resourceSpans"]:
        resource = attributes_of(of_resource["resource"].get("attributes"))
        for of_scope in of_resource["scopeSpans"]:
            scope = of_scope.get("scope", {})
            for span in of_scope["spans"]:
                status = span.get("status", {})
                yield {
                    "trace": span["traceId"], "id": span["spanId"], "parent": span.get("parentSpanId") or None, "name": span["name"], "kind": span.get("kind", 0),
                    "start": int(span["startTimeUnixNano"]), "end": int(span["endTimeUnixNano"]), "attributes": attributes_of(span.get("attributes")),
                    "status": (status.get("code", 0), status.get("message", "")), "resource": resource, "scope": (scope.get("name"), scope.get("version")),
                    "events": [(event["name"], int(event["timeUnixNano"]), attributes_of(event.get("attributes"))) for event in span.get("events", [])],
                    "links": [(link["traceId"], link["spanId"], attributes_of(link.get("attributes"))) for link in span.get("links", [])],
                }


def micros(nano):
    """Microseconds as the exporter rounds them."""
    return (nano + 500) // 1000


def zipkin_of_sdk(span):
    """What of a span survives the way to Zipkin: whole microseconds, and texts."""
    sent = from_sdk(span)
    kind = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}.get(sent["kind"])
    tags = {key: value for key, value in sent["attributes"].items() if isinstance(value, str)}
    return {"trace": sent["trace"], "id": sent["id"], "parent": sent["parent"], "name": sent["name"].lower(), "kind": kind, "service": sent["resource"]["service.name"].lower(),
            "start": micros(sent["start"]), "tags": tags, "events": sorted(micros(event[1]) for event in sent["events"])}


def zipkin_of_store(span):
    tags = {key: value for key, value in span.get("tags", {}).items() if key in ("text", "peer.service")}
    return {"trace": span["traceId"], "id": span["id"], "parent": span.get("parentId"), "name": span["name"], "kind": span.get("kind"), "service": span["localEndpoint"]["serviceName"].lower(),
            "start": span["timestamp"], "tags": tags, "events": sorted(entry["timestamp"] for entry in span.get("annotations", []))}


def compare(name, sent, stored):
    key = lambda span: (span["trace"], span["id"])
    sent, stored = sorted(sent, key=key), sorted(stored, key=key)
    if sent != stored:
        for ours, theirs in zip(sent, stored):
            if ours != theirs:
                sys.exit(f"{name}: sent   {ours}\n{name}: stored {theirs}")
        sys.exit(f"{name}: {len(sent)} spans sent, {len(stored)} stored")
    print(f"clients: python {name}: all {len(sent)} spans came back")


def try_exporter(name, exporter, zipkin=False):
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": f"python-{name}", "service.version": "1.2"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("clients", "0.1")
    for number in range(TRACES):
        produce(tracer, number)
    if not provider.force_flush(30000):
        sys.exit(f"{name}: not all spans were sent in time")
    provider.shutdown()
    spans = memory.get_finished_spans()
    ids = sorted({f"{span.get_span_context().trace_id:032x}" for span in spans})
    if zipkin:
        stored = [span for trace_id in ids for span in get(os.environ["ZIPKIN"], f"/api/v2/trace/{trace_id}")]
        sent = [zipkin_of_sdk(span) for span in spans]
        if name.endswith("-v1"):
            # This exporter writes none of the annotations that tell version 1 what kind a span is of.
            sent = [{**span, "kind": None} for span in sent]
        compare(name, sent, map(zipkin_of_store, stored))
    else:
        stored = [span for trace_id in ids for span in from_store(get(os.environ["PAGE"], f"/api/trace?id={trace_id}"))]
        compare(name, map(from_sdk, spans), stored)


def main():
    grpc, http, zipkin = os.environ["OTLP_GRPC"], os.environ["OTLP_HTTP"], os.environ["ZIPKIN"]
    try_exporter("otlp-proto-grpc", Grpc(endpoint=f"http://{grpc}", insecure=True))
    try_exporter("otlp-proto-http", Http(endpoint=f"http://{http}/v1/traces"))
    try_exporter("otlp-proto-http-gzip", Http(endpoint=f"http://{http}/v1/traces", compression=Compression.Gzip))
    try_exporter("zipkin-json", ZipkinExporter(endpoint=f"http://{zipkin}/api/v2/spans"), zipkin=True)
    if "V1_JSON" in sys.argv[1:]:
        try_exporter("zipkin-json-v1", ZipkinExporter(version=Protocol.V1, endpoint=f"http://{zipkin}/api/v1/spans", max_tag_value_length=1_000_000), zipkin=True)


main()
