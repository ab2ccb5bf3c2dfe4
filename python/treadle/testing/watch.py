"""What ``pytest --treadle-watch`` does: a test fails for what the doctor finds in it."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from treadle import _native, doctor
from treadle.doctor import watching

Finding = dict[str, Any]


def begin(config: pytest.Config) -> None:
    """Begin to watch, until the session ends.

    Raises:
        pytest.UsageError: the settings or the baseline say what is not known.

    """
    options = config.known_args_namespace
    try:
        watching.watch(output="silent", baseline=options.treadle_baseline)
    except (ValueError, OSError, RuntimeError) as error:
        raise pytest.UsageError(f"--treadle-watch: {error}") from error
    config.add_cleanup(_finish)
    config.pluginmanager.register(Watch(options.treadle_write_baseline), "treadle-watch")


def _finish() -> None:
    doctor.finish()


class Watch:
    """The plugin that is there when the doctor is asked for."""

    def __init__(self, write_baseline: str | None) -> None:
        """Begin with what is known: nothing."""
        self._write_baseline = write_baseline
        self._known: dict[tuple[object, ...], int] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look at what the fixtures did."""
        return (yield from self._watched(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look at what the test did."""
        return (yield from self._watched(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look at what came of it when its loop was closed."""
        return (yield from self._watched(item))

    def pytest_sessionfinish(self) -> None:
        """Write the baseline, if one is wanted."""
        if self._write_baseline:
            _native.write_baseline(Path(self._write_baseline))

    def _watched(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail for what is new, unless the test has failed by itself; then its report has a section more."""
        try:
            result = yield
        except BaseException:
            found = self._new(item)
            if found:
                item.add_report_section("call", "treadle", "\n".join(map(shown, found)))
            raise
        found = self._new(item)
        if found and not self._write_baseline:
            pytest.fail("\n".join(map(shown, found)), pytrace=False)
        return result

    def _new(self, item: pytest.Item) -> list[Finding]:
        """Return what was found since the last look, but for what the test ignores."""
        new = []
        for finding in doctor.findings():
            key = tuple(finding[name] for name in ("name", "path", "line", "message"))
            if finding["count"] > self._known.get(key, 0):
                new.append(finding)
            self._known[key] = finding["count"]
        marks = list(item.iter_markers("treadle_ignore"))
        if any(not mark.args for mark in marks):
            return []
        ignored = {name for mark in marks for name in mark.args}
        return [finding for finding in new if finding["name"] not in ignored]


def shown(finding: Finding) -> str:
    """Return a finding as the doctor shows it."""
    return _native.shown(finding["name"], finding["path"], finding["line"], finding["message"])
