// How lanes look. What is narrower than a pixel is summed up by pixel: the fuller a pixel, the higher its bar.

import { LANE, type Lane } from "./lanes";
import { firstSeen, type Model, type Spans } from "./model";
import { fitted, type Stage } from "./stage";
import { colour } from "./theme";
import type { View } from "./view";
import { moment } from "./words";

export const RULER = 24;
const INSET = 4;
const BAR = LANE - 2 * INSET;
const HUES = 6;
const FONT = "12px system-ui, sans-serif";
const GLYPHS = { error: "✖", warning: "▲", info: "●" };

export interface Scene {
  model: Model;
  view: View;
  rows: Lane[];
  /** The step that is selected, or -1. */
  selected: number;
  /** The row that the keyboard is at. */
  current: number;
  focused: boolean;
  /** Tasks that the search found, if there is one. */
  hits: Set<number> | null;
  /** A range that is being drawn with the pointer. */
  drawn: [from: number, to: number] | null;
  rowOfStep(step: number): number;
}

export function paint(stage: Stage, scene: Scene): void {
  const { context, width, height, top } = stage;
  context.font = FONT;
  context.textBaseline = "middle";
  grid(stage, scene, false);
  unkept(stage, scene);
  const first = Math.max(0, Math.floor(top / LANE));
  const last = Math.min(scene.rows.length, Math.ceil((top + height) / LANE));
  for (let row = first; row < last; row++) {
    const y = RULER + row * LANE - top;
    context.save();
    context.beginPath();
    context.rect(0, Math.max(y, RULER), width, LANE);
    context.clip();
    lane(stage, scene, scene.rows[row]!, y);
    context.fillStyle = colour("line");
    context.fillRect(0, y + LANE - 1, width, 1);
    if (row === scene.current && scene.focused) {
      context.strokeStyle = colour("focus");
      context.lineWidth = 2;
      context.strokeRect(1, y + 1, width - 2, LANE - 3);
    }
    context.restore();
  }
  links(stage, scene);
  grid(stage, scene, true);
  if (scene.drawn !== null) {
    const [x0, x1] = scene.drawn.map((t) => across(stage, scene, t)) as [number, number];
    context.fillStyle = colour("brush");
    context.fillRect(x0, 0, x1 - x0, height);
    context.strokeStyle = colour("focus");
    context.strokeRect(x0, 0.5, x1 - x0, height - 1);
  }
}

export function across(stage: Stage, scene: Scene, t: number): number {
  return ((t - scene.view.from) / scene.view.span) * stage.width;
}

/** Times for the ruler: 1, 2 or 5 of a power of ten apart, and as many as there is room for. */
export function ticks(from: number, to: number, most: number): number[] {
  const least = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least) ?? 10 * power;
  const out: number[] = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) out.push(t);
  return out;
}

function grid(stage: Stage, scene: Scene, labels: boolean): void {
  const { context, width, height } = stage;
  if (labels) {
    context.fillStyle = colour("panel");
    context.fillRect(0, 0, width, RULER);
    context.fillStyle = colour("line");
    context.fillRect(0, RULER - 1, width, 1);
  }
  const times = ticks(scene.view.from, scene.view.to, Math.max(2, width / 110));
  const apart = times.length > 1 ? times[1]! - times[0]! : scene.view.span;
  for (const t of times) {
    const x = Math.round(across(stage, scene, t)) + 0.5;
    context.fillStyle = colour("line");
    context.fillRect(x, labels ? RULER - 6 : 0, 1, labels ? 6 : height);
    if (!labels) continue;
    const text = moment(t, apart * 100);
    const wide = context.measureText(text).width;
    if (x + 4 + wide > width) continue;
    context.fillStyle = colour("soft");
    context.fillText(text, x + 4, RULER / 2);
  }
}

