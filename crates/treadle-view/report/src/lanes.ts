// The lanes of the timeline: findings, loops, executor threads, and tasks under the places where they were born.

import { firstSeen, type Birth, type Model } from "./model";
import type { View } from "./view";

export const LANE = 24;
/** How many tasks of one birth place have a lane of their own until more are asked for. */
const TASKS_AT_ONCE = 100;
/** Up to so many tasks altogether, each has its lane from the beginning. */
const FEW = 60;

export type Lane =
  | { kind: "findings"; name: string; detail: string }
  | { kind: "loop"; name: string; detail: string; loop: number }
  | { kind: "thread"; name: string; detail: string; thread: number; jobs: number[] }
  | { kind: "birth"; name: string; detail: string; birth: Birth; open: boolean }
  | { kind: "task"; name: string; detail: string; task: number; nested: boolean }
  | { kind: "more"; name: string; detail: string; birth: Birth };

export class Lanes {
  rows: Lane[] = [];
  /** Whether tasks and birth places without a step in the range that is looked at go without a lane. */
  onlyBusy: boolean;
  private readonly open = new Set<number>();
  private readonly shown = new Map<number, number>();
  private readonly order: Birth[];
  private readonly threads: { thread: number; jobs: number[] }[];

  constructor(
    private readonly model: Model,
    private readonly view: View,
  ) {
    this.onlyBusy = model.report.tasks.name.length > FEW;
    this.order = [...model.births].sort((one, other) => other.run - one.run || one.key - other.key);
    if (model.report.tasks.name.length <= FEW) for (const birth of this.order) this.open.add(birth.key);
    const threads = new Map<number, number[]>();
    model.report.jobs.thread.forEach((thread, job) => {
      const jobs = threads.get(thread);
      if (jobs === undefined) threads.set(thread, [job]);
      else jobs.push(job);
    });
    this.threads = [...threads].sort(([one], [other]) => one - other).map(([thread, jobs]) => ({ thread, jobs }));
    this.build();
  }

  toggle(birth: Birth): void {
    if (!this.open.delete(birth.key)) this.open.add(birth.key);
    this.build();
  }

  more(birth: Birth): void {
    this.shown.set(birth.key, (this.shown.get(birth.key) ?? TASKS_AT_ONCE) + TASKS_AT_ONCE * 5);
    this.build();
  }

  /** The row of a task; opens its birth place for it if asked to, else that of its birth place does. */
  rowOfTask(task: number, open: boolean): number {
    const birth = this.model.births[this.model.birthOf[task] ?? -1];
    if (birth === undefined) return -1;
    if (open && birth.tasks.length > 1) {
      const index = this.listed(birth).indexOf(task);
      if (!this.open.has(birth.key) || index >= (this.shown.get(birth.key) ?? TASKS_AT_ONCE)) {
        this.open.add(birth.key);
        this.shown.set(birth.key, Math.max(this.shown.get(birth.key) ?? TASKS_AT_ONCE, index + 1));
        this.build();
      }
    }
    const own = this.rows.findIndex((lane) => lane.kind === "task" && lane.task === task);
    return own >= 0 ? own : this.rows.findIndex((lane) => lane.kind === "birth" && lane.birth === birth);
  }

  rowOfLoop(loop: number): number {
    return this.rows.findIndex((lane) => lane.kind === "loop" && lane.loop === loop);
  }

  /** Makes the rows anew; those of tasks may depend on the range. */
  build(): void {
    const { model } = this;
    const { report } = model;
    const rows: Lane[] = [];
    if (report.findings.some((finding) => finding.marks.length > 0)) {
      rows.push({ kind: "findings", name: "findings", detail: "where findings were met" });
    }
    for (const loop of model.loops) {
      const thread = report.loops.find((candidate) => candidate.number === loop)?.thread;
      const detail = thread === undefined ? "an event loop" : `an event loop in thread ${thread}`;
      rows.push({ kind: "loop", name: model.loopName(loop), detail, loop });
    }
    for (const { thread, jobs } of this.threads) {
      const started = jobs.some((job) => report.jobs.started[job]! >= 0);
      const name = started ? `executor ${thread}` : "executor queue";
      const detail = started ? `jobs in executor thread ${thread}` : "jobs that no thread had begun";
      rows.push({ kind: "thread", name, detail, thread, jobs });
    }
    for (const birth of this.order) {
      if (this.onlyBusy && !this.isBusy(this.model.stepsOfBirth.at(birth.key))) continue;
      if (birth.tasks.length === 1) rows.push(this.task(birth.tasks[0]!, false));
      else this.buildBirth(birth, rows);
    }
    this.rows = rows;
  }

  private buildBirth(birth: Birth, rows: Lane[]): void {
    const open = this.open.has(birth.key);
    const codes = [...new Set(birth.tasks.map((task) => this.model.function_(this.model.report.tasks.code[task]!)))];
    const code = codes.length > 2 ? `${codes[0]} …` : codes.join(", ");
    const detail = `${birth.tasks.length} tasks born at ${this.model.place(birth.site)}`;
    rows.push({ kind: "birth", name: `${code} × ${birth.tasks.length}`, detail, birth, open });
    if (!open) return;
    const shown = this.shown.get(birth.key) ?? TASKS_AT_ONCE;
    const listed = this.listed(birth);
    for (const task of listed.slice(0, shown)) rows.push(this.task(task, true));
    if (listed.length > shown) {
      rows.push({ kind: "more", name: `${listed.length - shown} more`, detail: "tasks without a lane", birth });
    }
  }

  private listed(birth: Birth): number[] {
    if (!this.onlyBusy) return birth.tasks;
    return birth.tasks.filter((task) => this.isBusy(this.model.stepsOfTask.at(task)));
  }

  /** Whether one of these steps is in the range. */
  private isBusy(rows: Uint32Array): boolean {
    const { start, took } = this.model.steps;
    const { from, to } = this.view;
    for (let at = firstSeen(this.model.steps, rows, from, this.model.loops.length); at < rows.length; at++) {
      const row = rows[at]!;
      if (start[row]! > to) return false;
      if (start[row]! + took[row]! >= from) return true;
    }
    return false;
  }

  private task(task: number, nested: boolean): Lane {
    const { tasks } = this.model.report;
    const detail = `task ${this.model.taskName(task)} of ${this.model.site(tasks.code[task]!)}, born at ${this.model.place(tasks.birth[task]!)}`;
    return { kind: "task", name: this.model.taskName(task), detail, task, nested };
  }
}

/** The steps that stand in a lane. */
export function stepsOf(model: Model, lane: Lane | undefined): Uint32Array {
  if (lane?.kind === "loop") return model.stepsOfLoop.at(lane.loop);
  if (lane?.kind === "birth") return model.stepsOfBirth.at(lane.birth.key);
  if (lane?.kind === "task") return model.stepsOfTask.at(lane.task);
  return new Uint32Array();
}
