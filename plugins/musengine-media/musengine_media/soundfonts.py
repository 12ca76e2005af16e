"""Where SoundFonts are: the instruments' sounds that scores are played with."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "MUSENGINE_SOUNDFONT"
SUFFIXES = (".sf2", ".sf3")
_FAVOURITES = ("default-gm", "default", "fluidr3", "generaluser", "musescore_general", "timgm")
"""Beginnings of the names of complete General MIDI sets, in lower case, the first choice first."""

NONE_FOUND = (
    "no SoundFont found: install one (pip install pretty_midi brings one) or name a .sf2 file with "
    f'soundfont = "..." or the variable {VARIABLE}'
)


def find() -> Path | None:
    """Return a SoundFont: the one that `MUSENGINE_SOUNDFONT` names, else one in a usual place.

    The last of these is where pip has installed pretty_midi, which has one and on which
    musengine-media depends.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    for folder in places():
        for path in _inside(folder):
            if not fault(path):
                return path
    return bundled()


def bundled() -> Path | None:
    """Return the SoundFont that comes with pretty_midi, on which musengine-media depends.

    The module itself is not imported: it takes longer than a piece takes to play.
    """
    spec = importlib.util.find_spec("pretty_midi")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder, "TimGM6mb.sf2")
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
