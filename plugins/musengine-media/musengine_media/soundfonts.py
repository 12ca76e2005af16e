"""Where SoundFonts are: the instruments' sounds that the WAV writer plays with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VARIABLE = "MUSENGINE_SOUNDFONT"
SUFFIXES = (".sf2", ".sf3")
_FAVOURITES = ("default-gm", "default", "fluidr3", "generaluser", "musescore_general", "timgm")
"""Beginnings of the names of complete General MIDI sets, in lower case, the first choice first."""

NONE_FOUND = (
    "no SoundFont found: install one (Debian, Ubuntu: apt install timgm6mb-soundfont, or "
    "fluid-soundfont-gm, which sounds better; Fedora: dnf install fluid-soundfont-gm; Arch: pacman "
    "-S soundfont-fluid; macOS: brew install fluid-synth) or name a .sf2 file with soundfont = "
    f'"..." or the variable {VARIABLE}'
)


_MUTE = ("0.6.0",)
"""Versions of symusic whose sound cannot be turned into an array."""


def mute_synthesiser() -> str:
    """Return what to do about a version of symusic that gives no sound; empty where it is fine."""
    try:
        installed = version("symusic")
    except PackageNotFoundError:  # what requires it says so
        return ""
    if installed not in _MUTE:
        return ""
    return (
        f"symusic {installed} gives no sound to Python; install another version: "
        'pip install "musengine-media[audio]"'
    )


def find() -> Path | None:
    """Return a SoundFont: the one that `MUSENGINE_SOUNDFONT` names, else one in a usual place."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    for folder in places():
        for path in _inside(folder):
            if not fault(path):
                return path
    return None


def fault(path: Path) -> str:
    """Return why a file is no SoundFont, by its first bytes; an empty string where it is one."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return f"the SoundFont {path} cannot be read: {reason or error}"
    # A RIFF file: its name, the length of the rest, and what kind of RIFF file it is.
    if start[:4] != b"RIFF" or start[8:] != b"sfbk":
        return f"{path} is no SoundFont (.sf2 or .sf3)"
    return ""


def places() -> Iterator[Path]:
    """Yield the folders in which systems keep SoundFonts."""
    home = Path.home()
    if sys.platform == "win32":
        for variable in ("LOCALAPPDATA", "PROGRAMDATA"):
            if folder := os.environ.get(variable):
                yield Path(folder, "soundfonts")
        yield Path("C:/soundfonts")
        programs = Path(os.environ.get("PROGRAMFILES", "C:/Program Files"))
        yield from sorted(programs.glob("MuseScore*/sound"))
        return
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    roots = [data, Path("/usr/local/share"), Path("/usr/share")]
    if sys.platform == "darwin":
        yield from (home / "Library/Audio/Sounds/Banks", Path("/Library/Audio/Sounds/Banks"))
        roots.append(Path("/opt/homebrew/share"))
        roots.append(Path("/opt/local/share"))
    for root in roots:
        for inside in ("sounds/sf2", "soundfonts", "sounds/sf3", "fluid-synth/sf2"):
            yield root / inside


def _inside(folder: Path) -> list[Path]:
    """Return the SoundFonts in a folder, the favourites first."""

    def rank(path: Path) -> tuple[int, str]:
        name = path.name.lower()
        begins = [name.startswith(favourite) for favourite in _FAVOURITES]
        return (begins.index(True) if any(begins) else len(begins)), name

    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError:
        return []
    return sorted(found, key=rank)
