"""loky's processes, which also take functions that have no name, through `to_executor`."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import treadle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

if importlib.util.find_spec("loky") is None:
    pytest.skip("loky is not installed", allow_module_level=True)

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, treadle.new_event_loop], ids=["asyncio", "treadle"])


@pytest.fixture(scope="module")
def loky() -> Iterator[Any]:
    """Return its executor, which it keeps for the next who asks."""
    executor: Any = importlib.import_module("loky").get_reusable_executor(max_workers=2)
    yield executor
    executor.shutdown(wait=True)


@LOOPS
def test_calls_and_errors_are_lokys(loky: Any, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        factor = 3
        assert await treadle.to_executor(loky, os.getpid) != os.getpid()
        tripled = treadle.sync_to_async(lambda number: factor * number, to=loky)
        assert await treadle.amap(tripled, range(50), limit=8) == list(range(0, 150, 3))
        with pytest.raises(ZeroDivisionError):
            await treadle.to_executor(loky, lambda: 1 // 0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@LOOPS
def test_a_cancelled_call_that_has_not_begun_is_never_made(
    loky: Any, new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def main() -> None:
        # Of what is handed to processes already, nothing is taken back: enough for all of them and what they fetch ahead.
        ahead = [asyncio.ensure_future(treadle.to_executor(loky, time.sleep, 0.05)) for _ in range(10)]
        last = asyncio.ensure_future(treadle.to_executor(loky, (tmp_path / "made").touch))
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.wait([last])
        assert last.cancelled()
        await asyncio.gather(*ahead)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
        assert runner.run(treadle.to_executor(loky, os.path.exists, tmp_path / "made")) is False
