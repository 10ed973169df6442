// Spans through each OTLP exporter for Node and back, field by field.

import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";
import { compare, get, sendThrough } from "./produce.mjs";

const { OTLP_GRPC, OTLP_HTTP, PAGE } = process.env;
const nanos = ([seconds, nano]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(nano));

/** An OTLP value as JavaScript has it. */
function plain(value) {
  const [kind, inner] = Object.entries(value)[0];
  if (kind === "arrayValue") return inner.values.map(plain);
  return kind === "intValue" ? Number(inner) : inner;
}

/** Attributes by name: their order is that of an object here, that of a list there. */
const byName = (entries) => entries.sort(([a], [b]) => (a < b ? -1 : 1));
const own = (attributes) => byName(Object.entries(attributes ?? {}));
const listed = (attributes) => byName((attributes ?? []).map(({ key, value }) => [key, plain(value)]));

function fromSdk(span) {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId, spanId, parent: span.parentSpanContext?.spanId ?? null, name: span.name, kind: span.kind + 1, start: nanos(span.startTime), end: nanos(span.endTime),
    attributes: own(span.attributes), status: [span.status.code, span.status.message ?? ""], resource: own(span.resource.attributes),
    scope: [span.instrumentationScope.name, span.instrumentationScope.version],
    events: span.events.map((event) => [event.name, nanos(event.time), own(event.attributes)]),
    links: span.links.map((link) => [link.context.traceId, link.context.spanId, own(link.attributes)]),
  };
}

function fromStore(document) {
  return document.resourceSpans.flatMap(({ resource, scopeSpans }) => scopeSpans.flatMap(({ scope, spans }) => spans.map((span) => ({
    traceId: span.traceId, spanId: span.spanId, parent: span.parentSpanId || null, name: span.name, kind: span.kind ?? 0, start: span.startTimeUnixNano, end: span.endTimeUnixNano,
    attributes: listed(span.attributes), status: [span.status?.code ?? 0, span.status?.message ?? ""], resource: listed(resource.attributes), scope: [scope?.name, scope?.version],
    events: (span.events ?? []).map((event) => [event.name, event.timeUnixNano, listed(event.attributes)]),
    links: (span.links ?? []).map((link) => [link.traceId, link.spanId, listed(link.attributes)]),
  }))));
}

async function tryExporter(name, exporter) {
  const spans = await sendThrough(name, exporter);
  const ids = [...new Set(spans.map((span) => span.spanContext().traceId))];
  const documents = await Promise.all(ids.map((id) => get(PAGE, `/api/trace?id=${id}`)));
  compare(name, spans.map(fromSdk), documents.flatMap(fromStore));
}

await tryExporter("otlp-http", new Json({ url: `http://${OTLP_HTTP}/v1/traces` }));
await tryExporter("otlp-http-gzip", new Json({ url: `http://${OTLP_HTTP}/v1/traces`, compression: "gzip" }));
await tryExporter("otlp-proto", new Proto({ url: `http://${OTLP_HTTP}/v1/traces` }));
await tryExporter("otlp-grpc", new Grpc({ url: `http://${OTLP_GRPC}` }));
