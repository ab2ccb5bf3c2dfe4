"""What tests use: pytest's plugin, and a loop whose clock jumps when every task waits.

Importing this, and the plugin, imports neither :mod:`asyncio` nor the loop.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from treadle.testing.clock import VirtualEventLoop as VirtualEventLoop
    from treadle.testing.clock import virtual_event_loop as virtual_event_loop

__all__ = ["VirtualEventLoop", "virtual_event_loop"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from treadle.testing import clock  # noqa: PLC0415 - imports asyncio

        return getattr(clock, name)
