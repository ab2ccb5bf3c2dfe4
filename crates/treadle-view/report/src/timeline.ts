// The timeline: its parts, what is selected, and what a choice of a lane or a step does. `paint.ts` draws, `lanes.ts` knows the rows.

import * as details from "./details";
import { button, h, live } from "./dom";
import { Gutter, keyOf } from "./gutter";
import { Keys, KEYS } from "./keys";
import { LANE, Lanes, type Lane } from "./lanes";
import type { Model } from "./model";
import { paint } from "./paint";
import { Pointer } from "./pointer";
import { RULER, type Scene } from "./scene";
import { Search } from "./search";
import { Stage } from "./stage";
import { hit, under } from "./under";
import type { View } from "./view";
import { duration, moment } from "./words";

const HIGHEST = 520;
/** How long the range stands still, in milliseconds, before lanes come and go. */
const SETTLED = 150;

export class Timeline {
  readonly element: HTMLElement;
  private readonly lanes: Lanes;
  private readonly stage: Stage;
  private readonly scene: Scene;
  private readonly gutter: Gutter;
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
    this.gutter = new Gutter(this.scene, (lane) => this.act(lane));
    const keys = new Keys(this.scene, {
      at: (row) => this.at(row),
      act: (lane) => this.act(lane),
      clear: () => this.clear(),
      select: (step, row) => this.select(step, row),
      goToStep: (step) => this.goToStep(step),
    });
    const canvas = this.stage.canvas;
    canvas.setAttribute("aria-describedby", "timeline-keys");
    view.onChange(() => this.changed());
    canvas.addEventListener("keydown", (event) => keys.press(event));
    canvas.addEventListener("focus", () => this.focus(true));
    canvas.addEventListener("blur", () => this.focus(false));
    new Pointer(this.stage, this.scene, (point) => this.click(point));
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

  /**
   * Shows where a finding was met, at one of its marks: first those of which steps are left, in their order, then those at which a loop was seen to
   * sleep, then the rest, of which there are only sums.
   */
  goToFinding(finding: number, nth: number): void {
    const found = this.model.report.findings[finding]!;
    const seen = found.marks.map((t) => ({ t, step: this.stepAt(t), poll: this.pollAt(t) }));
    const shown = ({ step, poll }: (typeof seen)[number]): number => (step >= 0 ? 0 : poll >= 0 ? 1 : 2);
    const mark = seen.sort((one, other) => shown(one) - shown(other))[nth]!;
    if (mark.step >= 0) return this.goToStep(mark.step);
    const least = mark.poll >= 0 ? 20_000 : 2_000_000;
    const span = Math.min(this.view.end, Math.max(least, this.view.span / 20));
    this.view.set(mark.t - span / 2, mark.t + span / 2);
    this.scene.selected = -1;
    const why = mark.poll >= 0 ? "No step ran at this moment: the loop was asleep." : "Single steps of this moment are not kept, only the sums in the strip above.";
    this.panel.replaceChildren(details.marksDetails(this.model, [{ finding, t: mark.t }]), h("p", { class: "soft" }, why));
    this.at(0);
  }

  /** A step that ran at a moment, of any loop, or -1. */
  private stepAt(t: number): number {
    return this.model.loops.map((loop) => hit(this.model.steps, this.model.stepsOfLoop.at(loop), t, 0)).find((step) => step >= 0) ?? -1;
  }

  /** Where a loop was asleep at a moment, or -1. */
  private pollAt(t: number): number {
    return this.model.loops.map((loop) => hit(this.model.polls, this.model.pollsOfLoop.at(loop), t, 0)).find((poll) => poll >= 0) ?? -1;
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
    this.gutter.paint(stage);
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

  private click(point: { x: number; y: number }): void {
    const row = Math.floor((point.y - RULER) / LANE);
    const lane = this.lanes.rows[row];
    if (lane === undefined || point.y < RULER) return this.clear();
    const found = under(this.stage, this.scene, lane, point.x);
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
