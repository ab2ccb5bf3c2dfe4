"""pytest's plugin: the options ``--treadle`` and ``--no-treadle``, and ``treadle = true`` in pytest's configuration.

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
    parser.addini("treadle", "run the tests on treadle's event loop instead of asyncio's", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Change the loop before anything of the suite is imported."""
    chosen = early_config.known_args_namespace.treadle
    if early_config.getini("treadle") if chosen is None else chosen:
        from treadle.testing import session  # noqa: PLC0415 - imports asyncio and the loop

        session.begin(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that suites with it also run without the option."""
    config.addinivalue_line(
        "markers",
        "treadle(wanted): with `--treadle`, whether the test runs on treadle's event loop; "
        "`treadle(False)` leaves it on asyncio's",
    )
