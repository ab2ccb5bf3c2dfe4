"""Pictures of ``treadle top`` for the documentation: ``python top.py DIRECTORY``, with treadle and pyte installed.

A program runs under the doctor, ``treadle top`` on a terminal that nobody sees, and what is on its screen becomes an
SVG of characters, with the colours of the reader's system, light or dark.
"""

import contextlib
import html
import itertools
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "python"))

from pyte.graphics import FG_BG_256  # noqa: E402
from terminal import Terminal  # noqa: E402

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")
COLUMNS, ROWS = 104, 26

# The size of a character's cell, and of the letters in it.
WIDTH, HEIGHT, LETTERS = 8.4, 18, 14
MARGIN = 12

LIGHT = {
    "back": "#f6f8fa",
    "fore": "#1f2328",
    "red": "#cf222e",
    "green": "#1a7f37",
    "brown": "#9a6700",
    "blue": "#0969da",
    "magenta": "#8250df",
    "cyan": "#1b7c83",
    "grey": "#59636e",
}
DARK = {
    "back": "#0d1117",
    "fore": "#e6edf3",
    "red": "#ff7b72",
    "green": "#3fb950",
    "brown": "#d29922",
    "blue": "#58a6ff",
    "magenta": "#bc8cff",
    "cyan": "#39c5cf",
    "grey": "#9198a1",
}


# A terminal's first sixteen colours, as pyte calls them.
NAMES = ["fore", "red", "green", "brown", "blue", "magenta", "cyan", "fore"]
SIXTEEN = dict(zip(FG_BG_256[:16], [*NAMES, "grey", *NAMES[1:]], strict=True))


def colour(name: str, default: str) -> str:
    """Return which of our colours one of a terminal's is."""
    return default if name == "default" else SIXTEEN.get(name, name if name in LIGHT else "fore")


def runs(line: Any) -> Iterator[tuple[int, str, str, str, bool]]:
    """Split a line into pieces that look alike: column, text, colours of letters and ground, whether it is bold."""

    def look(cell: tuple[int, Any]) -> tuple[str, str, bool]:
        fore, back = colour(cell[1].fg, "fore"), colour(cell[1].bg, "back")
        return (back, fore, cell[1].bold) if cell[1].reverse else (fore, back, cell[1].bold)

    for (fore, back, bold), cells in itertools.groupby(((at, line[at]) for at in range(COLUMNS)), look):
        group = list(cells)
        yield group[0][0], "".join(cell.data for _, cell in group), fore, back, bold


def svg(screen: Any, title: str) -> str:
    """Return a screen as a picture."""
    size = f"{COLUMNS * WIDTH + 2 * MARGIN:g} {ROWS * HEIGHT + 2 * MARGIN}"
    variables = [";".join(f"--{name}:{value}" for name, value in colours.items()) for colours in (LIGHT, DARK)]
    classes = "".join(f".{name}{{fill:var(--{name})}}" for name in LIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img"><title>{html.escape(title)}</title>',
        f"<style>svg{{{variables[0]}}}@media(prefers-color-scheme:dark){{svg{{{variables[1]}}}}}{classes}",
        f"text{{font:{LETTERS}px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}",
        ".bold{font-weight:bold}</style>",
        '<rect width="100%" height="100%" rx="8" class="back"/>',
    ]
    for row in range(ROWS):
        for column, text, fore, back, bold in runs(screen.buffer[row]):
            left, top = MARGIN + column * WIDTH, MARGIN + row * HEIGHT
            if back != "back":
                box = f'x="{left:.4g}" y="{top}" width="{len(text) * WIDTH:.4g}" height="{HEIGHT}"'
                parts.append(f'<rect {box} class="{back}"/>')
            # Spaces at either end are not drawn, and each word has its place: letters differ in width among systems.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                at, length = left + word.start() * WIDTH, len(word[0]) * WIDTH
                kind = f"{fore} bold" if bold else fore
                place = f'x="{at:.5g}" y="{top + HEIGHT * 0.72:.4g}" textLength="{length:.4g}"'
                parts.append(f'<text {place} class="{kind}">{html.escape(word[0], quote=False)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(directory: Path) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        (Path(place) / "app.py").write_text((HERE / "shop.py").read_text())
        # Names that everybody knows are to stand there, not those of this machine.
        environment = {**os.environ, "PATH": f"{Path(TREADLE).parent}:{os.environ['PATH']}"}
        program = subprocess.Popen(["python", "app.py"], env=environment, stdout=subprocess.PIPE, text=True)
        command = [TREADLE, "top", str(program.pid)]
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "here\n"
            with Terminal(command, columns=COLUMNS, rows=ROWS, environment={"NO_COLOR": ""}) as top:
                # All that goes wrong has been found, and the figures are of five seconds.
                top.wait_for("deadlock", "blocked-loop")
                for _ in range(80):
                    top.read(0.1)
                for key, name, title in (
                    ("1\r", "findings", "treadle top: a finding with its evidence and what to write instead"),
                    ("\x1b3", "waits", "treadle top: two tasks that wait for each other, and what others wait for"),
                    ("4", "loop", "treadle top: how long callbacks took, and which code took the time"),
                ):
                    top.press(key)
                    for _ in range(15):
                        top.read(0.1)
                    (directory / f"top-{name}.svg").write_text(svg(top.screen, title))
                top.press("q")
                top.wait_for_end()
        finally:
            program.terminate()
            program.wait(20)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
