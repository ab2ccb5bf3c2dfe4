// What was selected in the timeline, in words: everything that the drawing says by shape and colour stands here too.

import { button, h, message, place, type Child } from "./dom";
import { WokenBy, type Model } from "./model";
import { duration, moment } from "./words";

/** Who wakes without a step that could be shown. */
const NO_STEP: Record<number, string> = {
  [WokenBy.step]: "a callback that is not shown",
  [WokenBy.descriptor]: "a descriptor that was ready",
  [WokenBy.timer]: "a timer",
  [WokenBy.thread]: "another thread",
  [WokenBy.flush]: "a transport that has sent what it had",
};
/** Callbacks that are named on the way to what has brought them about. */
const THROUGH = 3;

export interface Go {
  step(step: number): void;
  task(task: number): void;
}

/** The panel for a step of a loop. */
export function stepDetails(model: Model, step: number, go: Go): HTMLElement {
  const { steps, report } = model;
  const [task, start, took] = [steps.task[step]!, steps.start[step]!, steps.took[step]!];
  const facts: [string, Child[]][] = [
    ["ran", [place(model, steps.site[step]!)]],
    ["from", [`${moment(start, 1)} for ${duration(took)} on ${model.loopName(steps.loop[step]!)}`]],
  ];
  if (task >= 0) {
    facts.push(["task", [`${model.taskName(task)}, ${model.state(task)}, born at `, place(model, report.tasks.birth[task]!)]]);
  }
  const link = (other: number): HTMLElement =>
    button(`${model.stepName(other)} at ${moment(steps.start[other]!, 1)}`, () => go.step(other), { class: "link" });
  const ofTask = (other: number): HTMLElement => button(model.taskName(other), () => go.task(other), { class: "link" });
  const by = wokenBy(model, step, link, ofTask);
  if (by.length > 0) facts.push(["woken by", by]);
  if (steps.queued[step]! >= 0) facts.push(["waited", [`${duration(steps.queued[step]!)} in the ready queue`]]);
  const woken = [...model.woken(step)];
  if (woken.length > 0) {
    const rest = woken.length > 5 ? [` and ${woken.length - 5} more`] : [];
    facts.push(["woke", [...woken.slice(0, 5).map(link), ...rest]]);
  }
  report.pauses.kind.forEach((kind, row) => {
    const at = report.pauses.start[row]!;
    if (report.pauses.loop[row] !== steps.loop[step] || at >= start + took || at + report.pauses.took[row]! <= start) return;
    facts.push([kind === "gc" ? "gc pause" : "blocked", pauseWords(model, row)]);
  });
  report.findings.forEach((finding, index) => {
    if (finding.site !== steps.site[step] || finding.site < 0) return;
    facts.push(["finding", [h("a", { href: `#finding-${index + 1}` }, finding.name), ": ", message(finding.message)]]);
  });
  const title = task < 0 ? `callback ${model.function_(steps.site[step]!)}` : `step of ${model.taskName(task)}`;
  return panel(title, facts);
}

type Link = (row: number) => HTMLElement;

/** Who has brought a step about. What a callback has done only hands on what has brought the callback about, which stands beside it. */
function wokenBy(model: Model, step: number, link: Link, ofTask: Link, depth = 0): Child[] {
  const { steps } = model;
  const [by, waker] = [steps.wokenBy[step]!, steps.waker[step]!];
  const before = by === WokenBy.thread ? [`${NO_STEP[by]}: `] : [];
  if (steps.wakerTask[step]! >= 0) return [...before, ofTask(steps.wakerTask[step]!), " in a step that is not shown"];
  if (waker < 0) return by === WokenBy.unknown ? [] : [NO_STEP[by] ?? "something else"];
  const through = steps.task[waker]! < 0 && depth < THROUGH ? wokenBy(model, waker, link, ofTask, depth + 1) : [];
  return [...before, link(waker), ...(through.length > 0 ? [", called by ", ...through] : [])];
}

