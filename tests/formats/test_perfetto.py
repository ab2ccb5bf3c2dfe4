"""The trace that ``treadle report`` writes, read by Perfetto's own trace processor, beside the report as JSON.

``tests/run-formats`` fetches Perfetto and runs this. The processor is WebAssembly, which Node runs; it asks no network.
"""

import json
import os
import subprocess
import sysconfig
from collections import Counter, defaultdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")
PERFETTO = Path(os.environ.get("TREADLE_PERFETTO", "target/formats/perfetto"))
READER = Path(__file__).with_name("perfetto.mjs")

# Two loops at once, of which one is held up, threads, timers, and callbacks in a row that take less than a microsecond.
APP = """\
import asyncio, threading, time

async def work(queue):
    while (item := await queue.get()) is not None:
        await asyncio.sleep(0.001 * (item % 3))
        if item % 40 == 0:
            await asyncio.to_thread(time.sleep, 0.002)

async def main(blocked):
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()
    workers = [asyncio.create_task(work(queue)) for _ in range(4)]
    for item in range(200):
        queue.put_nowait(item)
        loop.call_soon(int)
        if item % 20 == 0:
            await asyncio.sleep(0.002)
    for _ in range(2000):
        loop.call_soon(int)
    time.sleep(blocked)
    for _ in workers:
        queue.put_nowait(None)
    await asyncio.gather(*workers)

other = threading.Thread(target=lambda: asyncio.run(main(0)))
other.start()
asyncio.run(main(0.3))
other.join()
"""

