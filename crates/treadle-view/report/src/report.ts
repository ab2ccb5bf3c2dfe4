// What the page is given: the JSON that treadle makes of a recording. Times count microseconds since `began`; -1 is none.

export interface Finding {
  name: string;
  severity: "error" | "warning" | "info";
  suspected: boolean;
  site: number;
  message: string;
  count: number;
  first: number;
  last: number;
  worst: number | null;
  cause: string | null;
  evidence: string[];
  help: string | null;
  marks: number[];
}

export interface Flame {
  site: number;
  value: number;
  before?: number;
  label: string | null;
  children: Flame[];
}

export interface Histogram {
  edges: number[];
  counts: number[];
  max: number;
}

export interface Difference {
  title: string;
  findings: { name: string; site: string; change: "new" | "gone" | "more" | "fewer" | "same"; before: number; after: number }[];
  rows: [what: string, before: number, after: number, unit: string][];
  flame: Flame;
}

export interface Tasks {
  name: string[];
  code: number[];
  birth: number[];
  parent: number[];
  loop: number[];
  born: number[];
  ended: number[];
  outcome: number[];
  run: number[];
  steps: number[];
  longest: number[];
}

export interface Waits {
  t: number;
  reason: string;
  tasks: number[];
  edges: [from: number, to: number, thing: string][];
  chains: Record<string, number[]>;
  waits_for: Record<string, string>;
}

export interface Seconds {
  t: number[];
  busy: number[];
  idle: number[];
  callbacks: number[];
  lag: number[];
  ready: number[];
  tasks: number[];
  timers: number[];
  fds: number[];
  interval: number;
}

export interface Report {
  format: 2;
  title: string;
  environment: [what: string, value: string][];
  began: number;
  duration: number;
  kept_from: number;
  files: string[];
  sites: [file: number, line: number, function_: string, package_: string | null][];
  excerpts: Record<string, Record<string, string>>;
  findings: Finding[];
  pages: Record<string, string>;
  tasks: Tasks;
  steps: {
    loop: number[];
    task: number[];
    site: number[];
    start_delta: number[];
    took: number[];
    woken_by: number[];
    waker_delta: number[];
    waker_task: number[];
    queued: number[];
  };
  polls: { loop: number[]; start_delta: number[]; took: number[] };
  pauses: {
    kind: ("blocked" | "gc")[];
    loop: number[];
    start: number[];
    took: number[];
    cause: (string | null)[];
    site: number[];
    stack: number[][];
  };
  jobs: { name: string[]; site: number[]; submitted: number[]; started: number[]; ended: number[]; thread: number[] };
  loops: { number: number; thread: number; name: string }[];
  seconds: Seconds;
  flame: { all: Flame; blocked: Flame };
  waits: Waits;
  histograms: { step: Histogram; queue: Histogram; delay: Histogram };
  difference?: Difference;
}

/** The report out of its script element: base64 of deflated JSON. */
export async function embedded(element: HTMLElement): Promise<Report> {
  const text = atob((element.textContent ?? "").trim());
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const report = (await new Response(plain).json()) as Report;
  if (report.format !== 2) throw new Error(`this page cannot show a report of format ${String(report.format)}`);
  return report;
}
