// Every part of the report's page, clicked through in a browser and compared with the report that is in it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { assertDuration, closed, LOOKS, microseconds, number, placeOf, plain, Reader, ROOT, rows, SIDE_BY_SIDE, texts, Timeline } from "./reading.mjs";
import { clean, compared, filled, large, partly, small, wakers } from "./reports.mjs";

const SMALL = small(ROOT);
const COMPARED = compared(ROOT);
let reader;

before(async () => (reader = await Reader.start()));
after(() => reader?.stop());

// All three show the same; where time is short, one will do.
const QUICK = process.env.TREADLE_REPORT_QUICK !== undefined;

for (const look of QUICK ? LOOKS.slice(0, 1) : LOOKS) {
  describe(look.name, { concurrency: SIDE_BY_SIDE }, () => {
    /** A test with a page of its own, which must not have complained at the end. */
    const on = (report, name, act) =>
      test(name, async () => {
        const page = await reader.open(report, look);
        await act(page, report);
        await closed(page);
      });

    on(SMALL, "verdict says what hurts most, where, and what to write instead", async (page, { findings, sites }) => {
      const [worst] = findings;
      const text = await page.locator("#verdict").innerText();
      assert.ok(text.includes(`What hurts most: ${plain(worst.message)}`), text);
      assert.ok(text.includes(`${placeOf(SMALL, worst.site)} in ${sites[worst.site][2]}`));
      assert.ok(text.includes(plain(worst.help)));
      assert.ok(text.includes("5 findings: 3 errors, 1 warning, 1 for information."));
      assert.ok(text.includes("Watched for 5 s and 30 tasks"));
    });

    on(clean(), "clean run says plainly that nothing was found", async (page, report) => {
      assert.equal(await page.title(), report.title);
      assert.ok((await page.locator("#verdict").innerText()).includes("Nothing found."));
      assert.equal(await page.locator(".finding").count(), 0);
      assert.equal(await page.locator("h1").innerText(), report.title);
      assert.ok((await page.locator("#waits").innerText()).includes("No task waited for another"));
    });

    on(SMALL, "findings stand in their order with code, evidence and help", async (page, { findings, excerpts, sites }) => {
      const items = page.locator(".finding");
      assert.equal(await items.count(), findings.length);
      for (const [index, finding] of findings.entries()) {
        const item = items.nth(index);
        const heading = await item.locator("h3").innerText();
        assert.ok(heading.includes(finding.severity) && heading.includes(finding.name) && heading.includes(plain(finding.message)), heading);
        assert.equal(heading.includes("suspected"), finding.suspected);
        assert.deepEqual(await texts(item.locator(".evidence > li")), finding.evidence.map(plain));
        assert.ok((await item.locator(".help").innerText()).includes(plain(finding.help)));
        const where = await item.locator(".where").innerText();
        assert.ok(where.startsWith(placeOf(SMALL, finding.site)), where);
        if (finding.count > 1) assert.ok(where.includes(`${finding.count} times`), where);
        if (finding.worst !== null) assertDuration(/at worst ([^,]*)/.exec(where)[1], finding.worst);
        const [file, line] = sites[finding.site];
        const code = excerpts[file]?.[line];
        const marked = await item.locator(".code-line.marked").allTextContents();
        assert.deepEqual(marked, code === undefined ? [] : [`▶ ${line} │ ${code}\n`]);
      }
    });

    on(SMALL, "pitfall's page opens under its finding, without the marks of tests", async (page, { findings, pages }) => {
      for (const [index, { name }] of findings.entries()) {
        const item = page.locator(".finding").nth(index);
        await item.locator("summary").click();
        await item.locator("h4").first().waitFor();
        const wanted = [...pages[name].matchAll(/^## (.*)$/gm)].map(([, title]) => title);
        assert.equal(wanted.length, 5);
        assert.deepEqual(await texts(item.locator("h4")), wanted);
        assert.doesNotMatch(await item.locator(".page-text").innerText(), /# (watch|error):/);
        assert.ok((await item.locator(".page-text pre").count()) > 0);
      }
    });

    on(SMALL, "finding's button shows its moment in the timeline", async (page, { findings, steps }) => {
      const timeline = new Timeline(page, SMALL);
      const index = findings.findIndex(({ name }) => name === "blocked-loop");
      await page.locator(".finding").nth(index).getByRole("button", { name: /Show in the timeline/ }).click();
      const [mark] = findings[index].marks;
      const step = timeline.starts.findIndex((start, row) => start <= mark && mark <= start + steps.took[row]);
      await timeline.assertStep(step);
      const [from, to] = await timeline.range();
      assert.ok(from <= mark && mark <= to);
      assertDuration(/^[^,]*/.exec((await timeline.facts()).blocked)[0], steps.took[step]);
    });

    on(partly(ROOT), "finding's button goes first where steps are left, and says what is not there", async (page, report) => {
      const timeline = new Timeline(page, report);
      const button = page.locator(".finding").first().getByRole("button", { name: "Show in the timeline (3)" });
      const [gone, asleep, ran] = report.findings[0].marks;
      await button.click();
      await timeline.assertStep(timeline.starts.indexOf(ran));
      for (const [moment, words] of [[asleep, /the loop was asleep/], [gone, /are not kept/]]) {
        await button.click();
        assert.match(await timeline.panel.innerText(), words);
        assert.equal((await timeline.facts())[`${(moment / 1e6).toFixed(6)} s`], `${report.findings[0].severity}: ${report.findings[0].name}: ${plain(report.findings[0].message)}`);
        const [from, to] = await timeline.range();
        assert.ok(from <= moment && moment <= to);
      }
      await button.click();
      await timeline.assertStep(timeline.starts.indexOf(ran));
    });

    on(SMALL, "buttons, numbers and keys set the range", async (page, { duration }) => {
      const timeline = new Timeline(page, SMALL);
      assert.deepEqual(await timeline.range(), [0, duration]);
      await timeline.show(1_000_000, 3_000_000);
      assert.deepEqual(await timeline.range(), [1_000_000, 3_000_000]);
      await timeline.press("Zoom in");
      assert.deepEqual(await timeline.range(), [1_500_000, 2_500_000]);
      await timeline.press("Zoom out");
      assert.deepEqual(await timeline.range(), [1_000_000, 3_000_000]);
      await timeline.press("Later ▶");
      assert.deepEqual(await timeline.range(), [2_000_000, 4_000_000]);
      await timeline.press("◀ Earlier");
      assert.deepEqual(await timeline.range(), [1_000_000, 3_000_000]);
      await timeline.press("Range before");
      assert.deepEqual(await timeline.range(), [1_500_000, 2_500_000]);
      await timeline.canvas.focus();
      await page.keyboard.press("+");
      assert.deepEqual(await timeline.range(), [1_750_000, 2_250_000]);
      await page.keyboard.press("-");
      await page.keyboard.press("ArrowRight");
      assert.deepEqual(await timeline.range(), [1_600_000, 2_600_000]);
      await page.keyboard.press("0");
      assert.deepEqual(await timeline.range(), [0, duration]);
      await timeline.show(-1_000_000, 1_000_000);
      assert.deepEqual(await timeline.range(), [0, 2_000_000], "no earlier than the beginning");
      await timeline.press("Whole run");
      assert.deepEqual(await timeline.range(), [0, duration]);
    });

    on(SMALL, "pointer zooms about itself, drags the time, and chooses ranges on the ruler and the strip", async (page, { duration }) => {
      const timeline = new Timeline(page, SMALL);
      await timeline.show(1_000_000, 3_000_000);
      const { x, y } = await timeline.point("main", 1_500_000);
      await page.mouse.move(x, y);
      await page.keyboard.down("Control");
      await page.mouse.wheel(0, -60);
      await page.keyboard.up("Control");
      let [from, to] = await timeline.range();
      assert.ok(to - from < 1_900_000, `${to - from}`);
      const { width } = await timeline.canvas.boundingBox();
      const pixel = (to - from) / width;
      assert.ok(Math.abs((1_500_000 - from) / (to - from) - 0.25) < 2 / width);
      await page.mouse.move(x, y);
      await page.mouse.down();
      await page.mouse.move(x - 50, y, { steps: 4 });
      await page.mouse.up();
      const [moved] = await timeline.range();
      assert.ok(Math.abs(moved - from - 50 * pixel) < 2 * pixel);
      await timeline.show(0, duration);
      const canvas = await timeline.canvas.boundingBox();
      const across = async (left, right, top) => {
        await page.mouse.move(left, top);
        await page.mouse.down();
        await page.mouse.move(right, top, { steps: 5 });
        await page.mouse.up();
      };
      await across(canvas.x + canvas.width * 0.25, canvas.x + canvas.width * 0.5, canvas.y + 8);
      [from, to] = await timeline.range();
      assert.ok(Math.abs(from - duration / 4) < duration / 100 && Math.abs(to - duration / 2) < duration / 100, `${from} ${to}`);
      const strip = timeline.part.locator(".u-over").first();
      await strip.scrollIntoViewIfNeeded();
      const over = await strip.boundingBox();
      await across(over.x + over.width * 0.5, over.x + over.width * 0.75, over.y + 20);
      [from, to] = await timeline.range();
      assert.ok(Math.abs(from - duration / 2) < duration / 50 && Math.abs(to - duration * 0.75) < duration / 50, `${from} ${to}`);
      const brush = await timeline.part.locator(".u-select").first().boundingBox();
      assert.ok(Math.abs(brush.x - over.x - over.width / 2) < 3 && Math.abs(brush.width - over.width / 4) < 5);
    });

    on(SMALL, "timeline has a lane for each loop, executor thread, birth place and task", async (page, { tasks, jobs }) => {
      const timeline = new Timeline(page, SMALL);
      const seen = new Set();
      const outer = timeline.part.locator(".stage.timeline");
      const height = await outer.evaluate((element) => element.scrollHeight);
      for (let top = 0; top < height; top += 200) {
        await outer.evaluate((element, to) => (element.scrollTop = to), top);
        await timeline.settled();
        for (const title of await timeline.part.locator(".lane").evaluateAll((all) => all.map((lane) => lane.title))) seen.add(title);
      }
      const births = new Map();
      tasks.birth.forEach((birth, task) => births.set(birth, [...(births.get(birth) ?? []), task]));
      const many = [...births.values()].filter((inside) => inside.length > 1).length;
      const count = (word) => [...seen].filter((title) => title.includes(word)).length;
      assert.equal(count(": task "), tasks.name.length);
      assert.equal(count(" tasks born at "), many);
      assert.equal(count("jobs in executor thread"), new Set(jobs.thread).size);
      assert.equal(count("an event loop in thread 5120"), 1);
      await outer.evaluate((element) => (element.scrollTop = 0));
      await timeline.settled();
      const group = timeline.part.getByRole("button", { name: /^settle × 18: / });
      assert.equal(await group.getAttribute("aria-expanded"), "true");
      await group.click();
      await timeline.settled();
      assert.equal(await group.getAttribute("aria-expanded"), "false");
      assert.equal(await timeline.lane("order 1").count(), 0);
    });

    on(SMALL, "keys go from step to step, and to the waker", async (page, { steps }) => {
      const timeline = new Timeline(page, SMALL);
      await timeline.canvas.focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowDown");
      for (let step = 0; step < 60; step++) {
        await page.keyboard.press("n");
        await timeline.assertStep(step);
      }
      await page.keyboard.press("p");
      await timeline.assertStep(58);
      const woke = wakers(steps);
      const woken = woke.findIndex((waker, row) => row > 58 && waker >= 0);
      for (let step = 59; step <= woken; step++) await page.keyboard.press("n");
      await timeline.assertStep(woken);
      await page.keyboard.press("w");
      await timeline.assertStep(woke[woken]);
      await timeline.panel.locator("dt", { hasText: /^woke$/ }).locator("+ dd button").first().click();
      await timeline.assertStep(woke.indexOf(woke[woken]));
      await timeline.canvas.focus();
      await page.keyboard.press("Escape");
      assert.equal((await timeline.facts()).title, "Nothing is selected.");
    });

    on(SMALL, "click shows the step, pause, sleep, job or finding that is there", async (page, { steps, pauses, polls, jobs, findings }) => {
      const timeline = new Timeline(page, SMALL);
      const order = [...steps.took.keys()].sort((one, other) => steps.took[other] - steps.took[one]);
      for (const step of order.slice(0, 5)) {
        const middle = timeline.starts[step] + steps.took[step] / 2;
        await timeline.show(timeline.starts[step] - 2 * steps.took[step], timeline.starts[step] + 3 * steps.took[step]);
        await timeline.click("main", middle);
        await timeline.assertStep(step);
        const pause = pauses.start.indexOf(timeline.starts[step]);
        assert.equal((await timeline.facts()).blocked?.split(", ")[1], pause < 0 ? undefined : pauses.cause[pause]);
      }
      let at = 0;
      const slept = polls.start_delta.map((delta) => (at += delta));
      const longest = polls.took.indexOf(Math.max(...polls.took));
      await timeline.show(slept[longest] - 100, slept[longest] + polls.took[longest] + 100);
      await timeline.click("main", slept[longest] + polls.took[longest] / 2);
      const sleep = await timeline.facts();
      assert.equal(sleep.title, "asleep in the system");
      assertDuration(sleep.from.split(" for ")[1].split(" on ")[0], polls.took[longest]);
      await timeline.press("Whole run");
      await timeline.settled();
      await timeline.click("executor 0", (jobs.started[2] + jobs.ended[2]) / 2);
      const job = await timeline.facts();
      assert.equal(job.title, `executor job ${jobs.name[2]}`);
      assertDuration(job.ran, jobs.ended[2] - jobs.started[2]);
      await timeline.show(findings[0].marks[0] - 20_000, findings[0].marks[0] + 20_000);
      await timeline.click("findings", findings[0].marks[0]);
      assert.ok(Object.values(await timeline.facts()).some((text) => text.includes(plain(findings[0].message))));
    });

    on(SMALL, "blocked and gc pauses have a pattern beside their colour", async (page, { pauses }) => {
      const timeline = new Timeline(page, SMALL);
      for (const kind of ["blocked", "gc"]) {
        const row = pauses.kind.indexOf(kind);
        const [start, took] = [pauses.start[row], pauses.took[row]];
        await timeline.show(start - took, start + 2 * took);
        const counts = await timeline.colours(start + took * 0.05, start + took * 0.3, "main");
        const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
        const most = Object.values(counts).sort((one, other) => other - one);
        assert.ok(most[0] < 0.9 * all && most[1] > 0.05 * all, `${kind}: ${JSON.stringify(most.slice(0, 3))} of ${all}`);
      }
    });

    on(SMALL, "search finds tasks by name and by place, and goes through them", async (page, report) => {
      const timeline = new Timeline(page, report);
      const { tasks, steps, sites } = report;
      for (const wanted of ["refund", "shop/report.py", "lambda", "no such thing"]) {
        await page.fill("#timeline-search", wanted);
        const hit = sites.map((site, index) => `${site[2]} (${placeOf(report, index)})`.includes(wanted));
        const found = tasks.name.flatMap((name, task) =>
          name.includes(wanted) || hit[tasks.code[task]] || hit[tasks.birth[task]] || steps.task.some((other, row) => other === task && hit[steps.site[row]]) ? [task] : [],
        );
        const callbacks = steps.task.filter((task, row) => task < 0 && hit[steps.site[row]]).length;
        const words = `${found.length} task${found.length === 1 ? "" : "s"}${callbacks > 0 ? ` and ${callbacks} callbacks` : ""} found`;
        const status = timeline.part.locator(".search [role=status]");
        assert.equal(await status.textContent(), words);
        assert.deepEqual(await texts(timeline.part.locator(".hits li button")), found.map((task) => tasks.name[task]));
        if (found.length < 2) continue;
        for (const [index, task] of found.slice(0, 3).entries()) {
          await timeline.part.locator(".search").getByRole("button", { name: "Next" }).click();
          assert.equal(await status.textContent(), `${index + 1} of ${found.length + callbacks}: ${tasks.name[task]}`);
          const first = steps.task.indexOf(task);
          if (first >= 0) await timeline.assertStep(first);
        }
      }
    });

    on(SMALL, "flames tell every place with its time, and sum what is searched for", async (page, report) => {
      for (const [index, [name, flame]] of [["blocked time", report.flame.blocked], ["all loop time", report.flame.all]].entries()) {
        const part = page.locator("#flames .flame-part").nth(index);
        await part.locator("canvas").focus();
        await walk(page, part, flame, async (node, text) => {
          const [head, time] = text.split(" · ");
          const place = node.site < 0 ? /^all: / : node.label === null ? `${report.sites[node.site][2]} (${placeOf(report, node.site)})` : `${node.label}: `;
          assert.ok(place instanceof RegExp ? place.test(head) : head.startsWith(place), `${head} is not ${place}`);
          assertDuration(time.split(", ")[0], node.value);
        });
        const wanted = index === 0 ? "dumps" : "shop/orders.py";
        await part.getByLabel(`Search in ${name}`).fill(wanted);
        const [boxes, sum] = matching(report, flame, wanted);
        const status = await part.locator(".controls [role=status]").textContent();
        assert.equal(status.split(" found")[0], String(boxes));
        assertDuration(status.split(": ")[1].split(",")[0], sum);
        const told = (await rows(part.locator("table"))).map((row) => microseconds(row[1]));
        const own = told.reduce((all, one) => all + one, 0);
        assert.ok(Math.abs(own - flame.value) < flame.value * 0.01, `${own} of ${flame.value}`);
      }
    });

    on(SMALL, "flame zooms by click and by key, and out again", async (page, { flame }) => {
      const part = page.locator("#flames .flame-part").nth(1);
      const canvas = part.locator("canvas");
      await canvas.scrollIntoViewIfNeeded();
      const box = await canvas.boundingBox();
      const path = part.locator("> [role=status]");
      await canvas.click({ position: { x: box.width * 0.1, y: 50 } });
      assert.match(await path.textContent(), /^monthly /);
      await canvas.click({ position: { x: box.width * 0.95, y: 50 } });
      assert.match(await path.textContent(), /^monthly /, "zoomed, it fills the width");
      await part.getByRole("button", { name: "Wider" }).click();
      assert.match(await path.textContent(), /^main /);
      await canvas.focus();
      await page.keyboard.press("Escape");
      assert.match(await path.textContent(), /^all: /);
      assertDuration((await path.textContent()).split(" · ")[1].split(", ")[0], flame.all.value);
    });

    on(SMALL, "task table sums up birth places, sorts, nests and opens", async (page, report) => {
      const { tasks } = report;
      const births = new Map();
      tasks.birth.forEach((site, task) => {
        const at = births.get(site) ?? { site, tasks: [], alive: 0, run: 0, steps: 0, longest: 0 };
        births.set(site, at);
        at.tasks.push(task);
        at.alive += tasks.ended[task] < 0 ? 1 : 0;
        at.run += tasks.run[task];
        at.steps += tasks.steps[task];
        at.longest = Math.max(at.longest, tasks.longest[task]);
      });
      const part = page.locator("#tasks");
      const table = part.locator("table");
      await part.getByLabel("under the place that started them").uncheck();
      const wanted = [...births.values()].sort((one, other) => other.run - one.run);
      const told = await rows(table);
      assert.equal(told.length, wanted.length);
      wanted.forEach((birth, row) => {
        const [place, count, alive, run, steps, longest] = told[row];
        assert.ok(place.includes(placeOf(report, birth.site)), place);
        assert.deepEqual([number(count), number(alive), number(steps)], [birth.tasks.length, birth.alive, birth.steps]);
        assertDuration(run, birth.run);
        assertDuration(longest, birth.longest);
      });
      for (const [column, name, key] of [[1, "tasks", (birth) => birth.tasks.length], [4, "steps", (birth) => birth.steps]]) {
        await part.getByRole("button", { name, exact: true }).click();
        const falling = wanted.map(key).sort((one, other) => other - one);
        assert.deepEqual((await rows(table)).map((row) => number(row[column])), falling);
        assert.equal(await part.locator("th[aria-sort]").innerText().then((text) => text.includes(name)), true);
        await part.getByRole("button", { name, exact: true }).click();
        assert.deepEqual((await rows(table)).map((row) => number(row[column])), falling.reverse());
      }
      await part.getByLabel("Only with").fill("refund");
      assert.equal(await part.locator("tbody tr").count(), 1);
      await part.locator(".toggle").click();
      const refunds = tasks.name.filter((name) => name.startsWith("refund"));
      assert.deepEqual(await texts(part.locator("tr.task .link")), refunds);
      await part.locator("tr.task .link").first().click();
      const timeline = new Timeline(page, report);
      await timeline.assertStep(report.steps.task.indexOf(tasks.name.indexOf(refunds[0])));
    });

    on(SMALL, "waits are drawn and listed, the ring by line, label and colour", async (page, report) => {
      const { waits, tasks } = report;
      const part = page.locator("#waits");
      assert.ok((await part.innerText()).includes(`${waits.tasks.length} tasks, ${waits.edges.length} waits for another task, 1 ring.`));
      const drawn = (await part.locator("[data-tasks]").evaluateAll((all) => all.map((box) => box.dataset.tasks))).flatMap((inside) => inside.split(" ").map(Number));
      assert.deepEqual(drawn.sort((one, other) => one - other), [...new Set(waits.edges.flatMap(([from, to]) => [from, to]))].sort((one, other) => one - other));
      const [one, other] = waits.edges[0];
      const rings = part.locator(".node.ring");
      assert.deepEqual((await texts(rings.locator(".name"))).sort(), [one, other].map((task) => `${tasks.name[task]} (ring 1)`).sort());
      assert.equal(await part.locator(".edge.ring").count(), 2);
      const width = (locator) => locator.first().evaluate((element) => Number.parseFloat(getComputedStyle(element).strokeWidth));
      assert.ok((await width(rings.locator("rect"))) >= 3 * (await width(part.locator(".node:not(.ring) rect"))));
      const entries = part.locator("[data-waits]");
      assert.equal(await entries.count(), waits.tasks.length);
      for (const [from, to, thing] of waits.edges) {
        const text = (await part.locator(`[data-waits="${from}"]`).innerText()).replace(/\s+/g, " ");
        assert.ok(text.includes(`${plain(thing)} , which ${tasks.name[to]} has to give`) || text.includes(`${plain(thing)}, which ${tasks.name[to]} has to give`), text);
      }
      // The program's own line comes first, Python's stands in the chain.
      const settling = waits.tasks.find((task) => (waits.chains[task] ?? []).length > 1);
      const entry = part.locator(`[data-waits="${settling}"]`);
      const parked = `parked at ${placeOf(report, waits.chains[settling][0])} in`;
      assert.ok((await entry.innerText()).replace(/\s+/g, " ").includes(parked), await entry.innerText());
      assert.equal(await entry.locator("li").count(), waits.chains[settling].length);
      const feed = tasks.name.indexOf("feed");
      assert.equal((await part.locator(`[data-waits="${feed}"]`).innerText()).trim(), "feed waits for a timer");
    });

    on(SMALL, "histograms count every measurement", async (page, { histograms }) => {
      for (const [index, { counts, edges, max }] of [histograms.step, histograms.queue, histograms.delay].entries()) {
        const part = page.locator("#histograms .histogram").nth(index);
        const total = counts.reduce((sum, count) => sum + count, 0);
        const words = await part.locator("p").first().innerText();
        assert.equal(number(words.split(" ")[0]), total);
        assertDuration(words.split("the longest took ")[1], max);
        await part.locator("summary").click();
        const told = await rows(part.locator("details table"));
        assert.deepEqual(told.map((row) => number(row[2])), counts.filter((count) => count > 0));
        told.forEach((row, at) => assertDuration(row[0], edges[counts.map((count, bucket) => [count, bucket]).filter(([count]) => count > 0)[at][1]]));
        assert.ok(await part.locator("canvas").evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)));
      }
    });

    on(SMALL, "environment is what the report says", async (page, { environment }) => {
      assert.deepEqual(await rows(page.locator("#environment table")), environment);
    });

    on(COMPARED, "difference tells findings, figures and times before and after", async (page, report) => {
      const { difference } = report;
      const part = page.locator("#difference");
      const findings = await rows(part.getByRole("table", { name: "Findings of both runs" }));
      assert.deepEqual(findings.map(([change, name, site, was, is]) => [change.split(" ")[1], name, site, number(was), number(is)]), difference.findings.map(({ change, name, site, before, after }) => [change, name, site, before, after]));
      const figures = await rows(part.getByRole("table", { name: "Figures of both runs" }));
      difference.rows.forEach(([what, was, is, unit], row) => {
        assert.equal(figures[row][0], what);
        for (const [cell, value] of [[1, was], [2, is]]) {
          const time = { µs: 1, ms: 1e3 }[unit];
          const told = figures[row][cell];
          if (time !== undefined) assertDuration(told, value * time);
          else assert.ok(Math.abs(number(told.split(" ")[0]) - value) <= value / 2000 && told.endsWith(unit), `${told} is not ${value} ${unit}`);
        }
        assert.equal(figures[row][3][0], is > was ? "+" : is < was ? "−" : "=");
      });
      const flame = part.locator(".flame-part");
      await flame.locator("canvas").focus();
      await walk(page, flame, difference.flame, (node, text) => {
        const [, time, rest] = text.split(" · ");
        assertDuration(time.split(", ")[0], node.value);
        assertDuration(rest.split(" before")[0], node.before);
      });
      const own = new Map();
      const visit = (node) => {
        const [was, is] = own.get(node.site) ?? [0, 0];
        const inner = (key) => node.children.reduce((sum, child) => sum + child[key], 0);
        own.set(node.site, [was + node.before - inner("before"), is + node.value - inner("value")]);
        node.children.forEach(visit);
      };
      visit(difference.flame);
      own.delete(-1);
      const changed = [...own].filter(([, [was, is]]) => was !== is).sort(([, one], [, other]) => Math.abs(other[1] - other[0]) - Math.abs(one[1] - one[0]));
      const told = await rows(flame.locator("details table"));
      assert.equal(told.length, Math.min(12, changed.length));
      told.forEach(([place, was, is, change], row) => {
        const [site, [before_, after_]] = changed[row];
        assert.ok(place.startsWith(placeOf(report, site)), place);
        assertDuration(was, before_);
        assertDuration(is, after_);
        assert.equal(change[0], after_ > before_ ? "+" : "−");
      });
    });

    on(COMPARED, "nothing makes the page wider than the window, even with everything open", async (page) => {
      for (const width of [look.viewport.width, 400]) {
        await page.setViewportSize({ width, height: look.viewport.height });
        await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
        await page.waitForTimeout(100);
        const [wide, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= window_, `${wide} of ${window_}`);
      }
    });

    on(COMPARED, "Tab reaches every control, shows where it is, and leads out again", async (page) => {
      await page.locator("#timeline .stage.timeline").evaluate((outer) => (outer.scrollTop = 0));
      const visible = await page.evaluate(() => {
        const all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")];
        const seen = all.filter((element) => element.checkVisibility() && element.getClientRects().length > 0);
        seen.forEach((element, index) => (element.dataset.stop = String(index)));
        return seen.length;
      });
      const reached = new Set();
      for (let press = 0; press < visible * 2; press++) {
        await page.keyboard.press("Tab");
        const [stop, outlined] = await page.evaluate(() => {
          const { activeElement: element } = document;
          return [element?.dataset.stop, element === document.body || Number.parseFloat(getComputedStyle(element).outlineWidth) >= 2];
        });
        assert.ok(outlined, `stop ${stop} has no visible focus`);
        if (stop !== undefined) reached.add(stop);
        if (reached.size === visible) break;
      }
      // Lanes that scrolled away while Tab went through them are gone, and others have come.
      const left = await page.evaluate((met) => [...document.querySelectorAll("[data-stop]")].filter((element) => !met.includes(element.dataset.stop)).map((element) => element.outerHTML.slice(0, 120)), [...reached]);
      assert.deepEqual(left, []);
    });

    on(COMPARED, "axe finds nothing to complain about", async (page) => {
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
      const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
      assert.ok(passes.length > 20);
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`), []);
    });
  });
}

describe("in any look", { concurrency: SIDE_BY_SIDE }, () => {
  test("reader's choice of colours stays, whatever the system says", async () => {
    const page = await reader.open(SMALL, LOOKS[0]);
    const back = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await back();
    await page.getByLabel("Colours").selectOption("dark");
    const dark = await back();
    assert.notEqual(dark, light);
    await page.getByLabel("Colours").selectOption("as the system");
    assert.equal(await back(), light);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForFunction((wanted) => getComputedStyle(document.documentElement).backgroundColor === wanted, dark);
    await page.getByLabel("Colours").selectOption("light");
    assert.equal(await back(), light);
    await closed(page);
  });

  test("reader who wants no motion gets none", async () => {
    for (const [reducedMotion, wanted] of [["reduce", "auto"], ["no-preference", "smooth"]]) {
      const page = await reader.open(SMALL, { ...LOOKS[0], reducedMotion });
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior), wanted);
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
      await closed(page);
    }
  });

  test("names and pages with markup in them stay text", async () => {
    const report = structuredClone(SMALL);
    const evil = `</script><img src="https://example.org/x.png" onerror="document.title='taken'">`;
    report.title = evil;
    report.tasks.name[1] = evil;
    report.findings[0].message = evil;
    report.pages.deadlock = `# deadlock\n\n## What it looks like\n\n${evil}\n\n![x](https://example.org/y.png) [z](javascript:alert(1))\n`;
    const page = await reader.open(report, LOOKS[0]);
    await page.locator(".finding summary").first().click();
    assert.equal(await page.title(), evil);
    assert.equal(await page.locator("img, a[href^=javascript]").count(), 0);
    assert.ok((await page.locator("#verdict").innerText()).includes(evil));
    assert.ok((await page.locator(".page-text").first().innerText()).includes(evil));
    await closed(page);
  });

  test("what a recording does not know is left out, and much of the same is summed up", async () => {
    const report = structuredClone(SMALL);
    const { tasks, waits, histograms, jobs } = report;
    tasks.name.fill("");
    const orders = tasks.birth.flatMap((birth, task) => (birth === tasks.birth[3] ? [task] : [])).slice(0, 12);
    Object.assign(waits, { tasks: [0, ...orders], edges: orders.map((task) => [0, task, ""]), chains: {}, waits_for: { 0: "all of 12 tasks" } });
    histograms.step = { edges: [0, 1, 1, 2, 4], counts: [5, 7, 3, 1], max: 3 };
    Object.assign(report.findings[0], { site: -1, help: null, evidence: [], marks: [] });
    for (const column of ["started", "ended"]) jobs[column].fill(-1);
    report.pages = {};
    const page = await reader.open(report, LOOKS[0]);
    assert.deepEqual(await texts(page.locator(".node .name")), ["main #0", "12 tasks"]);
    const list = (await page.locator("#waits .waits-list").innerText()).replace(/\s+/g, " ");
    assert.match(list, /^main #0 waits for settle #\d+; .* and 4 more 12 tasks of which it is not known what they wait for$/);
    await page.locator(".histogram summary").first().click();
    assert.deepEqual((await rows(page.locator(".histogram details table").first())).map((row) => row.slice(0, 3)), [["0 µs", "1 µs", "5"], ["1 µs", "2 µs", "10"], ["2 µs", "4 µs", "1"]]);
    const first = await page.locator(".finding").first().innerText();
    assert.ok(first.includes("an unknown place") && !first.includes("Help") && !first.includes("Show in"), first);
    assert.equal(await page.locator(".finding details").count(), 0);
    assert.equal(await page.locator(".lane", { hasText: "executor queue" }).count() > 0, true);
    await page.fill("#timeline-search", "refund #");
    assert.equal(await page.locator(".hits li button").count(), 8);
    await closed(page);
  });

  test("report that cannot be read says so", async () => {
    const broken = filled(reader.empty, SMALL).replace(/(id="report">)[^<]{400}/, "$1");
  const newer = filled(reader.empty, { ...SMALL, format: 3 });
  for (const [html, words] of [[broken, /cannot be shown/], [newer, /of format 3/]]) {
      const page = await reader.open(SMALL, LOOKS[0], { html, ready: "failed" });
      assert.match(await page.locator("#waiting").innerText(), words);
      await closed(page);
    }
  });

  test("ten minutes of a busy server can be looked through", async (context) => {
    const report = large(ROOT);
    const page = await reader.open(report, LOOKS[1]);
    const [interactive, all] = await page.evaluate(() => [performance.getEntriesByName("interactive")[0].startTime, performance.now()]);
    const bytes = filled(reader.empty, report).length;
    context.diagnostic(`${report.steps.took.length} steps, ${report.tasks.name.length} tasks, ${bytes} bytes: interactive after ${Math.round(interactive)} ms, every part after ${Math.round(all)} ms`);
    assert.ok(bytes < 5 * 1024 * 1024);
    assert.equal(await page.locator(".finding").count(), report.findings.length);
    const timeline = new Timeline(page, report);
    assert.deepEqual(await timeline.range(), [report.kept_from, report.duration]);
  const step = timeline.starts.findIndex((start, row) => report.steps.task[row] > 1 && report.steps.waker_delta[row] > 0 && row > 150_000);
    const name = report.tasks.name[report.steps.task[step]];
    await page.fill("#timeline-search", name);
    await timeline.part.locator(".hits li button", { hasText: new RegExp(`^${name}$`) }).click();
    await timeline.assertStep(report.steps.task.indexOf(report.steps.task[step]));
    await timeline.press("Whole run");
    await timeline.settled();
    await timeline.canvas.focus();
    for (let press = 0; press < 12; press++) await page.keyboard.press("+");
    await timeline.settled();
    const table = page.locator("#tasks table");
    await page.getByLabel("under the place that started them").uncheck();
    const told = (await rows(table)).reduce((sum, row) => sum + number(row[1]), 0);
    assert.equal(told, report.tasks.name.length);
    const total = report.histograms.step.counts.reduce((sum, count) => sum + count, 0);
    assert.equal(number((await page.locator(".histogram p").first().innerText()).split(" ")[0]), total);
    assert.equal(await page.locator("[data-waits]").count(), 30);
    const path = page.locator("#flames .flame-part").nth(1).locator("> [role=status]");
    assertDuration((await path.textContent()).split(" · ")[1].split(", ")[0], report.flame.all.value);
    await page.locator("#flames canvas").nth(1).focus();
    let depth = 0;
    for (let last = ""; last !== (last = await path.textContent()); depth++) await page.keyboard.press("ArrowDown");
    assert.ok(depth > 20, String(depth));
    await closed(page);
  });
});

/** Goes through a flame by the arrows, and calls with each node and what is said of it. */
async function walk(page, part, node, act) {
  await act(node, await part.locator("> [role=status]").textContent());
  const children = [...node.children].sort((one, other) => width(other) - width(one));
  if (children.length === 0) return;
  await page.keyboard.press("ArrowDown");
  for (const [index, child] of children.entries()) {
    if (index > 0) await page.keyboard.press("ArrowRight");
    await walk(page, part, child, act);
  }
  await page.keyboard.press("ArrowUp");
}

function width(node) {
  return Math.max(node.value, node.children.reduce((sum, child) => sum + width(child), 0));
}

/** How many nodes match, and the time of the outermost of them. */
function matching(report, node, wanted, counted = false) {
  const hit = node.site >= 0 && `${node.label ?? ""} ${report.sites[node.site][2]} (${placeOf(report, node.site)})`.includes(wanted);
  const inner = node.children.map((child) => matching(report, child, wanted, counted || hit));
  return inner.reduce(([boxes, sum], [more, time]) => [boxes + more, sum + time], [hit ? 1 : 0, hit && !counted ? node.value : 0]);
}
