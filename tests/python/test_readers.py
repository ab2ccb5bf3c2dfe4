"""Readers and writers: random programs against a model of who is told of which descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest
from connections import running, sockets
from loops import not_on, run, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connections import NewLoop


class Place:
    """A descriptor, and what the model knows of it."""

    def __init__(self) -> None:
        """Begin with nothing to read, and nobody who waits."""
        self.near, self.far = sockets()
        self.unread = 0
        self.reader: int | None = None
        self.writer: int | None = None

    def told(self) -> set[int]:
        """Return who is to be told: everything here can be written to."""
        reader = {self.reader} if self.unread and self.reader is not None else set()
        return reader | ({self.writer} if self.writer is not None else set())


@contextlib.contextmanager
def places(count: int) -> Iterator[list[Place]]:
    """Give some descriptors, and close them."""
    made = [Place() for _ in range(count)]
    yield made
    for place in made:
        place.near.close()
        place.far.close()


@not_on("uvloop", reason="does not say whether there was something to remove")
@pytest.mark.parametrize("seed", range(8))
def test_those_are_told_who_wait_for_what_is_ready(new_loop: NewLoop, seed: int) -> None:  # noqa: C901
    draw = random.Random(seed)  # noqa: S311

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: set[int] = set()
        expected: set[int] = set()
        numbers = iter(range(10_000))
        with places(4) as all_places:
            for _ in range(150):
                place = draw.choice(all_places)
                number = next(numbers)
                # By number or by object, which are the same.
                name: Any = draw.choice([place.near, place.near.fileno()])
                action = draw.randrange(8)
                if action < 2:
                    loop.add_reader(name, told.add, number)
                    place.reader = number
                elif action == 2:
                    loop.add_writer(name, told.add, number)
                    place.writer = number
                elif action == 3:
                    assert loop.remove_reader(name) is (place.reader is not None)
                    place.reader = None
                elif action == 4:
                    assert loop.remove_writer(name) is (place.writer is not None)
                    place.writer = None
                elif action == 5:
                    place.unread += place.far.send(b"x")
                elif place.unread:
                    place.unread -= len(place.near.recv(draw.choice([1, 100])))
                if draw.randrange(2):
                    # What was on its way before those changes does not count.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    told.clear()
                    expected.clear()
                    expected.update(*(place.told() for place in all_places))
                    await until(lambda: told >= expected)
                    # Long enough for a look at the system.
                    await asyncio.sleep(0.0002)
                    assert told == expected
            for place in all_places:
                loop.remove_reader(place.near)
                loop.remove_writer(place.near)

    run(new_loop, main())


def test_reader_that_is_replaced_or_removed_in_the_same_turn_is_not_called(new_loop: NewLoop) -> None:
    trace: list[str] = []
    with running(new_loop) as loop, places(3) as (first, second, third):

        def one(place: Place, other: Place) -> None:
            # Whichever comes first.
            trace.append("one")
            loop.remove_reader(place.near)
            loop.add_reader(other.near, new)
            loop.remove_reader(third.near)

        def new() -> None:
            trace.append("new")
            loop.remove_reader(first.near)
            loop.remove_reader(second.near)
            loop.stop()

        def last() -> None:
            trace.append("third")
            third.near.recv(1)

        loop.add_reader(first.near, one, first, second)
        loop.add_reader(second.near, one, second, first)
        for place in (first, second):
            place.far.send(b"x")
        loop.run_forever()
        assert trace == ["one", "new"]
        third.far.send(b"x")
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert trace == ["one", "new"]


def test_two_loops_may_watch_the_same_descriptor(new_loop: NewLoop) -> None:
    trace: list[int] = []

    def note(number: int, loop: asyncio.AbstractEventLoop) -> None:
        trace.append(number)
        loop.stop()

    with running(new_loop) as one, running(new_loop) as other, places(1) as [place]:
        for number, loop in enumerate((one, other)):
            loop.add_reader(place.near, note, number, loop)
        place.far.send(b"x")
        one.run_forever()
        other.run_forever()
        one.remove_reader(place.near)
        other.run_forever()
        other.remove_reader(place.near)
    assert set(trace) == {0, 1}


@not_on("uvloop", reason="has errors of its own")
def test_what_cannot_be_watched_is_refused(new_loop: NewLoop) -> None:
    with running(new_loop) as loop:
        with socket.socket() as sock:
            number = sock.fileno()
        for add in (loop.add_reader, loop.add_writer):
            with pytest.raises(ValueError, match="Invalid file"):
                add(-1, print)
            with pytest.raises(ValueError, match="Invalid file"):
                add(object(), print)
            with pytest.raises(ValueError, match="Invalid file"):
                add(sock, print)
            with pytest.raises(OSError, match="Bad file descriptor"):
                add(number, print)
        assert loop.remove_reader(number) is False
        assert loop.remove_writer(number) is False
