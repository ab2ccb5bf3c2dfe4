"""What the package exports, and that importing it costs nothing."""

import subprocess
import sys

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
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_every_object_has_a_name_and_statistics(shown: object) -> None:
    statistics = shown.stats()  # type: ignore[attr-defined]
    assert (statistics["kind"], statistics["name"]) == (type(shown).__name__, "x")
