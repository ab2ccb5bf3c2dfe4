"""aiohttp's worker class for gunicorn, on our loop."""

import asyncio

from aiohttp.worker import GunicornWebWorker

from treadle.loop import new_event_loop


class TreadleWebWorker(GunicornWebWorker):  # type: ignore[misc]
    """Serves an application of aiohttp on treadle's loop."""

    loop: asyncio.AbstractEventLoop

    def init_signals(self) -> None:
        """Exchange the loop, which has been made and not used yet, for ours; signals are the first that want it."""
        self.loop.close()
        self.loop = new_event_loop()
        asyncio.set_event_loop(self.loop)
        super().init_signals()
