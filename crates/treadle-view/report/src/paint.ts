// How the timeline looks: the ruler, and each lane with what is painted in it.

import { spans, steps } from "./boxes";
import { jobs } from "./jobs";
import { LANE, type Lane } from "./lanes";
import { links } from "./links";
import { findings } from "./marks";
import { hatch } from "./patterns";
import { across, RULER, type Scene } from "./scene";
import { fate, life, pauses } from "./signs";
import { fitted, type Stage } from "./stage";
import { colour } from "./theme";
import { moment } from "./words";

const FONT = "12px system-ui, sans-serif";

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

/** Times for the ruler: 1, 2 or 5 of a power of ten apart, and as many as there is room for. */
function ticks(from: number, to: number, most: number): number[] {
  const least = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least) ?? 10 * power;
  const out: number[] = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) out.push(t);
  return out;
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
