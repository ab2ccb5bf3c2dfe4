// What keys do in the timeline.

import { stepsOf, type Lane } from "./lanes";
import { firstSeen } from "./model";
import type { Scene } from "./scene";

export const KEYS =
  "Keys in the drawing: + and − zoom, ← and → move, ↑ and ↓ choose a lane, n and p go to its next and previous step, w goes to " +
  "the waker of a step, Enter opens or closes a birth place or shows the lane, f fits the step, 0 shows the whole run, " +
  "Backspace the range before, Escape selects nothing. Pointer: drag to move, drag the ruler or hold Shift to choose a range, " +
  "Ctrl and wheel zoom, click for details.";

/** What keys ask of the timeline. */
export interface Keyed {
  at(row: number): void;
  act(lane: Lane): void;
  clear(): void;
  select(step: number, row: number): void;
  goToStep(step: number): void;
}

export class Keys {
  constructor(
    private readonly scene: Scene,
    private readonly go: Keyed,
  ) {}

  press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const lane = this.scene.rows[this.scene.current];
    const acts: Record<string, () => void> = {
      "+": () => this.scene.view.zoom(0.5, this.anchor()),
      "=": () => this.scene.view.zoom(0.5, this.anchor()),
      "-": () => this.scene.view.zoom(2, this.anchor()),
      ArrowLeft: () => this.scene.view.pan(-0.1),
      ArrowRight: () => this.scene.view.pan(0.1),
      ArrowUp: () => this.go.at(this.scene.current - 1),
      ArrowDown: () => this.go.at(this.scene.current + 1),
      PageUp: () => this.go.at(this.scene.current - 15),
      PageDown: () => this.go.at(this.scene.current + 15),
      Home: () => this.go.at(0),
      End: () => this.go.at(this.scene.rows.length - 1),
      "0": () => this.scene.view.set(0, this.scene.view.end),
      Backspace: () => this.scene.view.back(),
      Escape: () => this.go.clear(),
      Enter: () => lane !== undefined && this.go.act(lane),
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
    const { start, took } = this.scene.model.steps;
    const { selected } = this.scene;
    const middle = selected < 0 ? -1 : start[selected]! + took[selected]! / 2;
    return middle >= this.scene.view.from && middle <= this.scene.view.to ? middle : (this.scene.view.from + this.scene.view.to) / 2;
  }

  private neighbour(by: 1 | -1): void {
    const rows = stepsOf(this.scene.model, this.scene.rows[this.scene.current]);
    if (rows.length === 0) return;
    const at = rows.indexOf(this.scene.selected);
    const first = firstSeen(this.scene.model.steps, rows, this.scene.view.from, 0);
    const step = rows[at < 0 ? Math.min(first, rows.length - 1) : at + by];
    if (step === undefined) return;
    const row = this.scene.current;
    const { start, took } = this.scene.model.steps;
    const [from, to] = [start[step]!, start[step]! + took[step]!];
    if (to < this.scene.view.from || from > this.scene.view.to) this.scene.view.set(from - this.scene.view.span / 2, from + this.scene.view.span / 2, false);
    this.go.select(step, row);
  }

  private toWaker(): void {
    const waker = this.scene.selected < 0 ? -1 : this.scene.model.steps.waker[this.scene.selected]!;
    if (waker >= 0) this.go.goToStep(waker);
  }

  private fit(): void {
    const { selected } = this.scene;
    if (selected < 0) return;
    const [from, took] = [this.scene.model.steps.start[selected]!, this.scene.model.steps.took[selected]!];
    this.scene.view.set(from - took, from + 2 * took);
  }
}
