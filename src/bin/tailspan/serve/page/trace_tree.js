// A trace as OTLP JSON has it, made into a tree of spans.

const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const ERROR = 2;
/** Where a caller says whom it calls. */
const REMOTE = ["service.peer.name", "peer.service", "messaging.destination.name", "server.address", "net.peer.name", "db.system.name", "db.system"];

/** An attribute's value as text. */
export function valueText(value) {
  if (!value) return "";
  const [kind, inner] = Object.entries(value)[0] ?? ["", ""];
  switch (kind) {
    case "arrayValue": return `[${(inner.values ?? []).map(valueText).join(", ")}]`;
    case "kvlistValue": return `{${(inner.values ?? []).map(({ key, value: own }) => `${key}: ${valueText(own)}`).join(", ")}}`;
    default: return String(inner);
  }
}

function attributesOf(list) {
  return (list ?? []).map(({ key, value }) => ({ key, value: valueText(value) }));
}

function remoteOf(attributes) {
  return REMOTE.map((name) => attributes.find(({ key, value }) => key === name && value !== "")?.value).find(Boolean) ?? null;
}

function spanOf(span, resource, scope) {
  const [start, end] = [BigInt(span.startTimeUnixNano ?? 0), BigInt(span.endTimeUnixNano ?? 0)];
  const attributes = attributesOf(span.attributes);
  const error = span.status?.code === ERROR;
  return {
    id: span.spanId, parentId: span.parentSpanId || null, name: span.name ?? "", kind: KINDS[span.kind ?? 0] ?? "unspecified",
    service: resource.find(({ key }) => key === "service.name")?.value ?? null,
    start, end: end > 0n && end >= start ? end : start, duration: start > 0n && end >= start && end > 0n ? Number(end - start) : null,
    remote: ["client", "producer"].includes(KINDS[span.kind ?? 0]) ? remoteOf(attributes) : null,
    error, message: span.status?.message ?? "", traceState: span.traceState ?? "",
    attributes, resource, scope,
    events: (span.events ?? []).map((event) => ({ time: BigInt(event.timeUnixNano ?? 0), name: event.name ?? "", attributes: attributesOf(event.attributes) })),
    links: (span.links ?? []).map((link) => ({ traceId: link.traceId, spanId: link.spanId, attributes: attributesOf(link.attributes) })),
    children: [], parent: null, orphan: false, depth: 0, pieces: [],
  };
}

/** Every span of the document, by start. Those without a start come last. */
function spansOf(document) {
  const spans = [];
  for (const { resource = {}, scopeSpans = [] } of document.resourceSpans ?? []) {
    const own = attributesOf(resource.attributes);
    for (const { scope = {}, spans: listed = [] } of scopeSpans) {
      const named = { name: scope.name ?? "", version: scope.version ?? "", attributes: attributesOf(scope.attributes) };
      for (const span of listed) spans.push(spanOf(span, own, named));
    }
  }
  const late = (span) => (span.start === 0n ? 1 : 0);
  return spans.sort((a, b) => late(a) - late(b) || (a.start < b.start ? -1 : a.start > b.start ? 1 : a.id < b.id ? -1 : 1));
}

/** The span above: the client's half of a shared span, or by id, the server's half of its own service first. */
function parentOf(span, byId) {
  const half = (byId.get(span.id) ?? []).find((other) => other !== span && other.kind === "client");
  if (span.kind === "server" && half) return half;
  const candidates = (byId.get(span.parentId) ?? []).filter((other) => other !== span);
  return candidates.find((other) => other.kind === "server" && other.service === span.service) ?? candidates.find((other) => other.service === span.service) ?? candidates[0] ?? null;
}

export class Tree {
  constructor(document) {
    this.spans = spansOf(document);
    const byId = new Map();
    for (const span of this.spans) byId.set(span.id, [...(byId.get(span.id) ?? []), span]);
    this.byId = byId;
    this.spans.forEach((span, index) => Object.assign(span, { index }));
    this.tops = [];
    for (const span of this.spans) {
      const parent = parentOf(span, byId);
      if (parent && !this.above(parent, span)) {
        span.parent = parent;
        parent.children.push(span);
      } else {
        span.orphan = span.parentId !== null;
        this.tops.push(span);
      }
    }
    const timed = this.spans.filter((span) => span.start > 0n);
    this.start = timed[0]?.start ?? 0n;
    this.end = timed.reduce((latest, span) => (span.end > latest ? span.end : latest), this.start);
    this.duration = Number(this.end - this.start);
    this.services = new Map();
    for (const span of this.spans) this.services.set(span.service, (this.services.get(span.service) ?? 0) + 1);
    this.errors = this.spans.filter((span) => span.error);
    for (const span of this.walk()) span.depth = span.parent ? span.parent.depth + 1 : 0;
  }

  /** True if a span is above another, or is it: hanging it below would close a circle. */
  above(span, other) {
    for (let at = span; at; at = at.parent) if (at === other) return true;
    return false;
  }

  /** The spans from above to below, a child after its parent; those below a closed one are left out. */
  walk(closed = new Set()) {
    const order = [];
    const stack = [...this.tops].reverse();
    while (stack.length > 0) {
      const span = stack.pop();
      order.push(span);
      if (!closed.has(span)) stack.push(...[...span.children].reverse());
    }
    return order;
  }

  /** The root: the first span without a parent. */
  get root() {
    return this.tops.find((span) => !span.orphan) ?? this.tops[0];
  }

  /** Gives each span its pieces of the critical path. */
  take(pieces) {
    for (const piece of pieces) {
      const spans = this.byId.get(piece.spanId) ?? [];
      const span = spans.find((span) => span.service === piece.service && span.name === piece.name) ?? spans[0];
      span?.pieces.push(piece);
    }
  }

  /** Errors below which nothing failed. */
  causes() {
    const failedBelow = new Set();
    for (const span of this.errors) for (let at = span.parent; at && !failedBelow.has(at); at = at.parent) failedBelow.add(at);
    return this.errors.filter((span) => !failedBelow.has(span));
  }
}
