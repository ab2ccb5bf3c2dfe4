// The strip over the whole run, and the histograms; uPlot draws both.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { button, h, table } from "./dom";
import type { Model } from "./model";
import type { Histogram } from "./report";
import { colour, onTheme } from "./theme";
import type { View } from "./view";
import { count, counted, duration, percent } from "./words";

const FONT = "12px system-ui, sans-serif";
/** What may be shown beside how busy the loops were. */
const SECOND = {
  lag: "longest queueing delay",
  ready: "callbacks ready",
  callbacks: "callbacks run",
  tasks: "tasks",
  timers: "timers",
  fds: "descriptors",
} as const;
type Second = keyof typeof SECOND;

/** How busy the loops were over the whole run, and which part of it the timeline shows. */
export function overview(model: Model, view: View): HTMLElement {
  const { seconds } = model.report;
  const select = h("select", { id: "overview-second" }, ...Object.entries(SECOND).map(([value, word]) => h("option", { value }, word)));
  const box = h("div", { class: "plot", role: "img" });
  const [from, to] = [edge(view, "from"), edge(view, "to")];
  const range = h(
    "form",
    { class: "controls", "aria-label": "range by numbers", novalidate: true },
    h("label", { class: "field" }, "From second ", from),
    h("label", { class: "field" }, "to second ", to),
    h("button", { type: "submit" }, "Show"),
    h("label", { class: "field", for: "overview-second" }, "Line: ", select),
  );
  /** What the fields say is what is shown, also where less was possible than asked for. */
  const numbers = (): void => {
    [from.value, to.value] = [String(view.from / 1e6), String(view.to / 1e6)];
  };
  view.onChange(numbers);
  range.addEventListener("submit", (event) => {
    event.preventDefault();
    const [start, end] = [Number(from.value) * 1e6, Number(to.value) * 1e6];
    if (end > start) view.set(start, end);
    numbers();
  });
  if (seconds.t.length === 0) return h("div", {}, h("p", { class: "soft" }, "The run was too short for an overview."), range);
  let plot: uPlot | null = null;
  const brush = (): void => {
    if (plot === null) return;
    const [left, right] = [view.from, view.to].map((t) => plot!.valToPos(t / 1e6, "x")) as [number, number];
    plot.setSelect({ left, width: Math.max(1, right - left), top: 0, height: plot.over.clientHeight }, false);
  };
  const make = (): void => {
    if (box.clientWidth === 0) return;
    plot?.destroy();
    const second = select.value as Second;
    plot = new uPlot(overviewOptions(box.clientWidth, view, second), [
      Array.from(seconds.t, (t) => t / 1e6),
      Array.from(seconds.busy, (busy, row) => (100 * busy) / Math.max(1, busy + seconds.idle[row]!)),
      second === "lag" ? Array.from(seconds.lag, (lag) => lag / 1e3) : seconds[second],
    ], box);
    brush();
  };
  const worst = seconds.lag.reduce((most, lag) => Math.max(most, lag), 0);
  const busy = seconds.busy.reduce((sum, value) => sum + value, 0);
  const idle = seconds.idle.reduce((sum, value) => sum + value, 0);
  box.setAttribute("aria-label", `How busy the loops were over the run: ${percent(busy, busy + idle)} of the time altogether; longest queueing delay ${duration(worst)}`);
  select.addEventListener("change", make);
  view.onChange(brush);
  redrawn(box, make);
  return h("div", {}, box, range);
}

function edge(view: View, which: "from" | "to"): HTMLInputElement {
  return h("input", { type: "number", id: `range-${which}`, step: "any", min: 0, max: view.end / 1e6, value: String(view[which] / 1e6) });
}

function overviewOptions(width: number, view: View, second: Second): uPlot.Options {
  const values = (unit: string) => (_: uPlot, splits: number[]) => splits.map((value) => `${count(value)}${unit}`);
  return {
    width,
    height: 140,
    legend: { show: true, live: true },
    cursor: { drag: { x: true, y: false, setScale: false } },
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 2) return;
          view.set(plot.posToVal(plot.select.left, "x") * 1e6, plot.posToVal(plot.select.left + plot.select.width, "x") * 1e6);
        },
      ],
    },
    scales: { x: { time: false, range: [0, view.end / 1e6] }, busy: { range: [0, 100] }, second: { range: (_, __, most) => [0, Math.max(1, most) * 1.05] } },
    axes: [{ ...axis(values(" s")), size: 32 }, { ...axis(values(" %")), scale: "busy", size: 54 }, { ...axis(values(second === "lag" ? " ms" : "")), scale: "second", side: 1, size: 70, grid: { show: false } }],
    series: [
      { label: "time", value: (_, value) => (value === null ? "–" : `${count(value)} s`) },
      { label: "busy (area)", scale: "busy", fill: colour("area"), stroke: colour("hue0"), width: 1, points: { show: false }, value: (_, value) => (value === null ? "–" : `${Math.round(value)} %`) },
      {
        label: `${SECOND[second]} (line)`,
        scale: "second",
        stroke: colour("line-ink"),
        width: 1.5,
        points: { show: false },
        value: (_, value) => (value === null ? "–" : second === "lag" ? duration(value * 1e3) : count(value)),
      },
    ],
  };
}

