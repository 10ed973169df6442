"""Spans of py-zipkin, in each of its formats, and back through Zipkin's API."""

import json
import os
import sys
import urllib.request
from importlib.metadata import version

from py_zipkin import Encoding, Kind
from py_zipkin.zipkin import zipkin_span

TRACES = 10
DOOR = os.environ["ZIPKIN"]
PATHS = {
    "V1_THRIFT": ("/api/v1/spans", "application/x-thrift"),
    "V1_JSON": ("/api/v1/spans", "application/json"),
    "V2_JSON": ("/api/v2/spans", "application/json"),
    "V2_PROTO3": ("/api/v2/spans", "application/x-protobuf"),
}


def send(encoding):
    path, kind = PATHS[encoding]

    def post(message):
        body = message.encode() if isinstance(message, str) else bytes(message)
        request = urllib.request.Request(f"http://{DOOR}{path}", data=body, headers={"content-type": kind})
        with urllib.request.urlopen(request, timeout=30) as answer:
            if answer.status != 202:
                sys.exit(f"py-zipkin {encoding}: status {answer.status}")

    return post


def produce(encoding, number):
    """A trace of three spans, and what must be said of each."""
    service = f"py-zipkin-{encoding.lower()}"
    common = {"service_name": service}
    tags = {"order": f"n{number}", "error": "declined"} if number % 3 == 0 else {"order": f"n{number}"}
    with zipkin_span(**common, span_name="Checkout", transport_handler=send(encoding), sample_rate=100, port=8080, kind=Kind.SERVER,
                     binary_annotations=tags, encoding=Encoding[encoding]) as server:
        with zipkin_span(**common, span_name="charge", kind=Kind.CLIENT) as client:
            client.add_annotation("retry")
            client.update_binary_annotations({"bank": "slow"})
            with zipkin_span(**common, span_name="wait", kind=Kind.LOCAL) as local:
                # In version 1 only what is noted of a span says whose it is.
                local.update_binary_annotations({"for": "bank"})
                ids = [span.zipkin_attrs for span in (server, client, local)]
    spans = [
        {"id": ids[0].span_id, "parent": None, "name": "checkout", "kind": "SERVER", "tags": tags, "annotations": [], "service": service},
        {"id": ids[1].span_id, "parent": ids[0].span_id, "name": "charge", "kind": "CLIENT", "tags": {"bank": "slow"}, "annotations": ["retry"], "service": service},
        {"id": ids[2].span_id, "parent": ids[1].span_id, "name": "wait", "kind": None, "tags": {"for": "bank"}, "annotations": [], "service": service},
    ]
    return ids[0].trace_id, spans


def stored(trace_id):
    with urllib.request.urlopen(f"http://{DOOR}/api/v2/trace/{trace_id}", timeout=30) as answer:
        spans = json.loads(answer.read())
    for span in spans:
        if not (span["timestamp"] > 0 and span["duration"] > 0):
            sys.exit(f"py-zipkin: a span without time: {span}")
    return [{"id": span["id"], "parent": span.get("parentId"), "name": span["name"], "kind": span.get("kind"), "tags": span.get("tags", {}),
             "annotations": [entry["value"] for entry in span.get("annotations", [])], "service": span["localEndpoint"]["serviceName"]} for span in spans]


def main():
    for encoding in sys.argv[1:]:
        count = 0
        for number in range(TRACES):
            trace_id, sent = produce(encoding, number)
            back = stored(trace_id)
            by_id = lambda span: span["id"]
            if sorted(sent, key=by_id) != sorted(back, key=by_id):
                sys.exit(f"py-zipkin {encoding}: sent   {sent}\npy-zipkin {encoding}: stored {back}")
            count += len(sent)
        print(f"clients: python py-zipkin {version('py-zipkin')} {encoding}: all {count} spans came back")


main()
