"""The examples of `docs/pytest.md` are tests, and pass."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from child import Suite

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pytest.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
TESTS = [example for example in EXAMPLES if "def test_" in example]
ASYNCIO, ANYIO = [example for example in EXAMPLES if example.startswith("# conftest.py\n")]
BOTH = """\
import pytest
from witness import note

@pytest.mark.{runner}
async def test_one():
    note("on")
"""
NEWER = int(importlib.metadata.version("anyio").split(".")[0]) >= 4


def test_page_has_these_examples() -> None:
    assert (len(EXAMPLES), len(TESTS)) == (5, 3)


@pytest.mark.parametrize("tests", TESTS, ids=["all", "marked", "clock"])
def test_examples_pass_with_the_option(tmp_path: Path, tests: str) -> None:
    ran = Suite.of(tmp_path, tests).run("--treadle", plugins=("asyncio",))
    assert f"{tests.count('def test_')} passed" in ran.text


@pytest.mark.skipif(not NEWER, reason="the page says which versions have it")
@pytest.mark.parametrize(("runner", "conftest"), [("asyncio", ASYNCIO), ("anyio", ANYIO)], ids=["asyncio", "anyio"])
@pytest.mark.parametrize("options", [[], ["--treadle"]], ids=["without", "with"])
def test_each_test_runs_on_both_loops(tmp_path: Path, runner: str, conftest: str, options: list[str]) -> None:
    suite = Suite.of(tmp_path, BOTH.format(runner=runner), conftest=conftest)
    ran = suite.run(*options, plugins=(runner,))
    assert ran.notes == [("on", "asyncio"), ("on", "treadle")]
