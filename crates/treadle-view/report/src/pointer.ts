// What wheel and pointer do in the timeline.

import { LANE } from "./lanes";
import { RULER, timeAt, type Scene } from "./scene";
import { tip, type Stage } from "./stage";
import { under } from "./under";

export class Pointer {
  constructor(
    private readonly stage: Stage,
    private readonly scene: Scene,
    private readonly click: (point: { x: number; y: number }) => void,
  ) {
    const { canvas } = stage;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => tip.hide());
  }

  private wheel(event: WheelEvent): void {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.scene.view.zoom(Math.exp(Math.max(-60, Math.min(event.deltaY, 60)) / 120), timeAt(this.stage, this.scene, this.stage.point(event).x), false);
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      this.scene.view.pan(sideways / this.stage.width);
    }
  }

  /** A press on the ruler or with Shift draws a range, one that moves elsewhere drags the time, one that stays is a click. */
  private press(down: PointerEvent): void {
    if (down.button !== 0) return;
    const canvas = this.stage.canvas;
    const origin = this.stage.point(down);
    const chooses = down.shiftKey || origin.y - this.stage.top < RULER;
    const [from, to] = [this.scene.view.from, this.scene.view.to];
    let moved = false;
    canvas.setPointerCapture(down.pointerId);
    tip.hide();
    const move = (event: PointerEvent): void => {
      const { x } = this.stage.point(event);
      if (!moved && Math.abs(x - origin.x) < 4) return;
      moved = true;
      if (chooses) {
        this.scene.drawn = [timeAt(this.stage, this.scene, Math.min(x, origin.x)), timeAt(this.stage, this.scene, Math.max(x, origin.x))];
        this.stage.repaint();
      } else {
        const shift = Math.max(-from, Math.min(((origin.x - x) / this.stage.width) * (to - from), this.scene.view.end - to));
        this.scene.view.set(from + shift, to + shift, false);
      }
    };
    const up = (event: PointerEvent): void => {
      canvas.removeEventListener("pointermove", move);
      canvas.removeEventListener("pointerup", up);
      canvas.removeEventListener("pointercancel", up);
      const { drawn } = this.scene;
      this.scene.drawn = null;
      if (drawn !== null) this.scene.view.set(drawn[0], drawn[1]);
      else if (!moved && event.type === "pointerup") this.click(origin);
      this.stage.repaint();
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
  }

  private hover(event: PointerEvent): void {
    if (event.buttons !== 0) return;
    const { x, y } = this.stage.point(event);
    const lane = this.scene.rows[Math.floor((y - RULER) / LANE)];
    const found = lane === undefined || y - this.stage.top < RULER ? null : under(this.stage, this.scene, lane, x);
    this.stage.canvas.style.cursor = y - this.stage.top < RULER ? "col-resize" : found === null ? "grab" : "pointer";
    if (found === null) tip.hide();
    else tip.show(event, found.words);
  }
}
