"""The process in numbers for OpenTelemetry, through its Python API, which the program has installed.

Its instruments are asked when somebody collects; nothing is measured in between.
"""

import importlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from treadle import _native
from treadle.doctor.watching import vitals

__all__ = ["instrument"]

# How long what was measured serves all instruments that are asked together, in seconds.
_FRESH = 0.2

_Rows = Iterable[tuple[float, dict[str, Any]]]


class _Measured:
    """What was measured last."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] | None = None
        self._time = float("-inf")

    def __call__(self) -> dict[str, Any] | None:
        if time.monotonic() > self._time + _FRESH:
            self._seen, self._time = vitals(), time.monotonic()
        return self._seen


def instrument(meter_provider: Any = None) -> None:
    """Give OpenTelemetry this process's numbers, those of :func:`treadle.doctor.vitals`.

    Instruments are named ``treadle.…``; what is a histogram elsewhere is given by its median, 99th percentile and
    maximum, since instruments that are asked cannot be one. While the process is not watched, they give nothing.

    Args:
        meter_provider: whose instruments; that of ``opentelemetry.metrics`` by default.

    Raises:
        RuntimeError: ``opentelemetry-api`` is not installed.

    """
    try:
        metrics: Any = importlib.import_module("opentelemetry.metrics")
    except ImportError:
        words = "OpenTelemetry's API is not installed. Install it with `pip install opentelemetry-api`"
        raise RuntimeError(words) from None
    meter = metrics.get_meter("treadle", _native.__version__, meter_provider)
    measured = _Measured()

    def observe(rows: Callable[[dict[str, Any]], _Rows]) -> list[Callable[[Any], list[Any]]]:
        def callback(_options: Any) -> list[Any]:
            seen = measured()
            return [] if seen is None else [metrics.Observation(value, labels) for value, labels in rows(seen)]

        return [callback]

    def of_loops(name: str) -> Callable[[dict[str, Any]], _Rows]:
        return lambda seen: [(row[name] or 0, {"loop": row["loop"]}) for row in seen["loops"]]

    for name, key, unit, description in _COUNTERS:
        meter.create_observable_counter(name, observe(of_loops(key)), unit, description)
    for name, key, unit, description in _GAUGES:
        meter.create_observable_gauge(name, observe(of_loops(key)), unit, description)
    for name, key, part in ((n, k, p) for n, k in _DISTRIBUTIONS for p in ("p50", "p99", "max")):
        rows = _of_distribution(key, part)
        meter.create_observable_gauge(f"{name}.{part}", observe(rows), "s", "of the whole run")
    for name, key in (("treadle.tasks", "tasks"), ("treadle.executor.queue", "executor_queue")):
        meter.create_observable_gauge(name, observe(_by_state(key)), "1", "by state")
    meter.create_observable_counter("treadle.loop.blocked", observe(_blocked), "s", "by cause")
    meter.create_observable_counter("treadle.findings", observe(_findings), "1", "pitfalls that were found")
    _instrument_patterns(meter, observe)
    for name, key, description in _OF_THE_PROCESS:
        meter.create_observable_gauge(name, observe(_one(key)), "1", description)


def _instrument_patterns(meter: Any, observe: Callable[..., Any]) -> None:
    for key, description in _OF_PATTERNS:
        meter.create_observable_gauge(f"treadle.pattern.{key}", observe(_of_patterns(key)), "1", description)
    for key, description in _COUNTED_BY_PATTERNS:
        meter.create_observable_counter(f"treadle.pattern.{key}", observe(_of_patterns(key)), "1", description)


_COUNTERS = (
    ("treadle.loop.busy_time", "busy_seconds", "s", "time spent in callbacks"),
    ("treadle.loop.idle_time", "idle_seconds", "s", "time spent waiting for the system"),
    ("treadle.callbacks", "callbacks", "1", "callbacks that were run, steps of tasks included"),
    ("treadle.switches", "switches", "1", "steps of tasks"),
)
_GAUGES = (
    ("treadle.loop.busy_ratio", "busy_ratio", "1", "part of the last seconds that was spent in callbacks"),
    ("treadle.loop.delay", "delay_seconds", "s", "how long what is ready has waited now, at least"),
    ("treadle.ready_queue", "ready_queue", "1", "callbacks that were ready when the loop last asked the system"),
    ("treadle.timers", "timers", "1", "timers that wait"),
    ("treadle.transports", "transports", "1", "transports that are open"),
    ("treadle.write_buffer", "write_buffer_bytes", "By", "what transports have still to send"),
)
_DISTRIBUTIONS = (
    ("treadle.loop.callback", "callback_seconds"),
    ("treadle.loop.lag", "lag_seconds"),
    ("treadle.gc.pause", "gc_pause_seconds"),
)
_OF_THE_PROCESS = (
    ("treadle.fds", "fds", "descriptors that the process has open"),
    ("treadle.watch.lost_events", "lost_events", "events that came too fast to be read"),
    ("treadle.watch.overhead", "overhead_ratio", "what watching costs, as a part of the time watched"),
)


_OF_PATTERNS = (
    ("in_use", "permits, places and workers of patterns that are taken"),
    ("limit", "how many of those there are"),
    ("waiting", "who waits for one"),
)
_COUNTED_BY_PATTERNS = (
    ("calls", "calls that patterns have begun or let through"),
    ("failed", "those that have failed"),
    ("retries", "how often something was tried again"),
    ("rejected", "calls that were not made"),
)


def _of_distribution(key: str, part: str) -> Callable[[dict[str, Any]], _Rows]:
    def rows(seen: dict[str, Any]) -> _Rows:
        if key in seen:
            return [(seen[key][part], {})]
        return [(row[key][part], {"loop": row["loop"]}) for row in seen["loops"]]

    return rows


def _by_state(key: str) -> Callable[[dict[str, Any]], _Rows]:
    return lambda seen: [(count, {"state": state}) for state, count in seen[key].items()]


def _of_patterns(key: str) -> Callable[[dict[str, Any]], _Rows]:
    def rows(seen: dict[str, Any]) -> _Rows:
        shown = seen["patterns"]
        return [(row[key], {"kind": row["kind"], "name": row["name"]}) for row in shown if row[key] is not None]

    return rows


def _blocked(seen: dict[str, Any]) -> _Rows:
    return [(seconds, {"cause": cause}) for cause, seconds in seen["blocked_seconds"].items()]


def _findings(seen: dict[str, Any]) -> _Rows:
    return [(row["count"], {"pitfall": row["pitfall"], "severity": row["severity"]}) for row in seen["findings"]]


def _one(key: str) -> Callable[[dict[str, Any]], _Rows]:
    return lambda seen: [] if seen[key] is None else [(seen[key], {})]
