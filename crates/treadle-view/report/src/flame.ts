// Flame graphs, drawn as icicles from the root down, with their heaviest places as a table.

import { hierarchy, partition, type HierarchyRectangularNode } from "d3-hierarchy";

import { button, h, live, place, table } from "./dom";
import type { Model } from "./model";
import type { Flame } from "./report";
import { fitted, Stage, tip } from "./stage";
import { colour } from "./theme";
import { duration, percent } from "./words";

type Box = HierarchyRectangularNode<Flame>;

const ROW = 20;
const HIGHEST = 440;
const HEAVIEST = 12;

export class FlameGraph {
  readonly element: HTMLElement;
  private readonly root: Box;
  private readonly stage: Stage;
  /** What fills the width. */
  private zoomed: Box;
  private current: Box;
  private wanted = "";
  private readonly status = live();
  private readonly path = h("p", { class: "status", role: "status" });

  constructor(
    private readonly model: Model,
    private readonly name: string,
    flame: Flame,
    private readonly compares = false,
  ) {
    this.root = layout(flame);
    this.zoomed = this.current = this.root;
    this.stage = new Stage("flame", `Flame graph of ${name}`, HIGHEST, () => this.paint());
    this.stage.contentHeight = (this.root.height + 1) * ROW;
    const canvas = this.stage.canvas;
    canvas.addEventListener("click", (event) => {
      const box = this.under(event);
      if (box !== null) this.zoom(box);
    });
    canvas.addEventListener("pointermove", (event) => {
      const box = this.under(event);
      canvas.style.cursor = box === null ? "default" : "pointer";
      if (box === null) tip.hide();
      else tip.show(event, this.words(box));
    });
    canvas.addEventListener("pointerleave", () => tip.hide());
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => this.stage.repaint());
    const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    search.addEventListener("input", () => this.search(search.value));
    this.element = h(
      "div",
      { class: "flame-part" },
      h(
        "div",
        { class: "controls" },
        h("label", { class: "field" }, `Search in ${name} `, search),
        button("Wider", () => this.zoom(this.zoomed.parent ?? this.root)),
        button("All of it", () => this.zoom(this.root)),
        this.status,
      ),
      this.stage.outer,
      this.path,
      h("p", { class: "soft" }, "Click or Enter zooms; arrows go up, down and to the neighbours; Escape shows all of it."),
      compares ? this.mostChanged() : this.heaviest(),
    );
    this.tell(this.root);
  }

  private zoom(box: Box): void {
    this.zoomed = this.current = box;
    this.tell(box);
    this.stage.reveal(box.depth * ROW, (box.depth + 1) * ROW);
    this.stage.repaint();
  }

  private tell(box: Box): void {
    this.path.textContent = this.words(box).join(" · ");
  }

  private words(box: Box): string[] {
    const { data } = box;
    const name = data.site < 0 ? this.label(box) : `${data.label === null ? "" : `${data.label}: `}${this.model.site(data.site)}`;
    const own = data.value - data.children.reduce((sum, child) => sum + child.value, 0);
    const words = [name, `${duration(data.value)}, ${percent(data.value, this.root.data.value)} of all`];
    if (this.compares) words.push(`${duration(data.before ?? 0)} before, ${change(data)}`);
    else if (own > 0 && data.children.length > 0) words.push(`${duration(own)} of it itself`);
    return words;
  }

  private label(box: Box): string {
    const { data } = box;
    const name = data.label ?? (data.site < 0 ? (box === this.root ? `all: ${duration(data.value)}` : "other") : this.model.function_(data.site));
    return this.compares ? `${sign(data)} ${name}` : name;
  }

  private search(text: string): void {
    this.wanted = text.trim().toLowerCase();
    if (this.wanted === "") this.status.textContent = "";
    else {
      let [boxes, sum] = [0, 0];
      // What lies under a hit is already in its sum.
      const visit = (box: Box, counted: boolean): void => {
        const hit = this.hits(box);
        if (hit) boxes++;
        if (hit && !counted) sum += box.data.value;
        for (const child of box.children ?? []) visit(child, counted || hit);
      };
      visit(this.root, false);
      this.status.textContent = `${boxes} found: ${duration(sum)}, ${percent(sum, this.root.data.value)}`;
    }
    this.stage.repaint();
  }

  private hits(box: Box): boolean {
    const { site, label } = box.data;
    return `${label ?? ""} ${site < 0 ? "" : this.model.site(site)}`.toLowerCase().includes(this.wanted);
  }

  private key(event: KeyboardEvent): void {
    const siblings = this.current.parent?.children ?? [this.current];
    const at = siblings.indexOf(this.current);
    const to: Record<string, Box | undefined> = {
      ArrowUp: this.current.parent ?? undefined,
      ArrowDown: this.current.children?.[0],
      ArrowLeft: siblings[at - 1],
      ArrowRight: siblings[at + 1],
    };
    if (event.key in to) {
      event.preventDefault();
      const box = to[event.key];
      if (box === undefined) return;
      this.current = box;
      if (box.x1 <= this.zoomed.x0 || box.x0 >= this.zoomed.x1 || (box.depth < this.zoomed.depth && event.key === "ArrowUp")) this.zoomed = box;
      this.tell(box);
      this.stage.reveal(box.depth * ROW, (box.depth + 1) * ROW);
      this.stage.repaint();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.zoom(this.current);
    } else if (event.key === "Escape") this.zoom(this.root);
    else if (event.key === "Backspace") this.zoom(this.zoomed.parent ?? this.root);
  }

  private across(x: number): number {
    return ((x - this.zoomed.x0) / Math.max(1e-12, this.zoomed.x1 - this.zoomed.x0)) * this.stage.width;
  }

  private under(event: MouseEvent): Box | null {
    const { x, y } = this.stage.point(event);
    const depth = Math.floor(y / ROW);
    let box: Box | undefined = this.root;
    while (box !== undefined && box.depth < depth) box = box.children?.find((child) => this.across(child.x0) <= x && x < this.across(child.x1));
    return box ?? null;
  }

  private paint(): void {
    const { context, top, height } = this.stage;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const visit = (box: Box): void => {
      const [x0, x1] = [this.across(box.x0), this.across(box.x1)];
      if (x1 < 0 || x0 > this.stage.width || x1 - x0 < 0.4) return;
      const y = box.depth * ROW - top;
      if (y > height) return;
      if (y + ROW >= 0) this.box(box, Math.max(0, x0), Math.min(this.stage.width, x1), y);
      for (const child of box.children ?? []) visit(child);
    };
    visit(this.root);
  }

  private box(box: Box, x0: number, x1: number, y: number): void {
    const { context } = this.stage;
    const hit = this.wanted !== "" && this.hits(box);
    const dim = this.wanted !== "" && !hit;
    context.fillStyle = dim ? colour("dimmed") : this.fill(box);
    context.fillRect(x0, y, Math.max(0.5, x1 - x0 - 0.7), ROW - 1);
    context.fillStyle = colour("on-hue");
    context.fillText(fitted(context, this.label(box), x1 - x0 - 8), x0 + 4, y + ROW / 2);
    const chosen = box === this.current && document.activeElement === this.stage.canvas;
    if (!hit && !chosen) return;
    context.strokeStyle = chosen ? colour("focus") : colour("text");
    context.lineWidth = 2;
    context.strokeRect(x0 + 1, y + 1, Math.max(1, x1 - x0 - 3), ROW - 3);
  }

  private fill(box: Box): string {
    if (this.compares) {
      const word = sign(box.data);
      return colour(word === "+" ? "more" : word === "−" ? "less" : "callback");
    }
    return box.data.site < 0 ? colour("callback") : colour(`hue${box.data.site % 6}`);
  }

  /** Of the time that places took themselves; what is gone has no width above, and stands here. */
  private mostChanged(): HTMLElement {
    const own = new Map<number, [before: number, after: number]>();
    this.root.each(({ data }) => {
      const sums = own.get(data.site) ?? [0, 0];
      own.set(data.site, sums);
      sums[0] += (data.before ?? 0) - data.children.reduce((sum, child) => sum + (child.before ?? 0), 0);
      sums[1] += data.value - data.children.reduce((sum, child) => sum + child.value, 0);
    });
    const size = ([before, after]: [number, number]): number => Math.abs(after - before);
    const rows = [...own].filter(([site, sums]) => site >= 0 && size(sums) > 0).sort((one, other) => size(other[1]) - size(one[1])).slice(0, HEAVIEST);
    const cells = rows.map(([site, [before, after]]) => {
      return [h("span", {}, place(this.model, site)), duration(before), duration(after), `${after > before ? "+" : "−"}${duration(Math.abs(after - before))}`];
    });
    return h("details", { open: rows.length > 0 }, h("summary", {}, "The places that changed most"), table("Places that changed most", ["place itself", "before", "after", "change"], cells, [1, 2, 3]));
  }

  private heaviest(): HTMLElement {
    const own = new Map<number, number>();
    const all = new Map<number, number>();
    const stack = new Set<number>();
    const visit = (node: Flame): void => {
      const inner = node.children.reduce((sum, child) => sum + child.value, 0);
      own.set(node.site, (own.get(node.site) ?? 0) + Math.max(0, node.value - inner));
      const outermost = !stack.has(node.site);
      if (outermost) {
        all.set(node.site, (all.get(node.site) ?? 0) + node.value);
        stack.add(node.site);
      }
      for (const child of node.children) visit(child);
      if (outermost) stack.delete(node.site);
    };
    visit(this.root.data);
    const rows = [...own].filter(([site, value]) => site >= 0 && value > 0).sort((one, other) => other[1] - one[1]).slice(0, HEAVIEST);
    const cells = rows.map(([site, value]) => [h("span", {}, place(this.model, site)), duration(value), percent(value, this.root.data.value), duration(all.get(site)!)]);
    return h("details", { open: rows.length > 0 }, h("summary", {}, "The heaviest places"), table(`Heaviest places of ${this.name}`, ["place", "itself", "part", "with what it calls"], cells, [1, 2, 3]));
  }
}

function sign({ value, before }: Flame): "+" | "−" | "=" {
  const difference = value - (before ?? 0);
  if (Math.abs(difference) * 50 <= Math.max(value, before ?? 0)) return "=";
  return difference > 0 ? "+" : "−";
}

function change(data: Flame): string {
  const difference = data.value - (data.before ?? 0);
  return `${difference > 0 ? "+" : difference < 0 ? "−" : ""}${duration(Math.abs(difference))}`;
}

function layout(flame: Flame): Box {
  const root = hierarchy(flame, (node) => node.children);
  // A node is at least as wide as its children together, even where rounding has made it a little narrower.
  root.eachAfter((node) => {
    const inner = (node.children ?? []).reduce((sum, child) => sum + (child.value ?? 0), 0);
    (node as { value: number }).value = Math.max(node.data.value, inner);
  });
  root.sort((one, other) => (other.value ?? 0) - (one.value ?? 0));
  return partition<Flame>()(root as Parameters<ReturnType<typeof partition<Flame>>>[0]);
}
