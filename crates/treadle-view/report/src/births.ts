// The tree of tasks: birth places under the places that started them, each of which opens into its tasks.

import { button, h, live, place, scroller, type Child } from "./dom";
import type { Birth, Model } from "./model";
import { count, counted, duration } from "./words";

type Column = "place" | "count" | "alive" | "run" | "steps" | "longest";
const COLUMNS: [Column, string][] = [
  ["place", "born at"],
  ["count", "tasks"],
  ["alive", "alive"],
  ["run", "ran"],
  ["steps", "steps"],
  ["longest", "longest step"],
];
const AT_ONCE = 50;
const DEEPEST = 12;

export class Births {
  readonly element: HTMLElement;
  private readonly body = h("tbody");
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly open = new Map<number, number>();
  private readonly status = live();
  private sorted: Column = "run";
  private falling = true;
  private nested = true;
  private wanted = "";
  private rows = 200;

  constructor(
    private readonly model: Model,
    private readonly goToTask: (task: number) => void,
  ) {
    const filter = h("input", { type: "search", id: "births-filter", autocomplete: "off", spellcheck: "false" });
    filter.addEventListener("input", () => {
      this.wanted = filter.value.trim().toLowerCase();
      this.fill();
    });
    const nested = h("input", { type: "checkbox", id: "births-nested", checked: true });
    nested.addEventListener("change", () => {
      this.nested = nested.checked;
      this.fill();
    });
    const head = COLUMNS.map(([column, word]) => {
      const cell = h("th", { scope: "col", class: column === "place" ? "" : "number" }, button(word, () => this.sort(column), { class: "sort" }));
      this.heads.set(column, cell);
      return cell;
    });
    this.element = h(
      "div",
      {},
      h(
        "div",
        { class: "controls" },
        h("label", { class: "field", for: "births-filter" }, "Only with ", filter),
        h("label", { class: "field", for: "births-nested" }, nested, " under the place that started them"),
        this.status,
      ),
      scroller("Tasks by birth place", h("table", { class: "births" }, h("caption", { class: "unseen" }, "Tasks by birth place"), h("thead", {}, h("tr", {}, ...head)), this.body)),
    );
    this.fill();
  }

  private sort(column: Column): void {
    this.falling = this.sorted === column ? !this.falling : column !== "place";
    this.sorted = column;
    this.fill();
  }

  private fill(): void {
    for (const [column, cell] of this.heads) {
      if (column === this.sorted) cell.setAttribute("aria-sort", this.falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const births = this.model.births.filter((birth) => this.matches(birth));
    const listed = this.arranged(births);
    const rows = listed.slice(0, this.rows).flatMap(([birth, depth]) => this.birthRows(birth, depth));
    if (listed.length > this.rows) rows.push(this.moreRow(listed.length - this.rows, 0, () => (this.rows += 500)));
    this.body.replaceChildren(...rows);
    const tasks = births.reduce((sum, birth) => sum + birth.tasks.length, 0);
    this.status.textContent = `${counted(tasks, "task")} born at ${counted(births.length, "place")}`;
  }

  private matches(birth: Birth): boolean {
    if (this.wanted === "") return true;
    if (this.model.site(birth.site).toLowerCase().includes(this.wanted)) return true;
    const { code } = this.model.report.tasks;
    return birth.tasks.some((task) => `${this.model.taskName(task)} ${this.model.function_(code[task]!)}`.toLowerCase().includes(this.wanted));
  }

  /** Births in the order of the table, each with how deep it stands. */
  private arranged(births: Birth[]): [Birth, number][] {
    const order = [...births].sort((one, other) => this.compare(one, other));
    if (!this.nested) return order.map((birth) => [birth, 0]);
    const there = new Set(births.map((birth) => birth.key));
    const under = new Map<number, Birth[]>();
    for (const birth of order) {
      const parent = there.has(birth.parent) && !this.circular(birth) ? birth.parent : -1;
      under.set(parent, [...(under.get(parent) ?? []), birth]);
    }
    const out: [Birth, number][] = [];
    const visit = (parent: number, depth: number): void => {
      for (const birth of under.get(parent) ?? []) {
        out.push([birth, Math.min(depth, DEEPEST)]);
        visit(birth.key, depth + 1);
      }
    };
    visit(-1, 0);
    return out;
  }

  /** Whether the places above this one lead back to it, so that it must stand at the top. */
  private circular(birth: Birth): boolean {
    const met = new Set<number>();
    for (let at = birth.parent; at >= 0 && !met.has(at); at = this.model.births[at]!.parent) {
      if (at === birth.key) return true;
      met.add(at);
    }
    return false;
  }

  private compare(one: Birth, other: Birth): number {
    const of = (birth: Birth): number => (this.sorted === "count" ? birth.tasks.length : birth[this.sorted as "run"]);
    const order = this.sorted === "place" ? this.model.site(one.site).localeCompare(this.model.site(other.site), "en") : of(one) - of(other);
    return (this.falling ? -order : order) || one.key - other.key;
  }

  private birthRows(birth: Birth, depth: number): HTMLElement[] {
    const shown = this.open.get(birth.key);
    const toggle = button(shown === undefined ? "▸" : "▾", () => this.toggle(birth), {
      class: "toggle",
      "aria-expanded": String(shown !== undefined),
      "aria-label": `tasks born at ${this.model.site(birth.site)}`,
    });
    const cells: Child[] = [count(birth.tasks.length), count(birth.alive), duration(birth.run), count(birth.steps), duration(birth.longest)];
    const row = this.row(depth, [toggle, h("span", {}, place(this.model, birth.site))], cells);
    row.dataset.birth = String(birth.key);
    if (shown === undefined) return [row];
    const { run, steps, longest } = this.model.report.tasks;
    const tasks = birth.tasks.slice(0, shown).map((task) => {
      const link = button(this.model.taskName(task), () => this.goToTask(task), { class: "link", title: "show in the timeline" });
      const state = this.model.state(task);
      const row = this.row(depth + 1, [link, h("span", { class: "soft" }, state)], ["", state === "alive" ? "yes" : "", duration(run[task]!), count(steps[task]!), duration(longest[task]!)]);
      row.classList.add("task");
      row.dataset.task = String(task);
      return row;
    });
    const rest = birth.tasks.length - shown;
    if (rest > 0) tasks.push(this.moreRow(rest, depth + 1, () => this.open.set(birth.key, shown + AT_ONCE * 10)));
    return [row, ...tasks];
  }

  private toggle(birth: Birth): void {
    if (!this.open.delete(birth.key)) this.open.set(birth.key, AT_ONCE);
    this.fill();
    this.body.querySelector<HTMLElement>(`tr[data-birth="${birth.key}"] .toggle`)?.focus();
  }

  private row(depth: number, first: Child[], cells: Child[]): HTMLTableRowElement {
    const inner = h("div", { class: "branch" }, ...first);
    inner.style.paddingLeft = `${depth * 18}px`;
    return h("tr", {}, h("th", { scope: "row" }, inner), ...cells.map((cell) => h("td", { class: "number" }, cell)));
  }

  private moreRow(rest: number, depth: number, act: () => void): HTMLTableRowElement {
    const more = button(`${count(rest)} more`, () => {
      act();
      this.fill();
    });
    return this.row(depth, [more], ["", "", "", "", ""]);
  }
}
