// Reports as treadle makes them, out of programs that never ran: a deadlock among thirty tasks, ten minutes of a busy
// server, and a run in which nothing was found. The same seed gives the same report.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";

const SECOND = 1_000_000;
/** The place that is no place. */
const NONE = -1;
/** What wakes a step, by its number: another one, or the other things that there are. */
const BY_STEP = 1;
const WOKEN_BY = 6;

/** The step that has woken each step. */
export function wakers({ waker_delta: deltas }) {
  return deltas.map((delta, step) => (delta > 0 ? step - delta : NONE));
}

/** The page with a report in it, as `treadle report` writes it. */
export function filled(page, report) {
  const data = deflateRawSync(Buffer.from(JSON.stringify(report))).toString("base64");
  const title = report.title.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return page.replace("@@TITLE@@", () => title).replace("@@REPORT@@", () => data);
}

class Writer {
  constructor(seed, title) {
    this.state = seed;
    this.sites = [];
    this.files = [];
    this.known = new Map();
    this.rows = [];
    this.polls = [];
    this.report = {
      format: 2,
      title,
      environment: [],
      began: Date.UTC(2026, 4, 17, 9, 30, 12, 250),
      duration: 0,
      kept_from: 0,
      files: this.files,
      sites: this.sites,
      excerpts: {},
      findings: [],
      pages: {},
      tasks: { name: [], code: [], birth: [], parent: [], loop: [], born: [], ended: [], outcome: [], run: [], steps: [], longest: [] },
      steps: { loop: [], task: [], site: [], start_delta: [], took: [], woken_by: [], waker_delta: [], waker_task: [], queued: [] },
      polls: { loop: [], start_delta: [], took: [] },
      pauses: { kind: [], loop: [], start: [], took: [], cause: [], site: [], stack: [] },
      jobs: { name: [], site: [], submitted: [], started: [], ended: [], thread: [] },
      loops: [],
      seconds: { t: [], busy: [], idle: [], callbacks: [], lag: [], ready: [], tasks: [], timers: [], fds: [], interval: SECOND },
      flame: { all: { site: NONE, value: 0, label: null, children: [] }, blocked: { site: NONE, value: 0, label: null, children: [] } },
      waits: { t: 0, reason: "", tasks: [], edges: [], chains: {}, waits_for: {} },
      histograms: { step: null, queue: null, delay: null },
    };
  }

