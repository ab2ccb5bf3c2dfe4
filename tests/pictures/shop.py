"""A shop in which much goes wrong, for pictures: two transfers wait for each other, and two lines block the loop."""

import asyncio
import json
import random
import sys
import time

import treadle


async def transfer(first: asyncio.Lock, second: asyncio.Lock) -> None:
    """Move money from one account to another, which are locked in either order."""
    async with first:
        await asyncio.sleep(0.1)
        async with second:
            pass


async def follow(prices: asyncio.Event) -> None:
    """Wait until prices change, which they never do."""
    await prices.wait()


async def settle(number: int) -> int:
    """Settle an order."""
    await asyncio.sleep(random.expovariate(200))
    return sum(range(number % 3000))


async def accept() -> None:
    """Accept orders, a few at once."""
    number = 0
    while True:
        await asyncio.gather(*(settle(number + more) for more in range(20)))
        number += 20


async def monthly(rows: "list[dict[str, int]]") -> str:
    """Write a report, all at once."""
    return json.dumps(rows)


async def ring_up() -> None:
    """Wait for the till, which answers after a while."""
    while True:
        await asyncio.sleep(random.expovariate(0.2))
        time.sleep(0.15)  # noqa: ASYNC251 - this is what the picture is of


async def main() -> None:
    """Keep shop."""
    checking, savings, prices = asyncio.Lock(), asyncio.Lock(), asyncio.Event()
    tasks = [asyncio.create_task(follow(prices), name=f"follower-{number}") for number in range(40)]
    tasks.append(asyncio.create_task(transfer(checking, savings), name="debit"))
    tasks.append(asyncio.create_task(transfer(savings, checking), name="credit"))
    tasks.append(asyncio.create_task(accept(), name="orders"))
    tasks.append(asyncio.create_task(ring_up(), name="till"))
    rows = [{"order": number, "price": number * 7} for number in range(250_000)]
    print("here", flush=True)
    while True:
        await asyncio.sleep(3)
        await monthly(rows)


treadle.watch(output="silent", metrics=sys.argv[1] if len(sys.argv) > 1 else None, settings=False)
treadle.run(main())
