"""The programs on the pitfalls' pages are run: under the doctor, who finds what is marked, and on asyncio's loop."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from watched import WATCHED

PITFALLS = Path(__file__).parents[2] / "crates/treadle-pitfalls/src"
SILENT = ("Write this instead", "When it is fine")


@dataclass(frozen=True)
class Block:
    """A program of a page."""

    pitfall: str
    line: int
    heading: str
    files: tuple[tuple[str, str], ...]

    def marks(self) -> list[tuple[str, int, str]]:
        """Return file, line and words of each mark."""
        return [
            (path, number, match[1].strip())
            for path, text in self.files
            for number, line in enumerate(text.splitlines(), 1)
            if (match := re.search(r"# watch: (.*)", line))
        ]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the programs of a page that are to be run."""
    name, heading, begin = page.parent.name.replace("_", "-"), "", 0
    fence: list[str] | None = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if fence is None:
            if line.startswith("## "):
                heading = line[3:]
            elif line.startswith("```"):
                fence, begin, runs = [], number, line == "```py run"
        elif line.startswith("```"):
            if runs:
                yield Block(name, begin, heading, tuple(files(fence)))
            fence = None
        else:
            fence.append(line)


def files(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file of a program."""
    path, text = "app.py", ""
    for line in lines:
        if line.startswith("# file: "):
            if text:
                yield path, text
            path, text = line[8:].strip(), ""
        else:
            text += line + "\n"
    yield path, text


ALL = [block for page in sorted(PITFALLS.glob("*/page.md")) for block in blocks(page)]


@dataclass
class Runs:
    """How a program has ended, on both loops, and what the doctor has found in it."""

    found: list[dict[str, object]]
    watched: "subprocess.CompletedProcess[str]"
    plain: "subprocess.CompletedProcess[str]"


def run(block: Block, directory: Path, environment: dict[str, str]) -> Runs:
    """Run a program twice."""
    for path, text in block.files:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    app = block.files[-1][0]
    commands = [sys.executable, "-c", WATCHED, "words", app], [sys.executable, app]
    watched, plain = (
        subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)
        for command in commands
    )
    *found, last = (directory / "words").read_text().splitlines()
    summary = json.loads(last)
    assert summary["type"] == "summary"
    # What is said at once is what is said at the end.
    assert [json.loads(line)["name"] for line in found] == [finding["name"] for finding in summary["findings"]]
    return Runs(summary["findings"], watched, plain)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Block, "Future[Runs]"]]:
    """Run all programs, two at a time: most of them wait."""
    # A copy, since pytest changes the environment at each test: `exec` fails with EFAULT if that happens while a
    # thread starts a process.
    environment = dict(os.environ)
    with ThreadPoolExecutor(2) as pool:
        yield {block: pool.submit(run, block, tmp_path_factory.mktemp("page"), environment) for block in ALL}


def name(block: Block) -> str:
    return f"{block.pitfall}:{block.line}"


@pytest.mark.parametrize("block", ALL, ids=name)
def test_doctor_finds_what_a_page_marks_and_nothing_in_what_it_recommends(
    runs: dict[Block, "Future[Runs]"], block: Block
) -> None:
    result = runs[block].result()
    found = [finding for finding in result.found if block.heading in SILENT or finding["name"] == block.pitfall]
    missing = []
    for path, line, words in block.marks():
        hits = [
            finding
            for finding in found
            if str(finding["path"]).endswith(path) and finding["line"] == line and words in str(finding["message"])
        ]
        if hits:
            found.remove(hits[0])
        else:
            missing.append(f"{path}:{line}: {words}")
    assert (missing, found) == ([], []), result.watched.stderr


@pytest.mark.parametrize("block", ALL, ids=name)
def test_program_of_a_page_ends_as_on_asyncio(runs: dict[Block, "Future[Runs]"], block: Block) -> None:
    result = runs[block].result()
    assert result.watched.returncode == result.plain.returncode, result.watched.stderr
    assert result.watched.stdout == result.plain.stdout
