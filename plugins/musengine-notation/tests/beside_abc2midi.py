"""Tunes in ABC beside what abc2midi makes of them: for tests and a benchmark."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musengine.api import Score
from musengine.errors import UnreadableError
from musengine_notation import abc_to_score
from musengine_notation.abc.book import Tune, tunes_of

_FIELD = re.compile(r"[A-Za-z]:(?![|:])|%")
_BAR = re.compile(r"(\[[A-Za-z]:[^\]]*\])|((?:\[(?=\|))?(?:\||:[|:])[|:\]]*)(\[?\d)?|(\[\d)")
TOLERANCE = 0.08
"""In quarter notes: abc2midi strikes the notes of a chord one after the other."""


def plain(text: str) -> str:
    """A tune without ornaments, grace notes, chord symbols and hornpipe rhythm."""
    lines = []
    for line in text.split("\n"):
        if line.startswith("R:"):
            continue
        if not _FIELD.match(line):
            line = re.sub(r'"[^"]*"|\{[^}]*\}|![^!\s|]*!', "", line)
            parts = re.split(r"(\[[A-Za-z]:[^\]]*\])", line)
            parts[::2] = [re.sub(r"[~HJLMOPSTuv]|\.(?=[A-Ga-g^_=\[])", "", p) for p in parts[::2]]
            line = "".join(parts)
        lines.append(line)
    return "\n".join(lines)


def with_beginnings(text: str) -> str:
    """A tune in which each repeated part has the sign `|:` where it begins."""
    head, _, body = text.partition("\nK:")
    key, _, music = body.partition("\n")
    lines = music.split("\n")
    # Places of music alone; a bar line begins a part, until a sign says whether it is repeated.
    begin: tuple[int, int] | None = (0, 0)
    last_ending = False
    inserts: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        if line.startswith("P:"):
            begin, last_ending = (number + 1, 0), False
        if _FIELD.match(line):
            if begin == (number, 0):
                begin = (number + 1, 0)
            continue
        for match in _BAR.finditer(line):
            if match[1]:
                continue
            sign, ending = match[2] or "", match[3] or match[4]
            after = (number, match.end(2) if match[2] else match.end())
            if sign.endswith(":") and "|" in sign.rstrip(":"):
                begin = None if not sign.startswith(":") else begin
            repeats = sign.startswith(":")
            first = ending and ending.strip("[") == "1"
            if (repeats or first) and begin is not None:
                inserts.append(begin)
                begin = None
            if sign == "::" or (repeats and sign.endswith(":")):
                begin = None
            else:
                closed = repeats and not ending and not _ending_next(lines, after)
                parted = last_ending and sign not in ("", "|") and not sign.endswith(":")
                begin = after if closed or parted else begin
            if last_ending and sign not in ("", "|"):
                last_ending = False
            if ending and not first:
                last_ending = True
    for number, place in reversed(inserts):
        if number < len(lines):
            line = lines[number]
            lines[number] = f"{line[:place]} |: {line[place:]}"
    return f"{head}\nK:{key}\n" + "\n".join(lines)


def _ending_next(lines: list[str], after: tuple[int, int]) -> bool:
    rest = lines[after[0]][after[1] :] + " " + " ".join(lines[after[0] + 1 :])
    return re.match(r"[\s\\|\]]*(\[?\d)", rest) is not None


def theirs(text: str, folder: Path) -> list[tuple[int, float]] | None:
    """Pitch and onset in quarter notes of what abc2midi makes of a tune; None for nothing."""
    import miditoolkit

    source, made = folder / "tune.abc", folder / "tune.mid"
    source.write_text(re.sub(r"^X:[^\n]*", "X:1", text), encoding="utf-8")
    made.unlink(missing_ok=True)
    subprocess.run(
        ["abc2midi", str(source), "1", "-o", str(made), "-NGRA", "-NGUI", "-NFER"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    if not made.is_file():
        return None
    file = miditoolkit.MidiFile(str(made))
    return [
        (int(note.pitch), note.start / file.ticks_per_beat)
        for part in file.instruments
        for note in part.notes
    ]


def ours(score: Score) -> list[tuple[int, float]]:
    per = score.ticks_per_beat
    return list(zip(score.pitch.tolist(), (score.onset / per).tolist(), strict=True))


def are_equal(first: list[tuple[int, float]], second: list[tuple[int, float]]) -> bool:
    """Whether both have the same pitches at the same times."""
    onsets: list[dict[int, list[float]]] = []
    for notes in (first, second):
        found = defaultdict(list)
        for pitch, onset in sorted(notes):
            found[pitch].append(onset)
        onsets.append(found)
    one, other = onsets
    return one.keys() == other.keys() and all(
        len(one[pitch]) == len(other[pitch])
        and all(abs(a - b) < TOLERANCE for a, b in zip(one[pitch], other[pitch], strict=True))
        for pitch in one
    )


def tunes(books: Sequence[Path]) -> Iterator[tuple[str, Tune]]:
    """Yield the tunes of books, with names such as `jigs.abc, X:17`."""
    for path in books:
        text = path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
        for tune in tunes_of(text):
            yield f"{path.name}, X:{tune.number}", tune


@dataclass
class Agreement:
    """How many tunes have the same pitches at the same times.

    Attributes:
        tunes: how many were compared.
        as_they_stand: names of those that differ as they are.
        different: names of those that differ also where each sign `|:` is written.
    """

    tunes: int = 0
    as_they_stand: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def compared(books: Sequence[Path], folder: Path) -> Agreement:
    """Return how many tunes of some books agree with abc2midi, repeats played."""
    found = Agreement()
    for name, tune in tunes(books):
        found.tunes += 1
        text = plain(tune.text)
        try:
            own = ours(abc_to_score(text, repeats="played"))
        except UnreadableError:
            own = []  # nothing but words or rests
        other = theirs(text, folder)
        if not own and not other:
            continue
        # What both read alike as it stands needs no signs written for it.
        if other is not None and are_equal(own, other):
            continue
        found.as_they_stand.append(name)
        other = theirs(with_beginnings(text), folder)
        if other is None or not are_equal(own, other):
            found.different.append(name)
    return found
