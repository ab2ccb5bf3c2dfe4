// A browser with a report in it, and what a person would read there.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { chromium } from "playwright-core";

import { filled, wakers } from "./reports.mjs";

/** The repository. */
export const ROOT = process.env.TREADLE_ROOT ?? join(import.meta.dirname, "../..");
const PAGE = process.env.TREADLE_REPORT_PAGE ?? join(ROOT, "crates/treadle-view/src/report/page.html");
const PROGRAMS = [process.env.TREADLE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** How many pages are looked at side by side: most tests wait for the page, and a page has one processor. */
export const SIDE_BY_SIDE = 2 * availableParallelism();

/** How the page is looked at; twice as large is what a browser does with a page at 200 %. */
export const LOOKS = [
  { name: "light", colorScheme: "light", viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 },
  { name: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1 },
  { name: "dark at 200 %", colorScheme: "dark", viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 },
];

/** What has woken a step if there is none that could be shown, by the number in the report. */
const WOKEN_BY = [undefined, "a callback that is not shown", "a descriptor that was ready", "a timer", "another thread", "a transport that has sent what it had"];

export class Reader {
  static async start() {
    const executablePath = PROGRAMS.find((program) => program !== undefined && existsSync(program));
    assert.ok(executablePath, "no Chromium here; set TREADLE_CHROMIUM");
    // Its sandbox wants rights that a container does not give; it reads nothing but files made here.
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
    return new Reader(browser);
  }

  constructor(browser) {
    this.browser = browser;
    this.directory = mkdtempSync(join(tmpdir(), "treadle-report-"));
    this.empty = readFileSync(PAGE, "utf8");
    this.written = 0;
  }

  async stop() {
    await this.browser.close();
    rmSync(this.directory, { recursive: true });
  }

  write(html) {
    const path = join(this.directory, `${++this.written}.html`);
    writeFileSync(path, html);
    return pathToFileURL(path).href;
  }

  /** Opens a report; `problems` collects what no page may do. */
  async open(report, look, { html = filled(this.empty, report), ready = "all" } = {}) {
    const { name: _, ...options } = look;
    const context = await this.browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.problems = [];
    page.on("console", (message) => {
      // Pixels are read back by these tests alone.
      if (["error", "warning"].includes(message.type()) && !message.text().includes("getImageData")) page.problems.push(message.text());
    });
    page.on("pageerror", (error) => page.problems.push(error.stack));
    page.on("request", (request) => {
      if (!/^(file|data|blob):/.test(request.url())) page.problems.push(`asks ${request.url()}`);
    });
    await page.goto(this.write(html));
    await page.waitForFunction((wanted) => document.documentElement.dataset.ready === wanted, ready);
    return page;
  }
}

export async function closed(page) {
  assert.deepEqual(page.problems, []);
  await page.context().close();
}

/** Text without the marks of code. */
export function plain(text) {
  return text.replaceAll("`", "");
}

export async function texts(locator) {
  return (await locator.allTextContents()).map((text) => text.replace(/\s+/g, " ").trim());
}

/** The cells of a table's body. */
export async function rows(table) {
  return table.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent.trim())));
}

/** As long as the page waits until it has lanes come and go, in milliseconds; of two such timers the page's own is the earlier. */
const SETTLED = 150;

const UNITS = { µs: 1, ms: 1e3, s: 1e6, min: 60e6, h: 3600e6 };

/** Microseconds out of words such as `1.98 s` or `3 min 8 s`. */
export function microseconds(words) {
  const parts = [...words.matchAll(/([\d.]+) (µs|ms|s|min|h)\b/g)];
  assert.ok(parts.length > 0, `no duration in ${JSON.stringify(words)}`);
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit], 0);
}

/** Three figures are right to half of the last one. */
export function assertDuration(words, wanted) {
  const told = microseconds(words);
  const slack = Math.max(0.6, wanted * 0.0055, /\bmin\b/.test(words) ? 6e5 : 0, /\bh\b/.test(words) ? 31e6 : 0);
  assert.ok(Math.abs(told - wanted) <= slack, `${JSON.stringify(words)} is not ${wanted} µs`);
}

export function number(text) {
  return Number(text.replaceAll(",", ""));
}

export function placeOf(report, site) {
  const [file, line] = report.sites[site];
  return `${report.files[file]}:${line}`;
}

/** The timeline as a person handles it. */
export class Timeline {
  constructor(page, report) {
    this.page = page;
    this.report = report;
    this.part = page.locator("#timeline");
    this.canvas = this.part.locator(".stage.timeline canvas");
    this.panel = this.part.locator(".panel");
    let at = 0;
    this.starts = report.steps.start_delta.map((delta) => (at += delta));
  }

