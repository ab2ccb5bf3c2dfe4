// What part of the run is looked at, shared by the timeline and the overview above it.

const NARROWEST = 10;

export class View {
  from = 0;
  to: number;
  private readonly listeners: (() => void)[] = [];
  private readonly before: [from: number, to: number][] = [];

  constructor(readonly end: number) {
    this.to = end;
  }

  get span(): number {
    return this.to - this.from;
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Looks at this part. A step (`remember`) can be taken back, small movements cannot. */
  set(from: number, to: number, remember = true): void {
    const span = Math.min(this.end, Math.max(NARROWEST, to - from));
    const start = Math.max(0, Math.min(from, this.end - span));
    if (start === this.from && start + span === this.to) return;
    if (remember) this.before.push([this.from, this.to]);
    this.from = start;
    this.to = start + span;
    for (const listener of this.listeners) listener();
  }

  /** Makes the span `factor` times as long; the moment `at` stays where it is. */
  zoom(factor: number, at = (this.from + this.to) / 2, remember = true): void {
    const span = Math.min(this.end, Math.max(NARROWEST, this.span * factor));
    const from = at - ((at - this.from) / this.span) * span;
    this.set(from, from + span, remember);
  }

  pan(part: number): void {
    const from = Math.max(0, Math.min(this.from + part * this.span, this.end - this.span));
    this.set(from, from + this.span, false);
  }

  back(): void {
    const last = this.before.pop();
    if (last !== undefined) this.set(last[0], last[1], false);
  }

  /** Moves, and narrows or widens if it must, until this can be seen. */
  show(start: number, end: number): void {
    const length = Math.max(end - start, NARROWEST);
    if (start >= this.from && end <= this.to && length > this.span / 50) return;
    const span = Math.max(length * 4, Math.min(this.span, length * 40));
    const middle = (start + end) / 2;
    this.set(middle - span / 2, middle + span / 2);
  }
}