/** The panel for a time in which a loop could not go on. */
export function pauseDetails(model: Model, pause: number): HTMLElement {
  const { pauses } = model.report;
  const facts: [string, Child[]][] = [
    ["from", [`${moment(pauses.start[pause]!, 1)} on ${model.loopName(pauses.loop[pause]!)}`]],
    ["what", pauseWords(model, pause)],
  ];
  const stack = pauses.stack[pause] ?? [];
  if (stack.length > 0) facts.push(["through", [h("span", {}, stack.map((site) => model.site(site)).join(" → "))]]);
  return panel(pauses.kind[pause] === "gc" ? "pause of the garbage collector" : "blocked loop", facts);
}

export function pollDetails(model: Model, poll: number): HTMLElement {
  const { loop, start, took } = model.polls;
  return panel("asleep in the system", [
    ["from", [`${moment(start[poll]!, 1)} for ${duration(took[poll]!)} on ${model.loopName(loop[poll]!)}`]],
  ]);
}

export function jobDetails(model: Model, job: number): HTMLElement {
  const { jobs } = model.report;
  const [submitted, started, ended] = [jobs.submitted[job]!, jobs.started[job]!, jobs.ended[job]!];
  const facts: [string, Child[]][] = [["submitted", [`${moment(submitted, 1)} at `, place(model, jobs.site[job]!)]]];
  facts.push(["waited", [started < 0 ? "not started" : duration(started - submitted)]]);
  if (started >= 0) facts.push(["ran", [ended < 0 ? "not ended" : duration(ended - started)]]);
  return panel(`executor job ${jobs.name[job] ?? ""}`, facts);
}

export function taskDetails(model: Model, task: number): HTMLElement {
  const { tasks } = model.report;
  const ended = tasks.ended[task]!;
  const life = ended < 0 ? `${moment(tasks.born[task]!, 1)}, alive at the end` : `${moment(tasks.born[task]!, 1)} to ${moment(ended, 1)}`;
  const facts: [string, Child[]][] = [
    ["is", [model.state(task)]],
    ["runs", [place(model, tasks.code[task]!)]],
    ["born at", [place(model, tasks.birth[task]!)]],
    ["lived", [life]],
    ["ran", [`${duration(tasks.run[task]!)} in ${tasks.steps[task]!} steps, at most ${duration(tasks.longest[task]!)} at once`]],
  ];
  const parked = model.parked(task);
  if (parked >= 0) facts.push(["parked at", [place(model, parked), `, when waits were looked at: ${moment(model.report.waits.t, 1e6)}`]]);
  if (tasks.parent[task]! >= 0) facts.push(["started by", [model.taskName(tasks.parent[task]!)]]);
  return panel(`task ${model.taskName(task)}`, facts);
}

export function marksDetails(model: Model, marked: { finding: number; t: number }[]): HTMLElement {
  const facts = marked.slice(0, 12).map(({ finding, t }): [string, Child[]] => {
    const found = model.report.findings[finding]!;
    return [moment(t, 1), [h("a", { href: `#finding-${finding + 1}` }, `${found.severity}: ${found.name}`), ": ", message(found.message)]];
  });
  if (marked.length > 12) facts.push(["and", [`${marked.length - 12} more; zoom in to tell them apart`]]);
  return panel(marked.length === 1 ? "finding" : `${marked.length} findings`, facts);
}

function pauseWords(model: Model, row: number): Child[] {
  const { pauses } = model.report;
  const cause = pauses.cause[row];
  const words = `${duration(pauses.took[row]!)}${cause === null || cause === undefined ? "" : `, ${cause}`}`;
  return pauses.site[row]! < 0 ? [words] : [`${words}, at `, place(model, pauses.site[row]!)];
}

function panel(title: string, facts: [string, Child[]][]): HTMLElement {
  const rows = facts.flatMap(([what, value]) => [h("dt", {}, what), h("dd", {}, ...value)]);
  return h("div", { class: "details" }, h("h3", {}, title), h("dl", {}, ...rows));
}
