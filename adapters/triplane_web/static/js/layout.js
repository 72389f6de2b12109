// Layered layout of tasks, left to right: a layer for each distance from the beginning, few crossings, no overlaps.

export const WIDTH = 168, HEIGHT = 30, GAP_X = 56, GAP_Y = 12, TALLEST = 60;

/**
 * @param {{id: string, seq: number}[]} nodes in creation order
 * @param {[string, string][]} edges from what is waited for to what waits
 * @returns {{places: Map<string, {x: number, y: number}>, width: number, height: number}}
 */
export function layered(nodes, edges) {
  const index = new Map(nodes.map((node, position) => [node.id, position]));
  const after = nodes.map(() => []), before = nodes.map(() => []), left = new Int32Array(nodes.length), layer = new Int32Array(nodes.length);
  for (const [from, to] of edges) {
    const a = index.get(from), b = index.get(to);
    if (a === undefined || b === undefined || a === b) continue;
    after[a].push(b);
    before[b].push(a);
    left[b]++;
  }
  // Longest way from the beginning. What is in a circle stays where it is reached first.
  const queue = [];
  for (let node = 0; node < nodes.length; node++) if (left[node] === 0) queue.push(node);
  for (let head = 0; head < queue.length; head++) {
    for (const next of after[queue[head]]) {
      layer[next] = Math.max(layer[next], layer[queue[head]] + 1);
      if (--left[next] === 0) queue.push(next);
    }
  }
  // What waits for nothing goes right before what first waits for it; what nobody waits for yet, behind the task of its name before it.
  const latest = new Map();
  for (let node = 0; node < nodes.length; node++) {
    const name = nodes[node].id.slice(nodes[node].id.indexOf("/") + 1);
    if (before[node].length === 0) {
      if (after[node].length) layer[node] = Math.max(0, after[node].reduce((least, next) => Math.min(least, layer[next]), Infinity) - 1);
      else if (latest.has(name)) layer[node] = latest.get(name) + 1;
    }
    latest.set(name, Math.max(layer[node], latest.get(name) ?? 0));
  }
  const layers = [];
  for (let node = 0; node < nodes.length; node++) (layers[layer[node]] ??= []).push(node);
  // Each node goes near the middle of its neighbours: there and back again.
  const place = new Float64Array(nodes.length);
  const settle = (row) => row?.forEach((node, position) => { place[node] = position - row.length / 2; });
  layers.forEach(settle);
  const sweep = (row, near) => {
    if (!row || row.length < 2) return;
    const wish = new Map(row.map((node) => [node, near[node].length ? near[node].reduce((sum, other) => sum + place[other], 0) / near[node].length : place[node]]));
    row.sort((a, b) => wish.get(a) - wish.get(b) || a - b);
    settle(row);
  };
  for (let turn = 0; turn < 3; turn++) {
    for (let level = 1; level < layers.length; level++) sweep(layers[level], before);
    for (let level = layers.length - 2; level >= 0; level--) sweep(layers[level], after);
  }
  const places = new Map();
  let x = 0, height = 0;
  for (const row of layers) {
    if (!row) continue;
    // A very tall layer becomes several columns.
    const columns = Math.ceil(row.length / TALLEST), tall = Math.ceil(row.length / columns);
    row.forEach((node, position) => {
      const column = Math.floor(position / tall), inColumn = Math.min(tall, row.length - column * tall);
      places.set(nodes[node].id, { x: x + column * (WIDTH + 16), y: (position % tall - (inColumn - 1) / 2) * (HEIGHT + GAP_Y) });
    });
    height = Math.max(height, tall);
    x += columns * (WIDTH + 16) - 16 + GAP_X;
  }
  return { places, width: Math.max(x - GAP_X, WIDTH), height: height * (HEIGHT + GAP_Y) };
}

/** Edges of tasks that say what they wait for. */
export function neededEdges(tasks) {
  const edges = [];
  for (const task of tasks) for (const [name] of task.needs) edges.push([name, task.id]);
  return edges;
}

/**
 * Edges by time, for engines whose tasks do not say what they wait for: what began after others had ended follows them.
 * @param {(task: any) => [number, number]} times when a task began and ended (Infinity while it has not)
 */
export function timeEdges(tasks, times) {
  const rows = tasks.map((task) => [task.id, ...times(task)]).sort((a, b) => a[1] - b[1]);
  const edges = [];
  let previous = [], group = [], ended = Infinity;
  for (const [id, began, over] of rows) {
    if (group.length && began >= ended) { previous = group; group = []; ended = Infinity; }
    for (const other of previous.slice(-6)) edges.push([other, id]);
    group.push(id);
    ended = Math.min(ended, over);
  }
  return edges;
}