function axis(values: (plot: uPlot, splits: number[]) => string[]): uPlot.Axis {
  const line = { stroke: colour("line"), width: 1 };
  return { stroke: colour("soft"), font: FONT, grid: line, ticks: line, values };
}

/** Calls now, and again when the colours or the width have changed. */
function redrawn(box: HTMLElement, make: () => void): void {
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    make();
  }).observe(box);
  onTheme(make);
}

/** A histogram with both axes logarithmic, the words that matter, and its numbers as a table. */
export function histogram(title: string, told: Histogram): HTMLElement {
  const { edges, counts, max } = filledPart(told);
  const total = counts.reduce((sum, value) => sum + value, 0);
  if (total === 0) return h("div", {}, h("h3", {}, title), h("p", { class: "soft" }, "Nothing was measured."));
  const words = `${counted(total, "measurement")}: half of them ${below(edges, counts, total, 0.5)}, 99 % ${below(edges, counts, total, 0.99)}; the longest took ${duration(max)}.`;
  const box = h("div", { class: "plot", role: "img", "aria-label": `${title}. ${words}` });
  let plot: uPlot | null = null;
  redrawn(box, () => {
    if (box.clientWidth === 0) return;
    plot?.destroy();
    plot = new uPlot(histogramOptions(box.clientWidth, counts), [
      edges.map((value) => Math.max(value, 0.5)),
      [...counts.map((value) => (value === 0 ? 0.5 : value)), 0.5],
    ], box);
  });
  const rows = counts.flatMap((value, row) => (value === 0 ? [] : [[duration(edges[row]!), duration(edges[row + 1]!), count(value), percent(value, total)]]));
  const numbers = h("details", {}, h("summary", {}, "As a table"), table(`${title} in numbers`, ["from", "to", "how many", "part"], rows, [0, 1, 2, 3]));
  const reset = button("Whole range", () => plot?.setScale("x", { min: Math.max(edges[0]!, 0.5), max: edges.at(-1)! }));
  return h("div", { class: "histogram" }, h("h3", {}, title), h("p", {}, words), box, h("div", { class: "controls" }, reset), numbers);
}

/** Without the empty ends, and without classes that are narrower than the clock: those go into the next. */
function filledPart(told: Histogram): Histogram {
  const { max } = told;
  const [edges, counts] = [[told.edges[0] ?? 0], [] as number[]];
  let held = 0;
  told.counts.forEach((value, row) => {
    held += value;
    const edge = told.edges[row + 1]!;
    if (edge <= edges.at(-1)!) return;
    edges.push(edge);
    counts.push(held);
    held = 0;
  });
  const first = counts.findIndex((value) => value > 0);
  const last = counts.findLastIndex((value) => value > 0);
  return { edges: edges.slice(Math.max(0, first), last + 2), counts: counts.slice(Math.max(0, first), last + 1), max };
}

function below(edges: number[], counts: number[], total: number, part: number): string {
  let sum = 0;
  for (let row = 0; row < counts.length; row++) {
    sum += counts[row]!;
    if (sum >= part * total) return `under ${duration(edges[row + 1]!)}`;
  }
  return "";
}

function power(value: number): boolean {
  return value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
}

function histogramOptions(width: number, counts: number[]): uPlot.Options {
  const most = counts.reduce((one, other) => Math.max(one, other), 1);
  const powers = (format: (value: number) => string) => (_: uPlot, splits: number[]) => splits.map((value) => (power(value) ? format(value) : ""));
  const lines = (_: uPlot, splits: number[]) => splits.map((value) => (power(value) ? value : null)) as number[];
  const logarithmic = (format: (value: number) => string): uPlot.Axis => {
    const plain = axis(powers(format));
    return { ...plain, grid: { ...plain.grid, filter: lines }, ticks: { ...plain.ticks, filter: lines } };
  };
  return {
    width,
    height: 200,
    legend: { show: true, live: true },
    scales: { x: { time: false, distr: 3 }, y: { distr: 3, range: [0.5, most * 2] } },
    axes: [{ ...logarithmic(duration), size: 32 }, { ...logarithmic(count), size: 24 + 8 * count(most).length }],
    series: [
      { label: "from", value: (_, value) => (value === null ? "–" : duration(value)) },
      {
        label: "how many",
        fill: colour("area"),
        stroke: colour("hue0"),
        width: 1.5,
        points: { show: false },
        paths: uPlot.paths.stepped!({ align: 1 }),
        value: (_, value) => (value === null ? "–" : count(value < 1 ? 0 : value)),
      },
    ],
  };
}
