// A canvas that is as high as a part of a long drawing and scrolls over all of it, painted at most once a frame.

import { h } from "./dom";
import { onTheme } from "./theme";

export class Stage {
  readonly canvas: HTMLCanvasElement;
  readonly outer: HTMLElement;
  readonly inner: HTMLElement;
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;
  private content = 0;
  private waiting = false;

  /** `most` is how high the part that is seen becomes at most. */
  constructor(
    name: string,
    label: string,
    private readonly most: number,
    private readonly paint: (stage: Stage) => void,
  ) {
    this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": label, "aria-roledescription": "chart" });
    this.inner = h("div", { class: "stage-inner" }, this.canvas);
    this.outer = h("div", { class: `stage ${name}` }, this.inner);
    const context = this.canvas.getContext("2d");
    if (context === null) throw new Error("this browser has no canvas");
    this.context = context;
    this.outer.addEventListener("scroll", () => this.repaint(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(this.outer);
    onTheme(() => this.repaint());
  }

  get top(): number {
    return this.outer.scrollTop;
  }

  /** How high the whole drawing is. */
  set contentHeight(height: number) {
    if (height === this.content) return;
    this.content = height;
    this.inner.style.height = `${height}px`;
    this.outer.style.height = `${Math.min(height, this.most) + 2}px`;
    this.measure();
  }

  repaint(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.width <= 0 || this.height <= 0) return;
      const scale = devicePixelRatio;
      this.context.setTransform(scale, 0, 0, scale, 0, 0);
      this.context.clearRect(0, 0, this.width, this.height);
      this.paint(this);
    });
  }

  /** Where a pointer is: across the canvas, and down the whole drawing. */
  point(event: MouseEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top + this.top };
  }

  reveal(from: number, to: number, covered = 0): void {
    if (from < this.top + covered) this.outer.scrollTop = from - covered;
    else if (to > this.top + this.height) this.outer.scrollTop = to - this.height;
  }

  private measure(): void {
    const margin = Number.parseFloat(getComputedStyle(this.canvas).marginLeft) || 0;
    this.width = Math.max(0, this.inner.clientWidth - margin);
    this.height = Math.min(this.content, this.most);
    const scale = devicePixelRatio;
    const [across, down] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    if (this.canvas.width !== across || this.canvas.height !== down) {
      this.canvas.width = across;
      this.canvas.height = down;
    }
    this.repaint();
  }
}

/** The words that follow the pointer over a canvas; everything in them is also in the details that a click shows. */
class Tip {
  private readonly box = h("div", { class: "tip", "aria-hidden": "true", hidden: true });

  show(event: MouseEvent, lines: string[]): void {
    if (!this.box.isConnected) document.body.append(this.box);
    if (lines.length === 0) return this.hide();
    this.box.hidden = false;
    this.box.replaceChildren(...lines.map((line) => h("div", {}, line)));
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const left = Math.max(4, Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8));
    const below = event.clientY + 18 + height < innerHeight;
    this.box.style.left = `${left}px`;
    this.box.style.top = `${below ? event.clientY + 18 : Math.max(4, event.clientY - height - 12)}px`;
  }

  hide(): void {
    this.box.hidden = true;
  }
}

export const tip = new Tip();

/** Text that ends with an ellipsis where it would not fit. */
export function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (width < 14) return "";
  if (context.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? "" : `${text.slice(0, low)}…`;
}
