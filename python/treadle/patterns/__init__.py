"""The patterns of asyncio programs, done right. Their names are the package's: ``treadle.amap``, ``treadle.Policy``, ….

They work on any asyncio loop. What waits is first in, first out; nothing is unbounded unless it is told so; and one
contract holds for cancellation: whoever is cancelled while it waits for a permit, an item, a worker or a resource has
not got it, gets :class:`asyncio.CancelledError`, and nobody else loses anything. Giving back never waits.

The modules are imported when a name of theirs is first used.
"""
