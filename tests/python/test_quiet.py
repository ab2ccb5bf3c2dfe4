"""What looks like a mistake and is none is not reported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import asyncio, gc, json
import treadle.doctor
treadle.install()
"""

TAIL = """
treadle.doctor.finish()
"""

# The smallest pause that somebody may have asked for; what is asked for blocks the loop, which is another matter.
GARBAGE = """
rows = [[number] for number in range(200_000)]
gc.disable()

async def main():
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)

treadle.watch(output="json", to=1, thresholds={"gc-pause": "100us", "blocked-loop": "1m"}, settings=False)
asyncio.run(main())
"""

# The program's end went through the task, whose exception nobody need look at.
END = """
async def child():
    await asyncio.sleep(0)
    raise BaseExceptionGroup("both", [KeyboardInterrupt(), BaseExceptionGroup("inner", [SystemExit(1)])])

async def main():
    task = asyncio.create_task(child())
    await asyncio.sleep(0.01)
    return task

treadle.watch(output="json", to=1, settings=False)
with asyncio.Runner() as runner:
    task = runner.run(main())
"""

PROGRAMS = {"a collection that is asked for": GARBAGE, "a group of what ends the program": END}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HEAD + PROGRAMS[name] + TAIL)
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["findings"] == []