QUERIES = {
    "wrong": "select name, value from stats where severity in ('error', 'data_loss') and value > 0",
    "slices": """
        select slice.id, slice.ts, slice.dur, slice.name, slice.category, slice.depth,
            thread.name as lane, process.name as process,
            extract_arg(slice.arg_set_id, 'args.task') as task,
            extract_arg(slice.arg_set_id, 'args.queued_us') as queued,
            extract_arg(slice.arg_set_id, 'args.woken by') as woken_by,
            extract_arg(slice.arg_set_id, 'args.handed over at') as handed_over,
            extract_arg(slice.arg_set_id, 'args.cause') as cause,
            extract_arg(slice.arg_set_id, 'args.stack[0]') as outermost
        from slice join thread_track on slice.track_id = thread_track.id
            join thread using (utid) join process using (upid)
        order by slice.ts, slice.id""",
    "all": "select count(*) as slices, (select count(*) from flow) as flows from slice",
    "lanes": """
        select distinct thread.name from thread_track join thread using (utid)
        where thread.name is not null order by thread.tid""",
    "main": "select name from thread where is_main_thread and name is not null",
    "arrows": "select slice_out, slice_in from flow",
    "counters": """
        select name, ts, value from counter join process_counter_track on track_id = process_counter_track.id
        order by ts""",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Return what a recording says as JSON, and what Perfetto says of its trace."""
    directory = tmp_path_factory.mktemp("perfetto")
    (directory / "app.py").write_text(APP)

    def treadle(*arguments: str) -> bytes:
        return subprocess.run([TREADLE, *arguments], cwd=directory, check=True, capture_output=True).stdout

    treadle("run", "--record", "app.treadle", "app.py")
    trace = directory / "trace.json"
    trace.write_bytes(treadle("report", "app.treadle", "--format", "perfetto"))
    (bundle,) = PERFETTO.rglob("engine_bundle.js")
    read = subprocess.run(
        ["node", READER, bundle.parent, trace], check=True, capture_output=True, input=json.dumps(QUERIES).encode()
    )
    return json.loads(treadle("report", "app.treadle", "--format", "json")), json.loads(read.stdout)


def by_lanes(perfetto: Any, *categories: str) -> dict[str, list[Any]]:
    """Return the slices of some categories, by the names of lanes and in order."""
    lanes = defaultdict(list)
    for slice_ in perfetto["slices"]:
        if slice_["category"] in categories:
            lanes[slice_["lane"]].append(slice_)
    return lanes


def starts(columns: Any) -> list[int]:
    """Return times of which the report has the differences."""
    time = 0
    return [time := time + delta for delta in columns["start_delta"]]


def agrees(slice_: Any, start: int, took: int) -> bool:
    """Whether times are the same but for what is less than a microsecond."""
    return bool(start * 1000 <= slice_["ts"] < (start + 1) * 1000 and abs(slice_["dur"] - took * 1000) < 1000)


def of_steps(report: Any, perfetto: Any) -> list[Any]:
    """Return the slice of each step."""
    lanes = by_lanes(perfetto, "step", "callback")
    rest = {one["number"]: iter(lanes[f"{one['name']} (thread {one['thread']})"]) for one in report["loops"]}
    slices = [next(rest[number]) for number in report["steps"]["loop"]]
    assert all(next(lane, None) is None for lane in rest.values())
    return slices


def test_perfetto_complains_about_nothing_and_drops_nothing(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    assert perfetto["wrong"] == []
    marks = sum(len(found["marks"]) for found in told["findings"])
    counts = Counter(slice_["category"] for slice_ in perfetto["slices"])
    tasks = sum(task >= 0 for task in told["steps"]["task"])
    assert counts["step"] == tasks > 0
    assert counts["callback"] == len(told["steps"]["task"]) - tasks > 0
    assert counts["poll"] == len(told["polls"]["took"]) > 0
    assert counts["job"] == sum(started >= 0 for started in told["jobs"]["started"]) > 0
    assert counts["blocked"] + counts["gc"] == len(told["pauses"]["kind"])
    assert counts["blocked"] > 0
    assert counts["finding"] == marks > 0
    assert perfetto["all"] == [{"slices": counts.total(), "flows": len(perfetto["arrows"])}]
    assert {slice_["process"] for slice_ in perfetto["slices"]} == {"app.py"}


def test_slices_lie_beside_each_other(report: tuple[Any, Any]) -> None:
    _, perfetto = report
    ends: dict[str, int] = {}
    for slice_ in perfetto["slices"]:
        if slice_["category"] != "finding":
            assert slice_["depth"] == 0, slice_
            assert ends.get(slice_["lane"], 0) <= slice_["ts"], slice_
            ends[slice_["lane"]] = slice_["ts"] + slice_["dur"]


def test_lanes_of_a_loop_stand_together_and_none_is_the_main_thread(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    lanes = [lane["name"] for lane in perfetto["lanes"]]
    used = {slice_["lane"] for slice_ in perfetto["slices"]}
    wanted = ["findings"]
    for one in sorted(told["loops"], key=lambda one: int(one["number"])):
        wanted += [
            f"{one['name']} (thread {one['thread']})",
            f"{one['name']}: blocked",
            f"{one['name']}: collecting garbage",
        ]
    threads = sorted({thread for thread in told["jobs"]["thread"] if thread > 0})
    wanted += [f"executor (thread {thread})" for thread in threads]
    assert len(told["loops"]) == 2
    assert lanes == [lane for lane in wanted if lane in used]
    assert perfetto["main"] == []


def test_steps_and_sleeps_are_where_they_were(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    steps, names = told["steps"], {one["number"]: one["name"] for one in told["loops"]}
    for at, (slice_, start) in enumerate(zip(of_steps(told, perfetto), starts(steps), strict=True)):
        assert agrees(slice_, start, steps["took"][at]), (slice_, start)
        task, queued, site = (steps[column][at] for column in ("task", "queued", "site"))
        assert (slice_["task"], slice_["queued"]) == (task if task >= 0 else None, queued if queued >= 0 else None)
        assert (slice_["woken_by"] == "a timer") is (steps["woken_by"][at] == 3)
        if site >= 0:
            _, line, function, _ = told["sites"][site]
            assert slice_["name"].endswith(f":{line} in {function}" if line else function)
    sleeps = by_lanes(perfetto, "poll")
    for number, name in names.items():
        (slices,) = (slices for lane, slices in sleeps.items() if lane.startswith(f"{name} (thread "))
        polls = told["polls"]
        rows = [
            (start, took)
            for start, took, of in zip(starts(polls), polls["took"], polls["loop"], strict=True)
            if of == number
        ]
        assert all(agrees(slice_, *row) for slice_, row in zip(slices, rows, strict=True))


def test_arrows_lead_from_who_wakes_to_who_is_woken(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    slices = [slice_["id"] for slice_ in of_steps(told, perfetto)]
    above = told["steps"]["waker_delta"]
    wanted = [(slices[at - delta], slices[at]) for at, delta in enumerate(above) if delta]
    assert wanted
    assert sorted((arrow["slice_out"], arrow["slice_in"]) for arrow in perfetto["arrows"]) == sorted(wanted)


def test_jobs_and_pauses_are_where_they_were(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    jobs, pauses = told["jobs"], told["pauses"]
    lanes = by_lanes(perfetto, "job")
    for thread in set(jobs["thread"]):
        rows = sorted(
            (start, end - start, name)
            for start, end, name, of in zip(jobs["started"], jobs["ended"], jobs["name"], jobs["thread"], strict=True)
            if of == thread
        )
        for slice_, (start, took, name) in zip(lanes[f"executor (thread {thread})"], rows, strict=True):
            assert agrees(slice_, start, took)
            assert slice_["name"] == name
            assert "app.py:7 in work" in slice_["handed_over"]
    lanes = by_lanes(perfetto, "blocked", "gc")
    held = zip(pauses["start"], pauses["took"], pauses["kind"], pauses["cause"], strict=True)
    slices = sorted((slice_ for lane in lanes.values() for slice_ in lane), key=lambda slice_: int(slice_["ts"]))
    for slice_, (start, took, kind, cause) in zip(slices, sorted(held, key=itemgetter(0)), strict=True):
        assert agrees(slice_, start, took)
        assert (slice_["category"], slice_["cause"]) == (kind, cause)
    found = [(slice_["name"], slice_["outermost"]) for slice_ in slices if slice_["dur"] >= 250_000_000]
    assert ("blocked: app.py:19 in main", "app.py:19 in main") in found


def test_counters_have_a_value_for_each_second(report: tuple[Any, Any]) -> None:
    told, perfetto = report
    seconds = told["seconds"]
    values = defaultdict(list)
    for row in perfetto["counters"]:
        values[row["name"]].append((row["ts"], row["value"]))
    times = [time * 1000 for time in seconds["t"]]
    busy = [time * 100 // seconds["interval"] for time in seconds["busy"]]
    assert values == {
        "loops busy %": list(zip(times, busy, strict=True)),
        "ready callbacks": list(zip(times, seconds["ready"], strict=True)),
        "living tasks": list(zip(times, seconds["tasks"], strict=True)),
    }
