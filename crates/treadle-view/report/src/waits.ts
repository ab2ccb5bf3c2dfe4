// Who waits for whom at the worst moment: a drawing with the rings marked, and the same as a list.

import { graphlib, layout } from "@dagrejs/dagre";

import { button, h, message, place, scroller, svg } from "./dom";
import type { Model } from "./model";
import { count, counted, moment } from "./words";

/** More would be a drawing in which nobody finds anything. */
const DRAWN = 400;
/** So many tasks that wait alike are one box. */
const MANY = 4;
const LISTED = 30;
/** So many of the tasks that one waits for are named. */
const NAMED = 8;
const HIGH = 48;

interface Point {
  x: number;
  y: number;
}
type Edge = [from: number, to: number, thing: string];

export function waits(model: Model, goToTask: (task: number) => void): HTMLElement {
  const { waits: told, findings } = model.report;
  if (told.tasks.length === 0) return h("p", { class: "soft" }, "No task waited for another when anything was looked at.");
  const rings = ringsOf(told.edges);
  const ringOf = new Map<number, number>();
  rings.forEach((ring, index) => ring.forEach((task) => ringOf.set(task, index)));
  const drawn = chosen(told.tasks, told.edges, ringOf);
  const words = `At ${moment(told.t, 1e6)}: ${told.reason}. ${counted(told.tasks.length, "task")}, ${counted(told.edges.length, "wait")} for another task, ${counted(rings.length, "ring")}.`;
  const less = drawn.length > 0 && drawn.length < told.tasks.length ? h("p", { class: "soft" }, `Drawn are ${drawn.length} that wait for another or are waited for, rings first; the list has all ${count(told.tasks.length)}.`) : null;
  const hint = rings.length > 0 && findings.length > 0 ? h("p", {}, "A ring cannot be left by itself: each of its tasks waits for the next.") : null;
  return h("div", {}, h("p", {}, words), hint, less, drawing(model, drawn, told.edges, ringOf), list(model, rings, ringOf, goToTask));
}

/** Rings: sets of tasks of which each leads to each other. Tarjan's algorithm, without recursion. */
export function ringsOf(edges: Edge[]): number[][] {
  const next = new Map<number, number[]>();
  for (const [from, to] of edges) {
    for (const task of [from, to]) if (!next.has(task)) next.set(task, []);
    next.get(from)!.push(to);
  }
  const [index, low] = [new Map<number, number>(), new Map<number, number>()];
  const stack: number[] = [];
  const onStack = new Set<number>();
  const rings: number[][] = [];
  for (const root of next.keys()) {
    if (index.has(root)) continue;
    const work: [task: number, edge: number][] = [[root, 0]];
    while (work.length > 0) {
      const frame = work.at(-1)!;
      const [task, edge] = frame;
      if (edge === 0) {
        index.set(task, index.size);
        low.set(task, index.get(task)!);
        stack.push(task);
        onStack.add(task);
      }
      const to = next.get(task)![edge];
      if (to !== undefined) {
        frame[1]++;
        if (!index.has(to)) work.push([to, 0]);
        else if (onStack.has(to)) low.set(task, Math.min(low.get(task)!, index.get(to)!));
        continue;
      }
      work.pop();
      const above = work.at(-1);
      if (above !== undefined) low.set(above[0], Math.min(low.get(above[0])!, low.get(task)!));
      if (low.get(task) !== index.get(task)) continue;
      const ring = stack.splice(stack.indexOf(task));
      for (const member of ring) onStack.delete(member);
      if (ring.length > 1 || next.get(task)!.includes(task)) rings.push(ring);
    }
  }
  return rings;
}

/** Rings first, then what waits for them, then what most wait for. */
function chosen(tasks: number[], edges: Edge[], ringOf: Map<number, number>): number[] {
  const weight = new Map<number, number>(tasks.map((task) => [task, ringOf.has(task) ? 1e6 : 0]));
  for (const [from, to] of edges) {
    weight.set(to, (weight.get(to) ?? 0) + 2);
    weight.set(from, (weight.get(from) ?? 0) + (ringOf.has(to) ? 1000 : 1));
  }
  const linked = tasks.filter((task) => weight.get(task)! > 0);
  return linked.sort((one, other) => weight.get(other)! - weight.get(one)! || one - other).slice(0, DRAWN);
}

/** A box of the drawing: a task, or several of the same code that have nothing but the same other end of their wait. */
interface Box {
  tasks: number[];
  title: string;
  ring: boolean;
}

