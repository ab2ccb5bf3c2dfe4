// What a painted timeline is made of, and where a moment of it is.

import { LANE, type Lane } from "./lanes";
import type { Model } from "./model";
import type { Stage } from "./stage";
import type { View } from "./view";

export const RULER = 24;
export const INSET = 4;
export const BAR = LANE - 2 * INSET;

export interface Scene {
  model: Model;
  view: View;
  rows: Lane[];
  /** The step that is selected, or -1. */
  selected: number;
  /** The row that the keyboard is at. */
  current: number;
  focused: boolean;
  /** Tasks that the search found, if there is one. */
  hits: Set<number> | null;
  /** A range that is being drawn with the pointer. */
  drawn: [from: number, to: number] | null;
  rowOfStep(step: number): number;
}

export function across(stage: Stage, scene: Scene, t: number): number {
  return ((t - scene.view.from) / scene.view.span) * stage.width;
}

/** The moment at a distance from the left. */
export function timeAt(stage: Stage, scene: Scene, x: number): number {
  return scene.view.from + (x / stage.width) * scene.view.span;
}
