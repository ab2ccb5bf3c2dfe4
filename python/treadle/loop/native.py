"""The native classes of the loop. Importing this imports ``asyncio``, which the analyser's users never need."""

from types import ModuleType

from treadle import _native

_classes = ModuleType("treadle._native.loop")
_native.add_loop(_classes)
Loop = _classes.Loop
Handle = _classes.Handle
TimerHandle = _classes.TimerHandle
StreamTransport = _classes.StreamTransport
Tls = _classes.Tls
forked = _classes.forked
complete_streams = _classes.complete_streams
