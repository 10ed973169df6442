// Spans of OpenTelemetry's SDK for Node, and what an exporter in memory holds of them: that is what must be in the store.

import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const TRACES = 20;

/** A trace with each thing a span can say. */
function produce(tracer, number) {
  const under = (span) => trace.setSpan(context.active(), span);
  const attributes = { text: `números ${number} ✓`, int: number - 5, double: number / 7 + 0.125, yes: true, list: ["a", "b"] };
  const server = tracer.startSpan("POST /orders", { kind: SpanKind.SERVER, attributes }, context.active());
  const client = tracer.startSpan("charge", { kind: SpanKind.CLIENT, attributes: { "peer.service": "bank" } }, under(server));
  client.addEvent("retry", { attempt: number });
  if (number % 3 === 0) {
    client.recordException(new Error("declined"));
    client.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
  }
  client.end();
  const links = [{ context: client.spanContext(), attributes: { why: "follows" } }];
  tracer.startSpan("send", { kind: SpanKind.PRODUCER, links }, under(server)).end();
  tracer.startSpan("work", {}, under(server)).end();
  server.setStatus({ code: SpanStatusCode.OK });
  server.end();
}

/** The spans that were given to this exporter, as an exporter in memory holds them. */
export async function sendThrough(name, exporter) {
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": `node-${name}`, "service.version": "1.2" }),
    spanProcessors: [new BatchSpanProcessor(exporter), new SimpleSpanProcessor(memory)],
  });
  const tracer = provider.getTracer("clients", "0.1");
  for (let number = 0; number < TRACES; number += 1) produce(tracer, number);
  await provider.forceFlush();
  // Ending forgets them.
  const spans = [...memory.getFinishedSpans()];
  await provider.shutdown();
  return spans;
}

/** The answer of a door. */
export async function get(door, path) {
  const answer = await fetch(`http://${door}${path}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Ends the run if what was sent is not what is stored. */
export function compare(name, sent, stored) {
  const sorted = (spans) => spans.map((span) => JSON.stringify(span)).sort();
  const [ours, theirs] = [sorted(sent), sorted(stored)];
  const odd = ours.findIndex((span, index) => span !== theirs[index]);
  if (odd >= 0 || ours.length !== theirs.length) {
    console.error(`${name}: ${ours.length} spans sent, ${theirs.length} stored\n${name}: sent   ${ours[odd]}\n${name}: stored ${theirs[odd]}`);
    process.exit(1);
  }
  console.log(`clients: node ${name}: all ${ours.length} spans came back`);
}
