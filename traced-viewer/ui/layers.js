// Where the services of a dependency graph stand: callers left of what they call.

/** @typedef {{from: string, to: string}} Edge */

/**
 * A service, or where the line of a call passes a layer between its ends: that takes a place, too, so that no line runs through
 * a box.
 * @typedef {{name: string, layer: number, place: number, passing: Edge | null}} Placed
 */

/** How often neighbours are put in order; more changes little. */
const SWEEPS = 6;

/**
 * @param {readonly Edge[]} edges calls in a circle are drawn backwards where the circle closes
 * @returns {Placed[][]} layers from left to right, each from top to bottom
 */
export function layServices(edges) {
  const names = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].sort();
  /** @type {Map<string, string[]>} */
  const callees = new Map(names.map((name) => [name, []]));
  for (const { from, to } of edges) {
    if (from !== to) {
      callees.get(from)?.push(to);
    }
  }
  const order = callersFirst(names, callees);
  const rank = new Map(order.map((name, at) => [name, at]));
  const layer = new Map(order.map((name) => [name, 0]));
  for (const name of order) {
    for (const callee of callees.get(name) ?? []) {
      if (Number(rank.get(callee)) > Number(rank.get(name))) {
        layer.set(callee, Math.max(Number(layer.get(callee)), Number(layer.get(name)) + 1));
      }
    }
  }
  /** @type {Placed[][]} */
  const layers = [];
  for (const name of order) {
    const own = (layers[Number(layer.get(name))] ??= []);
    own.push({ name, layer: Number(layer.get(name)), place: own.length, passing: null });
  }
  untangle(
    layers,
    edges.flatMap((edge) => passLayers(layers, layer, edge)),
  );
  return layers;
}

/**
 * Takes a place in each layer between a caller and what it calls.
 * @param {Placed[][]} layers
 * @param {ReadonlyMap<string, number>} layerOf
 * @param {Edge} edge
 * @returns {Edge[]} the edge in parts that lead from one layer to the next
 */
function passLayers(layers, layerOf, edge) {
  const parts = [];
  let { from } = edge;
  for (let at = Number(layerOf.get(edge.from)) + 1; at < Number(layerOf.get(edge.to)); at++) {
    const own = (layers[at] ??= []);
    const name = JSON.stringify([edge.from, edge.to, at]);
    own.push({ name, layer: at, place: own.length, passing: edge });
    parts.push({ from, to: name });
    from = name;
  }
  return [...parts, { from, to: edge.to }];
}

/**
 * A depth-first order, reversed: what closes a circle is the only call that goes back.
 * @param {readonly string[]} names
 * @param {ReadonlyMap<string, readonly string[]>} callees
 */
function callersFirst(names, callees) {
  const called = new Set([...callees.values()].flat());
  const starts = [...names].sort((left, right) => Number(called.has(left)) - Number(called.has(right)));
  const seen = new Set();
  const done = [];
  for (const start of starts) {
    if (seen.has(start)) {
      continue;
    }
    seen.add(start);
    const stack = [{ name: start, next: 0 }];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const callee = callees.get(top.name)?.[top.next];
      top.next += 1;
      if (callee === undefined) {
        done.push(top.name);
        stack.pop();
      } else if (!seen.has(callee)) {
        seen.add(callee);
        stack.push({ name: callee, next: 0 });
      }
    }
  }
  return done.reverse();
}

/**
 * Moves each service towards the middle of those it is joined to.
 * @param {Placed[][]} layers
 * @param {readonly Edge[]} edges
 */
function untangle(layers, edges) {
  const byName = new Map(layers.flat().map((placed) => [placed.name, placed]));
  /** @type {Map<Placed, Placed[]>} */
  const neighbours = new Map(layers.flat().map((placed) => [placed, []]));
  for (const { from, to } of edges) {
    const [left, right] = [byName.get(from), byName.get(to)];
    if (left !== undefined && right !== undefined && left !== right) {
      neighbours.get(left)?.push(right);
      neighbours.get(right)?.push(left);
    }
  }
  /** @param {Placed} placed */
  const middle = (placed) => {
    const near = neighbours.get(placed) ?? [];
    return near.length === 0 ? placed.place : near.reduce((sum, { place }) => sum + place, 0) / near.length;
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 === 0 ? layers : [...layers].reverse()) {
      const middles = new Map(layer.map((placed) => [placed, middle(placed)]));
      layer.sort((left, right) => Number(middles.get(left)) - Number(middles.get(right)));
      layer.forEach((placed, at) => (placed.place = at));
    }
  }
}
