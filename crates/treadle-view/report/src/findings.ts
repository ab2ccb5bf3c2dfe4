// The verdict in words, and each finding with its code, its evidence, its cure and its pitfall's page.

import { button, h, message, place, type Child } from "./dom";
import { markdown } from "./markdown";
import type { Model } from "./model";
import type { Finding } from "./report";
import { counted, duration, moment, percent } from "./words";

const SIGNS = { error: "✖", warning: "▲", info: "●" };

export function verdict(model: Model): HTMLElement {
  const { findings } = model.report;
  const worst = findings[0];
  if (worst === undefined) {
    return h("div", { class: "verdict clean" }, h("p", { class: "headline" }, "✓ Nothing found."), h("p", {}, "No pitfall was seen in this run. ", scope(model)));
  }
  const kinds = (["error", "warning", "info"] as const).flatMap((severity) => {
    const some = findings.filter((finding) => finding.severity === severity).length;
    return some === 0 ? [] : [severity === "info" ? `${some} for information` : counted(some, severity)];
  });
  return h(
    "div",
    { class: `verdict ${worst.severity}` },
    h("p", { class: "headline" }, worst.suspected ? "Suspected to hurt most: " : "What hurts most: ", message(worst.message)),
    h("dl", {},
      h("dt", {}, "Where"), h("dd", {}, place(model, worst.site)),
      h("dt", {}, "How bad"), h("dd", {}, howBad(model, worst)),
      ...(worst.help === null ? [] : [h("dt", {}, "Write instead"), h("dd", {}, message(worst.help))]),
    ),
    h("p", {}, `${counted(findings.length, "finding")}: ${kinds.join(", ")}. `, h("a", { href: "#finding-1" }, "Look at the first"), ". ", scope(model)),
  );
}

function scope(model: Model): string {
  const { seconds, duration: length, tasks } = model.report;
  const busy = seconds.busy.reduce((sum, value) => sum + value, 0);
  const idle = seconds.idle.reduce((sum, value) => sum + value, 0);
  const lag = seconds.lag.reduce((most, value) => Math.max(most, value), 0);
  const load = busy + idle > 0 ? `; its loops were busy for ${percent(busy, busy + idle)} of the time, the longest delay in a queue was ${duration(lag)}` : "";
  return `Watched for ${duration(length)} and ${counted(tasks.name.length, "task")}${load}.`;
}

function howBad(model: Model, { count, worst, first, last, cause }: Finding): string {
  const { duration: span } = model.report;
  const words = [count === 1 ? `once, at ${moment(first, span)}` : `${counted(count, "time")} between ${moment(first, span)} and ${moment(last, span)}`];
  if (worst !== null) words.push(`at worst ${duration(worst)}`);
  if (cause !== null) words.push(cause);
  return words.join(", ");
}

/** `show` shows a finding in the timeline, at its first mark, and at the next one each time it is asked again. */
export function findings(model: Model, show: (finding: number, nth: number) => void): HTMLElement {
  const { findings: found } = model.report;
  if (found.length === 0) return h("p", {}, "Nothing found.");
  return h("ol", { class: "findings" }, ...found.map((finding, index) => one(model, finding, index, show)));
}

function one(model: Model, finding: Finding, index: number, show: (finding: number, nth: number) => void): HTMLElement {
  const { marks } = finding;
  let next = 0;
  const again = (): void => show(index, next++ % marks.length);
  return h(
    "li",
    { class: `finding ${finding.severity}`, id: `finding-${index + 1}`, tabindex: -1 },
    h("h3", {}, h("span", { class: "badge" }, `${SIGNS[finding.severity]} ${finding.severity}`), " ", h("span", { class: "pitfall" }, `${finding.name}:`), " ", finding.suspected ? h("span", { class: "suspected" }, "suspected: ") : null, message(finding.message)),
    h("p", { class: "where" }, place(model, finding.site), " · ", howBad(model, finding)),
    excerpt(model, finding.site),
    finding.evidence.length > 0 ? h("ul", { class: "evidence" }, ...finding.evidence.map((line) => h("li", {}, message(line)))) : null,
    finding.help === null ? null : h("p", { class: "help" }, h("strong", {}, "Help: "), message(finding.help)),
    h("div", { class: "controls" }, marks.length > 0 ? button(marks.length > 1 ? `Show in the timeline (${marks.length})` : "Show in the timeline", again) : null),
    page(model, finding.name),
  );
}

/** The lines around a site, the line itself marked. */
function excerpt(model: Model, site: number): HTMLElement | null {
  const known = model.report.sites[site];
  const lines = known === undefined ? undefined : model.report.excerpts[known[0]];
  if (known === undefined || lines === undefined) return null;
  const near = Object.keys(lines).map(Number).filter((line) => Math.abs(line - known[1]) <= 3).sort((one, other) => one - other);
  if (near.length === 0) return null;
  const wide = String(near.at(-1)).length;
  const rows: Child[] = near.map((line) => {
    const mark = line === known[1] ? "▶ " : "  ";
    return h("span", { class: line === known[1] ? "code-line marked" : "code-line" }, h("span", { class: "margin" }, `${mark}${String(line).padStart(wide)} │ `), `${lines[line] ?? ""}\n`);
  });
  return h("pre", { class: "excerpt", tabindex: 0, role: "region", "aria-label": `code around ${model.place(site)}` }, h("code", {}, ...rows));
}

function page(model: Model, name: string): HTMLElement | null {
  const text = model.report.pages[name];
  if (text === undefined) return null;
  const disclosure = h("details", { class: "page" }, h("summary", {}, `About ${name}`));
  // Made when it is opened for the first time: there may be many.
  disclosure.addEventListener("toggle", () => {
    if (disclosure.open && disclosure.childElementCount === 1) disclosure.append(h("div", { class: "page-text" }, markdown(text, model.report)));
  });
  return disclosure;
}