  /** Numbers that look like chance: mulberry32. */
  random() {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  /** Mostly small, now and then a hundred times as long. */
  length(usual) {
    return Math.max(1, Math.round(usual * Math.exp((this.random() + this.random() + this.random() - 1.5) * 2.4)));
  }

  site(file, line, name, owner = null) {
    const key = `${file}:${line}:${name}`;
    if (!this.known.has(key)) {
      if (!this.files.includes(file)) this.files.push(file);
      this.known.set(key, this.sites.length);
      this.sites.push([this.files.indexOf(file), line, name, owner]);
    }
    return this.known.get(key);
  }

  excerpt(file, first, text) {
    const lines = (this.report.excerpts[this.files.indexOf(file)] ??= {});
    text.split("\n").forEach((line, index) => (lines[first + index] = line));
  }

  task(name, code, birth, parent, born) {
    const { tasks } = this.report;
    const row = tasks.name.length;
    const values = { name, code, birth, parent, loop: 0, born, ended: -1, outcome: -1, run: 0, steps: 0, longest: 0 };
    for (const [column, value] of Object.entries(values)) tasks[column].push(value);
    return row;
  }

  end(task, at, outcome) {
    this.report.tasks.ended[task] = at;
    this.report.tasks.outcome[task] = outcome;
  }

  step(loop, task, site, start, took, waker, queued) {
    if (task >= 0) {
      const { tasks } = this.report;
      tasks.run[task] += took;
      tasks.steps[task]++;
      tasks.longest[task] = Math.max(tasks.longest[task], took);
    }
    return this.rows.push({ loop, task, site, start, took, waker, queued }) - 1;
  }

  pause(kind, start, took, cause, site, stack) {
    const { pauses } = this.report;
    for (const [column, value] of Object.entries({ kind, loop: 0, start, took, cause, site, stack })) pauses[column].push(value);
  }

  job(name, site, submitted, started, ended, thread) {
    for (const [column, value] of Object.entries({ name, site, submitted, started, ended, thread })) this.report.jobs[column].push(value);
  }

  finding(values) {
    const marks = values.marks ?? [];
    this.report.findings.push({
      severity: "error", suspected: false, count: Math.max(1, marks.length), first: marks[0] ?? 0, last: marks.at(-1) ?? 0,
      worst: null, cause: null, evidence: [], help: null, ...values, marks,
    });
  }

  pages(root) {
    const folder = join(root, "crates/treadle-pitfalls/src");
    const there = new Set(readdirSync(folder));
    for (const { name } of this.report.findings) {
      const directory = name.replaceAll("-", "_");
      if (there.has(directory)) this.report.pages[name] = readFileSync(join(folder, directory, "page.md"), "utf8");
    }
  }

  done(duration) {
    const { report } = this;
    report.duration = duration;
    let [at, slept] = [0, 0];
    for (const [step, row] of this.rows.entries()) {
      for (const column of ["loop", "task", "site", "took", "queued"]) report.steps[column].push(row[column]);
      report.steps.woken_by.push(row.waker === NONE ? step % WOKEN_BY : BY_STEP);
      report.steps.waker_delta.push(row.waker === NONE ? 0 : step - row.waker);
      report.steps.waker_task.push(row.waker === NONE && step % WOKEN_BY === BY_STEP && step % 4 > 1 ? 0 : NONE);
      report.steps.start_delta.push(row.start - at);
      at = row.start;
    }
    for (const { loop, start, took } of this.polls) {
      report.polls.loop.push(loop);
      report.polls.start_delta.push(start - slept);
      report.polls.took.push(took);
      slept = start;
    }
    const queued = this.rows.map((row) => row.queued).filter((time) => time >= 0);
    const turns = this.polls.slice(1).map((poll, at) => poll.start - this.polls[at].start - this.polls[at].took);
    report.histograms = { step: histogram(this.rows.map((row) => row.took)), queue: histogram(queued), delay: histogram(turns) };
    return report;
  }
}

function histogram(values) {
  const edges = [0];
  for (let edge = 1; edge < 2 ** 26; edge = Math.ceil(edge * Math.SQRT2)) edges.push(edge);
  const counts = new Array(edges.length - 1).fill(0);
  let max = 0;
  for (const value of values) {
    counts[edges.findIndex((_, row) => value < (edges[row + 1] ?? Infinity))]++;
    max = Math.max(max, value);
  }
  return { edges, counts, max };
}

function flame(site, own, children = [], label = null) {
  return { site, label, value: own + children.reduce((sum, child) => sum + child.value, 0), children };
}

const ORDERS = `    async def settle(self, order: Order) -> None:
        async with self.accounts:
            await self.book(order)
            async with self.ledger:
                self.entries.append(order)`;
const REPORT = `async def monthly(rows: list[Row]) -> str:
    """What the accountants ask for."""
    totals = collect(rows)
    return json.dumps(totals)


async def poll(feed: Feed) -> None:`;

/** Five findings, thirty tasks, and two of them in a deadlock that eight others wait behind. */
export function small(root) {
  const writer = new Writer(7, "shop.py");
  const { report } = writer;
  const main = writer.site("shop.py", 88, "main");
  const serve = writer.site("shop/server.py", 41, "serve");
  const settle = writer.site("shop/orders.py", 33, "settle");
  const refund = writer.site("shop/orders.py", 58, "refund");
  const monthly = writer.site("shop/report.py", 14, "monthly");
  const dumps = writer.site("json/__init__.py", 231, "dumps", "json");
  const poll = writer.site("shop/report.py", 21, "poll");
  const lambda = writer.site("shop/server.py", 60, "<lambda>");
  const acquire = writer.site("asyncio/locks.py", 113, "acquire", "python");
  const births = [writer.site("shop.py", 71, "main"), writer.site("shop/server.py", 44, "serve"), writer.site("shop/server.py", 49, "serve"), writer.site("shop.py", 73, "main")];
  const load = writer.site("shop/files.py", 19, "load");
  report.loops.push({ number: 0, thread: 5120, name: "main" });
  const root_ = writer.task("Task-1", main, writer.site("shop.py", 92, "<module>"), NONE, 0);
  const server = writer.task("server", serve, births[0], root_, 2_000);
  const feed = writer.task("feed", poll, births[3], root_, 2_500);
  const workers = [];
  for (let index = 0; index < 18; index++) workers.push(writer.task(`order ${index + 1}`, settle, births[1], server, 40_000 + index * 130_000));
  for (let index = 0; index < 8; index++) workers.push(writer.task(`refund ${index + 1}`, refund, births[2], server, 90_000 + index * 210_000));
  const reporter = writer.task("monthly report", monthly, births[3], root_, 600_000);
  let at = 500;
  let last = NONE;
  while (at < 4_600_000) {
    const alive = [root_, server, feed, reporter, ...workers].filter((task) => report.tasks.born[task] <= at && report.tasks.ended[task] < 0);
    const burst = 1 + writer.below(5);
    for (let index = 0; index < burst; index++) {
      const task = writer.random() < 0.12 ? NONE : alive[writer.below(alive.length)];
      if (task !== NONE && at > 2_600_000 && (task === workers[3] || task === workers[20])) continue;
      const site = task === NONE ? lambda : report.tasks.code[task];
      const took = task === reporter && writer.random() < 0.35 ? 110_000 + writer.below(300_000) : writer.length(900);
      const woken = task === NONE ? NONE : last;
      const queued = woken === NONE ? -1 : at - (writer.rows[woken].start + Math.floor(writer.rows[woken].took / 2));
      const step = writer.step(0, task, site, at, took, woken, queued);
      if (took > 100_000) writer.pause("blocked", at, took, "using the processor", dumps, [main, monthly, dumps]);
      at += took + 3;
      last = step;
      const place = workers.indexOf(task);
      if (place >= 0 && place !== 3 && place !== 20 && place % 3 !== 2 && report.tasks.steps[task] > 14) writer.end(task, at, place === 1 ? 1 : place === 6 ? 2 : 0);
    }
    const nap = 500 + writer.length(6_000);
    writer.polls.push({ loop: 0, start: at, took: nap });
    at += nap;
    last = NONE;
    if (writer.random() < 0.02) {
      writer.step(0, NONE, lambda, at, 14_000, NONE, -1);
      writer.pause("gc", at + 200, 13_000, "generation 2", NONE, []);
      at += 14_003;
    }
  }
  const free = [0, 0];
  for (let index = 0; index < 9; index++) {
    const submitted = 300_000 + index * 200_000;
    const started = Math.max(submitted + 300, free[index % 2]);
    free[index % 2] = started + 180_000 + index * 60_000;
    writer.job(`load_${index + 1}.csv`, load, submitted, started, index === 8 ? -1 : free[index % 2], index % 2);
  }
  const blocked = report.pauses.start.filter((_, row) => report.pauses.kind[row] === "blocked");
  const worst = report.pauses.took.reduce((most, took) => Math.max(most, took), 0);
  writer.finding({ name: "deadlock", site: settle, message: "`settle` and `refund` wait for each other", marks: [3_100_000], evidence: ["order 4 holds `accounts` and waits for `ledger` (shop/orders.py:33)", "refund 3 holds `ledger` and waits for `accounts` (shop/orders.py:58)", "10 tasks wait behind them"], help: "take the locks in the same order everywhere: first `accounts`, then `ledger`" });
  writer.finding({ name: "blocked-loop", site: monthly, message: "`json.dumps` blocks the event loop", marks: blocked, worst, cause: "using the processor", evidence: [`took ${worst / 1000} ms, using the processor`, "through `main` (shop.py:88), `monthly` (shop/report.py:14), `dumps` (json/__init__.py:231)"], help: "run it in a thread: `await asyncio.to_thread(json.dumps, totals)`" });
  writer.finding({ name: "lost-exception", site: births[1], message: "the task of `settle` raised `KeyError`, and nobody has asked for its result", marks: [1_400_000], help: "keep the task and await it, or start it in an `asyncio.TaskGroup`", severity: "error" });
  writer.finding({ name: "busy-poll", severity: "warning", suspected: true, site: poll, message: "`poll` wakes itself again and again without progress", count: 812, first: 3_000, last: 4_500_000, worst: null, marks: [3_000, 900_000, 900_900, 901_000, 2_400_000], evidence: ["74 % of its wake-ups came from itself"], help: "wait for what it polls: `await feed.changed.wait()`" });
  writer.finding({ name: "unbounded-queue", severity: "info", suspected: true, site: births[0], message: "the queue grows and nobody reads it as fast as `serve` fills it", count: 1, first: 4_000_000, last: 4_000_000, help: "give it a size: `asyncio.Queue(maxsize=100)`" });
  writer.excerpt("shop/orders.py", 30, ORDERS);
  writer.excerpt("shop/report.py", 11, REPORT);
  writer.excerpt("shop/server.py", 43, "        while True:\n            self.start(settle(await self.orders.get()))\n            self.served += 1");
  const waiting = [workers[3], workers[20], ...workers.filter((_, index) => index % 3 === 2 && index !== 20)];
  report.waits = { t: 3_300_000, reason: "a deadlock was found", tasks: [...waiting, feed], edges: [[workers[3], workers[20], "the lock `ledger`"], [workers[20], workers[3], "the lock `accounts`"]], chains: {}, waits_for: {} };
  for (const task of waiting.slice(2)) report.waits.edges.push([task, writer.random() < 0.5 ? workers[3] : workers[20], "a lock"]);
  for (const task of waiting) {
    report.waits.chains[task] = [report.tasks.code[task], acquire];
    report.waits.waits_for[task] = "a lock";
  }
  report.waits.waits_for[feed] = "a timer";
  const spent = new Map();
  for (const row of writer.rows) spent.set(row.site, (spent.get(row.site) ?? 0) + row.took);
  const of = (site) => spent.get(site) ?? 0;
  const blockedSum = report.pauses.took.reduce((sum, took, row) => sum + (report.pauses.kind[row] === "blocked" ? took : 0), 0);
  report.flame.blocked = flame(NONE, 0, [flame(main, 0, [flame(monthly, 0, [flame(dumps, blockedSum)])])]);
  report.flame.all = flame(NONE, 0, [
    flame(main, of(main), [flame(monthly, of(monthly) - blockedSum, [flame(dumps, blockedSum)]), flame(serve, of(serve), [flame(settle, Math.floor(of(settle) / 2), [flame(acquire, Math.ceil(of(settle) / 2))]), flame(refund, of(refund))]), flame(poll, of(poll))]),
    flame(lambda, of(lambda), [], "callbacks"),
  ]);
  seconds(writer, 5_000_000, 100_000);
  environment(writer, "python -m shop", "5.00 s", 4_211, 0);
  writer.pages(root);
  return writer.done(5_000_000);
}

function seconds(writer, duration, interval) {
  const table = writer.report.seconds;
  table.interval = interval;
  const rows = Math.ceil(duration / interval);
  const busy = new Float64Array(rows);
  const calls = new Uint32Array(rows);
  const lag = new Float64Array(rows);
  for (const { start, took, queued } of writer.rows) {
    const row = Math.min(rows - 1, Math.floor(start / interval));
    calls[row]++;
    lag[row] = Math.max(lag[row], queued);
    for (let at = start, left = took; left > 0; ) {
      const here = Math.min(rows - 1, Math.floor(at / interval));
      const part = here === rows - 1 ? left : Math.min(left, (here + 1) * interval - at);
      busy[here] += part;
      at += part;
      left -= part;
    }
  }
  for (let row = 0; row < rows; row++) {
    const used = Math.min(interval, Math.round(busy[row]));
    const values = { t: row * interval, busy: used, idle: interval - used, callbacks: calls[row], lag: Math.max(0, lag[row]), ready: 1 + writer.below(9), tasks: 12 + writer.below(18), timers: writer.below(30), fds: 6 + writer.below(5) };
    for (const [column, value] of Object.entries(values)) table[column].push(value);
  }
}

function environment(writer, command, watched, events, lost) {
  writer.report.environment = [
    ["command", command], ["Python", "3.13.5 (CPython)"], ["treadle", "0.1.0"], ["platform", "Linux 6.8.0 x86_64, glibc 2.39"], ["processors", "8"],
    ["process", "48213"], ["began", "2026-05-17 09:30:12"], ["watched", watched], ["events", events.toLocaleString("en-US")], ["events lost", String(lost)], ["the doctor's cost", "0.4 % of a processor"],
  ];
}

/** The same, with a finding that was met when steps are no longer kept, while the loop was asleep, and in a step, in this order. */
export function partly(root) {
  const report = small(root);
  const { polls, steps, pauses } = report;
  const asleep = polls.start_delta.slice(0, 10).reduce((sum, delta) => sum + delta, 0) + Math.floor(polls.took[9] / 2);
  const ran = pauses.start[pauses.kind.indexOf("blocked")];
  const until = steps.start_delta.reduce((sum, delta) => sum + delta, 0);
  report.findings[0].marks = [(until + report.duration) / 2 + 60_000, asleep, ran].map(Math.round);
  return report;
}

/** Ten minutes of a server that is never quiet: 200,000 steps of 20,000 tasks on two loops, and stacks 90 deep. */
export function large(root) {
  const writer = new Writer(11, "-m service");
  const { report } = writer;
  const duration = 600 * SECOND;
  report.kept_from = 412 * SECOND;
  report.loops.push({ number: 0, thread: 7001, name: "main" }, { number: 1, thread: 7044, name: "metrics" });
  const codes = [];
  for (let index = 0; index < 400; index++) codes.push(writer.site(`service/handlers/${["users", "orders", "search", "feed", "media"][index % 5]}.py`, 10 + index * 3, `${["fetch", "render", "store", "check", "notify", "merge"][index % 6]}_${["user", "order", "page", "event"][index % 4]}`));
  const births = [];
  for (let index = 0; index < 60; index++) births.push(writer.site(index % 3 === 0 ? "aiohttp/web_protocol.py" : "service/app.py", 100 + index * 7, index % 3 === 0 ? "start" : `spawn_${index}`, index % 3 === 0 ? "aiohttp" : null));
  const kept = duration - report.kept_from;
  const alive = [];
  let at = report.kept_from;
  const perStep = kept / 200_000;
  let last = NONE;
  const root_ = writer.task("Task-1", codes[0], births[0], NONE, 0);
  const metrics = writer.task("metrics", codes[1], births[1], root_, 1_000);
  report.tasks.loop[metrics] = 1;
  alive.push(root_);
  while (writer.rows.length < 200_000) {
    if (report.tasks.name.length < 20_000 && writer.random() < 0.1) {
      const birth = Math.floor(60 * writer.random() ** 2);
      const parent = alive[writer.below(Math.min(alive.length, 50))];
      const code = codes[(birth * 5) % codes.length];
      alive.push(writer.task(`Task-${report.tasks.name.length + 1}`, code, births[birth], parent, Math.round(at)));
    }
    const spot = writer.below(alive.length);
    const task = writer.random() < 0.06 ? NONE : writer.random() < 0.02 ? metrics : alive[spot];
    const long = writer.random() < 0.0004;
    const took = long ? 100_000 + writer.below(200_000) : writer.length(perStep / 2.4);
    const site = codes[writer.below(codes.length)];
    const start = Math.round(at);
    const waker = last === NONE || writer.random() < 0.3 ? NONE : last - writer.below(Math.min(20, last + 1));
    const step = writer.step(task === metrics ? 1 : 0, task, site, start, took, waker, waker === NONE ? -1 : Math.max(0, start - writer.rows[waker].start - writer.rows[waker].took));
    if (long) writer.pause("blocked", start, took, ["using the processor", "waiting in the system"][writer.below(2)], site, [codes[0], site]);
    else if (writer.random() < 0.0008) writer.pause("gc", start, took + 3_000, "generation 1", NONE, []);
    last = step;
    at += took + 2;
    if (writer.random() < 0.25) {
      const nap = writer.length(perStep * 1.4);
      if (at + nap < duration) writer.polls.push({ loop: 0, start: Math.round(at), took: nap });
      at += nap;
    }
    if (task > 1 && report.tasks.steps[task] > 6 && alive.length > 900 && alive[spot] === task) {
      writer.end(task, Math.round(at), writer.random() < 0.03 ? 1 : writer.random() < 0.05 ? 2 : 0);
      alive[spot] = alive.at(-1);
      alive.pop();
    }
  }
  // What was drawn is fitted into the time there is.
  const scale = (kept - 1) / (at - report.kept_from);
  const fit = (t) => (t <= report.kept_from ? t : Math.round(report.kept_from + (t - report.kept_from) * scale));
  for (const row of [...writer.rows, ...writer.polls]) {
    const end = fit(row.start + row.took);
    row.start = fit(row.start);
    row.took = Math.max(0, end - row.start);
  }
  report.pauses.took = report.pauses.took.map((took, row) => fit(report.pauses.start[row] + took) - fit(report.pauses.start[row]));
  report.pauses.start = report.pauses.start.map(fit);
  report.tasks.born = report.tasks.born.map(fit);
  report.tasks.ended = report.tasks.ended.map((ended) => (ended < 0 ? -1 : fit(ended)));
  for (const column of ["run", "longest"]) report.tasks[column].fill(0);
  for (const { task, took } of writer.rows) {
    if (task < 0) continue;
    report.tasks.run[task] += took;
    report.tasks.longest[task] = Math.max(report.tasks.longest[task], took);
  }
  const free = new Array(8).fill(0);
  for (let index = 0; index < 4_000; index++) {
    const submitted = report.kept_from + Math.floor((index / 4_001) * (kept - 2_000_000));
    const started = Math.max(submitted, free[index % 8]) + writer.length(400);
    free[index % 8] = started + writer.length(12_000);
    writer.job(`getaddrinfo ${index}`, codes[index % 40], submitted, started, free[index % 8], index % 8);
  }
  let [blockedSum, tree] = [0, deep(writer, codes, 90)];
  for (const took of report.pauses.took.filter((_, row) => report.pauses.kind[row] === "blocked")) blockedSum += took;
  report.flame.all = flame(NONE, 0, tree);
  report.flame.blocked = flame(NONE, 0, report.pauses.kind.flatMap((kind, row) => (kind === "blocked" ? [flame(codes[0], 0, [flame(report.pauses.site[row], report.pauses.took[row])])] : [])));
  const marks = report.pauses.start.filter((_, row) => report.pauses.kind[row] === "blocked");
  const worst = report.pauses.took.reduce((most, took) => Math.max(most, took), 0);
  writer.finding({ name: "blocked-loop", site: codes[7], message: "`json.loads` blocks the event loop", marks, worst, cause: "using the processor", help: "run it in a thread: `await asyncio.to_thread(json.loads, body)`" });
  for (let index = 0; index < 24; index++) {
    const name = ["leaked-task", "executor-starved", "unbounded-buffer", "never-awaited", "swallowed-cancel", "permit-leak"][index % 6];
    writer.finding({ name, severity: ["error", "warning", "info"][index % 3], suspected: index % 4 === 0, site: codes[20 + index], message: `\`${writer.sites[codes[20 + index]][2]}\` is a case of it that was seen under load`, count: 1 + writer.below(4_000), first: writer.below(100) * SECOND, last: 500 * SECOND, marks: [report.kept_from + writer.below(kept)], help: "keep the handle: `tasks.add(task)`" });
  }
  for (let row = 0; row < 1_200; row++) {
    const busy = Math.round(250_000 + 150_000 * Math.sin(row / 60) + writer.below(90_000));
    const values = { t: row * 500_000, busy, idle: 500_000 - busy, callbacks: 900 + writer.below(3_000), lag: writer.length(2_000) + (row % 211 === 0 ? 180_000 : 0), ready: writer.below(60), tasks: 400 + Math.round(200 * Math.sin(row / 90)), timers: writer.below(800), fds: 120 + writer.below(90) };
    for (const [column, value] of Object.entries(values)) report.seconds[column].push(value);
  }
  report.seconds.interval = 500_000;
  waitsOfMany(writer, 900);
  environment(writer, "treadle run --watch --record run.treadle -m service", "10 min", 31_204_551, 0);
  writer.pages(root);
  return writer.done(duration);
}

function deep(writer, codes, depth) {
  const grow = (level, value) => {
    if (level === 0 || value < 400) return [];
    const parts = level > 80 ? 1 : 1 + writer.below(3);
    const children = [];
    let left = Math.floor(value * (0.86 + writer.random() * 0.13));
    for (let index = 0; index < parts && left > 300; index++) {
      const share = index === parts - 1 ? left : Math.floor(left * (0.3 + writer.random() * 0.6));
      const inner = grow(level - 1, share);
      children.push(flame(codes[writer.below(codes.length)], share - inner.reduce((sum, child) => sum + child.value, 0), inner));
      left -= share;
    }
    return children;
  };
  return grow(depth, 40_000_000);
}

function waitsOfMany(writer, some) {
  const { waits, tasks } = writer.report;
  const alive = tasks.ended.flatMap((ended, task) => (ended < 0 ? [task] : [])).slice(0, some);
  Object.assign(waits, { t: 598 * SECOND, reason: "most tasks waited", tasks: alive });
  alive.forEach((task, index) => {
    waits.waits_for[task] = ["a socket", "a timer", "a queue", "a lock"][index % 4];
    waits.chains[task] = [tasks.code[task]];
    if (index >= 12 && index % 4 === 3) waits.edges.push([task, alive[index % 12], "the lock `pool`"]);
  });
}

/** Nothing found, one task, no waits. */
export function clean() {
  const writer = new Writer(3, "<quiet> & clean.py");
  const { report } = writer;
  const main = writer.site("quiet.py", 4, "main");
  report.loops.push({ number: 0, thread: 99, name: "" });
  const task = writer.task("Task-1", main, writer.site("quiet.py", 8, "<module>"), NONE, 0);
  for (let index = 0; index < 20; index++) writer.step(0, task, main, 1_000 + index * 10_000, 120, NONE, -1);
  writer.end(task, 201_000, 0);
  report.flame.all = flame(NONE, 0, [flame(main, 2_400)]);
  environment(writer, "python quiet.py", "202 ms", 61, 0);
  return writer.done(202_000);
}

/** The small run beside one before it. */
export function compared(root) {
  const report = small(root);
  const before = (node, factor) => ({ ...node, before: Math.round(node.value * factor), children: node.children.map((child, index) => before(child, factor * (index % 2 === 0 ? 0.6 : 1.5))) });
  report.difference = {
    title: "shop.py of yesterday",
    findings: [
      { name: "deadlock", site: "shop/orders.py:33", change: "new", before: 0, after: 1 },
      { name: "blocked-loop", site: "shop/report.py:14", change: "more", before: 2, after: 9 },
      { name: "busy-poll", site: "shop/report.py:21", change: "fewer", before: 1_400, after: 812 },
      { name: "task-flood", site: "shop/server.py:49", change: "gone", before: 3, after: 0 },
      { name: "lost-exception", site: "shop/server.py:44", change: "same", before: 1, after: 1 },
    ],
    rows: [["busy", 31.5, 62.25, "%"], ["longest step", 84_000, 391_000, "µs"], ["longest queueing delay", 92_000, 402_500, "µs"], ["callbacks", 297_035.125, 4_211, "/s"], ["blocked", 8_766.5, 12.25, "ms"], ["tasks", 30, 30, ""]],
    flame: before(report.flame.all, 0.8),
  };
  // Something that is gone: it has no width.
  const [gone] = report.difference.flame.children[0].children.splice(-1, 1);
  report.difference.flame.value -= gone.value;
  report.difference.flame.children[0].value -= gone.value;
  report.difference.flame.children[0].children.push({ ...gone, value: 0, children: [] });
  return report;
}
