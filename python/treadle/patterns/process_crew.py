"""Calls in processes, without a thread in the way: the caller's loop sends a call and watches for the answer.

What can take long is done by a loop in a thread that a crew has for itself, its keeper: starting processes, waiting for
their ends, copying what is very big, and all calls of callers who have no loop.
"""

import asyncio
import contextlib
import os
import socket
import threading
from asyncio import _get_running_loop as get_running_loop
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from multiprocessing.context import BaseContext
from typing import Any

from treadle.patterns.process_hand import GRACE, Hand, Watch
from treadle.patterns.process_worker import BROKEN, CALL, ERROR, RESULT
from treadle.patterns.thread_pool import CREWS, Crew, Drain, Errand, Interrupted, Job
from treadle.patterns.wire import Letter, Parcel, dump, size_of

__all__ = ["BIG", "ProcessCrew", "RemoteTraceback", "WorkerDied"]

# What is bigger is not copied on a caller's loop, which it would keep for milliseconds when the memory for it is new.
BIG = 1 << 21
GUARD = 'a script that starts processes has to be a file, and to guard its start with `if __name__ == "__main__":`'


class WorkerDied(BrokenExecutor):
    """A process has died while it ran a call. Other calls and later ones are not touched."""


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, but the cause that is shown
    """Where an exception came from in the other process."""

    def __init__(self, words: str) -> None:
        """Take a traceback in words."""
        super().__init__(words)

    def __str__(self) -> str:
        """Return the traceback, on lines of its own."""
        return f"\n{self.args[0]}"


