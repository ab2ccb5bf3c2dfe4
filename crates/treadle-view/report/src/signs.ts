// Signs of what happened to a loop or a task: times in which a loop stood still, lives and how they ended.

import { LANE } from "./lanes";
import { dots, hatch } from "./patterns";
import { across, type Scene } from "./scene";
import type { Stage } from "./stage";
import { colour } from "./theme";

export function pauses(stage: Stage, scene: Scene, loop: number, y: number): void {
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
export function life(stage: Stage, scene: Scene, task: number, y: number): void {
  const { born, ended } = scene.model.report.tasks;
  const x0 = Math.max(-2, across(stage, scene, born[task]!));
  const end = ended[task]! < 0 ? scene.model.report.duration : ended[task]!;
  const x1 = Math.min(stage.width + 2, across(stage, scene, end));
  if (x1 <= x0) return;
  stage.context.fillStyle = colour("life");
  stage.context.fillRect(x0, y + LANE / 2 - 1.5, Math.max(1, x1 - x0), 3);
}

/** A cross where a task raised, a bar through it where it was cancelled. */
export function fate(stage: Stage, scene: Scene, task: number, y: number): void {
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
