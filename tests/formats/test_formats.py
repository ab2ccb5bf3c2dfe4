"""What ``treadle report`` writes, against the schemas and the documented fields of the formats.

``tests/run-formats`` fetches the schemas and runs this.
"""

import base64
import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")
SCHEMAS = Path(os.environ.get("TREADLE_SCHEMAS", "target/formats/schemas"))

# Names with all that formats take for a sign of theirs.
APP = """\
import asyncio, time

def spoil():
    time.sleep(0.3)

async def wor_k():
    await asyncio.sleep(0)
    (lambda: spoil())()

async def main():
    wor_k()
    await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0.01)) for _ in range(20)))
    await asyncio.to_thread(time.sleep, 0.05)
    await asyncio.create_task(wor_k())

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of a program with a bit of everything."""
    directory = tmp_path_factory.mktemp("ä b")
    (directory / "app é.py").write_text(APP)
    subprocess.run(
        [TREADLE, "run", "--record", "app.treadle", "app é.py"], cwd=directory, check=True, capture_output=True
    )
    return directory / "app.treadle"


def written(recording: Path, form: str) -> str:
    """Return a recording in some format."""
    done = subprocess.run(
        [TREADLE, "report", recording.name, "--format", form], cwd=recording.parent, check=True, capture_output=True
    )
    return done.stdout.decode()


def schema(name: str) -> Any:
    """Return a schema that was fetched."""
    (path,) = SCHEMAS.rglob(name)
    return json.loads(path.read_text("utf-8-sig"))


def valid(document: Any, schema: Any) -> None:
    """Hold a document against a schema, and one with a fault, to see that the schema says something."""
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert list(validator.iter_errors({**document, "$schema": 7, "version": 7, "profiles": 7}))


def test_speedscope_is_as_its_schema_says(recording: Path) -> None:
    document = json.loads(written(recording, "speedscope"))
    valid(document, schema("file-format-schema.json"))
    report = json.loads(written(recording, "json"))
    frames = document["shared"]["frames"]
    for profile, flame in zip(document["profiles"], ("all", "blocked"), strict=True):
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] == sum(profile["weights"]) == report["flame"][flame]["value"]
        assert all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample)
    names = [[frames[frame]["name"] for frame in sample] for sample in document["profiles"][1]["samples"]]
    assert ["wor_k", "wor_k.<locals>.<lambda>", "spoil"] in names
    assert {"name": "spoil", "file": "app é.py", "line": 4} in frames


def test_speedscope_opens_it(recording: Path, tmp_path: Path) -> None:
    names = (os.environ.get("TREADLE_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium here: speedscope's page is not opened")
    # As its own command hands a file to the page.
    text = base64.b64encode(written(recording, "speedscope").encode()).decode()
    (tmp_path / "profile.js").write_text(f'speedscope.loadFileFromBase64("app.json", "{text}")')
    (page,) = SCHEMAS.rglob("dist/release/index.html")
    address = f"{page.resolve().as_uri()}#view=sandwich&localProfilePath={tmp_path / 'profile.js'}"
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'chromium'}")
    command = [chromium, *quiet, "--virtual-time-budget=10000", "--dump-dom", address]
    shown = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode()
    assert "<title>app é.py - speedscope</title>" in shown
    rows = [html.unescape(re.sub("<[^>]*>", " ", row)).split() for row in re.findall("<tr.*?</tr>", shown, re.DOTALL)]
    document = json.loads(written(recording, "speedscope"))
    for number, profile in enumerate(document["profiles"], 1):
        (row,) = (row for row in rows if row[:-1] == [str(number), *profile["name"].split()])
        assert microseconds(row[-1]) == pytest.approx(profile["endValue"], rel=0.02)
    # Of a function it shows all time in it, and of that its own.
    profile, frames = document["profiles"][0], document["shared"]["frames"]
    for function in ("spoil", "wor_k.<locals>.<lambda>"):
        stacks = zip(profile["samples"], profile["weights"], strict=True)
        took = sum(weight for sample, weight in stacks if function in {frames[frame]["name"] for frame in sample})
        (row,) = (row for row in rows if row[-1] == function)
        assert microseconds(row[0]) == pytest.approx(took, rel=0.02)


def microseconds(shown: str) -> float:
    """Return a time that speedscope shows."""
    found = re.fullmatch(r"([\d.]+)(µs|ms|s)", shown)
    assert found, shown
    return float(found[1]) * {"µs": 1, "ms": 1e3, "s": 1e6}[found[2]]


def test_sarif_is_as_its_schema_says(recording: Path) -> None:
    document = json.loads(written(recording, "sarif"))
    valid(document, schema("sarif-2.1.0-rtm.5.json"))
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    found = {}
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (place,) = result["locations"]
        where = place["physicalLocation"]
        assert where["artifactLocation"]["uri"] == "app%20%C3%A9.py"
        found[result["ruleId"]] = where["region"]["startLine"]
    assert found == {"blocked-loop": 4, "never-awaited": 11}


def test_collapsed_stacks_are_lines_of_calls_and_a_number(recording: Path) -> None:
    text = written(recording, "collapsed")
    total = 0
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        assert re.fullmatch(r"[1-9]\d*", number)
        assert all(stack.split(";"))
        total += int(number)
    assert total == json.loads(written(recording, "json"))["flame"]["all"]["value"]
    assert "in wor_k.<locals>.<lambda>;app é.py:4 in spoil " in text


# Of the description of the trace event format: which phases there are here, and what their events must have.
FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "X": {"name": str, "cat": str, "pid": int, "tid": int, "ts": (int, float), "dur": (int, float)},
    "M": {"name": str, "pid": int, "tid": int, "args": dict},
    "C": {"name": str, "pid": int, "tid": int, "ts": int, "args": dict},
    "i": {"name": str, "cat": str, "pid": int, "tid": int, "ts": int, "s": str},
    "s": {"name": str, "cat": str, "id": int, "pid": int, "tid": int, "ts": (int, float)},
    "f": {"name": str, "cat": str, "id": int, "pid": int, "tid": int, "ts": (int, float), "bp": str},
}


def test_trace_has_the_fields_that_its_readers_ask_for(recording: Path) -> None:
    document = json.loads(written(recording, "perfetto"))
    assert set(document) == {"displayTimeUnit", "traceEvents"}
    lanes: dict[int, list[tuple[float, float]]] = defaultdict(list)
    flows: dict[int, list[str]] = defaultdict(list)
    named = set()
    for event in document["traceEvents"]:
        fields = FIELDS[event["ph"]]
        for field, kind in fields.items():
            assert isinstance(event[field], kind), (event, field)
        assert set(event) <= {*fields, "ph", "args", "s", "bp"}
        assert event.get("ts", 0) >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            lanes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] in "sf":
            flows[event["id"]].append(event["ph"])
        elif event["ph"] == "M" and event["name"] == "thread_name":
            named.add(event["tid"])
        elif event["ph"] == "C":
            assert all(isinstance(value, int) for value in event["args"].values())
    assert flows
    assert all(phases == ["s", "f"] for phases in flows.values())
    assert set(lanes) <= named
    report = json.loads(written(recording, "json"))
    assert len(lanes[10]) == len(report["steps"]["took"]) + len(report["polls"]["took"])
    # What overlaps in a lane has to be in one another, and here nothing is: a nanosecond is lost in fractions.
    for spans in lanes.values():
        ordered = sorted(spans)
        assert all(end <= begin + 1e-3 for (_, end), (begin, _) in itertools.pairwise(ordered))
