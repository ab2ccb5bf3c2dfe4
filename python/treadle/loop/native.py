"""The native classes of the loop. Importing this imports ``asyncio``, which the analyser's users never need."""

import sys
from types import ModuleType

if "t" in sys.abiflags:
    # Objects lie differently in memory there, and the loop counts on the GIL.
    raise ImportError("treadle's event loop needs a Python with the GIL: free-threaded builds are not supported yet")

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
is_collecting = _classes.is_collecting
note_collection = _classes.note_collection
