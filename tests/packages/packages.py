"""Runs the checker on real packages from PyPI and keeps what it says.

Every package is downloaded once into ``downloads/`` and checked; the certain and likely findings go to
``findings/NAME.txt``, so that the difference between two versions of treadle can be read with ``git diff``.
``judgement.md`` says what was right and what was wrong among them.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOWNLOADS = HERE / "downloads"

# Pinned: a judgement is about one text.
PACKAGES = {
    "aiogram": "3.22.0",
    "aiohttp": "3.13.2",
    "celery": "5.5.3",
    "discord.py": "2.6.4",
    "distributed": "2025.11.0",
    "homeassistant": "2025.4.4",
    "httpx": "0.28.1",
    "langchain-community": "0.4.1",
    "matrix-synapse": "1.142.1",
    "prefect": "3.9.1",
    "starlette": "0.50.0",
    "uvicorn": "0.38.0",
}


def source_of(name: str) -> Path:
    """Return the directory of a package's sources, which are downloaded when they are not there.

    Raises:
        subprocess.CalledProcessError: pip could not download it, and has said why.
    """
    directory = DOWNLOADS / f"{name}-{PACKAGES[name]}"
    if directory.is_dir():
        return directory
    DOWNLOADS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(DOWNLOADS)]
    # A wheel for any interpreter and platform will do: it is read, not run.
    command += ["--only-binary", ":all:", "--ignore-requires-python", "--python-version", "3.13"]
    for platform in ("any", "manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"):
        command += ["--platform", platform]
    subprocess.run([*command, f"{name}=={PACKAGES[name]}"], check=True)
    wanted = name.replace("-", "_").replace(".", "_").lower()
    wheels = (path for path in DOWNLOADS.glob("*.whl") if path.name.split("-")[0].replace(".", "_").lower() == wanted)
    partial = directory.with_suffix(".partial")
    with zipfile.ZipFile(next(wheels)) as wheel:
        wheel.extractall(partial)
    partial.rename(directory)
    return directory


def findings_of(treadle: str, directory: Path) -> list[dict[str, object]]:
    """Check a directory and return its findings as the checker's JSON lines have them."""
    command = [treadle, "check", ".", "--isolated", "--no-cache", "--exit-zero", "--output-format", "json-lines"]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Check every package, write the findings and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--treadle", default="treadle", help="the program to run")
    parser.add_argument("names", nargs="*", default=list(PACKAGES), help="packages; all when none is given")
    options = parser.parse_args()
    treadle = str(Path(options.treadle).resolve()) if Path(options.treadle).exists() else options.treadle
    (HERE / "findings").mkdir(exist_ok=True)
    print(f"{'package':<22}{'certain':>8}{'likely':>8}  what")
    for name in options.names:
        findings = findings_of(treadle, source_of(name))
        lines = [
            "{path}:{line}: {tier} {name}: {message}".format(**finding)
            for finding in sorted(
                findings, key=lambda finding: (str(finding["tier"]), str(finding["path"]), str(finding["line"]))
            )
        ]
        (HERE / "findings" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        tiers = Counter(finding["tier"] for finding in findings)
        kinds = ", ".join(
            f"{kind} {count}" for kind, count in Counter(finding["name"] for finding in findings).most_common()
        )
        print(f"{name:<22}{tiers['certain']:>8}{tiers['likely']:>8}  {kinds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
