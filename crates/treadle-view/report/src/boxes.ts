// Boxes and bars: what is narrower than a pixel is summed up by pixel, the fuller it is, the higher its bar.

import { LANE } from "./lanes";
import { firstSeen, type Spans } from "./model";
import { across, BAR, INSET, type Scene } from "./scene";
import { fitted, type Stage } from "./stage";
import { colour } from "./theme";

const HUES = 6;

export function steps(stage: Stage, scene: Scene, rows: Uint32Array, y: number, lane: number | null): void {
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
export function spans(
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
