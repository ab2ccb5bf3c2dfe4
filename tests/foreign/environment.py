"""What a suite needs before it can run: an environment of its own, the library, its tests, and the loops beside it.

Everything is below ``target/foreign``. The loops are not installed in the environment but in a directory each, from
which ``inside/foreign_loop.py`` takes the one that is chosen: a suite that looks for uvloop finds none on the others.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from suites import Suite

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "target" / "foreign"
INSIDE = HERE / "inside"
UVLOOP = "uvloop==0.23.0"


class Absent(Exception):  # noqa: N818 (it says what is so)
    """The tests cannot be had here, and that is no fault."""


@dataclass(frozen=True)
class Environment:
    """A suite that can be run."""

    python: Path
    # Where its tests are, which is where it runs.
    source: Path
    loops: dict[str, Path]

    @classmethod
    def of(cls, suite: Suite, loops: dict[str, Path]) -> "Environment":
        """Return where the environment of a suite is, or will be."""
        place = TARGET / f"python-{version()}" / suite.name
        return cls(place / "bin" / "python", place / "source", loops)


def version() -> str:
    """Return the version of the interpreter that runs this, and the suites."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def loops(package: Path) -> dict[str, Path]:
    """Return where the loops are: treadle's in a directory that has the package, or unpacked from a wheel."""
    home = TARGET / f"python-{version()}" / "loops"
    if not (home / "uvloop").is_dir():
        pip(Path(sys.executable), "install", "--target", str(home / "uvloop"), UVLOOP)
    if package.is_dir():
        return {"uvloop": home / "uvloop", "treadle": package.resolve()}
    ours = home / "treadle"
    shutil.rmtree(ours, ignore_errors=True)
    pip(Path(sys.executable), "install", "--no-deps", "--target", str(ours), str(package))
    return {"uvloop": home / "uvloop", "treadle": ours}


def prepare(suite: Suite) -> None:
    """Make the suite's environment, unless it is there already.

    Raises:
        Absent: its tests cannot be had on this machine.

    """
    place = TARGET / f"python-{version()}" / suite.name
    python, source, stamp = place / "bin" / "python", place / "source", place / "stamp"
    wanted = hashlib.sha256(
        repr((suite.version, suite.needs, suite.files, suite.conftest, str(INSIDE))).encode()
    ).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        archive = fetch(suite)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip(python, "install", f"{suite.name}=={suite.version}", *suite.needs)
        packages = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        )
        (Path(packages.stdout.strip()) / "foreign.pth").write_text(f"{INSIDE}\nimport foreign_loop\n")
        unpack(suite, archive, source)
        stamp.write_text(wanted)


def fetch(suite: Suite) -> Path:
    """Return the archive with the suite's tests: the source distribution, or Debian's copy of what upstream released.

    Raises:
        Absent: Debian's is wanted, and `apt-get` is not here or has no such source.

    """
    archives = TARGET / "archives" / f"{suite.name}-{suite.version}"
    if not archives.is_dir():
        with tempfile.TemporaryDirectory(dir=directory(archives.parent)) as unfinished:
            if suite.debian:
                from_debian(suite, Path(unfinished))
            else:
                wanted = f"{suite.name}=={suite.version}"
                options = ["--no-deps", "--no-binary", suite.name, "--dest", unfinished]
                pip(Path(sys.executable), "download", *options, wanted)
            # What is broken off leaves no directory that looks like a whole one.
            shutil.copytree(unfinished, archives)
    (archive,) = archives.iterdir()
    return archive


def from_debian(suite: Suite, destination: Path) -> None:
    """Fetch the archive that a source package of Debian was made from.

    Raises:
        Absent: there is none.

    """
    command = ["apt-get", "source", "--quiet", "--download-only", "--tar-only", "--only-source", suite.debian]
    try:
        subprocess.run(command, check=True, capture_output=True, cwd=destination)
    except (OSError, subprocess.CalledProcessError):
        raise Absent(f"its tests are in `apt-get source {suite.debian}` alone, which is not to be had here") from None


def directory(path: Path) -> Path:
    """Return a directory that is there."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def unpack(suite: Suite, archive: Path, source: Path) -> None:
    """Take what is wanted out of the archive."""
    source.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, name = member.name.partition("/")
            if any(name == wanted or name.startswith(f"{wanted}/") for wanted in suite.files):
                member.name = name
                tar.extract(member, source, filter="data")
    if suite.conftest:
        (source / "conftest.py").write_text(suite.conftest)
    if not any((source / name).exists() for name in ("pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini")):
        # Lest pytest look for one further up, and find ours.
        (source / "pytest.ini").write_text("[pytest]\n")


def pip(python: Path, *arguments: str) -> None:
    """Run pip, which says what is wrong itself."""
    options = ["--quiet"] if arguments[0] == "download" else ["--quiet", "--root-user-action=ignore"]
    subprocess.run([python, "-m", "pip", arguments[0], *options, *arguments[1:]], check=True)