/** The part of the run of which single events are no longer there. */
function unkept(stage: Stage, scene: Scene): void {
  const { context, height } = stage;
  const x = across(stage, scene, scene.model.report.kept_from);
  if (x <= 0) return;
  const wide = Math.min(x, stage.width);
  context.fillStyle = colour("unkept");
  context.fillRect(0, RULER, wide, height - RULER);
  hatch(stage, 0, RULER, wide, height - RULER, colour("line"), 14, 1);
  const text = "only sums are kept of this time: see the strip above";
  if (wide < 120) return;
  const shown = fitted(context, text, wide - 24);
  const length = context.measureText(shown).width + 12;
  context.fillStyle = colour("panel");
  context.fillRect(wide / 2 - length / 2, RULER + 4, length, 18);
  context.fillStyle = colour("text");
  context.fillText(shown, wide / 2 - length / 2 + 6, RULER + 13);
}

function lane(stage: Stage, scene: Scene, row: Lane, y: number): void {
  const { model } = scene;
  if (row.kind === "findings") findings(stage, scene, y);
  else if (row.kind === "thread") jobs(stage, scene, row.jobs, y);
  else if (row.kind === "loop") {
    const polls = model.pollsOfLoop.at(row.loop);
    spans(stage, scene, model.polls, polls, 1, y, () => colour("asleep"), () => "asleep", 0.3);
    steps(stage, scene, model.stepsOfLoop.at(row.loop), y, null);
    pauses(stage, scene, row.loop, y);
  } else if (row.kind === "birth") {
    steps(stage, scene, model.stepsOfBirth.at(row.birth.key), y, null);
  } else if (row.kind === "task") {
    life(stage, scene, row.task, y);
    steps(stage, scene, model.stepsOfTask.at(row.task), y, row.task);
    fate(stage, scene, row.task, y);
  }
}

function steps(stage: Stage, scene: Scene, rows: Uint32Array, y: number, lane: number | null): void {
  const { model, hits } = scene;
  const fill = (step: number): string => {
    const task = model.steps.task[step]!;
    if (hits !== null && !hits.has(task)) return colour("dimmed");
    return task < 0 ? colour("callback") : colour(`hue${model.birthOf[task]! % HUES}`);
  };
  const name = (step: number): string => {
    const at = model.function_(model.steps.site[step]!);
    return lane === null ? `${at} · ${model.taskName(model.steps.task[step]!)}` : at;
  };
  spans(stage, scene, model.steps, rows, model.loops.length, y, fill, name, 1);
  if (scene.selected < 0) return;
  const [start, took] = [model.steps.start[scene.selected]!, model.steps.took[scene.selected]!];
  if (!contains(rows, scene.selected, model.steps)) return;
  const x0 = across(stage, scene, start);
  const x1 = Math.max(x0 + 3, across(stage, scene, start + took));
  stage.context.strokeStyle = colour("text");
  stage.context.lineWidth = 2;
  stage.context.strokeRect(x0 - 1, y + INSET - 2, x1 - x0 + 2, BAR + 4);
}

/** Boxes for what is wide enough, bars of a pixel for the rest. */
function spans(
  stage: Stage,
  scene: Scene,
  columns: Spans,
  rows: Uint32Array,
  overlap: number,
  y: number,
  fill: (row: number) => string,
  name: (row: number) => string,
  part: number,
): void {
  const { context, width } = stage;
  const { from, to, span } = scene.view;
  const scale = width / span;
  const high = BAR * part;
  let pixel = -1;
  let covered = 0;
  let last = 0;
  const flush = (): void => {
    if (pixel < 0) return;
    const bar = Math.max(high * 0.3, high * Math.min(1, covered));
    context.fillStyle = fill(last);
    context.fillRect(pixel, y + INSET + BAR - bar, 1, bar);
    pixel = -1;
    covered = 0;
  };
  for (let at = firstSeen(columns, rows, from, overlap); at < rows.length; at++) {
    const row = rows[at]!;
    const start = columns.start[row]!;
    if (start > to) break;
    const x0 = (start - from) * scale;
    const wide = columns.took[row]! * scale;
    if (x0 + wide < 0) continue;
    if (wide < 1.5) {
      const here = Math.floor(x0);
      if (here !== pixel) flush();
      pixel = here;
      covered += Math.max(wide, 0.02);
      last = row;
      continue;
    }
    flush();
    const left = Math.max(x0, -2);
    const right = Math.min(x0 + wide, width + 2);
    context.fillStyle = fill(row);
    context.fillRect(left, y + INSET + BAR - high, right - left, high);
    if (wide > 4) {
      context.fillStyle = colour("panel");
      context.fillRect(right - 0.7, y + INSET + BAR - high, 0.7, high);
    }
    if (part === 1 && right - left > 34) {
      context.fillStyle = colour("on-hue");
      context.fillText(fitted(context, name(row), right - left - 8), left + 4, y + LANE / 2 + 0.5);
    }
  }
  flush();
}

