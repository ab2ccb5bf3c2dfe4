// The timeline: what pointer, wheel, keys, buttons and the search do to it. `paint.ts` draws, `lanes.ts` knows the rows.

import * as details from "./details";
import { button, h, live } from "./dom";
import { LANE, Lanes, type Lane } from "./lanes";
import { firstSeen, type Model, type Spans } from "./model";
import { across, marks, paint, RULER, type Scene } from "./paint";
import { Search } from "./search";
import { Stage, tip } from "./stage";
import type { View } from "./view";
import { duration, moment } from "./words";

const HIGHEST = 520;
/** How long the range stands still, in milliseconds, before lanes come and go. */
const SETTLED = 150;
const KEYS =
  "Keys in the drawing: + and − zoom, ← and → move, ↑ and ↓ choose a lane, n and p go to its next and previous step, w goes to " +
  "the waker of a step, Enter opens or closes a birth place or shows the lane, f fits the step, 0 shows the whole run, " +
  "Backspace the range before, Escape selects nothing. Pointer: drag to move, drag the ruler or hold Shift to choose a range, " +
  "Ctrl and wheel zoom, click for details.";

export class Timeline {
  readonly element: HTMLElement;
  private readonly lanes: Lanes;
  private readonly stage: Stage;
  private readonly scene: Scene;
  private readonly gutter = new Map<string, HTMLElement>();
  private readonly panel = h("div", { class: "panel", role: "status", "aria-label": "details of the selection" });
  private settling = 0;
  private readonly range = live();
  private readonly search: Search;

