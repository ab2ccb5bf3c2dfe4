"""The ways in from Python code: ``treadle.run``, the factory, the policy; and what importing the package costs."""

import asyncio
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import treadle


async def loop_type() -> type[asyncio.AbstractEventLoop]:
    """Return the type of the running loop."""
    return type(asyncio.get_running_loop())


def python(program: str) -> str:
    """Return what a program prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_run_gives_the_result_of_a_coroutine_on_the_loop() -> None:
    assert treadle.run(loop_type()) is treadle.EventLoop


def test_run_closes_its_loop_and_cancels_what_is_left() -> None:
    left = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.append(asyncio.get_running_loop())

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert not task.done()

    treadle.run(main())
    assert [loop.is_closed() for loop in left] == [True]


@pytest.mark.parametrize("debug", [False, True])
def test_debug_mode_is_the_loops(*, debug: bool) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert treadle.run(main(), debug=debug) is debug
    assert treadle.run(main()) is asyncio.run(main())


def message(run: object, what: object) -> str:
    """Return the type and text of what running something raises."""
    assert callable(run)
    with pytest.raises(Exception, match=r".") as caught:  # what it says is compared
        run(what)
    return repr(caught.value)


@pytest.mark.parametrize("what", [1, None, loop_type], ids=["number", "nothing", "function"])
def test_what_is_no_coroutine_is_refused_as_by_asyncio(what: object) -> None:
    assert message(treadle.run, what) == message(asyncio.run, what)


def test_loop_inside_a_loop_is_refused_as_by_asyncio() -> None:
    async def main() -> list[str]:
        coroutine = loop_type()
        try:
            return [message(run, coroutine) for run in (treadle.run, asyncio.run)]
        finally:
            coroutine.close()

    ours, theirs = asyncio.run(main())
    assert ours == theirs
    assert "running event loop" in ours


def test_exceptions_come_out_of_run() -> None:
    async def main() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError, match="x"):
        treadle.run(main())


def test_factory_makes_a_new_loop_each_time() -> None:
    first, second = treadle.new_event_loop(), treadle.new_event_loop()
    assert first is not second
    assert type(first) is type(second) is treadle.EventLoop
    first.close()
    second.close()


def test_runner_takes_the_factory() -> None:
    with asyncio.Runner(loop_factory=treadle.new_event_loop) as runner:
        assert runner.run(loop_type()) is treadle.EventLoop


before_3_16 = pytest.mark.skipif(sys.version_info >= (3, 16), reason="Python 3.16 has no policies")


@pytest.fixture
def _default_policy() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
        asyncio.set_event_loop_policy(None)


@before_3_16
@pytest.mark.usefixtures("_default_policy")
def test_policy_gives_the_loop() -> None:
    asyncio.set_event_loop_policy(treadle.EventLoopPolicy())
    assert asyncio.run(loop_type()) is treadle.EventLoop
    assert isinstance(asyncio.get_event_loop_policy(), asyncio.DefaultEventLoopPolicy)


@before_3_16
@pytest.mark.usefixtures("_default_policy")
def test_policy_goes_back_to_the_loop_of_asyncio() -> None:
    treadle.install()
    assert asyncio.run(loop_type()) is treadle.EventLoop
    asyncio.set_event_loop_policy(None)
    assert asyncio.run(loop_type()) is not treadle.EventLoop


@pytest.mark.skipif(sys.version_info < (3, 16), reason="this Python has policies")
def test_python_without_policies_says_what_to_do_instead() -> None:
    assert not hasattr(treadle, "EventLoopPolicy")
    with pytest.raises(RuntimeError, match=r"use `treadle\.run`"):
        treadle.install()


def test_importing_the_package_imports_neither_asyncio_nor_the_extension() -> None:
    program = "import sys; before = set(sys.modules); import treadle; print(sorted(set(sys.modules) - before))"
    assert python(program) == "['treadle']\n"


def test_using_the_loop_warns_of_nothing() -> None:
    program = """\
import warnings
warnings.simplefilter("error")
import asyncio, treadle
from treadle import *
dir(treadle), run, install, EventLoop, __version__
async def main(): return 1
print(treadle.run(main()), treadle.new_event_loop().close())
"""
    assert python(program) == "1 None\n"


def test_free_threaded_builds_are_told_what_is_missing() -> None:
    program = """\
import sys
sys.abiflags += "t"
import treadle
try:
    treadle.EventLoop
except ImportError as error:
    print(error)
"""
    assert "free-threaded builds are not supported yet" in python(program)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'treadle' has no attribute 'absent'"):
        treadle.absent  # type: ignore[attr-defined]  # noqa: B018


def test_all_names_are_listed() -> None:
    assert {*treadle.__all__, "EventLoopPolicy"} <= set(dir(treadle))
