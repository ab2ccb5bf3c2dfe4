"""NumPy's arrays as arguments and results of a pool of processes."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
import treadle

if TYPE_CHECKING:
    from collections.abc import Iterator

if importlib.util.find_spec("numpy") is None:
    pytest.skip("numpy is not installed", allow_module_level=True)

import numpy as np

# Far more than goes over a socket.
MANY = 1 << 17


@pytest.fixture(scope="module")
def pool() -> Iterator[treadle.ProcessPool]:
    """Return a pool of one process, so that calls meet what earlier ones have left."""
    with treadle.ProcessPool(1, name="arrays") as processes:
        yield processes


def call(pool: treadle.ProcessPool, fn: Any, *args: Any) -> Any:
    """Call it in the pool, from a loop of its own."""
    return treadle.run(treadle.to_executor(pool, fn, *args))


def back(array: Any) -> Any:
    """Return the argument."""
    return array


def look(array: Any) -> tuple[bool, bool]:
    """Return whether an array has memory of its own, and whether it may be written to."""
    return bool(array.flags.owndata), bool(array.flags.writeable)


def fill(array: Any, value: float) -> float:
    """Write to the argument, and return its sum."""
    array[...] = value
    return float(array.sum())


def halves(array: Any) -> tuple[Any, Any]:
    """Return two views of one array."""
    return array[: len(array) // 2], array[len(array) // 2 :]


ARRAYS = {
    "floats": lambda: np.arange(MANY, dtype=float),
    "few": lambda: np.arange(3),
    "none": lambda: np.empty((0, 3)),
    "one": lambda: np.array(3.5),
    "columns": lambda: np.asfortranarray(np.arange(MANY, dtype=np.int32).reshape(256, -1)),
    "every other": lambda: np.arange(2 * MANY)[::2],
    "backwards": lambda: np.arange(MANY)[::-1],
    "records": lambda: np.zeros(MANY // 16, dtype=[("id", "i8"), ("name", "S8"), ("at", "M8[us]")]),
    "objects": lambda: np.array([{"a": 1}, None, "text"], dtype=object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(pool: treadle.ProcessPool, name: str) -> None:
    array = ARRAYS[name]()
    came = call(pool, back, array)
    assert (came.dtype, came.shape) == (array.dtype, array.shape)
    assert came.flags.f_contiguous or not array.flags.f_contiguous
    assert came.flags.writeable
    assert (came == array).all()


def test_an_array_lies_in_shared_memory_and_is_not_copied_out(pool: treadle.ProcessPool) -> None:
    assert call(pool, look, np.zeros(MANY)) == (False, True)


def test_what_may_not_be_written_to_may_not_be_there_either(pool: treadle.ProcessPool) -> None:
    array = np.zeros(MANY)
    array.flags.writeable = False
    assert call(pool, look, array) == (False, False)
    with pytest.raises(ValueError, match="read-only"):
        call(pool, fill, array, 1)
    assert not call(pool, back, array).flags.writeable


def test_writing_to_an_argument_changes_nothing_here(pool: treadle.ProcessPool) -> None:
    array = np.zeros(MANY)
    assert call(pool, fill, array, 2) == 2 * MANY
    assert not array.any()


def test_results_are_kept_while_others_come(pool: treadle.ProcessPool) -> None:
    async def main() -> list[Any]:
        kept: list[Any] = []
        for number in range(20):
            kept += await treadle.to_executor(pool, halves, np.full(MANY, number))
        return kept

    kept = treadle.run(main())
    assert [set(array.tolist()) for array in kept] == [{number // 2} for number in range(40)]
    # They are the caller's to write to.
    kept[0][...] = -1
    assert set(kept[1].tolist()) == {0}


def test_results_outlive_the_pool() -> None:
    with treadle.ProcessPool(1) as short:
        kept = call(short, back, np.arange(MANY))
    assert (kept == np.arange(MANY)).all()


def test_a_cancelled_call_takes_no_array_along(pool: treadle.ProcessPool) -> None:
    array = np.arange(MANY)

    async def main() -> None:
        for _ in range(5):
            task = asyncio.ensure_future(treadle.to_executor(pool, back, array))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert ((await treadle.to_executor(pool, back, array)) == np.arange(MANY)).all()

    treadle.run(main())
    assert (array == np.arange(MANY)).all()
