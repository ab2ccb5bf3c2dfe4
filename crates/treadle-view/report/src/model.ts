// The report as the parts ask it: columns as typed arrays, times absolute, rows found by loop, task or birth place.

import type { Report } from "./report";

/** The package that Python's own lines are of. */
const PYTHON = "python";

/** Rows by a small key, in the order in which they were given. */
export class Index {
  constructor(
    private readonly offsets: Uint32Array,
    private readonly rows: Uint32Array,
  ) {}

  static of(order: Uint32Array, count: number, key: (row: number) => number): Index {
    const offsets = new Uint32Array(count + 1);
    for (const row of order) {
      const at = key(row);
      if (at >= 0) offsets[at + 1]!++;
    }
    for (let at = 0; at < count; at++) offsets[at + 1]! += offsets[at]!;
    const next = offsets.slice();
    const rows = new Uint32Array(offsets[count]!);
    for (const row of order) {
      const at = key(row);
      if (at >= 0) rows[next[at]!++] = row;
    }
    return new Index(offsets, rows);
  }

  at(key: number): Uint32Array {
    return this.rows.subarray(this.offsets[key]!, this.offsets[key + 1]!);
  }
}

/** Something with a beginning and a length, in columns. */
export interface Spans {
  readonly start: Float64Array;
  readonly took: Float64Array;
}

/** What brings a callback about: the numbers in a report. */
export const WokenBy = { unknown: 0, step: 1, descriptor: 2, timer: 3, thread: 4, flush: 5 } as const;

export interface Steps extends Spans {
  readonly count: number;
  readonly loop: Int32Array;
  readonly task: Int32Array;
  readonly site: Int32Array;
  /** What has brought it about, as one of `WokenBy`. */
  readonly wokenBy: Uint8Array;
  /** The step in which that was; -1 if it was none, or is not shown. */
  readonly waker: Int32Array;
  /** The task whose step it was that is not shown, or -1. */
  readonly wakerTask: Int32Array;
  readonly queued: Float64Array;
}

/** Tasks that were born at one place. */
export interface Birth {
  readonly key: number;
  readonly site: number;
  readonly tasks: number[];
  alive: number;
  run: number;
  steps: number;
  longest: number;
  /** The place whose tasks started most of these; -1 if it is none, or these themselves. */
  parent: number;
}

export class Model {
  readonly steps: Steps;
  readonly polls: Spans & { readonly loop: Int32Array };
  readonly pauses: Spans;
  /** The numbers of all loops that anything is told of. */
  readonly loops: number[];
  readonly births: Birth[];
  /** For each task, which of `births` it belongs to. */
  readonly birthOf: Int32Array;
  readonly stepsOfLoop: Index;
  readonly stepsOfTask: Index;
  readonly stepsOfBirth: Index;
  readonly pollsOfLoop: Index;
  private wokenBy: Index | undefined;

  constructor(readonly report: Report) {
    const { steps, polls, pauses, tasks } = report;
    this.steps = {
      count: steps.took.length,
      loop: Int32Array.from(steps.loop),
      task: Int32Array.from(steps.task),
      site: Int32Array.from(steps.site),
      start: sums(steps.start_delta),
      took: Float64Array.from(steps.took),
      wokenBy: Uint8Array.from(steps.woken_by),
      waker: Int32Array.from(steps.waker_delta, (delta, row) => (delta > 0 ? row - delta : -1)),
      wakerTask: Int32Array.from(steps.waker_task),
      queued: Float64Array.from(steps.queued),
    };
    this.polls = { loop: Int32Array.from(polls.loop), start: sums(polls.start_delta), took: Float64Array.from(polls.took) };
    this.pauses = { start: Float64Array.from(pauses.start), took: Float64Array.from(pauses.took) };
    this.births = births(report);
    this.birthOf = new Int32Array(tasks.name.length).fill(-1);
    for (const birth of this.births) for (const task of birth.tasks) this.birthOf[task] = birth.key;
    const told = [...report.loops.map((loop) => loop.number), ...this.steps.loop, ...this.polls.loop, ...pauses.loop];
    const loops = new Set<number>();
    for (const number of told) if (number >= 0) loops.add(number);
    this.loops = [...loops].sort((one, other) => one - other);
    const most = (this.loops.at(-1) ?? 0) + 1;
    const order = sorted(this.steps.start);
    this.stepsOfLoop = Index.of(order, most, (row) => this.steps.loop[row]!);
    this.stepsOfTask = Index.of(order, tasks.name.length, (row) => this.steps.task[row]!);
    this.stepsOfBirth = Index.of(order, this.births.length, (row) => {
      const task = this.steps.task[row]!;
      return task < 0 ? -1 : this.birthOf[task]!;
    });
    this.pollsOfLoop = Index.of(sorted(this.polls.start), most, (row) => this.polls.loop[row]!);
  }