function drawing(model: Model, tasks: number[], edges: Edge[], ringOf: Map<number, number>): HTMLElement | null {
  if (tasks.length === 0) return null;
  const there = new Set(tasks);
  const seen = edges.filter(([from, to]) => there.has(from) && there.has(to));
  const { boxes, boxOf } = boxed(model, tasks, seen, ringOf);
  const graph = new graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 18, edgesep: 26, ranksep: 50, marginx: 14, marginy: 14 });
  graph.setDefaultEdgeLabel(() => ({}));
  boxes.forEach(({ title, tasks: [task] }, box) => {
    graph.setNode(String(box), { width: 26 + 7.8 * Math.max(title.length, code(model, task!).length, 6), height: HIGH });
  });
  const drawn = new Map<string, Edge>();
  for (const edge of seen) {
    const [from, to, thing] = edge;
    const name = `${boxOf.get(from)} ${boxOf.get(to)} ${thing}`;
    if (drawn.has(name)) continue;
    drawn.set(name, edge);
    graph.setEdge(String(boxOf.get(from)), String(boxOf.get(to)), { width: 14 + 7.2 * plain(thing).length, height: 20, labelpos: "c" }, name);
  }
  layout(graph);
  const lines = graph.edges().map((edge) => {
    const [from, to, thing] = drawn.get(edge.name ?? "")!;
    const { points, x, y } = graph.edge(edge) as { points: Point[]; x: number; y: number };
    const ring = ringOf.has(from) && ringOf.get(from) === ringOf.get(to);
    const path = svg("path", { d: curve(sideways(graph, edge, points)), "marker-end": ring ? "url(#wait-ring)" : "url(#wait-end)" });
    const wide = 8 + 6.2 * plain(thing).length;
    const back = svg("rect", { x: x - wide / 2, y: y - 8, width: wide, height: 16 });
    const label = thing === "" ? [] : [back, svg("text", { x, y: y + 4, "text-anchor": "middle" }, plain(thing))];
    return svg("g", { class: ring ? "edge ring" : "edge" }, path, ...label);
  });
  const nodes = boxes.map(({ tasks: inside, title, ring }, box) => {
    const { x, y, width } = graph.node(String(box)) as { x: number; y: number; width: number };
    return svg(
      "g",
      { class: ring ? "node ring" : "node", "data-tasks": inside.join(" ") },
      svg("rect", { x: x - width / 2, y: y - HIGH / 2, width, height: HIGH, rx: 6 }),
      svg("text", { x, y: y - 4, "text-anchor": "middle", class: "name" }, title),
      svg("text", { x, y: y + 14, "text-anchor": "middle", class: "code" }, code(model, inside[0]!)),
    );
  });
  const { width, height } = graph.graph() as { width: number; height: number };
  const size = { width: Math.ceil(width), height: Math.ceil(height) };
  const image = svg("svg", { class: "waits", role: "img", "aria-label": "graph of waits; the list below says the same", ...size }, svg("defs", {}, end("wait-end"), end("wait-ring")), ...lines, ...nodes);
  return scroller("Graph of waits", image);
}

function boxed(model: Model, tasks: number[], edges: Edge[], ringOf: Map<number, number>): { boxes: Box[]; boxOf: Map<number, number> } {
  const waiters = new Map<number, Edge[]>();
  for (const edge of edges) {
    const known = waiters.get(edge[1]);
    if (known === undefined) waiters.set(edge[1], [edge]);
    else known.push(edge);
  }
  const alike = new Map<string, number[]>();
  for (const task of tasks) {
    const mine = edges.filter(([from]) => from === task);
    const theirs = waiters.get(task) ?? [];
    let key = `task ${task}`;
    if (mine.length === 1 && theirs.length === 0) key = `for ${mine[0]![1]} ${mine[0]![2]} ${code(model, task)}`;
    else if (mine.length === 0 && theirs.length === 1) key = `of ${theirs[0]![0]} ${theirs[0]![2]} ${code(model, task)}`;
    alike.set(key, [...(alike.get(key) ?? []), task]);
  }
  const boxes: Box[] = [];
  const boxOf = new Map<number, number>();
  const add = (inside: number[], title: string, ring: boolean): void => {
    for (const task of inside) boxOf.set(task, boxes.length);
    boxes.push({ tasks: inside, title, ring });
  };
  for (const inside of alike.values()) {
    if (inside.length >= MANY) add(inside, `${inside.length} tasks`, false);
    else {
      for (const task of inside) {
        const ring = ringOf.get(task);
        add([task], model.taskName(task) + (ring === undefined ? "" : ` (ring ${ring + 1})`), ring !== undefined);
      }
    }
  }
  return { boxes, boxOf };
}

