"""The native classes of the loop. Importing this imports ``asyncio``, which the analyser's users never need."""

from asyncio import constants
from types import ModuleType

from treadle import _native

_classes = ModuleType("treadle._native.loop")
_native.add_loop(_classes)
Loop = _classes.Loop
Handle = _classes.Handle
TimerHandle = _classes.TimerHandle
StreamTransport = _classes.StreamTransport
forked = _classes.forked
# What `sendfile` of ``BaseEventLoop`` asks a transport.
StreamTransport._sendfile_compatible = constants._SendfileMode.TRY_NATIVE
