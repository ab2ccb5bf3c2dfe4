// The jobs of executors in the lanes of their threads.

import { LANE } from "./lanes";
import { across, BAR, INSET, type Scene } from "./scene";
import { fitted, type Stage } from "./stage";
import { colour } from "./theme";

export function jobs(stage: Stage, scene: Scene, rows: number[], y: number): void {
  const { context } = stage;
  const { jobs: told, duration } = scene.model.report;
  // A job waits while another runs in the same lane: that line lies under the boxes.
  for (const job of rows) {
    const start = told.started[job]! < 0 ? duration : told.started[job]!;
    const [left, right] = [across(stage, scene, told.submitted[job]!), across(stage, scene, start)];
    if (right < 0 || left > stage.width) continue;
    context.fillStyle = colour("life");
    context.fillRect(Math.max(-2, left), y + LANE / 2 - 1, Math.min(right, stage.width) - Math.max(-2, left), 2);
  }
  for (const job of rows) {
    const end = told.ended[job]! < 0 ? duration : told.ended[job]!;
    const start = told.started[job]! < 0 ? duration : told.started[job]!;
    const [x0, x1] = [across(stage, scene, start), across(stage, scene, end)];
    if (x1 < 0 || x0 > stage.width) continue;
    const [left, right] = [Math.max(-2, x0), Math.min(stage.width + 2, Math.max(x1, x0 + 1))];
    if (right <= left) continue;
    context.fillStyle = colour("job");
    context.fillRect(left, y + INSET, right - left, BAR);
    context.fillStyle = colour("on-hue");
    if (right - left > 34) context.fillText(fitted(context, told.name[job] ?? "", right - left - 8), left + 4, y + LANE / 2);
  }
}
