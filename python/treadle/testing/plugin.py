"""pytest's plugin: the options ``--treadle`` and ``--treadle-watch``, and their like in pytest's configuration.

pytest imports this module wherever treadle is installed. It therefore has the options and nothing else; what they do is
imported by whoever asks for it.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the options known."""
    group = parser.getgroup("treadle", "treadle's event loop")
    group.addoption(
        "--treadle",
        action="store_true",
        dest="treadle",
        default=None,
        help="run the tests on treadle's event loop instead of asyncio's",
    )
    group.addoption(
        "--no-treadle",
        action="store_false",
        dest="treadle",
        default=None,
        help="run the tests on asyncio's event loop, whatever the configuration says",
    )
    group.addoption(
        "--treadle-watch",
        action="store_true",
        dest="treadle_watch",
        default=None,
        help="have the doctor watch the tests, on treadle's event loop; a finding fails the test in which it is made",
    )
    group.addoption(
        "--treadle-baseline",
        dest="treadle_baseline",
        metavar="FILE",
        help="findings of the doctor that are known and fail no test",
    )
    group.addoption(
        "--treadle-write-baseline",
        dest="treadle_write_baseline",
        metavar="FILE",
        help="write what the doctor finds to a file for --treadle-baseline, and fail no test for it",
    )
    parser.addini("treadle_watch", "have the doctor watch the tests", type="bool", default=False)
    parser.addini("treadle", "run the tests on treadle's event loop instead of asyncio's", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Change the loop before anything of the suite is imported."""
    options = early_config.known_args_namespace
    is_chosen = early_config.getini("treadle") if options.treadle is None else options.treadle
    is_watched = options.treadle_watch or (options.treadle is not False and early_config.getini("treadle_watch"))
    if is_chosen or is_watched:
        from treadle.testing import session  # noqa: PLC0415 - imports asyncio and the loop

        session.begin(early_config)
    if is_watched:
        from treadle.testing import watch  # noqa: PLC0415 - imports the doctor

        watch.begin(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that suites with it also run without the option."""
    config.addinivalue_line(
        "markers",
        "treadle_ignore(*names): with `--treadle-watch`, pitfalls for which the test does not fail; none named are all",
    )
    config.addinivalue_line(
        "markers",
        "treadle(wanted): with `--treadle`, whether the test runs on treadle's event loop; "
        "`treadle(False)` leaves it on asyncio's, "
        "`treadle(clock='virtual')` gives it a clock that jumps when every task waits",
    )
