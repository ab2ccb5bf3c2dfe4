// Finding tasks by their name, the places they were born at, and the places they ran at.

import { button, h, live } from "./dom";
import type { Model } from "./model";
import { counted } from "./words";

const SHOWN = 30;

interface Answers {
  task(task: number): void;
  step(step: number): void;
  hits(hits: Set<number> | null): void;
}

export class Search {
  readonly element: HTMLElement;
  private readonly input = h("input", { type: "search", id: "timeline-search", autocomplete: "off", spellcheck: "false" });
  private readonly status = live();
  private readonly list = h("ul", { class: "hits", "aria-label": "tasks found" });
  private found: number[] = [];
  private callbacks: number[] = [];
  private at = -1;

  constructor(
    private readonly model: Model,
    private readonly answers: Answers,
  ) {
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape" && this.input.value !== "") {
        event.preventDefault();
        this.input.value = "";
        this.look();
      }
    });
    this.element = h(
      "div",
      { class: "search" },
      h("label", { class: "field", for: "timeline-search" }, "Search for a task, function or place ", this.input),
      button("Previous", () => this.next(-1)),
      button("Next", () => this.next(1)),
      this.status,
      this.list,
    );
  }

  private look(): void {
    const wanted = this.input.value.trim().toLowerCase();
    this.at = -1;
    this.found = [];
    this.callbacks = [];
    if (wanted !== "") this.collect(wanted);
    this.answers.hits(wanted === "" ? null : new Set(this.found));
    const tasks = counted(this.found.length, "task");
    const callbacks = this.callbacks.length > 0 ? ` and ${counted(this.callbacks.length, "callback")}` : "";
    this.status.textContent = wanted === "" ? "" : `${tasks}${callbacks} found`;
    this.list.replaceChildren(...this.found.slice(0, SHOWN).map((task) => this.entry(task)));
    if (this.found.length > SHOWN) this.list.append(h("li", {}, `and ${this.found.length - SHOWN} more: Next goes through them`));
  }

  private entry(task: number): HTMLElement {
    const place = this.model.place(this.model.report.tasks.birth[task]!);
    return h("li", {}, button(this.model.taskName(task), () => this.answers.task(task), { class: "link" }), ` born at ${place}`);
  }

  private collect(wanted: string): void {
    const { report, steps } = this.model;
    const sites = report.sites.map((_, site) => this.model.site(site).toLowerCase().includes(wanted));
    const { name, code, birth } = report.tasks;
    const hits = new Uint8Array(name.length);
    for (let task = 0; task < name.length; task++) {
      if (sites[code[task]!] || sites[birth[task]!] || this.model.taskName(task).toLowerCase().includes(wanted)) hits[task] = 1;
    }
    for (let step = 0; step < steps.count; step++) {
      if (!sites[steps.site[step]!]) continue;
      const task = steps.task[step]!;
      if (task >= 0) hits[task] = 1;
      else this.callbacks.push(step);
    }
    hits.forEach((hit, task) => {
      if (hit === 1) this.found.push(task);
    });
  }

  private next(by: number): void {
    const all = this.found.length + this.callbacks.length;
    if (all === 0) return;
    this.at = this.at < 0 ? (by > 0 ? 0 : all - 1) : (this.at + by + all) % all;
    const task = this.found[this.at];
    if (task === undefined) this.answers.step(this.callbacks[this.at - this.found.length]!);
    else this.answers.task(task);
    const word = task === undefined ? "callback" : this.model.taskName(task);
    this.status.textContent = `${this.at + 1} of ${all}: ${word}`;
  }
}
