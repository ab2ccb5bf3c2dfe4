"""The command line of ``python -m treadle.workloads``."""

import argparse
import asyncio
import json

from treadle.workloads import calls, servers


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(prog="python -m treadle.workloads", description="What `treadle bench` measures.")
    parser.add_argument("name", choices=[*calls.CALLS, *servers.SERVERS])
    parser.add_argument("--seconds", type=float, default=1.0, help="for loads that measure themselves")
    parser.add_argument("--port", type=int, default=0, help="for servers")
    options = parser.parse_args()
    if options.name in servers.SERVERS:
        asyncio.run(servers.serve(servers.SERVERS[options.name], options.port))
    else:
        print(json.dumps(asyncio.run(calls.measure(calls.CALLS[options.name], options.seconds))))


if __name__ == "__main__":
    main()
