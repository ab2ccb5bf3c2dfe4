"""``pytest --treadle-watch``: a test fails for what the doctor finds in it, and for nothing else."""

from pathlib import Path

import pytest
from child import Suite

TESTS = """\
import asyncio

import pytest


async def store(row):
    await asyncio.sleep(0)


def test_forgetful():
    async def main():
        store(1)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_clean():
    asyncio.run(store(1))


@pytest.mark.treadle_ignore("never-awaited")
def test_known():
    async def main():
        store(2)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_failing():
    asyncio.run(store(1))
    assert 1 == 2


@pytest.fixture
def careless():
    yield
    store(3)


def test_with_a_careless_fixture(careless):
    asyncio.run(store(1))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite.of(tmp_path, TESTS, "filterwarnings = ignore")


def test_finding_fails_the_test_in_which_it_is_made(suite: Suite) -> None:
    text = suite.run("--treadle-watch", "-rA", status=1).text
    assert "FAILED test_suite.py::test_forgetful" in text
    assert "error[never-awaited]: coroutine `store` is never awaited\n" in text
    assert "test_suite.py:12 in " in text
    assert "\n12 |         store(1)\n" in text
    for name in ("test_clean", "test_known", "test_with_a_careless_fixture"):
        assert f"PASSED test_suite.py::{name}" in text
    assert "ERROR test_suite.py::test_with_a_careless_fixture" in text
    assert "2 failed, 3 passed" in text
    assert "1 error" in text


def test_own_failure_of_a_test_stays_what_it_is(suite: Suite) -> None:
    assert "assert 1 == 2" in suite.run("--treadle-watch", "-k", "failing", status=1).text


def test_nothing_is_watched_unless_asked(suite: Suite) -> None:
    text = suite.run("--treadle", "-k", "not failing").text
    assert "4 passed" in text


def test_configuration_asks_for_it(tmp_path: Path) -> None:
    suite = Suite.of(tmp_path, TESTS, "filterwarnings = ignore\ntreadle_watch = true")
    assert "1 failed" in suite.run("-k", "forgetful", status=1).text
    assert "1 passed" in suite.run("--no-treadle", "-k", "forgetful").text


def test_baseline_knows_what_was_found_before(suite: Suite) -> None:
    assert (
        "5 deselected"
        not in suite.run("--treadle-watch", "--treadle-write-baseline=known.json", "-k", "not failing").text
    )
    assert "4 passed" in suite.run("--treadle-watch", "--treadle-baseline=known.json", "-k", "not failing").text


def test_slip_in_the_settings_is_told(suite: Suite) -> None:
    (suite.path / "pyproject.toml").write_text('[tool.treadle.watch]\nignore = ["nothing"]\n')
    assert "--treadle-watch: `nothing` is no pitfall" in suite.run("--treadle-watch", status=4).text


def test_marked_tests_have_a_clock_that_jumps(tmp_path: Path) -> None:
    tests = """\
import asyncio, pytest

async def times():
    await asyncio.sleep(3600)
    return asyncio.get_running_loop().time()

@pytest.mark.treadle(clock="virtual")
def test_virtual():
    assert asyncio.run(times()) == 3600
"""
    suite = Suite.of(tmp_path, tests)
    assert "1 passed" in suite.run("--treadle").text
    (tmp_path / "test_suite.py").write_text(tests.replace('"virtual"', '"odd"'))
    assert 'takes `True` or `False`, and `clock="virtual"`' in suite.run("--treadle", status=4).text
