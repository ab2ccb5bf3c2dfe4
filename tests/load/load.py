"""Load and faults against real servers, on treadle's loop beside asyncio's; prints a table.

Fails if something goes wrong on treadle's loop. If it goes wrong on asyncio's as well, the host or the scenario has to
be looked at, for they have hidden what the loops do.

    python tests/load/load.py [--quick] [--only WORD…] [--loops asyncio,treadle]

It runs in an environment with ``requirements.txt`` and treadle; ``tests/run-load`` makes one.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "foreign"))

import crowd
import database
import peers
import servers
import stopping
import trustme
import workers
from client import BROKEN
from judged import Outcome
from served import House

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOSTS = ("uvicorn", "uvicorn tls", "aiohttp", "aiohttp tls")
# Twice with aiohttp's worker: `treadle run` with the one that aiohttp has, and ours.
GUNICORN = ("gunicorn", "gunicorn aiohttp", "gunicorn aiohttp tls", "gunicorn uvicorn", "gunicorn uvicorn tls")


@dataclass(frozen=True)
class Scenario:
    """What happens, and to whom."""

    title: str
    run: Callable[[House], Awaitable[Outcome]]
    hosts: tuple[str, ...] = HOSTS
    quick: bool = True


SCENARIOS = (
    Scenario("2,000 connections", crowd.of(2000), quick=False),
    Scenario("200 connections", crowd.of(200)),
    Scenario("slow readers", peers.slow_readers),
    Scenario("half-open peers", peers.half_open),
    Scenario("resets", peers.resets),
    Scenario("SIGTERM under load", stopping.graceful, (*HOSTS, *GUNICORN)),
    Scenario("worker killed", workers.replaced, GUNICORN),
    Scenario("database away", database.away_and_back, ("uvicorn", "aiohttp"), quick=False),
)


def main() -> int:
    """Run what is asked for; return 0 if treadle's loop did all of it well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="what takes a minute, on treadle alone and plain")
    parser.add_argument("--only", nargs="*", default=[], help="scenarios and hosts with these words")
    parser.add_argument("--loops", default="", help="asyncio,treadle by default")
    options = parser.parse_args()
    if not Path("/proc/self/fd").is_dir():
        print("left out: descriptors and memory are read from /proc, which only Linux has")
        return 0
    loops = options.loops.split(",") if options.loops else ["treadle"] if options.quick else ["asyncio", "treadle"]
    print(
        f"{'scenario':<20}{'host':<22}{'loop':<9}{'asked':>7}{'kept':>7}{'lost':>6}{'errors':>8}{'fds':>5}{'MiB':>7}{'s':>7}"
    )
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        tls = credentials(Path(scratch))
        for scenario in SCENARIOS:
            for host in scenario.hosts:
                unwanted = any(word not in f"{scenario.title} {host}" for word in options.only)
                if unwanted or (options.quick and (not scenario.quick or host.endswith(" tls"))):
                    continue
                for loop in loops:
                    house = House(loop, host.removesuffix(" tls"), Path(scratch) / "house")
                    fine = run(scenario, host, replace(house, **tls) if host.endswith(" tls") else house)
                    # asyncio's line says whose fault it is, but when both fail nobody knows what ours would have said.
                    failed += not fine and loop == "treadle"
    return int(failed > 0)


def run(scenario: Scenario, host: str, house: House) -> bool:
    """Run one scenario and print its line; return whether all is well."""
    shutil.rmtree(house.folder, ignore_errors=True)
    house.folder.mkdir()
    house.folder.parent.chmod(0o755)
    begun = time.monotonic()
    try:
        outcome = asyncio.run(asyncio.wait_for(scenario.run(house), 240))
    except servers.Missing as missing:
        print(f"{scenario.title:<20}{host:<22}{house.loop:<9} left out: {missing}", flush=True)
        return True
    except (RuntimeError, *BROKEN) as error:
        outcome = Outcome(faults=[f"{type(error).__name__}: {error}"])
    tally = outcome.tally
    cells = [
        f"{tally.asked:>7}{len(tally.acknowledged):>7}{outcome.lost:>6}{sum(tally.errors.values()):>8}",
        f"{'-' if outcome.descriptors is None else outcome.descriptors:>5}",
        f"{'-' if outcome.grown is None else format(outcome.grown / 2**20, '+.1f'):>7}",
        f"{time.monotonic() - begun:>7.1f}",
    ]
    print(f"{scenario.title:<20}{host:<22}{house.loop:<9}{''.join(cells)}  {outcome.note}".rstrip(), flush=True)
    for fault in outcome.faults:
        print(f"    FAULT: {fault}", flush=True)
    return not outcome.faults


def credentials(folder: Path) -> dict[str, Any]:
    """Return what a house needs for TLS: a certificate for localhost, its key, and a context that trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"certificate": certificate, "key": key, "trust": context}


if __name__ == "__main__":
    sys.exit(main())
