"""What brings the loop to programs that ``treadle run`` starts, and to nobody else.

:mod:`~treadle.hosts.hooks` waits for the few modules that make event loops past asyncio's own factory, and changes
each when it is imported. Nothing here is imported before that, and nothing here imports them.
"""
