"""A picture of numbers in Prometheus for the documentation: ``python metrics.py DIRECTORY``, with treadle installed.

A Prometheus scrapes a program that is watched, and Chromium photographs its page with a graph.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 60
GRAPH = "sum by (cause) (rate(treadle_loop_blocked_seconds_total[10s])) > 0"


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that this one has started."""
    process.terminate()
    process.wait(20)


def main(directory: Path) -> None:
    """Take the picture."""
    chromium = os.environ.get("TREADLE_CHROMIUM") or shutil.which("chromium") or "google-chrome"
    target, port = f"127.0.0.1:{free_port()}", free_port()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        program = subprocess.Popen([sys.executable, HERE / "shop.py", target], cwd=place, stdout=subprocess.DEVNULL)
        stack.callback(stop, program)
        configuration = {
            "global": {"scrape_interval": "500ms"},
            "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}]}],
        }
        (Path(place) / "prometheus.yml").write_text(json.dumps(configuration))
        options = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
        options.append(f"--web.listen-address=127.0.0.1:{port}")
        with (Path(place) / "prometheus.log").open("w") as log:
            prometheus = subprocess.Popen(["prometheus", *options], cwd=place, stdout=log, stderr=log)
        stack.callback(stop, prometheus)
        time.sleep(SECONDS + 5)
        asked = {"g0.expr": GRAPH, "g0.tab": "0", "g0.range_input": f"{SECONDS}s"}
        page = f"http://127.0.0.1:{port}/graph?{urllib.parse.urlencode(asked)}"
        shot = f"--screenshot={directory}/metrics-prometheus.png"
        profile = f"--user-data-dir={place}/chromium"
        sizes = ["--window-size=1000,840", "--virtual-time-budget=8000", "--hide-scrollbars"]
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", profile, *sizes, shot, page],
            check=True,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
