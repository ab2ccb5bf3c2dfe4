"""Medians of paired ratios, and the table in which they are printed."""

import statistics
from dataclasses import dataclass

from benches.loops.backends import BASE, LIMIT
from benches.loops.rows import Row, Served
from benches.loops.sample import Sample

MEANINGLESS = 0.08
"""A smaller difference says nothing."""
BUSY = 0.9
"""A process that ran less of the time was not what limited the rate."""


@dataclass(frozen=True)
class Result:
    """The samples of one row, by loop; repetitions stand in the same place in every list."""

    row: Row
    samples: dict[str, list[Sample]]

    def rate(self, loop: str) -> float | None:
        """Return the median rate."""
        samples = self.samples.get(loop)
        return statistics.median(sample.rate for sample in samples) if samples else None

    def cpu(self, loop: str) -> float | None:
        """Return the median of microseconds of processor time for each operation."""
        known = [sample.cpu for sample in self.samples.get(loop, []) if sample.cpu is not None]
        return statistics.median(known) * 1e6 if known else None

    def ratio(self, loop: str) -> float | None:
        """Return the median of the ratios to uvloop within each repetition, larger is better."""
        if self.row.unit == "ms":
            return None
        pairs = zip(self.samples.get(loop, []), self.samples.get(BASE, []), strict=False)
        ratios = [
            one.rate / base.rate if self.row.unit == "ops/s" else base.rate / one.rate
            for one, base in pairs
            if one.rate > 0 and base.rate > 0
        ]
        return statistics.median(ratios) if ratios else None

    def ratio_by_cpu(self, loop: str) -> float | None:
        """Return the same for processor time, which other work on the machine disturbs less."""
        pairs = zip(self.samples.get(loop, []), self.samples.get(BASE, []), strict=False)
        ratios = [base.cpu / one.cpu for one, base in pairs if one.cpu and base.cpu]
        return statistics.median(ratios) if ratios else None

    def mark(self, loop: str) -> str:
        """Say whether the loop stays below its floor, and whether that means anything."""
        if self.row.limit_ms is not None:
            rate = self.rate(loop)
            return "below" if rate is not None and rate > self.row.limit_ms else ""
        ratio = self.ratio(loop)
        if self.row.floor is None or ratio is None or ratio >= self.row.floor:
            return ""
        return "below" if ratio < self.row.floor * (1 - MEANINGLESS) else "near"

    def idle(self) -> list[str]:
        """Return the loops that waited for clients on other processors: their rates are not all they can do."""
        if not isinstance(self.row.work, Served) or self.row.work.connections == 1:
            return []
        return [
            loop
            for loop, samples in self.samples.items()
            if (busy := [sample.busy for sample in samples if sample.busy is not None])
            and statistics.median(busy) < BUSY
        ]


class Table:
    """Lines for a terminal, or for a page in Markdown."""

    def __init__(self, loops: list[str], *, markdown: bool) -> None:
        """Take the loops in the order of their columns; the last of them is measured against the floors."""
        self.columns = [*loops, LIMIT]
        self.compared = [name for name in self.columns if name != BASE]
        self.tested = "treadle"
        self.markdown = markdown

    def head(self) -> str:
        """Return the lines above the first row."""
        groups = (
            ("ratio to uvloop", self.compared),
            (self.tested, ["by CPU"]),
            ("operations/s", self.columns),
            ("CPU µs/op", self.columns),
        )
        if self.markdown:
            cells = ["row", "floor", *(f"{loop} {sign}" for sign, loops in signs(groups) for loop in loops), ""]
            return self._line(cells) + "\n" + self._line([":--", *["--:"] * (len(cells) - 2), ":--"])
        above = "".join(f"{title:>{9 * len(loops)}}" for title, loops in groups)
        cells = ["row", "floor", *(loop for _, loops in groups for loop in loops), ""]
        return f"{'':35}{above}\n{self._line(cells)}"

    def row(self, result: Result) -> str:
        """Return the line of one row."""
        row = result.row
        floor = f"{row.limit_ms:.0f} ms" if row.limit_ms else "" if row.floor is None else f"{row.floor:g}"
        ratios = [figure(result.ratio(loop), "ratio") for loop in self.compared]
        ratios.append(figure(result.ratio_by_cpu(self.tested), "ratio"))
        rates = [figure(result.rate(loop), row.unit) for loop in self.columns]
        costs = [figure(result.cpu(loop), "µs") for loop in self.columns]
        idle = [loop for loop in result.idle() if loop != LIMIT]
        remarks = [result.mark(self.tested), f"({', '.join(idle)} not busy)" if idle else ""]
        return self._line([row.title, floor, *ratios, *rates, *costs, " ".join(filter(None, remarks))])

    def _line(self, cells: list[str]) -> str:
        if self.markdown:
            return f"| {' | '.join(cells)} |"
        title, floor, *figures, remark = cells
        return f"{title:<28}{floor:>7}{''.join(f'{cell:>9}' for cell in figures)}  {remark}".rstrip()


def signs(groups: tuple[tuple[str, list[str]], ...]) -> list[tuple[str, list[str]]]:
    """Shorten the titles, which a table in Markdown repeats in each column."""
    return [(sign, loops) for sign, (_, loops) in zip(("ratio", "ratio", "/s", "µs"), groups, strict=True)]


def figure(value: float | None, unit: str) -> str:
    """Write a number with as many digits as mean something."""
    if value is None:
        return "-"
    match unit:
        case "ratio":
            return f"{value:.2f}"
        case "bytes":
            return f"{value:.0f} B"
        case "ms":
            return f"{value:.1f} ms"
        case "µs":
            return f"{value:.2f}" if value < 100 else f"{value:.0f}"
        case _:
            return (
                f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.1f} k" if value >= 1e3 else f"{value:.0f}"
            )
