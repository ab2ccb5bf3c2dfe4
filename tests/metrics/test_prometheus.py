"""A real Prometheus scrapes a program whose loop is blocked, and each expression of the dashboard gives data."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs/monitoring"
TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus is not installed; Debian's package has it",
)

# Has something of everything that is counted. It blocks its loop from one file on until there is another.
PROGRAM = """\
import asyncio
import contextlib
import gc
import os
import time

import treadle


async def serve(reader, writer):
    writer.write(b"x" * 50_000_000)
    await asyncio.sleep(60)


async def fail():
    raise OSError


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(None, time.sleep, 0.5) for _ in range(2)]
    timers = [loop.call_later(60, print) for _ in range(10)]
    event = asyncio.Event()
    task = asyncio.create_task(event.wait())
    database = treadle.Semaphore(1, name="database")
    crowd = [asyncio.create_task(database.acquire()) for _ in range(3)]
    breaker = treadle.Breaker(min_calls=10**9, name="upstream")
    retry = treadle.Retry(on=OSError, attempts=2, backoff=treadle.Backoff(0))
    policy = treadle.Policy(retry=retry, breaker=breaker, name="upstream")
    while not os.path.exists("scraped"):
        with contextlib.suppress(OSError):
            await policy.call(fail)
        await asyncio.sleep(0.02)
        gc.collect()
    while not os.path.exists("seen"):
        time.sleep(0.01)
    while True:
        await asyncio.sleep(0.02)
        gc.collect()


asyncio.run(main())
"""


class Server(NamedTuple):
    """A Prometheus that scrapes the program."""

    port: int
    directory: Path

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression gives."""
        query = urllib.parse.urlencode({"query": expression})
        return list(self.read(f"query?{query}")["result"])

    def read(self, path: str) -> Any:
        """Return what the interface gives."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Wait until an expression gives something."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if found := self.ask(expression):
                    return found
            time.sleep(0.1)
        pytest.fail(f"no data for {expression}")


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def stop(process: "subprocess.Popen[str]") -> None:
    """End a process that this one has started."""
    process.terminate()
    try:
        process.wait(20)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["", "native-histograms"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Start the program and a Prometheus, which reads text, or protocol buffers if it is to have native histograms."""
    (tmp_path / "app.py").write_text(PROGRAM)
    command = [TREADLE, "run", "--metrics", "127.0.0.1:0", "app.py"]
    program = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with contextlib.ExitStack() as stack:
        stack.callback(stop, program)
        assert program.stderr is not None
        said = program.stderr.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", said)
        assert found is not None, said
        configuration = {
            "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [str(MONITORING / "treadle-alerts.yml")],
            "scrape_configs": [{"job_name": "app", "static_configs": [{"targets": [found[1]]}]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(configuration))
        port = free_port()
        arguments = [
            "prometheus",
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--enable-feature={request.param}",
        ]
        with (tmp_path / "prometheus.log").open("w") as log:
            scraping = subprocess.Popen(arguments, cwd=tmp_path, stdout=log, stderr=log, text=True)
        stack.callback(stop, scraping)
        yield Server(port, tmp_path)


def expressions() -> list[str]:
    """Return what the panels and variables of the dashboard ask."""
    dashboard = json.loads((MONITORING / "treadle-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    assert len(asked) > 15
    filled = {"$__rate_interval": "2m", "$job": ".*", "$instance": ".*"}
    for name, value in filled.items():
        asked = [expression.replace(name, value) for expression in asked]
    return asked


def test_blocked_loop_is_scraped_and_every_expression_has_data(server: Server, request: pytest.FixtureRequest) -> None:
    is_native = "native" in request.node.name
    server.wait_for("count_over_time(treadle_tasks[1m]) > 3")
    server.wait_for('treadle_pattern_waiting{name="database"} == 2')
    server.wait_for('rate(treadle_pattern_failed_total{name="upstream"}[1m]) > 0')
    (server.directory / "scraped").touch()
    blocked = server.wait_for("treadle_loop_delay_seconds > 1.5")
    assert blocked[0]["metric"]["loop"] == "1"
    alerts = server.wait_for('ALERTS{alertname="TreadleLoopBlocked", alertstate="firing"}')
    assert alerts[0]["metric"]["severity"] == "critical"
    # Not one scrape has failed while nothing in the program could run.
    assert server.ask("min_over_time(up[1m])")[0]["value"][1] == "1"
    asked = expressions()
    if is_native:
        # Prometheus has one or the other.
        asked = [expression for expression in asked if "_bucket" not in expression and "_sum" not in expression]
        for name in ("treadle_loop_lag_seconds", "treadle_loop_callback_seconds", "treadle_gc_pause_seconds"):
            asked.append(f"histogram_quantile(0.5, sum(rate({name}[2m]))) > 0")
    for expression in asked:
        server.wait_for(expression)
    (server.directory / "seen").touch()
    server.wait_for("treadle_loop_delay_seconds < 0.5")
    for metric, labels in (("treadle_write_buffer_bytes", ""), ("treadle_timers", ""), ("treadle_findings_total", "")):
        assert float(server.ask(f"sum({metric}{labels})")[0]["value"][1]) > 0, metric


def test_types_and_units_are_as_prometheus_wants_them(server: Server) -> None:
    server.wait_for("treadle_tasks")
    metadata = server.read("metadata")
    kinds = {name: rows[0]["type"] for name, rows in metadata.items() if name.startswith("treadle_")}
    assert kinds["treadle_loop_lag_seconds"] == "histogram"
    assert kinds["treadle_loop_busy_ratio"] == "gauge"
    assert {kinds.get("treadle_findings"), kinds.get("treadle_findings_total")} & {"counter"}
    target = server.read("targets")["activeTargets"][0]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    rules = MONITORING / "treadle-alerts.yml"
    subprocess.run(["promtool", "check", "rules", rules], check=True, capture_output=True)
    cases = (Path(__file__).parent / "alerts.yml").read_text()
    names = re.findall(r"alert: (\w+)", rules.read_text())
    assert all(f'alertname="{name}"' in cases for name in names), "each alert has a case"
    (tmp_path / "alerts.yml").write_text(cases.replace("RULES", str(rules)))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "alerts.yml"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
