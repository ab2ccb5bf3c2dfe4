// What is under a point of the timeline.

import * as details from "./details";
import { h } from "./dom";
import { stepsOf, type Lane } from "./lanes";
import { marks } from "./marks";
import { firstSeen, type Spans } from "./model";
import { across, timeAt, type Scene } from "./scene";
import type { Stage } from "./stage";
import { duration, moment } from "./words";

export interface Under {
  words: string[];
  step?: number;
  panel(): HTMLElement;
}

export function under(stage: Stage, scene: Scene, lane: Lane, x: number): Under | null {
  const { model, view } = scene;
  const t = timeAt(stage, scene, x);
  const slack = (3 / stage.width) * view.span;
  if (lane.kind === "findings") {
    const mark = marks(stage, scene).find((candidate) => x >= candidate.x - 9 && x <= candidate.x + 30);
    if (mark === undefined) return null;
    const words = mark.findings.slice(0, 5).map(({ finding }) => model.report.findings[finding]!.message);
    return { words, panel: () => details.marksDetails(model, mark.findings) };
  }
  if (lane.kind === "thread") {
    const { submitted, started, ended, name } = model.report.jobs;
    const job = lane.jobs.find((row) => {
      const end = ended[row]! < 0 ? view.end : ended[row]!;
      return submitted[row]! - slack <= t && t <= end + slack && (started[row]! <= t || !lane.jobs.some((other) => started[other]! <= t && t <= ended[other]!));
    });
    return job === undefined ? null : { words: [name[job]!], panel: () => details.jobDetails(model, job) };
  }
  const pause = lane.kind === "loop" ? pauseAt(stage, scene, lane.loop, t, x) : -1;
  const step = hit(model.steps, stepsOf(model, lane), t, slack);
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

/** The row at this moment, or else the nearest one that is no further than `slack`. */
export function hit(columns: Spans, rows: Uint32Array, t: number, slack: number): number {
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

function pauseAt(stage: Stage, scene: Scene, loop: number, t: number, x: number): number {
  const { start, took } = scene.model.pauses;
  const { loop: loops } = scene.model.report.pauses;
  return start.findIndex((from, row) => {
    if (loops[row] !== loop && loops[row] !== -1) return false;
    const middle = across(stage, scene, from + took[row]! / 2);
    return (from <= t && t <= from + took[row]!) || Math.abs(middle - x) < 5;
  });
}
