// Elements in one expression, and the few things that every part says the same way.

import type { Model } from "./model";

export type Child = Node | string | number | null | undefined | false;
type Value = string | number | boolean | undefined | ((event: never) => void);

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  add(element, children);
  return element;
}

export function svg(tag: string, attributes: Record<string, Value> = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  add(element, children);
  return element;
}

/** A message, in which what stands between backticks is code. */
export function message(text: string): DocumentFragment {
  const out = document.createDocumentFragment();
  text.split("`").forEach((part, index) => {
    if (part !== "") out.append(index % 2 === 1 ? h("code", {}, part) : part);
  });
  return out;
}

/** A place of the program, with the package if it is not the program's own. */
export function place(model: Model, site: number): DocumentFragment {
  const out = document.createDocumentFragment();
  const known = model.report.sites[site];
  if (known === undefined) {
    out.append("an unknown place");
    return out;
  }
  out.append(h("code", {}, model.place(site)), " in ", h("code", {}, known[2]));
  if (known[3] !== null) out.append(` of the package ${known[3]}`);
  return out;
}

/** A table in a box that scrolls by itself when it is wider than the page. */
export function table(label: string, head: Child[], rows: Child[][], numbers: number[] = []): HTMLElement {
  const align = (column: number): string => (numbers.includes(column) ? "number" : "");
  return scroller(
    label,
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, label),
      h("thead", {}, h("tr", {}, ...head.map((cell, column) => h("th", { scope: "col", class: align(column) }, cell)))),
      h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell, column) => h("td", { class: align(column) }, cell))))),
    ),
  );
}

export function scroller(label: string, ...children: Child[]): HTMLElement {
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": label }, ...children);
}

export function button(label: string, act: () => void, attributes: Record<string, Value> = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick: act, ...attributes }, label);
}

/** A note for people who cannot see what has changed. */
export function live(): HTMLElement {
  return h("p", { class: "status", role: "status" });
}

function set(element: Element, attributes: Record<string, Value>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as unknown as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== "") element.setAttribute(name, String(value));
  }
}

function add(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(typeof child === "number" ? String(child) : child);
    }
  }
}