function contains(rows: Uint32Array, step: number, columns: Spans): boolean {
  const start = columns.start[step]!;
  for (let at = firstSeen(columns, rows, start, 0); at < rows.length && columns.start[rows[at]!] === start; at++) {
    if (rows[at] === step) return true;
  }
  return false;
}

function pauses(stage: Stage, scene: Scene, loop: number, y: number): void {
  const { context } = stage;
  const { pauses: told } = scene.model.report;
  for (let row = 0; row < told.kind.length; row++) {
    if (told.loop[row] !== loop && told.loop[row] !== -1) continue;
    const x0 = across(stage, scene, told.start[row]!);
    const x1 = across(stage, scene, told.start[row]! + told.took[row]!);
    if (x1 < -6 || x0 > stage.width + 6) continue;
    const blocked = told.kind[row] === "blocked";
    const ink = colour(blocked ? "blocked" : "gc");
    const [left, right] = [Math.max(x0, -4), Math.min(x1, stage.width + 4)];
    if (right - left >= 5) {
      context.fillStyle = colour("panel");
      context.fillRect(left, y + 2, right - left, LANE - 5);
      if (blocked) hatch(stage, left, y + 2, right - left, LANE - 5, ink, 6, 2);
      else dots(stage, left, y + 2, right - left, LANE - 5, ink);
      context.strokeStyle = ink;
      context.lineWidth = 2;
      context.strokeRect(left + 1, y + 3, right - left - 2, LANE - 7);
      label(stage, blocked ? "blocked" : "gc", left, right, y, ink);
    } else mark(stage, blocked, (x0 + x1) / 2, y, ink);
  }
}

function label(stage: Stage, text: string, left: number, right: number, y: number, ink: string): void {
  const { context } = stage;
  const wide = context.measureText(text).width;
  if (right - left < wide + 14) return;
  const x = (Math.max(0, left) + Math.min(stage.width, right)) / 2 - wide / 2;
  context.fillStyle = colour("panel");
  context.fillRect(x - 4, y + 4, wide + 8, LANE - 9);
  context.fillStyle = ink;
  context.fillText(text, x, y + LANE / 2 - 0.5);
}

/** What is too narrow for a pattern: a triangle that points at a blockage, a square for the collector of garbage. */
function mark(stage: Stage, blocked: boolean, x: number, y: number, ink: string): void {
  const { context } = stage;
  context.fillStyle = ink;
  context.strokeStyle = colour("panel");
  context.lineWidth = 1;
  context.beginPath();
  if (blocked) {
    context.moveTo(x - 5, y + 1);
    context.lineTo(x + 5, y + 1);
    context.lineTo(x, y + 9);
  } else context.rect(x - 3, y + 2, 6, 6);
  context.closePath();
  context.fill();
  context.stroke();
  context.fillRect(x - 0.5, y + 8, 1, LANE - 10);
}

