// Numbers as people read them.

const GROUPED = new Intl.NumberFormat("en-US");

export function count(value: number): string {
  return GROUPED.format(value);
}

/** `1 task`, `2,000 tasks` */
export function counted(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** Three figures of a number of microseconds: `45 µs`, `110 ms`, `1.01 s`, `9 min 58 s`. */
export function duration(microseconds: number): string {
  const size = Math.abs(microseconds);
  if (size < 999.5) return `${figures(microseconds)} µs`;
  if (size < 999_500) return `${figures(microseconds / 1e3)} ms`;
  if (size < 59.95e6) return `${figures(microseconds / 1e6)} s`;
  const seconds = Math.round(size / 1e6);
  const sign = microseconds < 0 ? "-" : "";
  const words = seconds < 3600 ? [[60, "min"], [1, "s"]] as const : [[3600, "h"], [60, "min"]] as const;
  let rest = seconds;
  const parts = words.map(([unit, word]) => {
    const whole = Math.floor(rest / unit);
    rest -= whole * unit;
    return whole > 0 ? `${whole} ${word}` : "";
  });
  return sign + parts.filter(Boolean).join(" ");
}

/** A moment, in seconds since the beginning, so exactly that a span of this length can be told apart. */
export function moment(microseconds: number, span: number): string {
  const digits = Math.min(6, Math.max(1, 3 - Math.floor(Math.log10(Math.max(span, 1) / 1e6))));
  return `${(microseconds / 1e6).toFixed(span > 60e6 ? 1 : digits)} s`;
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return "0 %";
  const value = (100 * part) / whole;
  return value > 0 && value < 0.1 ? "under 0.1 %" : `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} %`;
}

function figures(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}