  constructor(
    private readonly model: Model,
    private readonly view: View,
  ) {
    this.lanes = new Lanes(model, view);
    this.stage = new Stage("timeline", "Timeline of loops, threads and tasks", HIGHEST, (stage) => this.draw(stage));
    this.scene = {
      model,
      view,
      rows: this.lanes.rows,
      selected: -1,
      current: 0,
      focused: false,
      hits: null,
      drawn: null,
      rowOfStep: (step) => this.rowOfStep(step, false),
    };
    this.search = new Search(model, {
      task: (task) => this.goToTask(task),
      step: (step) => this.goToStep(step),
      hits: (hits) => {
        this.scene.hits = hits;
        this.stage.repaint();
      },
    });
    const canvas = this.stage.canvas;
    canvas.setAttribute("aria-describedby", "timeline-keys");
    view.onChange(() => this.changed());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.focus(true));
    canvas.addEventListener("blur", () => this.focus(false));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => tip.hide());
    this.element = h(
      "div",
      {},
      this.controls(),
      this.search.element,
      this.stage.outer,
      legend(),
      this.panel,
      h("details", { class: "keys" }, h("summary", {}, "Keys and pointer"), h("p", { id: "timeline-keys" }, KEYS)),
    );
    this.panel.append(h("p", { class: "soft" }, "Nothing is selected: click a step, or choose one by the keys."));
    this.relayout();
    this.changed();
  }

  /** Shows a moment of the run and selects the step of a loop that ran then. */
  goToMoment(t: number): void {
    const { steps } = this.model;
    for (const loop of this.model.loops) {
      const step = hit(steps, this.model.stepsOfLoop.at(loop), t, 0);
      if (step >= 0) return this.goToStep(step);
    }
    const span = Math.min(this.view.end, Math.max(20_000, this.view.span / 20));
    this.view.set(t - span / 2, t + span / 2);
  }

  goToStep(step: number): void {
    const { start, took } = this.model.steps;
    this.view.show(start[step]!, start[step]! + took[step]!);
    this.select(step, this.rowOfStep(step, true));
  }

  goToTask(task: number): void {
    const steps = this.model.stepsOfTask.at(task);
    const row = this.lanes.rowOfTask(task, true);
    this.relayout();
    if (steps.length > 0) return this.goToStep(steps[0]!);
    const { born, ended } = this.model.report.tasks;
    this.view.show(born[task]!, ended[task]! < 0 ? this.view.end : ended[task]!);
    this.scene.selected = -1;
    this.at(row);
    this.panel.replaceChildren(details.taskDetails(this.model, task));
  }

  private rowOfStep(step: number, open: boolean): number {
    const task = this.model.steps.task[step]!;
    const row = task < 0 ? -1 : this.lanes.rowOfTask(task, open);
    if (open) this.relayout();
    return row >= 0 ? row : this.lanes.rowOfLoop(this.model.steps.loop[step]!);
  }

  private select(step: number, row: number): void {
    this.scene.selected = step;
    this.panel.replaceChildren(details.stepDetails(this.model, step, { step: (other) => this.goToStep(other), task: (task) => this.goToTask(task) }));
    this.at(row);
  }

  private at(row: number): void {
    this.scene.current = Math.max(0, Math.min(row, this.lanes.rows.length - 1));
    const y = RULER + this.scene.current * LANE;
    this.stage.reveal(y, y + LANE, RULER);
    this.stage.repaint();
  }

  private clear(): void {
    this.scene.selected = -1;
    this.panel.replaceChildren(h("p", { class: "soft" }, "Nothing is selected."));
    this.stage.repaint();
  }

  private changed(): void {
    const { from, to, span } = this.view;
    if (this.lanes.onlyBusy) {
      // Not while the range moves: lanes would come and go under the pointer.
      clearTimeout(this.settling);
      this.settling = setTimeout(() => this.rebuild(), SETTLED);
    }
    this.range.textContent = `shows ${moment(from, span)} to ${moment(to, span)} (${duration(span)})`;
    this.stage.repaint();
  }

  /** Rows come and go with the range; the lane that the keyboard is at stays the same one. */
  private rebuild(): void {
    const lane = this.lanes.rows[this.scene.current];
    this.lanes.build();
    const key = lane === undefined ? "" : keyOf(lane);
    const row = this.lanes.rows.findIndex((candidate) => keyOf(candidate) === key);
    const moved = row >= 0 && this.scene.selected >= 0 ? row - this.scene.current : 0;
    this.scene.current = row >= 0 ? row : Math.max(0, Math.min(this.scene.current, this.lanes.rows.length - 1));
    const { top } = this.stage;
    this.relayout();
    if (moved !== 0) this.stage.outer.scrollTop = top + moved * LANE;
  }

  private relayout(): void {
    this.scene.rows = this.lanes.rows;
    this.stage.contentHeight = RULER + this.lanes.rows.length * LANE + 4;
    this.stage.repaint();
  }

  private controls(): HTMLElement {
    const { view } = this;
    const only = h("input", { type: "checkbox", id: "only-busy", checked: this.lanes.onlyBusy });
    only.addEventListener("change", () => {
      this.lanes.onlyBusy = only.checked;
      this.rebuild();
    });
    return h(
      "div",
      { class: "controls", role: "group", "aria-label": "range of the timeline" },
      button("Zoom in", () => view.zoom(0.5)),
      button("Zoom out", () => view.zoom(2)),
      button("◀ Earlier", () => view.pan(-0.5)),
      button("Later ▶", () => view.pan(0.5)),
      button("Whole run", () => view.set(0, view.end)),
      button("Range before", () => view.back()),
      h("label", { class: "field", for: "only-busy" }, only, " only tasks that run in this range"),
      this.range,
    );
  }

  private draw(stage: Stage): void {
    paint(stage, this.scene);
    this.names(stage);
  }

  /** The names at the left, of the lanes that can be seen. A name that stays keeps its element, and so the focus. */
  private names(stage: Stage): void {
    const first = Math.max(0, Math.floor((stage.top - RULER) / LANE));
    const last = Math.min(this.lanes.rows.length, Math.ceil((stage.top + stage.height) / LANE));
    const seen = new Set<string>();
    for (let row = first; row < last; row++) {
      const lane = this.lanes.rows[row]!;
      const key = keyOf(lane);
      seen.add(key);
      let element = this.gutter.get(key);
      if (element === undefined) {
        element = this.name(lane);
        this.gutter.set(key, element);
        stage.inner.append(element);
      }
      element.style.top = `${RULER + row * LANE}px`;
      element.classList.toggle("current", row === this.scene.current && this.scene.focused);
    }
    for (const [key, element] of this.gutter) {
      if (seen.has(key)) continue;
      element.remove();
      this.gutter.delete(key);
    }
  }

  private name(lane: Lane): HTMLElement {
    const title = `${lane.name}: ${lane.detail}`;
    if (lane.kind === "birth" || lane.kind === "more") {
      const open = lane.kind === "birth" ? String(lane.open) : undefined;
      const sign = lane.kind === "more" ? "… " : lane.open ? "▾ " : "▸ ";
      return button(sign + lane.name, () => this.act(lane), { class: "lane", title, "aria-label": title, "aria-expanded": open });
    }
    return h("div", { class: lane.kind === "task" && lane.nested ? "lane nested" : "lane", title }, lane.name);
  }

  private act(lane: Lane): void {
    if (lane.kind === "birth") this.lanes.toggle(lane.birth);
    else if (lane.kind === "more") this.lanes.more(lane.birth);
    else if (lane.kind === "task") {
      const { born, ended } = this.model.report.tasks;
      const end = ended[lane.task]! < 0 ? this.view.end : ended[lane.task]!;
      const margin = (end - born[lane.task]!) / 10;
      this.view.set(born[lane.task]! - margin, end + margin);
      this.panel.replaceChildren(details.taskDetails(this.model, lane.task));
    }
    this.relayout();
  }

  private focus(focused: boolean): void {
    this.scene.focused = focused;
    this.stage.repaint();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const lane = this.lanes.rows[this.scene.current];
    const acts: Record<string, () => void> = {
      "+": () => this.view.zoom(0.5, this.anchor()),
      "=": () => this.view.zoom(0.5, this.anchor()),
      "-": () => this.view.zoom(2, this.anchor()),
      ArrowLeft: () => this.view.pan(-0.1),
      ArrowRight: () => this.view.pan(0.1),
      ArrowUp: () => this.at(this.scene.current - 1),
      ArrowDown: () => this.at(this.scene.current + 1),
      PageUp: () => this.at(this.scene.current - 15),
      PageDown: () => this.at(this.scene.current + 15),
      Home: () => this.at(0),
      End: () => this.at(this.lanes.rows.length - 1),
      "0": () => this.view.set(0, this.view.end),
      Backspace: () => this.view.back(),
      Escape: () => this.clear(),
      Enter: () => lane !== undefined && this.act(lane),
      n: () => this.neighbour(1),
      p: () => this.neighbour(-1),
      w: () => this.toWaker(),
      f: () => this.fit(),
    };
    const act = acts[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  }

  private anchor(): number {
    const { start, took } = this.model.steps;
    const { selected } = this.scene;
    const middle = selected < 0 ? -1 : start[selected]! + took[selected]! / 2;
    return middle >= this.view.from && middle <= this.view.to ? middle : (this.view.from + this.view.to) / 2;
  }

  private neighbour(by: 1 | -1): void {
    const rows = this.stepsOf(this.lanes.rows[this.scene.current]);
    if (rows.length === 0) return;
    const at = rows.indexOf(this.scene.selected);
    const first = firstSeen(this.model.steps, rows, this.view.from, 0);
    const step = rows[at < 0 ? Math.min(first, rows.length - 1) : at + by];
    if (step === undefined) return;
    const row = this.scene.current;
    const { start, took } = this.model.steps;
    const [from, to] = [start[step]!, start[step]! + took[step]!];
    if (to < this.view.from || from > this.view.to) this.view.set(from - this.view.span / 2, from + this.view.span / 2, false);
    this.select(step, row);
  }

  private toWaker(): void {
    const waker = this.scene.selected < 0 ? -1 : this.model.steps.waker[this.scene.selected]!;
    if (waker >= 0) this.goToStep(waker);
  }

  private fit(): void {
    const { selected } = this.scene;
    if (selected < 0) return;
    const [from, took] = [this.model.steps.start[selected]!, this.model.steps.took[selected]!];
    this.view.set(from - took, from + 2 * took);
  }

  private stepsOf(lane: Lane | undefined): Uint32Array {
    if (lane?.kind === "loop") return this.model.stepsOfLoop.at(lane.loop);
    if (lane?.kind === "birth") return this.model.stepsOfBirth.at(lane.birth.key);
    if (lane?.kind === "task") return this.model.stepsOfTask.at(lane.task);
    return new Uint32Array();
  }

  private wheel(event: WheelEvent): void {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.view.zoom(Math.exp(Math.max(-60, Math.min(event.deltaY, 60)) / 120), this.time(this.stage.point(event).x), false);
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      this.view.pan(sideways / this.stage.width);
    }
  }

  private time(x: number): number {
    return this.view.from + (x / this.stage.width) * this.view.span;
  }

  /** A press on the ruler or with Shift draws a range, one that moves elsewhere drags the time, one that stays is a click. */
  private press(down: PointerEvent): void {
    if (down.button !== 0) return;
    const canvas = this.stage.canvas;
    const origin = this.stage.point(down);
    const chooses = down.shiftKey || origin.y - this.stage.top < RULER;
    const [from, to] = [this.view.from, this.view.to];
    let moved = false;
    canvas.setPointerCapture(down.pointerId);
    tip.hide();
    const move = (event: PointerEvent): void => {
      const { x } = this.stage.point(event);
      if (!moved && Math.abs(x - origin.x) < 4) return;
      moved = true;
      if (chooses) {
        this.scene.drawn = [this.time(Math.min(x, origin.x)), this.time(Math.max(x, origin.x))];
        this.stage.repaint();
      } else {
        const shift = Math.max(-from, Math.min(((origin.x - x) / this.stage.width) * (to - from), this.view.end - to));
        this.view.set(from + shift, to + shift, false);
      }
    };
    const up = (event: PointerEvent): void => {
      canvas.removeEventListener("pointermove", move);
      canvas.removeEventListener("pointerup", up);
      canvas.removeEventListener("pointercancel", up);
      const { drawn } = this.scene;
      this.scene.drawn = null;
      if (drawn !== null) this.view.set(drawn[0], drawn[1]);
      else if (!moved && event.type === "pointerup") this.click(origin);
      this.stage.repaint();
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
  }

  private click(point: { x: number; y: number }): void {
    const row = Math.floor((point.y - RULER) / LANE);
    const lane = this.lanes.rows[row];
    if (lane === undefined || point.y < RULER) return this.clear();
    const found = this.under(lane, point.x);
    if (found === null) {
      this.clear();
      if (lane.kind === "task") this.panel.replaceChildren(details.taskDetails(this.model, lane.task));
    } else if (found.step !== undefined) return this.select(found.step, row);
    else {
      this.scene.selected = -1;
      this.panel.replaceChildren(found.panel());
    }
    this.at(row);
  }

  private hover(event: PointerEvent): void {
    if (event.buttons !== 0) return;
    const { x, y } = this.stage.point(event);
    const lane = this.lanes.rows[Math.floor((y - RULER) / LANE)];
    const found = lane === undefined || y - this.stage.top < RULER ? null : this.under(lane, x);
    this.stage.canvas.style.cursor = y - this.stage.top < RULER ? "col-resize" : found === null ? "grab" : "pointer";
    if (found === null) tip.hide();
    else tip.show(event, found.words);
  }

  private under(lane: Lane, x: number): Under | null {
    const { model } = this;
    const t = this.time(x);
    const slack = (3 / this.stage.width) * this.view.span;
    if (lane.kind === "findings") {
      const mark = marks(this.stage, this.scene).find((candidate) => x >= candidate.x - 9 && x <= candidate.x + 30);
      if (mark === undefined) return null;
      const words = mark.findings.slice(0, 5).map(({ finding }) => model.report.findings[finding]!.message);
      return { words, panel: () => details.marksDetails(model, mark.findings) };
    }
    if (lane.kind === "thread") {
      const { submitted, started, ended, name } = model.report.jobs;
      const job = lane.jobs.find((row) => {
        const end = ended[row]! < 0 ? this.view.end : ended[row]!;
        return submitted[row]! - slack <= t && t <= end + slack && (started[row]! <= t || !lane.jobs.some((other) => started[other]! <= t && t <= ended[other]!));
      });
      return job === undefined ? null : { words: [name[job]!], panel: () => details.jobDetails(model, job) };
    }
    const pause = lane.kind === "loop" ? this.pauseAt(lane.loop, t, x) : -1;
    const step = hit(model.steps, this.stepsOf(lane), t, slack);
    if (step >= 0) {
      const { task, site, took, start } = model.steps;
      const words = [
        `${model.taskName(task[step]!)}: ${duration(took[step]!)} at ${moment(start[step]!, 1)}`,
        model.site(site[step]!),
      ];
      if (pause >= 0) words.push(`${model.report.pauses.kind[pause] === "gc" ? "gc" : "blocked"}: ${duration(model.pauses.took[pause]!)}`);
      return { words, step, panel: () => h("div") };
    }
    if (pause >= 0) return { words: [duration(model.pauses.took[pause]!)], panel: () => details.pauseDetails(model, pause) };
    const poll = lane.kind === "loop" ? hit(model.polls, model.pollsOfLoop.at(lane.loop), t, slack) : -1;
    if (poll < 0) return null;
    return { words: [`asleep for ${duration(model.polls.took[poll]!)}`], panel: () => details.pollDetails(model, poll) };
  }

  private pauseAt(loop: number, t: number, x: number): number {
    const { start, took } = this.model.pauses;
    const { loop: loops } = this.model.report.pauses;
    return start.findIndex((from, row) => {
      if (loops[row] !== loop && loops[row] !== -1) return false;
      const middle = across(this.stage, this.scene, from + took[row]! / 2);
      return (from <= t && t <= from + took[row]!) || Math.abs(middle - x) < 5;
    });
  }
}

