"""The installed package: its command line both ways, its types, its promises to tools."""

import importlib.metadata
import importlib.resources
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import treadle
from treadle import _native

PROGRAM = """\
import asyncio, time

async def main() -> None:
    time.sleep(1)

asyncio.run(main())
"""


def native() -> list[str]:
    """Return the command of the native program in the environment under test."""
    return [str(Path(sysconfig.get_path("scripts")) / "treadle")]


def module() -> list[str]:
    """Return the command that goes through the interpreter."""
    return [sys.executable, "-m", "treadle"]


both = pytest.mark.parametrize("command", [native(), module()], ids=["program", "module"])


def run(command: list[str], *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line and return what came of it."""
    return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, input=text)


@both
def test_version_is_the_packages(command: list[str]) -> None:
    done = run(command, "--version")
    assert (done.returncode, done.stdout) == (0, f"treadle {treadle.__version__}\n")
    assert importlib.metadata.version("treadle") == treadle.__version__


@both
def test_findings_are_the_same_both_ways(command: list[str], tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(PROGRAM)
    done = run(command, "check", "--isolated", "--no-cache", "--output-format", "json-lines", str(program))
    assert done.returncode == 1, done.stderr
    (finding,) = map(json.loads, done.stdout.splitlines())
    assert (finding["name"], finding["line"]) == ("blocking-call", 4)


@both
def test_clean_program_exits_with_zero(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('hello')\n")
    assert run(command, "check", "--isolated", "--no-cache", str(tmp_path)).returncode == 0


@both
def test_what_cannot_be_done_exits_with_two(command: list[str], tmp_path: Path) -> None:
    done = run(command, "check", "--isolated", "--no-cache", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert "absent" in done.stderr


def test_arguments_that_are_no_strings_are_refused() -> None:
    with pytest.raises(TypeError):
        _native.main([1])  # type: ignore[list-item]


def test_package_says_that_it_is_typed() -> None:
    assert importlib.resources.files("treadle").joinpath("py.typed").is_file()


def test_package_depends_on_nothing() -> None:
    assert importlib.metadata.requires("treadle") is None
