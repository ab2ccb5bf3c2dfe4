"""What the package exports, and that importing it costs nothing."""

import ast
import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import treadle


@pytest.mark.parametrize("name", treadle.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(treadle, name) is not None
    assert name in dir(treadle)


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import treadle; print(sorted(set(sys.modules) - before))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "['treadle']\n"


def test_type_checkers_read_a_use_of_every_name() -> None:
    uses = ast.walk(ast.parse(Path(__file__).with_name("typed_patterns.py").read_text()))
    used = {node.attr for node in uses if isinstance(node, ast.Attribute)}
    assert set(treadle.__all__) <= used


@pytest.mark.parametrize(
    "shown",
    [
        treadle.Semaphore(1, name="x"),
        treadle.TokenBucket(1, name="x"),
        treadle.SlidingWindow(1, 1, name="x"),
        treadle.Keyed[str](lambda: treadle.Semaphore(1), name="x"),
        treadle.PriorityQueue[int](1, name="x"),
        treadle.Policy(name="x"),
        treadle.Breaker(name="x"),
        treadle.RetryBudget(name="x"),
        treadle.Supervisor(name="x"),
        treadle.Batcher(asyncio.sleep, max_size=1, limit=1, name="x"),  # type: ignore[arg-type]
        treadle.Pool(contextlib.nullcontext, max_size=1, name="x"),
        treadle.WorkerPool(asyncio.sleep, workers=1, maxsize=1, name="x"),
        treadle.ThreadPool(1, name="x"),
        treadle.ProcessPool(1, name="x"),
        treadle.Portal(name="x"),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_every_object_has_a_name_and_statistics(shown: object) -> None:
    statistics = shown.stats()  # type: ignore[attr-defined]
    assert (statistics["kind"], statistics["name"]) == (type(shown).__name__, "x")
    assert repr("x") in repr(shown)


def test_calls_and_files_have_a_name_and_statistics(tmp_path: Path) -> None:
    async def main() -> None:
        calls = treadle.amap(asyncio.sleep, [0], limit=1, name="x")
        assert (calls.stats()["kind"], calls.stats()["name"]) == ("amap", "x")
        await calls
        async with treadle.files.open(tmp_path / "file", "w", name="x") as file:
            assert (file.stats()["kind"], file.stats()["name"]) == ("AsyncFile", "x")

    asyncio.run(main())