interface Under {
  words: string[];
  step?: number;
  panel(): HTMLElement;
}

/** The row at this moment, or else the nearest one that is no further than `slack`. */
function hit(columns: Spans, rows: Uint32Array, t: number, slack: number): number {
  let best = -1;
  let nearest = slack;
  for (let at = firstSeen(columns, rows, t - slack, 4); at < rows.length; at++) {
    const row = rows[at]!;
    const start = columns.start[row]!;
    if (start > t + slack) break;
    const far = Math.max(0, start - t, t - start - columns.took[row]!);
    if (far <= nearest) {
      nearest = far;
      best = row;
    }
  }
  return best;
}

function keyOf(lane: Lane): string {
  switch (lane.kind) {
    case "birth":
      return `birth ${lane.birth.key} ${lane.open}`;
    case "more":
      return `more ${lane.birth.key} ${lane.name}`;
    case "task":
      return `task ${lane.task}`;
    default:
      return `${lane.kind} ${lane.name}`;
  }
}

function legend(): HTMLElement {
  const entry = (kind: string, text: string): HTMLElement => h("li", {}, h("span", { class: `key ${kind}`, "aria-hidden": "true" }), text);
  return h(
    "ul",
    { class: "legend", "aria-label": "what the shapes mean" },
    entry("blocked", "hatched, ▼ when narrow: the loop is blocked"),
    entry("gc", "dotted, ■ when narrow: garbage is collected"),
    entry("asleep", "low bar: asleep in the system"),
    entry("link", "dashed arrow: who woke whom"),
    h("li", {}, "✖ raised · ⊘ cancelled · | returned"),
  );
}