  /** The steps that were woken during this one. */
  woken(step: number): Uint32Array {
    this.wokenBy ??= Index.of(sorted(this.steps.start), this.steps.count, (row) => this.steps.waker[row]!);
    return this.wokenBy.at(step);
  }

  loopName(number: number): string {
    const loop = this.report.loops.find((candidate) => candidate.number === number);
    return loop === undefined ? `loop ${number}` : loop.name || `loop ${number}`;
  }

  /** `app.py:6` */
  place(site: number): string {
    const known = this.report.sites[site];
    if (known === undefined) return "an unknown place";
    const file = this.report.files[known[0]] ?? "?";
    return known[1] > 0 ? `${file}:${known[1]}` : file;
  }

  /** The name of the function that a site is in. */
  function_(site: number): string {
    return this.report.sites[site]?.[2] ?? "?";
  }

  /** `report (app.py:6)` */
  site(site: number): string {
    return this.report.sites[site] === undefined ? "an unknown place" : `${this.function_(site)} (${this.place(site)})`;
  }

  taskName(task: number): string {
    if (task < 0) return "a callback";
    // Not every name was seen.
    return this.report.tasks.name[task] || `${this.function_(this.report.tasks.code[task] ?? -1)} #${task}`;
  }

  /** Where a task was parked when waits were looked at: the innermost line of the program, else of a package; -1 if nobody looked at it. */
  parked(task: number): number {
    const chain = this.report.waits.chains[task] ?? [];
    const inner = (isMeant: (owner: string | null) => boolean): number | undefined =>
      chain.findLast((site) => isMeant(this.report.sites[site]?.[3] ?? null));
    return inner((owner) => owner === null) ?? inner((owner) => owner !== PYTHON) ?? chain.at(-1) ?? -1;
  }

  /** What a step is called where another one is told of: its task, or the function of a callback. */
  stepName(step: number): string {
    const task = this.steps.task[step]!;
    return task < 0 ? `callback ${this.function_(this.steps.site[step]!)}` : this.taskName(task);
  }

  /** What has become of a task, in a word. */
  state(task: number): string {
    const { ended, outcome } = this.report.tasks;
    if ((ended[task] ?? -1) < 0) return "alive";
    return ["returned", "raised", "cancelled"][outcome[task] ?? 0] ?? "ended";
  }
}

/** The first of these rows, which stand in order of their start, that can still be seen at `from`. */
export function firstSeen(spans: Spans, rows: Uint32Array, from: number, overlap: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans.start[rows[middle]!]! < from) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - overlap);
}

function sums(deltas: number[]): Float64Array {
  const out = new Float64Array(deltas.length);
  let at = 0;
  for (let index = 0; index < deltas.length; index++) out[index] = at += deltas[index]!;
  return out;
}

function sorted(start: Float64Array): Uint32Array {
  const order = new Uint32Array(start.length);
  let inOrder = true;
  for (let row = 0; row < order.length; row++) {
    order[row] = row;
    if (row > 0 && start[row]! < start[row - 1]!) inOrder = false;
  }
  return inOrder ? order : order.sort((one, other) => start[one]! - start[other]!);
}

function births({ tasks }: Report): Birth[] {
  const bySite = new Map<number, Birth>();
  const out: Birth[] = [];
  for (let task = 0; task < tasks.name.length; task++) {
    const site = tasks.birth[task]!;
    let birth = bySite.get(site);
    if (birth === undefined) {
      birth = { key: out.length, site, tasks: [], alive: 0, run: 0, steps: 0, longest: 0, parent: -1 };
      bySite.set(site, birth);
      out.push(birth);
    }
    birth.tasks.push(task);
    if (tasks.ended[task]! < 0) birth.alive++;
    birth.run += tasks.run[task]!;
    birth.steps += tasks.steps[task]!;
    birth.longest = Math.max(birth.longest, tasks.longest[task]!);
  }
  for (const birth of out) birth.parent = mostCommonParent(birth, tasks, bySite);
  return out;
}

function mostCommonParent(birth: Birth, tasks: Report["tasks"], bySite: Map<number, Birth>): number {
  const counts = new Map<number, number>();
  for (const task of birth.tasks) {
    const parent = tasks.parent[task]!;
    if (parent >= 0) {
      const key = bySite.get(tasks.birth[parent]!)!.key;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  let best = -1;
  for (const [key, count] of counts) if (key !== birth.key && count > (counts.get(best) ?? 0)) best = key;
  return best;
}
