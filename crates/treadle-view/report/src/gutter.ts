// The names at the left of the timeline, which are elements: those of lanes that open are buttons.

import { button, h } from "./dom";
import { LANE, type Lane } from "./lanes";
import { RULER, type Scene } from "./scene";
import type { Stage } from "./stage";

export class Gutter {
  private readonly elements = new Map<string, HTMLElement>();

  /** `act` is what a press on the name of a lane does. */
  constructor(
    private readonly scene: Scene,
    private readonly act: (lane: Lane) => void,
  ) {}

  /** The names at the left, of the lanes that can be seen. A name that stays keeps its element, and so the focus. */
  paint(stage: Stage): void {
    const first = Math.max(0, Math.floor((stage.top - RULER) / LANE));
    const last = Math.min(this.scene.rows.length, Math.ceil((stage.top + stage.height) / LANE));
    const seen = new Set<string>();
    for (let row = first; row < last; row++) {
      const lane = this.scene.rows[row]!;
      const key = keyOf(lane);
      seen.add(key);
      let element = this.elements.get(key);
      if (element === undefined) {
        element = this.name(lane);
        this.elements.set(key, element);
        stage.inner.append(element);
      }
      element.style.top = `${RULER + row * LANE}px`;
      element.classList.toggle("current", row === this.scene.current && this.scene.focused);
    }
    for (const [key, element] of this.elements) {
      if (seen.has(key)) continue;
      element.remove();
      this.elements.delete(key);
    }
  }

  private name(lane: Lane): HTMLElement {
    const title = `${lane.name}: ${lane.detail}`;
    if (lane.kind === "birth" || lane.kind === "more") {
      const open = lane.kind === "birth" ? String(lane.open) : undefined;
      const sign = lane.kind === "more" ? "… " : lane.open ? "▾ " : "▸ ";
      return button(sign + lane.name, () => this.act(lane), { class: "lane", title, "aria-label": title, "aria-expanded": open });
    }
    return h("div", { class: lane.kind === "task" && lane.nested ? "lane nested" : "lane", title }, lane.name);
  }
}

/** What tells a lane from others, also after the rows were made anew. */
export function keyOf(lane: Lane): string {
  switch (lane.kind) {
    case "birth":
      return `birth ${lane.birth.key} ${lane.open}`;
    case "more":
      return `more ${lane.birth.key} ${lane.name}`;
    case "task":
      return `task ${lane.task}`;
    default:
      return `${lane.kind} ${lane.name}`;
  }
}
