"""The programs on the pages of threads, processes, bridges and files: the right way runs, the wrong way is found."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs/patterns"
NAMES = ("bridges", "files", "processes", "threads")


def program(name: str, fence: str) -> str:
    """Return a page's program."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{fence}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(found)


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with this package."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=cwd, timeout=120)


def findings(text: str, directory: Path) -> list[tuple[int, str]]:
    """Return lines and pitfalls that the checker finds."""
    (directory / "app.py").write_text(text, encoding="utf-8")
    options = ("--isolated", "--no-cache", "--output-format", "json-lines")
    done = python("-m", "treadle", "check", *options, directory, cwd=directory)
    assert done.returncode in {0, 1}, done.stderr
    return [(finding["line"], finding["name"]) for finding in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("name", NAMES)
def test_the_right_way_runs_and_says_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(program(name, "py run"), encoding="utf-8")
    done = python("-W", "error", tmp_path / "app.py", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_finds_the_wrong_way_and_not_the_right_one(name: str, tmp_path: Path) -> None:
    wrong = program(name, "py")
    marks = [
        (number, match[1])
        for number, line in enumerate(wrong.splitlines(), 1)
        if (match := re.search(r"# pitfall: (\S+)", line))
    ]
    assert marks
    assert findings(wrong, tmp_path) == marks
    assert findings(program(name, "py run"), tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (PAGES / target).exists(), target
