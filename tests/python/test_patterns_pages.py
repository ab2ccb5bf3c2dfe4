"""The programs on the patterns' pages: the right way runs and the checker likes it, the wrong way has its pitfall."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import treadle
import watched

PAGES = Path(__file__).parents[2] / "docs/patterns"


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Yield page and program of each block of a kind."""
    for page in sorted(PAGES.glob("*.md")):
        for number, text in enumerate(
            re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        ):
            yield f"{page.stem}{number or ''}", text


def marks_of(text: str) -> list[tuple[int, str]]:
    """Return lines and names of the pitfalls that a program is said to have."""
    return [
        (number, match[1])
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"# pitfall: (\S+)", line))
    ]


# The last are those of which only the doctor can know.
RIGHT, WRONG, WATCHED = dict(blocks("py run")), dict(blocks("py")), dict(blocks("py watch"))


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_way_runs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RIGHT[name]],
        check=False,
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert done.returncode == 0, done.stderr
    # The supervisor logs what it restarts, and no more.
    assert all(line.startswith("restarting in") for line in done.stderr.splitlines()), done.stderr


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """Return what the checker says about each program, each in a directory of its own."""
    found: dict[str, list[tuple[int, str]]] = {}
    uses = {"every name": Path(__file__).with_name("typed_patterns.py").read_text()}
    for kind, programs in (("right", RIGHT), ("wrong", WRONG), ("use of", uses)):
        for name, text in programs.items():
            directory = tmp_path_factory.mktemp(f"{kind}-{name}")
            (directory / "app.py").write_text(text)
            command = [
                sys.executable,
                "-m",
                "treadle",
                "check",
                "--isolated",
                "--no-cache",
                "--output-format",
                "json-lines",
            ]
            done = subprocess.run(
                [*command, str(directory)],
                check=False,
                capture_output=True,
                text=True,
                env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            )
            assert done.returncode in (0, 1), done.stderr
            said = map(json.loads, done.stdout.splitlines())
            found[f"{kind} {name}"] = [(finding["line"], finding["name"]) for finding in said]
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_the_checker_finds_nothing_in_the_right_way(name: str, findings: dict[str, list[tuple[int, str]]]) -> None:
    assert findings[f"right {name}"] == []


def test_the_checker_finds_nothing_in_a_use_of_every_name(findings: dict[str, list[tuple[int, str]]]) -> None:
    assert findings["use of every name"] == []


@pytest.mark.parametrize("name", WRONG)
def test_the_checker_finds_the_pitfall_of_the_wrong_way(name: str, findings: dict[str, list[tuple[int, str]]]) -> None:
    marks = marks_of(WRONG[name])
    assert marks
    assert findings[f"wrong {name}"] == marks


@pytest.mark.parametrize("name", WATCHED)
def test_the_doctor_finds_the_pitfall_of_the_wrong_way(name: str, tmp_path: Path) -> None:
    text = WATCHED[name]
    ended = watched.run(text, tmp_path)
    assert ended.returncode == 0, ended.err
    # `import asyncio` stands before it.
    found = {(found["line"] - 1, found["name"]) for found in ended.found}
    marks = set(marks_of(text))
    assert marks
    assert marks <= found


def test_every_public_name_is_on_a_page() -> None:
    pages = [*PAGES.glob("*.md"), *(PAGES.parent / page for page in ("loop.md", "doctor.md", "pytest.md"))]
    words = set(re.findall(r"\w+", "".join(page.read_text() for page in pages)))
    assert set(treadle.__all__) - words == {"__version__"}


def test_every_page_is_in_the_table() -> None:
    table = (PAGES / "README.md").read_text()
    assert set(re.findall(r"\]\(([a-z-]+\.md)\)", table)) == {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert {name for name, _ in blocks("py run")} == {page.stem for page in PAGES.glob("*.md")} - {"README"}


def test_links_lead_somewhere() -> None:
    for page in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
