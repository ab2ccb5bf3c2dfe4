// Fillings that are told from each other without their colour.

import type { Stage } from "./stage";

export function hatch(stage: Stage, x: number, y: number, wide: number, high: number, ink: string, apart: number, thick: number): void {
  const { context } = stage;
  context.save();
  context.beginPath();
  context.rect(x, y, wide, high);
  context.clip();
  context.strokeStyle = ink;
  context.lineWidth = thick;
  context.beginPath();
  for (let at = x - high - (x % apart); at < x + wide; at += apart) {
    context.moveTo(at, y + high);
    context.lineTo(at + high, y);
  }
  context.stroke();
  context.restore();
}

export function dots(stage: Stage, x: number, y: number, wide: number, high: number, ink: string): void {
  stage.context.fillStyle = ink;
  for (let at = x + 3; at < x + wide - 1; at += 5) {
    for (let down = y + 4; down < y + high - 2; down += 5) stage.context.fillRect(at, down, 2, 2);
  }
}
