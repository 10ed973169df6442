#!/usr/bin/env python3
"""Spans of the real OpenTelemetry SDK for Python, captured from a small shop: three processes that call each other.

    python3 -m venv venv && venv/bin/pip install -r benches/sdk/requirements.txt
    venv/bin/python benches/sdk/capture.py spans.otlp --requests 20000
    tailspan bench new-store spans.otlp

What the SDK and its instrumentations say is kept as it is: HTTP semantics with long URLs and IPv6 clients, SQL text,
stack traces of exceptions, template names; the app adds JSON bodies. Requests of the OTLP exporter are appended to the
file as they come, which makes one OTLP message of it. With --to, spans go to a collector at that URL instead.
"""

import argparse
import ipaddress
import json
import multiprocessing
import random
import sqlite3
import string
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICES = {"shop-frontend": 8101, "shop-orders": 8102, "shop-inventory": 8103}
HOST = "::1"


class Receiver(BaseHTTPRequestHandler):
    """Takes what exporters send and appends it to the file."""

    out = None
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            self.out.write(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def instrumented(name, endpoint):
    """The tracer of a service, and its Flask app, with every library it uses instrumented."""
    from flask import Flask
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.jinja2 import Jinja2Instrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {"service.name": name, "service.version": "2.7.1", "service.instance.id": str(uuid.uuid4()), "deployment.environment.name": "bench"}
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint), max_queue_size=1 << 16))
    trace.set_tracer_provider(provider)
    app = Flask(name)
    FlaskInstrumentor().instrument_app(app)
    RequestsInstrumentor().instrument()
    SQLite3Instrumentor().instrument()
    Jinja2Instrumentor().instrument()
    return app, trace.get_tracer(name), provider


def serve(name, endpoint, ready, stop):
    """Runs one service until it is told to stop."""
    app, tracer, provider = instrumented(name, endpoint)
    {"shop-frontend": frontend, "shop-orders": orders, "shop-inventory": inventory}[name](app, tracer)
    from werkzeug.serving import make_server
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.logger.setLevel(logging.CRITICAL)
    server = make_server(HOST, SERVICES[name], app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready.release()
    stop.wait()
    provider.force_flush(60_000)
    provider.shutdown()


def url(service, path):
    return f"http://[{HOST}]:{SERVICES[service]}{path}"


def frontend(app, tracer):
    import requests
    from flask import render_template_string, request

    session = requests.Session()

    @app.get("/search")
    def search():
        found = session.get(url("shop-inventory", "/items"), params=request.args).json()
        return render_template_string("{% for item in items %}<li>{{ item.name }}: {{ item.price }}</li>{% endfor %}", items=found)

    @app.post("/checkout/<customer>")
    def checkout(customer):
        with tracer.start_as_current_span("validate basket") as span:
            span.set_attribute("app.request.body", request.get_data(as_text=True))
            span.set_attribute("client.address", request.headers["X-Forwarded-For"])
            span.set_attribute("app.customer.id", customer)
        answer = session.post(url("shop-orders", f"/orders/{customer}"), json=request.get_json())
        return answer.text, answer.status_code


def orders(app, tracer):
    import requests
    from flask import request

    session = requests.Session()
    local = threading.local()

    def database():
        if not hasattr(local, "db"):
            local.db = sqlite3.connect(":memory:", check_same_thread=False)
            local.db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, total INTEGER, lines TEXT)")
        return local.db

    @app.post("/orders/<customer>")
    def create(customer):
        lines = request.get_json()["lines"]
        order = str(uuid.uuid4())
        for line in lines:
            answer = session.put(url("shop-inventory", f"/items/{line['sku']}/reservations/{order}"), json={"count": line["count"]})
            if answer.status_code >= 400:
                with tracer.start_as_current_span("release reservations") as span:
                    span.add_event("compensation", {"app.order.id": order, "app.failed.sku": line["sku"]})
                return {"error": answer.text}, 409
        total = sum(line["count"] * line["price"] for line in lines)
        with tracer.start_as_current_span("store order") as span:
            span.set_attributes({"app.order.id": order, "app.order.total": total, "app.order.lines": [line["sku"] for line in lines]})
            database().cursor().execute(
                f"INSERT INTO orders (id, customer, total, lines) VALUES ('{order}', ?, {total}, ?)", (customer, json.dumps(lines))
            )
            database().cursor().execute("SELECT count(*), sum(total) FROM orders WHERE customer = ? AND total > 100", (customer,))
        return {"id": order, "total": total}


def inventory(app, tracer):
    from flask import request

    class OutOfStock(Exception):
        pass

    @app.get("/items")
    def items():
        words = request.args.get("q", "").split()
        with tracer.start_as_current_span("rank items") as span:
            span.set_attribute("app.query.words", words)
            return [{"name": word, "price": 1 + hash(word) % 90} for word in words]

    @app.put("/items/<sku>/reservations/<order>")
    def reserve(sku, order):
        with tracer.start_as_current_span("reserve") as span:
            span.set_attributes({"app.sku": sku, "app.order.id": order})
            take(sku, request.get_json()["count"], depth=random.randrange(3, 20))
        return {"reserved": sku}

    def take(sku, count, depth):
        if depth:
            return take(sku, count, depth - 1)
        if sku.endswith("7") and count > 2:
            raise OutOfStock(f"{count} of {sku} asked for, {count - 2} on stock")
        return None


def customers(endpoint, count, seed):
    """Sends requests as browsers behind a proxy do, one after the other."""
    import requests

    dice, session = random.Random(seed), requests.Session()
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randrange(3, 12))) for _ in range(3000)]
    prefix = int(ipaddress.IPv6Address("2001:db8::"))
    agents = [f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(110, 150)]
    for _ in range(count):
        headers = {"X-Forwarded-For": str(ipaddress.IPv6Address(prefix + dice.getrandbits(64))), "User-Agent": dice.choice(agents)}
        if dice.random() < 0.5:
            query = {"q": " ".join(dice.choices(words, k=dice.randrange(1, 6))), "session": str(uuid.UUID(int=dice.getrandbits(128))),
                     "utm_source": dice.choice(words), "referrer": "/" + "/".join(dice.choices(words, k=6)), "page": dice.randrange(40)}
            session.get(url("shop-frontend", "/search"), params=query, headers=headers)
        else:
            lines = [{"sku": f"SKU-{dice.randrange(50_000):05}", "count": dice.randrange(1, 5), "price": dice.randrange(1, 300)}
                     for _ in range(dice.randrange(1, 5))]
            body = {"lines": lines, "note": " ".join(dice.choices(words, k=dice.randrange(0, 12)))}
            session.post(url("shop-frontend", f"/checkout/{dice.randrange(100_000)}"), json=body, headers=headers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="where the OTLP bytes go")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", help="URL of a collector's /v1/traces")
    args = parser.parse_args()
    if bool(args.file) == bool(args.to):
        parser.error("give a file or --to URL")
    endpoint, receiver = args.to, None
    if args.file:
        Receiver.out = open(args.file, "wb")
        receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}/v1/traces"
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Semaphore(0), context.Event()
    processes = [context.Process(target=serve, args=(name, endpoint, ready, stop)) for name in SERVICES]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    customers(endpoint, args.requests, args.seed)
    stop.set()
    for process in processes:
        process.join()
    if receiver:
        receiver.shutdown()
        Receiver.out.close()


if __name__ == "__main__":
    main()
