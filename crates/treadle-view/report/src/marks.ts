// The lane of findings: marks by severity, several of them in one where they would overlap.

import { LANE } from "./lanes";
import { across, type Scene } from "./scene";
import type { Stage } from "./stage";
import { colour } from "./theme";

const GLYPHS = { error: "✖", warning: "▲", info: "●" };

/** Marks by severity; where several would overlap, their number. */
export function findings(stage: Stage, scene: Scene, y: number): void {
  const { context } = stage;
  for (const group of marks(stage, scene)) {
    const severity = group.worst;
    const text = group.findings.length > 1 ? `${GLYPHS[severity]} ${group.findings.length}` : GLYPHS[severity];
    const wide = context.measureText(text).width;
    context.fillStyle = colour("panel");
    context.fillRect(group.x - 7, y + 2, wide + 6, LANE - 5);
    context.strokeStyle = context.fillStyle = colour(severity);
    context.lineWidth = 1;
    context.strokeRect(group.x - 7.5, y + 2.5, wide + 7, LANE - 6);
    context.fillText(text, group.x - 4, y + LANE / 2);
  }
}

export interface Mark {
  x: number;
  worst: "error" | "warning" | "info";
  findings: { finding: number; t: number }[];
}

/** What stands in the lane of findings, left to right. */
export function marks(stage: Stage, scene: Scene): Mark[] {
  const all: { finding: number; t: number }[] = [];
  scene.model.report.findings.forEach((found, finding) => {
    for (const t of found.marks) if (t >= scene.view.from && t <= scene.view.to) all.push({ finding, t });
  });
  all.sort((one, other) => one.t - other.t);
  const out: Mark[] = [];
  for (const one of all) {
    const x = across(stage, scene, one.t);
    const last = out.at(-1);
    const severity = scene.model.report.findings[one.finding]!.severity;
    if (last !== undefined && x - last.x < 42) {
      last.findings.push(one);
      if (rank(severity) < rank(last.worst)) last.worst = severity;
    } else out.push({ x: Math.max(8, Math.min(x, stage.width - 30)), worst: severity, findings: [one] });
  }
  return out;
}

function rank(severity: Mark["worst"]): number {
  return ["error", "warning", "info"].indexOf(severity);
}