class ProcessCrew(Crew):
    """The processes of a pool and the queue before them. Its keeper holds it; the pool itself may be forgotten."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        workers: int,
        max_calls: int | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        name: str,
        context: BaseContext,
    ) -> None:
        """Make a crew of nobody."""
        super().__init__(workers, max_calls, name)
        self._initializer = (initializer, initargs)
        self._context = context
        self._hands: dict[Hand, None] = {}
        self._idle: list[Hand] = []
        # How many are being started, and have been.
        self._starting = self._number = 0
        self._calls_before = self._died = self._killed = 0
        # The garbage collector may close a pool in the midst of anything.
        self._lock = threading.RLock()
        self._keeper_loop: asyncio.AbstractEventLoop | None = None
        self._keeper: Drain | None = None
        self._thread: threading.Thread | None = None
        # Somebody waits for the end of all calls, whatever their loops do.
        self._is_awaited = False
        self._pid = os.getpid()
        CREWS.add(self)

    def put(self, job: Job) -> None:
        """Let a job be done; never waits for anything but a thread to begin."""
        with self._lock:
            if self.is_closed:
                raise RuntimeError(f"{self.name} has been shut down")
            if not self._idle or self.queue:
                self._hire(job)
                return
            drain = job.drain
            watch = self._idle[-1].watch
            # Whom the loop watches already: who has to be asked for no more.
            is_here = watch is not None and watch.drain is drain and not self._is_awaited and type(job) is Job
            hand = self._idle.pop() if is_here else self._idle_hand(drain)
        if not (self._begin(hand, job, drain) if is_here and drain is not None else self._assign(hand, job)):
            self._go_on(hand)

    def interrupt(self, job: Job) -> bool:
        """Kill the process that does the job, if it still does it."""
        job.is_abandoned = True
        hand = job.place
        if hand is not None:
            assert isinstance(hand, Hand)
            with hand.lock:
                if hand.job is job:
                    hand.kill()
        return True

    def close(self, *, wait: bool, cancel: bool = False) -> None:
        """Take no more jobs, and let the processes go when the queue is empty."""
        self.is_closed = True
        if os.getpid() != self._pid:
            # A child that was forked has none of this.
            return
        while cancel and self.queue:
            self.queue.popitem(last=False)[0].drop()
        self._is_awaited |= wait
        if self._keeper is not None:
            self.call(self._wind_up)
        thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def stats(self) -> dict[str, Any]:
        """Return numbers for :meth:`ProcessPool.stats`."""
        with self._lock:
            hands = list(self._hands)
            return {
                "limit": self.workers,
                "workers": len(hands) + self._starting,
                "in_use": sum(hand.job is not None for hand in hands),
                "waiting": len(self.queue),
                "calls": self._calls_before + sum(hand.calls for hand in hands),
                "died": self._died,
                "killed": self._killed,
                "pids": [hand.process.pid for hand in hands],
            }

    # On the loop of a job, or the keeper.

    def _idle_hand(self, drain: Drain | None) -> Hand:
        """Take somebody who is idle, best one whom the loop watches already."""
        idle = self._idle
        for place in range(len(idle) - 1, -1, -1):
            watch = idle[place].watch
            if watch is not None and watch.drain is drain:
                return idle.pop(place)
        return idle.pop()

    def _assign(self, hand: Hand, job: Job) -> bool:
        """Have a process do a job, and return whether it will."""
        drain = self._drain_of(job)
        loop = drain.loop()
        if loop is not None and get_running_loop() is loop:
            return self._begin(hand, job, drain)
        with hand.lock:
            hand.coming = job
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._begin_later, hand, job, drain)
                return True
        except RuntimeError:
            # It is closed.
            pass
        with hand.lock:
            hand.coming = None
        job.drop()
        return False

    def _drain_of(self, job: Job) -> Drain:
        """Return that of the loop that sends a job and watches for its answer."""
        drain = job.drain
        if drain is None or not drain.can_watch or self._is_awaited or isinstance(job, Errand):
            assert self._keeper is not None
            return self._keeper
        return drain

    def _begin_later(self, hand: Hand, job: Job, drain: Drain) -> None:
        """Begin a job on its loop, if nobody else has."""
        with hand.lock:
            if hand.coming is not job:
                return
            hand.coming = None
        if not self._begin(hand, job, drain):
            self._go_on(hand)

    def _begin(self, hand: Hand, job: Job, drain: Drain) -> bool:
        """Pickle a call and send it, and return whether the process has it, or will never have another."""
        if drain is self._keeper and isinstance(job, Errand) and not job.begin():
            return False
        try:
            letter = dump((job.fn, job.args, job.keywords))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            finish(job, error)
            return False
        # A stream in one piece is small.
        if (letter[1] or len(letter[0]) > 1) and drain is not self._keeper and size_of(letter) > BIG:
            self.call(self._send_later, hand, job, letter)
            return True
        return self._send(hand, job, letter, drain)

    def _send_later(self, hand: Hand, job: Job, letter: Letter) -> None:
        """Send what a loop has no time to copy, on the keeper."""
        assert self._keeper is not None
        if not self._send(hand, job, letter, self._keeper):
            self._go_on(hand)

    def _send(self, hand: Hand, job: Job, letter: Letter, drain: Drain) -> bool:
        """Send a call, and return whether the process has it, or will never have another."""
        failed: BaseException | None = None
        # The keeper buries nobody meanwhile.
        with hand.lock:
            if hand.is_ending:
                self._put_back(job)
                return True
            if job.is_abandoned:
                failed = Interrupted()
            else:
                job.place, hand.job = hand, job
                try:
                    watch = hand.watch
                    if watch is None or watch.drain is not drain:
                        self._watch(hand, drain)
                    hand.line.send(CALL, letter)
                    hand.calls += 1
                except (BrokenPipeError, ConnectionResetError):
                    # The keeper sees what becomes of it and of its call.
                    hand.is_ending = True
                    self.call(self.give_up, hand)
                except NotImplementedError:
                    # A loop that cannot watch descriptors. It hears of the answer as it hears of those of threads.
                    hand.job, drain.can_watch = None, False
                    self.call(self._send_later, hand, job, letter)
                except BaseException as error:  # noqa: BLE001 - no memory or no descriptor is left, for one
                    hand.job, failed = None, error
        if failed is not None:
            finish(job, failed)
        return failed is None

    def _put_back(self, job: Job) -> None:
        """Let a job that has not been sent be the next one for somebody else."""
        with self._lock:
            self.queue[job] = None
            self.queue.move_to_end(job, last=False)
        self.call(self._look_round)

    def _watch(self, hand: Hand, drain: Drain) -> None:
        """Let a loop watch the line to a process, and nobody else."""
        watch, hand.watch = hand.watch, None
        if watch is not None:
            watch.end()
        loop = drain.loop()
        # Nobody but the loop itself gets here.
        assert loop is not None
        hand.watch = Watch(self, hand, drain, loop)

    def answered(self, hand: Hand, job: Job, parcel: Parcel, drain: Drain) -> None:
        """Take note of an answer, on the loop that has watched."""
        if parcel.size > BIG and drain is not self._keeper:
            self.call(self._settle, hand, job, parcel)
        else:
            self._settle(hand, job, parcel, drain)

    def _settle(self, hand: Hand, job: Job, parcel: Parcel, drain: Drain | None = None) -> None:
        """Tell the caller, and let the process go on."""
        error = self._open(job, parcel)
        if hand.line.has_much:
            hand.line.reclaim()
        if parcel.kind == BROKEN:
            hand.is_ending = True
            self.call(self.give_up, hand)
        finish(job, error, drain)
        self._go_on(hand)

    def _open(self, job: Job, parcel: Parcel) -> BaseException | None:
        """Take out of an answer what it says."""
        try:
            content = parcel.open()
            if parcel.kind == RESULT:
                job.result = content
                return None
            error = with_words(*content)
        except BaseException as raised:  # noqa: BLE001 - what an object of the caller's raises when it is made again
            return raised
        if parcel.kind == ERROR:
            return error
        broken = BrokenExecutor(f"a process of {self.name} could not be initialized")
        broken.__cause__ = error
        return broken

    def _go_on(self, hand: Hand) -> None:
        """Let a process that is free do what waits."""
        while True:
            with self._lock:
                if hand.is_ending:
                    return
                is_enough = self._max_calls is not None and hand.calls >= self._max_calls
                if is_enough or (self.is_closed and not self.queue):
                    hand.is_ending = True
                    break
                if not self.queue:
                    self._idle.append(hand)
                    return
                job = self.queue.popitem(last=False)[0]
            if self._assign(hand, job):
                return
        self.call(self.give_up, hand)

    # The keeper.

    def call(self, method: Callable[..., object], *args: Any) -> None:
        """Have the keeper call something, from any thread."""
        keeper = self._keeper_loop
        assert keeper is not None
        # It may have ended, and with it all that it had to keep.
        with contextlib.suppress(RuntimeError):
            keeper.call_soon_threadsafe(method, *args)

    def _hire(self, job: Job) -> None:
        """Let a job wait, and have another process started if there may be one."""
        is_needed = len(self._hands) + self._starting < self.workers and self._starting <= len(self.queue)
        if is_needed:
            if self._keeper is None:
                self._begin_keeper()
            self._starting += 1
        self.queue[job] = None
        if is_needed:
            self.call(self._start)

    def _begin_keeper(self) -> None:
        keeper = asyncio.SelectorEventLoop()
        # It is no loop of the program's: that it starts processes is no fault that anybody should be told of.
        keeper.set_debug(False)
        self._thread = threading.Thread(target=self._keep, args=(keeper,), name=f"{self.name}-keeper", daemon=False)
        try:
            self._thread.start()
        except BaseException:
            self._thread = None
            keeper.close()
            raise
        self._keeper_loop, self._keeper = keeper, Drain(keeper)

    def _keep(self, keeper: asyncio.AbstractEventLoop) -> None:
        try:
            keeper.run_forever()
        finally:
            keeper.close()

    def _start(self) -> None:
        """Start a process, if there is still work for it."""
        if not self.queue:
            with self._lock:
                self._starting -= 1
            self._look_round()
            return
        self._number += 1
        try:
            hand = Hand(self._context, *self._initializer, f"{self.name}-{self._number}")
        except BaseException as error:  # noqa: BLE001 - it is told to who needs the process
            self._fail_to_start(error)
            return
        with self._lock:
            self._starting -= 1
            self._hands[hand] = None
        assert self._keeper_loop is not None
        self._keeper_loop.add_reader(hand.death, self._bury, hand)
        self._go_on(hand)

    def _fail_to_start(self, error: BaseException) -> None:
        with self._lock:
            self._starting -= 1
            job = self.queue.popitem(last=False)[0] if self.queue else None
        if job is not None and not (isinstance(job, Errand) and not job.begin()):
            died = WorkerDied(f"a process of {self.name} could not be started; {GUARD}")
            died.__cause__ = error
            finish(job, died)
        self._look_round()

    def give_up(self, hand: Hand) -> None:
        """Have a process end, by itself if it does."""
        if hand not in self._hands or hand.limit is not None:
            return
        assert self._keeper_loop is not None
        # It may have hung up.
        with contextlib.suppress(OSError):
            hand.line.socket.shutdown(socket.SHUT_RDWR)
        hand.limit = self._keeper_loop.call_later(GRACE, hand.kill)

    def _bury(self, hand: Hand) -> None:
        """Take note that a process has ended."""
        assert self._keeper_loop is not None
        self._keeper_loop.remove_reader(hand.death)
        if hand.limit is not None:
            hand.limit.cancel()
        parcel = None
        with hand.lock:
            hand.is_ending = True
            watch, hand.watch = hand.watch, None
            job, hand.job = hand.job, None
            coming, hand.coming = hand.coming, None
            if job is not None:
                # It may have answered before.
                with contextlib.suppress(EOFError, ConnectionResetError):
                    parcel = hand.line.receive_nowait()
            hand.line.close()
        if watch is not None:
            watch.end()
        with self._lock:
            if hand in self._idle:
                self._idle.remove(hand)
            del self._hands[hand]
            self._calls_before += hand.calls
        if coming is not None:
            self._put_back(coming)
        code = hand.bury()
        if job is not None:
            self._mourn(hand, job, code, parcel)
        self._look_round()

    def _mourn(self, hand: Hand, job: Job, code: int | None, parcel: Parcel | None) -> None:
        """Tell a caller that the process has ended."""
        if parcel is not None:
            finish(job, self._open(job, parcel))
            return
        if job.is_abandoned:
            self._killed += 1
            finish(job, Interrupted())
            return
        self._died += 1
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        name = getattr(job.fn, "__qualname__", repr(type(job.fn)))
        words = f"a process of {self.name} died in a call of `{name}`: {how}"
        if code == 1 and hand.calls == 1:
            words += f"; {GUARD}"
        finish(job, WorkerDied(words))

    def _look_round(self) -> None:
        """Start processes if there is work for them, and end if there will be none."""
        assert self._keeper_loop is not None
        with self._lock:
            ready = [self._idle.pop() for _ in range(min(len(self._idle), len(self.queue)))]
            count = len(self._hands) + self._starting
            missing = min(self.workers - count, len(self.queue) - self._starting - len(ready))
            for _ in range(missing):
                self._starting += 1
                self.call(self._start)
            is_over = self.is_closed and count == 0 and not self.queue
        for hand in ready:
            self._go_on(hand)
        if is_over:
            self._keeper_loop.stop()

    def _wind_up(self) -> None:
        """Let go who is idle, and see to the end of other calls if somebody waits for that."""
        with self._lock:
            idle, self._idle = self._idle, []
        for hand in idle:
            self._go_on(hand)
        if self._is_awaited:
            for hand in list(self._hands):
                self._adopt(hand)
        self._look_round()

    def _adopt(self, hand: Hand) -> None:
        """Do for a process what its loop may have no time for any longer."""
        assert self._keeper is not None
        with hand.lock:
            coming, hand.coming = hand.coming, None
            if hand.job is not None and not hand.is_ending:
                self._watch(hand, self._keeper)
        if coming is not None and not self._begin(hand, coming, self._keeper):
            self._go_on(hand)


def finish(job: Job, error: BaseException | None, drain: Drain | None = None) -> None:
    """Tell who waits for a job what has come of it, from any thread; ``drain`` is that of the loop that runs."""
    # What the call was made with is not kept until the loop has time.
    job.place = job.fn = job.args = job.keywords = None  # type: ignore[assignment]
    if drain is job.drain and error is None and type(job) is Job and not job.future.done():
        # As nearly all end.
        job.future.set_result(job.result)
        return
    job.error = error
    if isinstance(job, Errand):
        job.end()
        return
    its = job.drain
    assert its is not None
    if its is drain or get_running_loop() is its.loop():
        job.settle()
    elif its.add(job):
        its.wake()


def with_words(error: BaseException, words: str) -> BaseException:
    """Let an exception tell where it came from."""
    error.__cause__ = RemoteTraceback(words)
    return error
