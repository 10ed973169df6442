// Where services stand on the map: callers left of whom they call, in layers.
//
//   1. Edges that close a circle are turned round, for the layers alone.
//   2. A node's layer is the longest way to it. Edges over several layers get a stop in each, so that they go around nodes.
//   3. Layers are put in order by the mean place of the neighbours, back and forth, which takes most crossings away.
//   4. Nodes move toward their neighbours as far as there is room.
//
// Parts that do not hang together are laid out one by one and stand under each other.

export const NODE = { width: 188, height: 46 };
const GAP = { across: 132, down: 16, part: 40 };
const SWEEPS = 12;

/** The services that hang together, the largest part first. */
function partsOf(names, edges) {
  const near = new Map(names.map((name) => [name, []]));
  for (const { from, to } of edges) {
    near.get(from).push(to);
    near.get(to).push(from);
  }
  const seen = new Set();
  const parts = [];
  for (const name of names) {
    if (seen.has(name)) continue;
    const part = [];
    const stack = [name];
    seen.add(name);
    while (stack.length > 0) {
      const at = stack.pop();
      part.push(at);
      for (const next of near.get(at)) if (!seen.has(next)) { seen.add(next); stack.push(next); }
    }
    parts.push(part);
  }
  return parts.sort((a, b) => b.length - a.length);
}

/** The edges without circles: each goes from an earlier to a later service of a depth-first walk's end. */
function acyclic(names, edges) {
  const out = new Map(names.map((name) => [name, []]));
  const into = new Map(names.map((name) => [name, 0]));
  for (const { from, to } of edges) if (from !== to) { out.get(from).push(to); into.set(to, into.get(to) + 1); }
  const state = new Map();
  const ended = [];
  // Whom nobody calls comes first, so that circles are cut where they come back.
  for (const start of [...names].sort((a, b) => into.get(a) - into.get(b) || (a < b ? -1 : 1))) {
    const stack = [[start, 0]];
    if (state.has(start)) continue;
    state.set(start, "open");
    while (stack.length > 0) {
      const top = stack.at(-1);
      const next = out.get(top[0])[top[1]++];
      if (next === undefined) { ended.push(stack.pop()[0]); }
      else if (!state.has(next)) { state.set(next, "open"); stack.push([next, 0]); }
    }
  }
  const place = new Map(ended.reverse().map((name, index) => [name, index]));
  return { order: ended, forward: edges.filter(({ from, to }) => from !== to).map((edge) => ({ edge, turned: place.get(edge.from) > place.get(edge.to) })) };
}

function layersOf(names, edges) {
  const { order, forward } = acyclic(names, edges);
  const layer = new Map(names.map((name) => [name, 0]));
  const out = new Map(names.map((name) => [name, []]));
  for (const { edge, turned } of forward) out.get(turned ? edge.to : edge.from).push(turned ? edge.from : edge.to);
  for (const name of order) for (const next of out.get(name)) layer.set(next, Math.max(layer.get(next), layer.get(name) + 1));
  return { layer, forward };
}

/** Nodes and stops by layer, and for each edge its way from left to right. */
function withStops(names, edges) {
  const { layer, forward } = layersOf(names, edges);
  const layers = Array.from({ length: Math.max(...layer.values(), 0) + 1 }, () => []);
  const nodes = new Map();
  const add = (name, at, stop) => {
    const node = { name, stop, height: stop ? 6 : NODE.height, near: { left: [], right: [] }, y: 0 };
    layers[at].push(node);
    return node;
  };
  for (const name of [...names].sort()) nodes.set(name, Object.assign(add(name, layer.get(name), false), { layer: layer.get(name) }));
  const ways = new Map();
  for (const { edge, turned } of forward) {
    const [left, right] = turned ? [edge.to, edge.from] : [edge.from, edge.to];
    const way = [nodes.get(left)];
    for (let at = layer.get(left) + 1; at < layer.get(right); at += 1) way.push(Object.assign(add(null, at, true), { layer: at }));
    way.push(nodes.get(right));
    for (let at = 1; at < way.length; at += 1) {
      way[at - 1].near.right.push(way[at]);
      way[at].near.left.push(way[at - 1]);
    }
    ways.set(edge, turned ? way.reverse() : way);
  }
  return { layers, nodes, ways };
}

function mean(nodes, place) {
  return nodes.reduce((sum, node) => sum + place(node), 0) / nodes.length;
}

function arrange(layers) {
  for (const nodes of layers) nodes.forEach((node, index) => Object.assign(node, { index }));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const right = sweep % 2 === 0;
    for (const nodes of right ? layers : [...layers].reverse()) {
      const side = right ? "left" : "right";
      for (const node of nodes) node.wish = node.near[side].length > 0 ? mean(node.near[side], (other) => other.index) : node.index;
      nodes.sort((a, b) => a.wish - b.wish || a.index - b.index).forEach((node, index) => Object.assign(node, { index }));
    }
  }
}

/** Puts a layer where its nodes wish to be, in order and without touching. */
function settle(nodes) {
  let bottom = -Infinity;
  for (const node of nodes) {
    node.y = Math.max(node.wish, bottom + GAP.down + node.height / 2);
    bottom = node.y + node.height / 2;
  }
  // Pushed down by those above: back up by the half of it, as long as order allows.
  const excess = mean(nodes, (node) => node.y - node.wish);
  for (const node of nodes) node.y -= excess;
}

function heights(layers) {
  for (const nodes of layers) {
    nodes.forEach((node, index) => Object.assign(node, { wish: index * (NODE.height + GAP.down) }));
    settle(nodes);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const nodes of sweep % 2 === 0 ? layers : [...layers].reverse()) {
      for (const node of nodes) {
        const near = [...node.near.left, ...node.near.right];
        node.wish = near.length > 0 ? mean(near, (other) => other.y) : node.y;
      }
      settle(nodes);
    }
  }
}

/** Places for services and ways for edges (`{ from, to }`): `nodes` by name with `x` and `y` of their middle, `ways` by edge. */
export function layout(names, edges) {
  const placed = { nodes: new Map(), ways: new Map(), width: 0, height: 0 };
  for (const part of partsOf(names, edges)) {
    const own = new Set(part);
    const { layers, nodes, ways } = withStops(part, edges.filter((edge) => own.has(edge.from)));
    arrange(layers);
    heights(layers);
    const all = layers.flat();
    const top = Math.min(...all.map((node) => node.y - node.height / 2));
    for (const node of all) {
      node.x = node.layer * (NODE.width + GAP.across) + NODE.width / 2;
      node.y += placed.height - top;
    }
    for (const [name, node] of nodes) placed.nodes.set(name, node);
    for (const [edge, way] of ways) placed.ways.set(edge, way);
    placed.width = Math.max(placed.width, layers.length * (NODE.width + GAP.across) - GAP.across);
    placed.height = Math.max(...all.map((node) => node.y + node.height / 2)) + GAP.part;
  }
  placed.height = Math.max(placed.height - GAP.part, 0);
  return placed;
}
