"""OpenTelemetry gets the numbers through its Python API."""

import asyncio
import time
from typing import Any

import treadle.doctor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


def collected(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    """Return labels and values by the names of instruments."""
    data = reader.get_metrics_data()
    rows: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                rows[metric.name] = [(dict(point.attributes), point.value) for point in metric.data.data_points]
    return rows


def test_numbers_are_collected_while_the_process_is_watched() -> None:
    reader = InMemoryMetricReader()
    treadle.doctor.instrument(MeterProvider([reader]))
    assert collected(reader) == {}

    async def main() -> dict[str, list[tuple[dict[str, Any], float]]]:
        waiting = asyncio.create_task(asyncio.Event().wait())
        bucket = treadle.TokenBucket(1000, burst=3, name="clock")
        await bucket.acquire(2)
        await bucket.acquire()
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - what is to be counted
        await asyncio.sleep(0.3)
        seen = collected(reader)
        waiting.cancel()
        return seen

    treadle.watch(output="silent", settings=False)
    try:
        seen = treadle.run(main())
    finally:
        treadle.doctor.finish()
    assert sum(value for _, value in seen["treadle.loop.blocked"]) > 0.1
    assert seen["treadle.loop.busy_time"][0][0] == {"loop": 1}
    assert seen["treadle.loop.callback.max"][0][1] > 0.25
    assert {labels["state"]: value for labels, value in seen["treadle.tasks"]} == {
        "running": 1,
        "waiting": 1,
        "stuck": 0,
    }
    assert ({"kind": "TokenBucket", "name": "clock"}, 2) in seen["treadle.pattern.calls"]
    assert ({"kind": "TokenBucket", "name": "clock"}, 0) in seen["treadle.pattern.waiting"]
    found = {labels["pitfall"]: value for labels, value in seen["treadle.findings"]}
    assert found["blocked-loop"] == 1
