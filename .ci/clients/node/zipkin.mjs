// Spans through OpenTelemetry's exporter for Zipkin, and of zipkin-js itself, and back through Zipkin's API.

import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import zipkin from "zipkin";
import { HttpLogger } from "zipkin-transport-http";
import { compare, get, sendThrough } from "./produce.mjs";

const { ZIPKIN } = process.env;
const TRACES = 10;
const KINDS = [undefined, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/** Microseconds as the exporter rounds them. */
const micros = ([seconds, nano]) => Math.round(seconds * 1e6 + nano / 1e3);

/** What of a span survives the way to Zipkin for certain. */
function fromSdk(span) {
  const { traceId, spanId } = span.spanContext();
  const tags = Object.entries(span.attributes).filter(([key]) => key === "text" || key === "peer.service");
  return { traceId, id: spanId, parent: span.parentSpanContext?.spanId ?? null, name: span.name.toLowerCase(), kind: KINDS[span.kind] ?? null, service: span.resource.attributes["service.name"],
    start: micros(span.startTime), tags, events: span.events.map((event) => [event.name, micros(event.time)]).sort() };
}

function fromStore(span) {
  const tags = Object.entries(span.tags ?? {}).filter(([key]) => key === "text" || key === "peer.service");
  return { traceId: span.traceId, id: span.id, parent: span.parentId ?? null, name: span.name, kind: span.kind ?? null, service: span.localEndpoint.serviceName,
    start: span.timestamp, tags, events: (span.annotations ?? []).map(({ value, timestamp }) => [value, timestamp]).sort() };
}

async function tryExporter(name, exporter) {
  const spans = await sendThrough(name, exporter);
  const ids = [...new Set(spans.map((span) => span.spanContext().traceId))];
  const traces = await Promise.all(ids.map((id) => get(ZIPKIN, `/api/v2/trace/${id}`)));
  compare(name, spans.map(fromSdk), traces.flat().map(fromStore));
}

/** A trace of zipkin-js: a server that calls a bank, with a local step. Returns what must be said of its spans. */
function produce(tracer, service, number) {
  const said = [];
  tracer.setId(tracer.createRootId());
  const ids = tracer.id;
  const { Annotation } = zipkin;
  tracer.recordServiceName(service);
  tracer.recordRpc("Checkout");
  tracer.recordBinary("order", `n${number}`);
  tracer.recordAnnotation(new Annotation.ServerRecv());
  said.push([ids.traceId, ids.spanId, null, "checkout", "SERVER", [["order", `n${number}`]]]);
  tracer.scoped(() => {
    const child = tracer.createChildId();
    tracer.setId(child);
    tracer.recordServiceName(service);
    tracer.recordRpc("charge");
    tracer.recordAnnotation(new Annotation.ServerAddr({ serviceName: "bank", host: new zipkin.InetAddress("10.0.0.7"), port: 80 }));
    tracer.recordAnnotation(new Annotation.ClientSend());
    tracer.recordAnnotation(new Annotation.ClientRecv());
    said.push([child.traceId, child.spanId, ids.spanId, "charge", "CLIENT", []]);
  });
  tracer.setId(ids);
  tracer.recordAnnotation(new Annotation.ServerSend());
  return said;
}

async function tryZipkinJs(name, path, jsonEncoder) {
  const service = `node-${name}`;
  const logger = new HttpLogger({ endpoint: `http://${ZIPKIN}${path}`, jsonEncoder, httpInterval: 50, log: { error: (...words) => { console.error(name, ...words); process.exit(1); } } });
  const tracer = new zipkin.Tracer({ ctxImpl: new zipkin.ExplicitContext(), recorder: new zipkin.BatchRecorder({ logger }), localServiceName: service, traceId128Bit: true });
  const said = [];
  tracer.scoped(() => {
    for (let number = 0; number < TRACES; number += 1) said.push(...produce(tracer, service, number));
  });
  const ids = [...new Set(said.map(([traceId]) => traceId))];
  let traces = [];
  // Its sender works on a clock of its own and tells nobody that it is done.
  for (let tries = 0; tries < 100 && traces.flat().length < said.length; tries += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    traces = await get(ZIPKIN, `/api/v2/traceMany?traceIds=${ids.join(",")}`);
  }
  const stored = traces.flat().map((span) => [span.traceId, span.id, span.parentId ?? null, span.name, span.kind ?? null, Object.entries(span.tags ?? {})]);
  compare(name, said, stored);
}

await tryExporter("exporter-zipkin", new ZipkinExporter({ url: `http://${ZIPKIN}/api/v2/spans` }));
await tryZipkinJs("zipkin-js-v2-json", "/api/v2/spans", zipkin.jsonEncoder.JSON_V2);
if (process.argv.includes("V1_JSON")) await tryZipkinJs("zipkin-js-v1-json", "/api/v1/spans", zipkin.jsonEncoder.JSON_V1);
// Its sender never ends by itself.
process.exit(0);
