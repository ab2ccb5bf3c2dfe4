// The page from above: the parts in their order, each made when it comes near, or when the browser has nothing else to do.

import { Births } from "./births";
import { histogram, overview } from "./charts";
import { difference } from "./difference";
import { h, table, type Child } from "./dom";
import { findings, verdict } from "./findings";
import { FlameGraph } from "./flame";
import { Model } from "./model";
import { embedded } from "./report";
import { themeSwitch } from "./theme";
import { Timeline } from "./timeline";
import { View } from "./view";
import { waits } from "./waits";
import { duration } from "./words";

import "./style.css";

interface Part {
  id: string;
  title: string;
  make(): Child[];
}

async function start(): Promise<void> {
  const data = document.getElementById("report")!;
  const model = new Model(await embedded(data));
  // It is large, and nobody needs it twice.
  data.textContent = "";
  show(model);
  document.documentElement.dataset.ready = "first";
  performance.mark("interactive");
}

function show(model: Model): void {
  const { report } = model;
  const page = new Page();
  const view = new View(Math.max(1, report.duration));
  view.set(report.kept_from, view.end, false);
  let timeline: Timeline | undefined;
  const shown = (): Timeline => {
    page.reach("timeline");
    document.getElementById("timeline")?.scrollIntoView();
    return timeline!;
  };
  const goToTask = (task: number): void => shown().goToTask(task);
  page.add("verdict", "Verdict", () => [verdict(model)]);
  page.add("findings", `Findings (${report.findings.length})`, () => [findings(model, (finding, nth) => shown().goToFinding(finding, nth))]);
  if (report.difference !== undefined) {
    const told = report.difference;
    page.add("difference", "Difference", () => [difference(model, told)]);
  }
  page.add("timeline", "Timeline", () => [overview(model, view), (timeline = new Timeline(model, view)).element]);
  page.add("flames", "Flames", () => [
    h("h3", {}, "Blocked time"),
    report.flame.blocked.value > 0 ? new FlameGraph(model, "blocked time", report.flame.blocked).element : h("p", { class: "soft" }, "The loops were never blocked."),
    h("h3", {}, "All loop time"),
    report.flame.all.value > 0 ? new FlameGraph(model, "all loop time", report.flame.all).element : h("p", { class: "soft" }, "No step was measured."),
  ]);
  page.add("tasks", "Tasks", () => [new Births(model, goToTask).element]);
  page.add("waits", "Waits", () => [waits(model, goToTask)]);
  page.add("histograms", "Histograms", () => [
    h(
      "div",
      { class: "side-by-side" },
      histogram("Step time", report.histograms.step),
      histogram("Time in the ready queue", report.histograms.queue),
      histogram("From one look at the system to the next", report.histograms.delay),
    ),
  ]);
  page.add("environment", "Environment", () => [table("The process and what it ran on", ["what", "value"], report.environment.map(([what, value]) => [what, value]))]);
  page.open(report.title, `watched for ${duration(report.duration)} from ${new Date(report.began).toLocaleString("en-GB", { timeZoneName: "short" })}`);
}

class Page {
  private readonly parts: (Part & { section: HTMLElement; made: boolean })[] = [];

  add(id: string, title: string, make: () => Child[]): void {
    const section = h("section", { id, "aria-labelledby": `${id}-title`, tabindex: -1 }, h("h2", { id: `${id}-title` }, title));
    section.classList.add("unmade");
    this.parts.push({ id, title, make, section, made: false });
  }

  open(title: string, when: string): void {
    const nav = h("nav", { "aria-label": "parts" }, h("ul", {}, ...this.parts.map(({ id, title: word }) => h("li", {}, h("a", { href: `#${id}` }, word)))));
    const head = h("header", {}, h("div", {}, h("h1", {}, title), h("p", { class: "soft" }, when)), themeSwitch());
    const main = h("main", { id: "main", tabindex: -1 }, ...this.parts.map((part) => part.section));
    document.getElementById("waiting")?.remove();
    document.body.append(h("a", { class: "skip", href: "#main" }, "To the report"), head, h("div", { class: "columns" }, nav, main));
    this.make(this.parts[0]!);
    this.make(this.parts[1]!);
    document.addEventListener("click", (event) => {
      const href = event.target instanceof Element ? event.target.closest("a")?.getAttribute("href") : null;
      if (href?.startsWith("#")) this.reach(href.slice(1));
    });
    if (location.hash !== "") this.reach(location.hash.slice(1), true);
    this.rest();
  }

  /** Makes everything down to a part, so that going there ends where it should. */
  reach(id: string, go = false): void {
    const last = this.parts.findIndex((part) => part.id === id);
    for (const part of this.parts.slice(0, last + 1)) this.make(part);
    if (go) document.getElementById(id)?.scrollIntoView();
  }

  private make(part: Page["parts"][number]): void {
    if (part.made) return;
    part.made = true;
    part.section.classList.remove("unmade");
    part.section.append(...part.make().filter((child): child is Node | string => child instanceof Node || typeof child === "string"));
  }

  private rest(): void {
    const near = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) if (entry.isIntersecting) this.reach(entry.target.id);
      },
      { rootMargin: "300px" },
    );
    for (const { section } of this.parts) near.observe(section);
    const later = (): void => {
      const part = this.parts.find((candidate) => !candidate.made);
      if (part === undefined) {
        near.disconnect();
        document.documentElement.dataset.ready = "all";
        return;
      }
      this.make(part);
      idle(later);
    };
    idle(later);
  }
}

function idle(act: () => void): void {
  if ("requestIdleCallback" in window) requestIdleCallback(act, { timeout: 2000 });
  else setTimeout(act, 50);
}

start().catch((error: unknown) => {
  const words = error instanceof Error ? error.message : String(error);
  document.getElementById("waiting")!.replaceChildren(`This report cannot be shown: ${words}. A browser of 2023 or newer is needed.`);
  document.documentElement.dataset.ready = "failed";
});
