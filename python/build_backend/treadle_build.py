"""The build backend: maturin's, with the native ``treadle`` program put among the wheel's scripts.

A wheel that holds both an extension module and a native program needs two builds. This module makes the second one and
places it where maturin collects the files that installers copy to ``bin/``. Nothing here runs at the user's run time.

``TREADLE_PROFILE`` names the Cargo profile, ``release`` by default.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import maturin

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "target" / "treadle.data" / "scripts"
PROFILE = os.environ.get("TREADLE_PROFILE", "release")

Settings = dict[str, Any]


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    """Return what a wheel needs besides ``build-system.requires``."""
    return list(maturin.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: Settings | None = None) -> list[str]:
    """Return what an editable installation needs besides ``build-system.requires``."""
    return list(maturin.get_requires_for_build_editable(config_settings))


def get_requires_for_build_sdist(config_settings: Settings | None = None) -> list[str]:
    """Return what a source distribution needs besides ``build-system.requires``."""
    return list(maturin.get_requires_for_build_sdist(config_settings))


def build_sdist(sdist_directory: str, config_settings: Settings | None = None) -> str:
    """Build a source distribution and return its file name."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return str(maturin.build_sdist(sdist_directory, config_settings))


def build_wheel(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    """Build the program and the extension, and return the wheel's file name."""
    place_program()
    return str(maturin.build_wheel(wheel_directory, with_profile(config_settings), metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    """Build for a development installation, and return the wheel's file name."""
    place_program()
    return str(maturin.build_editable(wheel_directory, with_profile(config_settings), metadata_directory))


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings | None = None) -> str:
    """Write the wheel's metadata and return its directory's name."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def with_profile(config_settings: Settings | None) -> Settings:
    """Return the settings with the profile for maturin's own build, unless the caller has named one."""
    return {"build-args": f"--profile {PROFILE}", **(config_settings or {})}


def place_program() -> None:
    """Build the program and put it where maturin takes scripts from.

    Raises:
        subprocess.CalledProcessError: the build failed; Cargo has said why.
    """
    command = ["cargo", "build", "--locked", "--package", "treadle-cli", "--profile", PROFILE]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in built.stdout.splitlines())
    program = next(Path(message["executable"]) for message in messages if message.get("executable"))
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    # Replaced, not written over: the old one may be running.
    temporary = SCRIPTS / f".{program.name}"
    shutil.copy2(program, temporary)
    temporary.replace(SCRIPTS / program.name)
