"""Who asks for the loop and who does not: options, configuration, the marker; what it costs, and where it cannot be."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
import treadle
from child import Suite

PLAIN = """\
import asyncio
from witness import note

async def main():
    note()

def test_plain():
    asyncio.run(main())
"""
HEADER = f"treadle {treadle.__version__}: tests run on its event loop"


@pytest.mark.parametrize(
    ("configuration", "arguments", "loop"),
    [
        ("", [], "asyncio"),
        ("", ["--treadle"], "treadle"),
        ("", ["--no-treadle"], "asyncio"),
        ("treadle = true", [], "treadle"),
        ("treadle = false", ["--treadle"], "treadle"),
        ("treadle = true", ["--no-treadle"], "asyncio"),
        ("addopts = --treadle", [], "treadle"),
        ("addopts = --treadle", ["--no-treadle"], "asyncio"),
        ("", ["-o", "treadle=true"], "treadle"),
    ],
)
def test_option_comes_before_configuration(tmp_path: Path, configuration: str, arguments: list[str], loop: str) -> None:
    ran = Suite.of(tmp_path, PLAIN, configuration).run(*arguments)
    assert ran.on(loop) == {"test_plain"}
    assert (HEADER in ran.text) is (loop == "treadle")


@pytest.mark.parametrize("table", ["pytest.ini_options", "pytest"])
def test_toml_asks_as_well(tmp_path: Path, table: str) -> None:
    if table == "pytest" and int(pytest.__version__.partition(".")[0]) < 9:
        pytest.skip("pytest 9 reads this table")
    suite = Suite.of(tmp_path, PLAIN)
    (tmp_path / "pytest.ini").unlink()
    (tmp_path / "pyproject.toml").write_text(f"[tool.{table}]\ntreadle = true\n")
    assert suite.run().on("treadle") == {"test_plain"}


def test_pytest_works_without_the_plugin(tmp_path: Path) -> None:
    suite = Suite.of(tmp_path, PLAIN)
    assert suite.run("-p", "no:treadle").on("asyncio") == {"test_plain"}
    assert "unrecognized arguments: --treadle" in suite.run("-p", "no:treadle", "--treadle", status=4).text


def test_loops_that_conftest_makes_are_changed_as_well(tmp_path: Path) -> None:
    conftest = """\
import asyncio
from witness import note

async def main():
    note("conftest")

asyncio.run(main())
"""
    assert "conftest" in Suite.of(tmp_path, PLAIN, conftest=conftest).run("--treadle").on("treadle")


def test_loops_after_the_session_are_those_of_asyncio(tmp_path: Path) -> None:
    program = """\
import asyncio, sys, pytest, treadle
from witness import note

async def main():
    note("after")

status = pytest.main(sys.argv[1:])
asyncio.run(main())
raise SystemExit(status)
"""
    ran = Suite.of(tmp_path, PLAIN, program=program).run("--treadle", "-Werror", program=("program.py",))
    assert (ran.on("treadle"), ran.on("asyncio")) == ({"test_plain"}, {"after"})


def test_policy_that_a_suite_sets_is_kept(tmp_path: Path) -> None:
    conftest = """\
import asyncio, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return asyncio.SelectorEventLoop()

    asyncio.set_event_loop_policy(Policy())
"""
    ran = Suite.of(tmp_path, PLAIN, conftest=conftest).run("--treadle")
    assert ran.on("asyncio") == {"test_plain"}
    assert "the suite has set `conftest.Policy`, and its tests run on the event loop of that" in ran.text


def test_policy_of_ours_that_a_suite_sets_is_none_of_its_own(tmp_path: Path) -> None:
    conftest = """\
import warnings, treadle
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    treadle.install()
"""
    ran = Suite.of(tmp_path, PLAIN, conftest=conftest).run("--treadle")
    assert ran.on("treadle") == {"test_plain"}
    assert HEADER in ran.text


MARKED = """\
import asyncio, pytest
from witness import note

async def main():
    note()

@pytest.fixture
def loop_of_a_fixture(request):
    async def main():
        note("fixture:" + request.node.name)
    asyncio.run(main())
    yield
    asyncio.run(main())

def test_unmarked(loop_of_a_fixture):
    asyncio.run(main())

@pytest.mark.treadle(False)
def test_marked(loop_of_a_fixture):
    asyncio.run(main())

@pytest.mark.treadle(False)
class TestMarked:
    def test_inside(self):
        asyncio.run(main())

    @pytest.mark.treadle(True)
    def test_back(self):
        asyncio.run(main())

    @pytest.mark.treadle
    def test_back_in_short(self):
        asyncio.run(main())
"""
BACK = {"TestMarked::test_back", "TestMarked::test_back_in_short"}
LEFT = {"test_marked", "fixture:test_marked", "TestMarked::test_inside"}
UNMARKED = {"test_unmarked", "fixture:test_unmarked"}


def test_marked_tests_and_their_fixtures_stay_on_asyncio(tmp_path: Path) -> None:
    ran = Suite.of(tmp_path, MARKED).run("--treadle", "--strict-markers")
    assert (ran.on("treadle"), ran.on("asyncio")) == (BACK | UNMARKED, LEFT)


def test_mark_changes_nothing_without_the_option(tmp_path: Path) -> None:
    ran = Suite.of(tmp_path, MARKED).run("--strict-markers")
    assert ran.on("asyncio") == BACK | UNMARKED | LEFT


@pytest.mark.parametrize("arguments", ["'asyncio'", "False, True", "wanted=False", "0"])
def test_mark_that_does_not_say_is_refused(tmp_path: Path, arguments: str) -> None:
    tests = f"import pytest\n\n@pytest.mark.treadle({arguments})\ndef test_marked(): pass\n"
    text = Suite.of(tmp_path, tests).run("--treadle", status=4).text
    assert "test_suite.py::test_marked: the mark `treadle` takes `True` or `False`, and " in text


def test_plugin_that_is_not_asked_imports_next_to_nothing(tmp_path: Path) -> None:
    tests = """\
import sys

def test_modules():
    print(sorted(name for name in sys.modules if name.partition(".")[0] in ("asyncio", "treadle")))
"""
    points = importlib.metadata.entry_points(group="pytest11")
    assert [point.value for point in points if point.name == "treadle"] == ["treadle.testing.plugin"]
    text = Suite.of(tmp_path, tests).run("-s").text
    assert "['treadle', 'treadle.testing', 'treadle.testing.plugin']" in text


def test_nothing_warns(tmp_path: Path) -> None:
    Suite.of(tmp_path, PLAIN).run("--treadle", "-W", "error")


def test_free_threaded_python_is_told_what_to_do(tmp_path: Path) -> None:
    pretend = "import sys\nsys.abiflags += 't'\n"
    text = Suite.of(tmp_path, PLAIN, "treadle = true", pretend=pretend).run("-p", "pretend", status=4).text
    assert "free-threaded builds are not supported yet. Run the tests on asyncio's loop: leave out `--treadle`" in text
    assert "Traceback" not in text


def test_windows_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    from treadle.testing import session  # noqa: PLC0415 - as the plugin does

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(pytest.UsageError, match=r"not there for Windows yet\. Run the tests on asyncio's loop"):
        session.begin(pytestconfig)