  async range() {
    const [from, to] = [await this.page.inputValue("#range-from"), await this.page.inputValue("#range-to")];
    return [Number(from) * 1e6, Number(to) * 1e6];
  }

  async show(from, to) {
    await this.page.fill("#range-from", String(from / 1e6));
    await this.page.fill("#range-to", String(to / 1e6));
    await this.part.getByRole("button", { name: "Show", exact: true }).click();
    await this.settled();
  }

  /** Lanes come and go a moment after the range has changed, and drawing takes a frame. The page's own clock says when, however slow the machine is. */
  async settled() {
    await this.page.evaluate(async (moment) => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      await frame();
      await new Promise((done) => setTimeout(done, moment));
      await frame();
      await frame();
    }, SETTLED);
  }

  press(label) {
    return this.part.getByRole("button", { name: label, exact: true }).click();
  }

  lane(name) {
    return this.part.locator(".lane").filter({ hasText: new RegExp(`^[▸▾ ]*${name}$`) }).first();
  }

  /** Where on the screen a moment of a lane is; the lane comes into view for that. */
  async point(name, t) {
    await this.lane(name).scrollIntoViewIfNeeded();
    await this.settled();
    const [lane, canvas, [from, to]] = [await this.lane(name).boundingBox(), await this.canvas.boundingBox(), await this.range()];
    return { x: canvas.x + ((t - from) / (to - from)) * canvas.width, y: lane.y + lane.height / 2 };
  }

  async click(name, t) {
    const { x, y } = await this.point(name, t);
    await this.page.mouse.click(x, y);
  }

  /** The facts of the panel by what they are called. */
  async facts() {
    return this.panel.evaluate((panel) => {
      const facts = { title: panel.querySelector("h3")?.textContent ?? panel.textContent };
      for (const term of panel.querySelectorAll("dt")) facts[term.textContent] = term.nextElementSibling.textContent;
      return facts;
    });
  }

  /** The panel is about this step, and says of it what the report says. */
  async assertStep(step) {
    const facts = await this.facts();
    const { steps, tasks } = this.report;
    const at = (row) => `${(this.starts[row] / 1e6).toFixed(6)} s`;
    const name = (row) => (steps.task[row] < 0 ? `callback ${this.report.sites[steps.site[row]][2]}` : tasks.name[steps.task[row]]);
    const woke = wakers(steps);
    const [start, took] = facts.from.split(" for ");
    assert.equal(start, at(step));
    assertDuration(took.split(" on ")[0], steps.took[step]);
    assert.ok(facts.ran.startsWith(placeOf(this.report, steps.site[step])), facts.ran);
    if (steps.queued[step] >= 0) assertDuration(facts.waited.split(" in the ready")[0], steps.queued[step]);
    else assert.equal(facts.waited, undefined);
    const by = (row, more = 3) => {
      const waker = woke[row];
      if (steps.waker_task[row] >= 0) return `${tasks.name[steps.waker_task[row]]} in a step that is not shown`;
      if (waker < 0) return WOKEN_BY[steps.woken_by[row]];
      const through = steps.task[waker] < 0 && more > 0 ? by(waker, more - 1) : undefined;
      return `${name(waker)} at ${at(waker)}${through === undefined ? "" : `, called by ${through}`}`;
    };
    assert.equal(facts["woken by"], by(step));
    const woken = woke.flatMap((other, row) => (other === step ? [`${name(row)} at ${at(row)}`] : []));
    const more = woken.length > 5 ? ` and ${woken.length - 5} more` : "";
    assert.equal(facts.woke, woken.length === 0 ? undefined : woken.slice(0, 5).join("") + more);
    if (steps.task[step] < 0) assert.ok(facts.title.startsWith("callback "));
    else assert.equal(facts.title, `step of ${name(step)}`);
  }

  /** The colours of the pixels of a piece of the canvas, as text. */
  async colours(from, to, name) {
    const [left, right] = [await this.point(name, from), await this.point(name, to)];
    const [canvas, lane] = [await this.canvas.boundingBox(), await this.lane(name).boundingBox()];
    const box = { x: left.x - canvas.x, y: lane.y - canvas.y, width: right.x - left.x, height: lane.height };
    return this.canvas.evaluate((element, { x, y, width, height }) => {
      const scale = devicePixelRatio;
      const { data } = element.getContext("2d").getImageData(x * scale, y * scale, Math.max(1, width * scale), height * scale);
      const counts = {};
      for (let at = 0; at < data.length; at += 4) {
        const colour = `${data[at]} ${data[at + 1]} ${data[at + 2]} ${data[at + 3]}`;
        counts[colour] = (counts[colour] ?? 0) + 1;
      }
      return counts;
    }, box);
  }
}
