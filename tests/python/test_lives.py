"""What the doctor sees of the lives of tasks, coroutines and resources, beside the programs on the pitfalls' pages."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from clean_programs import PROGRAMS
from watched import Watched, run


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[Watched]"]]:
    """Run all clean programs, two at a time: most of them wait."""
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, text, tmp_path_factory.mktemp("clean")) for name, text in PROGRAMS.items()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_doctor_has_nothing_to_say_of_a_clean_program(clean: dict[str, "Future[Watched]"], name: str) -> None:
    ended = clean[name].result()
    assert ended.found == []
    assert (ended.returncode, ended.err) == (0, "")


# Coroutines.

FORGOTTEN = {
    "statement": (
        """
        async def store(): pass
        async def main():
            store()
        asyncio.run(main())
        """,
        4,
    ),
    "variable": (
        """
        async def store(): pass
        async def main():
            stored = store()
            await asyncio.sleep(0)
        asyncio.run(main())
        """,
        4,
    ),
    "method": (
        """
        class Shop:
            async def store(self): pass
            async def sell(self):
                stored = self.store()
                await asyncio.sleep(0)
        async def main():
            await Shop().sell()
        asyncio.run(main())
        """,
        5,
    ),
    "helper": (
        """
        async def store(): pass
        def later():
            return [store()]
        async def main():
            kept = later()
            await asyncio.sleep(0)
        asyncio.run(main())
        """,
        4,
    ),
}


@pytest.mark.parametrize("case", FORGOTTEN)
def test_line_is_named_that_made_a_coroutine_which_nobody_awaits(tmp_path: Path, case: str) -> None:
    program, line = FORGOTTEN[case]
    assert [found for found, _ in run(program, tmp_path).of("never-awaited")] == [line]


@pytest.mark.parametrize("options", [(), ("-W", "error"), ("-W", "ignore"), ("-X", "dev")], ids=" ".join)
@pytest.mark.parametrize("case", FORGOTTEN)
def test_warning_of_a_coroutine_is_as_without_the_doctor(tmp_path: Path, case: str, options: tuple[str, ...]) -> None:
    # In a loop, so that the doctor has Python note where they are made.
    program = FORGOTTEN[case][0].replace("asyncio.run(main())", "for _ in range(3): asyncio.run(main())")
    watched, plain = (run(program, tmp_path, *options, watched=watched).err for watched in (True, False))
    address = re.compile("0x[0-9a-f]+")
    assert address.sub("", watched) == address.sub("", plain)


def test_program_does_not_see_that_coroutines_are_noted(tmp_path: Path) -> None:
    program = """
        import sys, warnings
        async def store(): pass
        async def main():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(2):
                    kept = [store()]
                    kept += [store()]
                    del kept
            print(sorted({str(one.message) for one in caught}))
        asyncio.run(main())
    """
    assert run(program, tmp_path).out == "[\"coroutine 'store' was never awaited\"]\n"


# Tasks.


def test_names_of_tasks_are_as_without_the_doctor(tmp_path: Path) -> None:
    program = """
        async def main():
            print(asyncio.current_task().get_name())
        asyncio.run(main())
    """
    assert run(program, tmp_path).out == "Task-1\n"


def test_exception_of_a_task_that_is_thrown_away_is_told_once_with_its_birth(tmp_path: Path) -> None:
    program = """
        async def fetch():
            raise KeyError("a secret")
        async def main():
            task = asyncio.create_task(fetch())
            await asyncio.sleep(0.01)
            del task
            await asyncio.sleep(0)
        asyncio.run(main())
    """
    ended = run(program, tmp_path)
    assert ended.of("lost-exception") == [(3, "`KeyError` of `fetch` is seen by nobody")]
    assert [(one["suspected"], one["count"]) for one in ended.found] == [(False, 1)]
    assert str(ended.found[0]["evidence"]).endswith("app.py:5']")
    assert "a secret" not in str(ended.found)
    assert "Task exception was never retrieved" in ended.err


def test_exception_of_a_future_that_is_thrown_away_is_told(tmp_path: Path) -> None:
    program = """
        import gc
        async def main():
            future = asyncio.get_running_loop().create_future()
            try:
                raise ValueError
            except ValueError as error:
                future.set_exception(error)
            del future
            gc.collect()
        asyncio.run(main())
    """
    assert run(program, tmp_path).of("lost-exception") == [(6, "`ValueError` of `Future` is seen by nobody")]


def test_task_that_is_kept_and_asked_at_the_end_is_only_suspected(tmp_path: Path) -> None:
    program = """
        tasks = []
        async def fetch():
            raise KeyError
        async def main():
            tasks.append(asyncio.create_task(fetch()))
            await asyncio.sleep(1.2)
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run(main())
    """
    found = [one for one in run(program, tmp_path).found if "seen by nobody" in one["message"]]
    assert [(one["line"], one["suspected"]) for one in found] == [(4, True)]


def test_results_of_a_gather_that_somebody_takes_are_not_lost(tmp_path: Path) -> None:
    program = """
        async def fetch():
            await asyncio.sleep(0)
            raise KeyError
        async def main():
            results = await asyncio.gather(fetch(), return_exceptions=True)
            [result] = await asyncio.gather(fetch(), return_exceptions=True)
            return results, await asyncio.gather(fetch(), return_exceptions=True)
        asyncio.run(main())
    """
    assert run(program, tmp_path).found == []


def test_failures_of_tasks_that_are_wound_down_are_not_lost(tmp_path: Path) -> None:
    program = """
        async def work():
            try:
                await asyncio.sleep(10)
            finally:
                raise KeyError
        async def main():
            tasks = [asyncio.create_task(work()) for _ in range(2)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run(main())
    """
    assert run(program, tmp_path).found == []


SWALLOWED = {
    "finally": (
        """
        async def fetch():
            try:
                await asyncio.sleep(10)
            finally:
                return 0
        async def main():
            task = asyncio.create_task(fetch())
            await asyncio.sleep(0.01)
            task.cancel()
            print(await task)
        asyncio.run(main())
        """,
        (6, "task `fetch` returns a value after it was cancelled"),
    ),
    "suppress": (
        """
        import contextlib
        async def ping():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
            await asyncio.sleep(1.5)
        async def main():
            task = asyncio.create_task(ping())
            await asyncio.sleep(0.01)
            task.cancel()
            await task
        asyncio.run(main())
        """,
        (4, "task `ping` goes on after it was cancelled"),
    ),
    "inner": (
        """
        async def fetch():
            try:
                await asyncio.sleep(10)
            except BaseException:
                return None
        async def work():
            while await fetch() is None:
                await asyncio.sleep(1.5)
                return
        async def main():
            task = asyncio.create_task(work())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task], timeout=1.2)
            await task
        asyncio.run(main())
        """,
        None,
    ),
}


@pytest.mark.parametrize("case", SWALLOWED)
def test_handler_is_named_that_has_ended_a_cancellation(tmp_path: Path, case: str) -> None:
    program, expected = SWALLOWED[case]
    found = run(program, tmp_path).of("swallowed-cancel")
    if expected is None:
        assert [message for _, message in found] == ["task `work` goes on after it was cancelled"]
    else:
        assert found == [expected]


def test_task_that_somebody_cancels_before_it_began_was_not_forgotten(tmp_path: Path) -> None:
    program = """
        async def audit(): pass
        async def place():
            asyncio.create_task(audit()).cancel()
        async def main():
            asyncio.create_task(place())
        asyncio.run(main())
    """
    assert run(program, tmp_path).of("pending-at-exit") == []


def test_task_that_a_loop_leaves_behind_is_told_when_it_is_closed(tmp_path: Path) -> None:
    program = """
        async def audit():
            await asyncio.sleep(0.1)
        async def main():
            asyncio.create_task(audit())
            await asyncio.sleep(0.01)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """
    assert [line for line, _ in run(program, tmp_path).of("pending-at-exit")] == [5]


# Resources.


def test_things_that_are_thrown_away_open_are_told_and_nothing_is_shown(tmp_path: Path) -> None:
    program = """
        import socket
        async def read():
            text = open("app.py").read()
            one = socket.socket()
        async def main():
            garbage = [[] for _ in range(100)]
            await read()
        asyncio.run(main())
    """
    ended = run(program, tmp_path)
    names = {message.split("`")[1] for _, message in ended.of("unclosed-resource")}
    assert names == {"_io.TextIOWrapper", "socket.socket"}
    assert ended.err == ""


def test_generator_that_somebody_keeps_is_told_at_the_end(tmp_path: Path) -> None:
    program = """
        kept = []
        async def rows():
            try:
                yield 1
            finally:
                print("disconnect")
        async def main():
            kept.append(rows())
            async for row in kept[0]:
                break
        asyncio.run(main())
    """
    ended = run(program, tmp_path)
    assert ended.of("unclosed-generator") == [(5, "generator `rows` is left before its cleanup has run")]
    assert ended.out == "disconnect\n"


def test_child_process_has_no_doctor(tmp_path: Path) -> None:
    program = """
        import os, warnings
        async def store(): pass
        async def main():
            store()
        child = os.fork()
        if child == 0:
            print(warnings._warn_unawaited_coroutine.__module__.removeprefix("_py_"), flush=True)
            asyncio.run(main())
            os._exit(0)
        os.waitpid(child, 0)
    """
    ended = run(program, tmp_path)
    assert (ended.found, ended.out) == ([], "warnings\n")


def test_nothing_is_kept_alive(tmp_path: Path) -> None:
    program = """
        import gc, weakref
        class Held: pass
        class Failure(Exception): pass
        async def fail(held):
            raise Failure
        async def stay(held):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        async def main():
            held = Held()
            seen = weakref.ref(held)
            tasks = [asyncio.create_task(one(held)) for one in (fail, stay)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.wait(tasks)
            tasks[0].exception()
            tasks.clear()
            del held
            gc.collect()
            print(seen())
        asyncio.run(main())
    """
    assert run(program, tmp_path).out == "None\n"