function end(id: string): SVGElement {
  return svg("marker", { id, viewBox: "0 0 10 10", refX: 10, refY: 5, markerWidth: 11, markerHeight: 11, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 0L10 5L0 10z" }));
}

/** The points of a line that leaves and enters its boxes at their sides, so that its arrow can be seen. */
function sideways(graph: graphlib.Graph, edge: { v: string; w: string }, points: Point[]): Point[] {
  const at = (name: string, point: Point, next: Point): Point => {
    const { x, y, width } = graph.node(name) as { x: number; y: number; width: number };
    const room = HIGH / 2 - 10;
    return { x: next.x < x ? x - width / 2 : x + width / 2, y: Math.max(y - room, Math.min(point.y, y + room)) };
  };
  const inner = points.slice(1, -1);
  if (inner.length === 0) return points;
  return [at(edge.v, points[0]!, inner[0]!), ...inner, at(edge.w, points.at(-1)!, inner.at(-1)!)];
}

/** A smooth line through all points, among which is that of the label; level at each, so that it never swings beyond them. */
function curve(points: Point[]): string {
  const [first, ...rest] = points as [Point, ...Point[]];
  let path = `M${first.x.toFixed(1)} ${first.y.toFixed(1)}`;
  let last = first;
  for (const point of rest) {
    const middle = ((last.x + point.x) / 2).toFixed(1);
    path += `C${middle} ${last.y.toFixed(1)} ${middle} ${point.y.toFixed(1)} ${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
    last = point;
  }
  return path;
}

/** In a drawing there is no code. */
function plain(text: string): string {
  return text.replaceAll("`", "");
}

function code(model: Model, task: number): string {
  return model.function_(model.report.tasks.code[task] ?? -1);
}

function list(model: Model, rings: number[][], ringOf: Map<number, number>, goToTask: (task: number) => void): HTMLElement {
  const { waits: told } = model.report;
  const of = (task: number): Edge[] => told.edges.filter(([from]) => from === task);
  const link = (task: number): HTMLElement => button(model.taskName(task), () => goToTask(task), { class: "link" });
  const entry = (task: number): HTMLElement => {
    const edges = of(task);
    const what = told.waits_for[task];
    const to = edges.slice(0, NAMED).flatMap(([, other, thing], at) => {
      const before = at > 0 ? "; " : " waits for ";
      return thing === "" ? [before, link(other)] : [before, message(thing), ", which ", link(other), " has to give"];
    });
    if (edges.length > NAMED) to.push(` and ${edges.length - NAMED} more`);
    const chain = told.chains[task] ?? [];
    const parked = model.parked(task);
    return h(
      "li",
      { "data-waits": task },
      link(task),
      ...to,
      edges.length === 0 ? " waits" : null,
      ...(edges.length === 0 && what !== undefined ? [" for ", message(what)] : []),
      ...(parked < 0 ? [] : [", parked at ", place(model, parked)]),
      chain.length > 1 ? h("details", {}, h("summary", {}, "await chain"), h("ol", {}, ...chain.map((site) => h("li", {}, place(model, site))))) : null,
    );
  };
  const linked = new Set(told.edges.map(([from]) => from));
  const outside = told.tasks.filter((task) => !ringOf.has(task));
  const others = outside.filter((task) => linked.has(task) || told.waits_for[task] !== undefined || (told.chains[task] ?? []).length > 0);
  others.sort((one, other) => Number(linked.has(other)) - Number(linked.has(one)));
  const silent = outside.length - others.length;
  let shown = LISTED;
  const rest = h("ul", { class: "waits-list" });
  const fill = (): void => {
    rest.replaceChildren(...others.slice(0, shown).map(entry));
    if (others.length > shown) rest.append(h("li", {}, button(`${count(others.length - shown)} more`, () => ((shown += 500), fill()))));
    if (silent > 0) rest.append(h("li", { class: "soft" }, `${counted(silent, "task")} of which it is not known what they wait for`));
  };
  fill();
  return h(
    "div",
    { class: "waits-text" },
    ...rings.flatMap((ring, index) => [h("h3", { class: "ring-title" }, `Ring ${index + 1}: ${counted(ring.length, "task")}`), h("ul", { class: "waits-list ring" }, ...inOrder(ring, told.edges).map(entry))]),
    outside.length > 0 ? h("h3", {}, rings.length > 0 ? "Other tasks that wait" : "Tasks that wait") : null,
    outside.length > 0 ? rest : null,
  );
}

/** A ring in the order in which its tasks wait for each other. */
function inOrder(ring: number[], edges: Edge[]): number[] {
  const left = new Set(ring);
  const out: number[] = [];
  let at: number | undefined = Math.min(...ring);
  while (at !== undefined) {
    out.push(at);
    left.delete(at);
    at = edges.find(([from, to]) => from === at && left.has(to))?.[1] ?? left.values().next().value;
  }
  return out;
}
