// What has changed since another recording.

import { h, table } from "./dom";
import { FlameGraph } from "./flame";
import type { Model } from "./model";
import type { Difference } from "./report";
import { count, counted, duration } from "./words";

const WORDS = { new: "✚ new", gone: "✓ gone", more: "▲ more", fewer: "▼ fewer", same: "= same" };

export function difference(model: Model, told: Difference): HTMLElement {
  const rows = told.rows.map(([what, before, after, unit]) => [what, amount(before, unit), amount(after, unit), change(before, after, unit)]);
  const findings = told.findings.map(({ name, site, change: kind, before, after }) => [
    h("span", { class: `change ${kind}` }, WORDS[kind]),
    name,
    h("code", {}, site),
    count(before),
    count(after),
  ]);
  const some = (kind: keyof typeof WORDS): number => told.findings.filter((finding) => finding.change === kind).length;
  return h(
    "div",
    {},
    h("p", {}, `Before: ${told.title}. ${counted(some("new"), "finding")} new, ${some("gone")} gone, ${some("more")} met more often, ${some("fewer")} less often.`),
    h("h3", {}, "Findings"),
    findings.length === 0 ? h("p", { class: "soft" }, "Neither run had any.") : table("Findings of both runs", ["change", "pitfall", "where", "before", "after"], findings, [3, 4]),
    h("h3", {}, "Figures"),
    table("Figures of both runs", ["what", "before", "after", "change"], rows, [1, 2, 3]),
    h("h3", {}, "Loop time"),
    h("p", { class: "soft" }, "As wide as the time afterwards; + took longer than before, − shorter, = about as long."),
    new FlameGraph(model, "the difference", told.flame, true).element,
  );
}

const MICROSECONDS: Record<string, number> = { µs: 1, ms: 1e3, s: 1e6 };

function amount(value: number, unit: string): string {
  const time = MICROSECONDS[unit];
  if (time !== undefined) return duration(value * time);
  const digits = Number.isInteger(value) ? count(value) : value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
  return unit === "" ? digits : `${digits} ${unit}`;
}

function change(before: number, after: number, unit: string): string {
  if (before === after) return "=";
  const sign = after > before ? "+" : "−";
  const size = amount(Math.abs(after - before), unit);
  const part = before === 0 ? "" : ` (${sign}${Math.round((100 * Math.abs(after - before)) / Math.abs(before))} %)`;
  return `${sign}${size}${part}`;
}
