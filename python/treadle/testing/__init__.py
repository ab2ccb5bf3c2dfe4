"""What tests use: so far, the plugin with which pytest runs a suite on the event loop.

Importing this, and the plugin, imports neither :mod:`asyncio` nor the loop.
"""
