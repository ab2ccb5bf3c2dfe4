// Arrows from who wakes to who is woken.

import { LANE } from "./lanes";
import { across, RULER, type Scene } from "./scene";
import type { Stage } from "./stage";
import { colour } from "./theme";

/** Arrows from the waker to the selected step, and from it to those that it woke. */
export function links(stage: Stage, scene: Scene): void {
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
