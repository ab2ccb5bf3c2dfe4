"""What ``treadle bench`` measures when it is given no program: a few loads that programs consist of.

``python -m treadle.workloads NAME`` runs one on whatever loop asyncio makes by default. A load of :mod:`calls` measures
itself and prints one line of JSON; one of :mod:`servers` answers on a port until it is ended.
"""