/** From a task's birth to its end: a thin line, with the gaps in which it was parked. */
function life(stage: Stage, scene: Scene, task: number, y: number): void {
  const { born, ended } = scene.model.report.tasks;
  const x0 = Math.max(-2, across(stage, scene, born[task]!));
  const end = ended[task]! < 0 ? scene.model.report.duration : ended[task]!;
  const x1 = Math.min(stage.width + 2, across(stage, scene, end));
  if (x1 <= x0) return;
  stage.context.fillStyle = colour("life");
  stage.context.fillRect(x0, y + LANE / 2 - 1.5, Math.max(1, x1 - x0), 3);
}

/** A cross where a task raised, a bar through it where it was cancelled. */
function fate(stage: Stage, scene: Scene, task: number, y: number): void {
  const { ended, outcome } = scene.model.report.tasks;
  if (ended[task]! < 0) return;
  const end = across(stage, scene, ended[task]!);
  if (end < -8 || end > stage.width + 8) return;
  // At the very end there is room for it too.
  const x = Math.min(end, stage.width - 9);
  const { context } = stage;
  const middle = y + LANE / 2;
  context.strokeStyle = colour(outcome[task] === 1 ? "blocked" : "text");
  context.lineWidth = 2;
  context.beginPath();
  if (outcome[task] === 1) {
    for (const [dx, dy] of [[4, 4], [4, -4]] as const) {
      context.moveTo(x + 3 - dx, middle - dy);
      context.lineTo(x + 3 + dx, middle + dy);
    }
  } else if (outcome[task] === 2) {
    context.arc(x + 3, middle, 4.5, 0, 7);
    context.moveTo(x - 1, middle + 4);
    context.lineTo(x + 7, middle - 4);
  } else {
    context.moveTo(x, middle - 6);
    context.lineTo(x, middle + 6);
  }
  context.stroke();
}

function jobs(stage: Stage, scene: Scene, rows: number[], y: number): void {
  const { context } = stage;
  const { jobs: told, duration } = scene.model.report;
  // A job waits while another runs in the same lane: that line lies under the boxes.
  for (const job of rows) {
    const start = told.started[job]! < 0 ? duration : told.started[job]!;
    const [left, right] = [across(stage, scene, told.submitted[job]!), across(stage, scene, start)];
    if (right < 0 || left > stage.width) continue;
    context.fillStyle = colour("life");
    context.fillRect(Math.max(-2, left), y + LANE / 2 - 1, Math.min(right, stage.width) - Math.max(-2, left), 2);
  }
  for (const job of rows) {
    const end = told.ended[job]! < 0 ? duration : told.ended[job]!;
    const start = told.started[job]! < 0 ? duration : told.started[job]!;
    const [x0, x1] = [across(stage, scene, start), across(stage, scene, end)];
    if (x1 < 0 || x0 > stage.width) continue;
    const [left, right] = [Math.max(-2, x0), Math.min(stage.width + 2, Math.max(x1, x0 + 1))];
    if (right <= left) continue;
    context.fillStyle = colour("job");
    context.fillRect(left, y + INSET, right - left, BAR);
    context.fillStyle = colour("on-hue");
    if (right - left > 34) context.fillText(fitted(context, told.name[job] ?? "", right - left - 8), left + 4, y + LANE / 2);
  }
}

/** Marks by severity; where several would overlap, their number. */
function findings(stage: Stage, scene: Scene, y: number): void {
  const { context } = stage;
  for (const group of marks(stage, scene)) {
    const severity = group.worst;
    const text = group.findings.length > 1 ? `${GLYPHS[severity]} ${group.findings.length}` : GLYPHS[severity];
    const wide = context.measureText(text).width;
    context.fillStyle = colour("panel");
    context.fillRect(group.x - 7, y + 2, wide + 6, LANE - 5);
    context.strokeStyle = context.fillStyle = colour(severity);
    context.lineWidth = 1;
    context.strokeRect(group.x - 7.5, y + 2.5, wide + 7, LANE - 6);
    context.fillText(text, group.x - 4, y + LANE / 2);
  }
}

