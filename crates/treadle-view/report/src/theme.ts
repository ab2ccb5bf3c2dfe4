// Light or dark: as the system says unless the reader has chosen. Canvases ask here for their colours.

import { h } from "./dom";

const KEY = "treadle-colours";
const listeners: (() => void)[] = [];
const system = matchMedia("(prefers-color-scheme: dark)");
let cache = new Map<string, string>();

/** A colour of the page by the name of its variable. */
export function colour(name: string): string {
  let value = cache.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    cache.set(name, value);
  }
  return value;
}

/** Asks to be told when all colours have changed. */
export function onTheme(listener: () => void): void {
  listeners.push(listener);
}

export function themeSwitch(): HTMLElement {
  const select = h(
    "select",
    { id: "colours", onchange: () => choose(select.value) },
    h("option", { value: "system" }, "as the system"),
    h("option", { value: "light" }, "light"),
    h("option", { value: "dark" }, "dark"),
  );
  select.value = stored();
  choose(select.value);
  system.addEventListener("change", () => choose(select.value));
  return h("label", { class: "field", for: "colours" }, "Colours ", select);
}

function choose(chosen: string): void {
  document.documentElement.dataset.theme = chosen !== "system" ? chosen : system.matches ? "dark" : "light";
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // A page opened from disk may have no storage; then the choice lasts as long as the page.
  }
  cache = new Map();
  for (const listener of listeners) listener();
}

function stored(): string {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}