export interface Mark {
  x: number;
  worst: "error" | "warning" | "info";
  findings: { finding: number; t: number }[];
}

/** What stands in the lane of findings, left to right. */
export function marks(stage: Stage, scene: Scene): Mark[] {
  const all: { finding: number; t: number }[] = [];
  scene.model.report.findings.forEach((found, finding) => {
    for (const t of found.marks) if (t >= scene.view.from && t <= scene.view.to) all.push({ finding, t });
  });
  all.sort((one, other) => one.t - other.t);
  const out: Mark[] = [];
  for (const one of all) {
    const x = across(stage, scene, one.t);
    const last = out.at(-1);
    const severity = scene.model.report.findings[one.finding]!.severity;
    if (last !== undefined && x - last.x < 42) {
      last.findings.push(one);
      if (rank(severity) < rank(last.worst)) last.worst = severity;
    } else out.push({ x: Math.max(8, Math.min(x, stage.width - 30)), worst: severity, findings: [one] });
  }
  return out;
}

function rank(severity: Mark["worst"]): number {
  return ["error", "warning", "info"].indexOf(severity);
}

/** Arrows from the waker to the selected step, and from it to those that it woke. */
function links(stage: Stage, scene: Scene): void {
  if (scene.selected < 0) return;
  const { steps } = scene.model;
  const waker = steps.waker[scene.selected]!;
  if (waker >= 0) arrow(stage, scene, waker, scene.selected);
  for (const woken of scene.model.woken(scene.selected).subarray(0, 50)) arrow(stage, scene, scene.selected, woken);
}

function arrow(stage: Stage, scene: Scene, from: number, to: number): void {
  const { context, top } = stage;
  const { start, took, queued } = scene.model.steps;
  const [rowFrom, rowTo] = [scene.rowOfStep(from), scene.rowOfStep(to)];
  if (rowFrom < 0 || rowTo < 0) return;
  // A step is woken while its waker runs: when, is known from how long it was queued.
  const known = queued[to]! >= 0 ? start[to]! - queued[to]! : start[from]! + took[from]!;
  const woken = Math.min(Math.max(known, start[from]!), start[from]! + took[from]!);
  const [x0, x1] = [across(stage, scene, woken), across(stage, scene, start[to]!)];
  const [y0, y1] = [rowFrom, rowTo].map((row) => RULER + row * LANE + LANE / 2 - top) as [number, number];
  const bend = Math.max(18, Math.abs(x1 - x0) / 2);
  context.save();
  context.beginPath();
  context.rect(0, RULER, stage.width, stage.height - RULER);
  context.clip();
  context.strokeStyle = context.fillStyle = colour("link");
  context.lineWidth = 2;
  context.setLineDash([6, 3]);
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1 - 7, y1);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x1 - 9, y1 - 5);
  context.lineTo(x1 - 9, y1 + 5);
  context.fill();
  context.beginPath();
  context.arc(x0, y0, 3, 0, 7);
  context.fill();
  context.restore();
}

function hatch(stage: Stage, x: number, y: number, wide: number, high: number, ink: string, apart: number, thick: number): void {
  const { context } = stage;
  context.save();
  context.beginPath();
  context.rect(x, y, wide, high);
  context.clip();
  context.strokeStyle = ink;
  context.lineWidth = thick;
  context.beginPath();
  for (let at = x - high - (x % apart); at < x + wide; at += apart) {
    context.moveTo(at, y + high);
    context.lineTo(at + high, y);
  }
  context.stroke();
  context.restore();
}

function dots(stage: Stage, x: number, y: number, wide: number, high: number, ink: string): void {
  stage.context.fillStyle = ink;
  for (let at = x + 3; at < x + wide - 1; at += 5) {
    for (let down = y + 4; down < y + high - 2; down += 5) stage.context.fillRect(at, down, 2, 2);
  }
}
