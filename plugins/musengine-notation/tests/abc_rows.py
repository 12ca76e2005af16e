"""Rows of the reference page on ABC, and notes as it writes them."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from musengine.api import Score
from musengine_notation import abc_to_score

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "reading-abc.md"
HEAD = {"M": "M:4/4", "L": "L:1/4"}
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
Notes = list[tuple[Fraction, int, Fraction]]


def tune(music: str) -> str:
    """A whole tune of a row: header lines before ♪, music after it, ↵ for the end of a line."""
    *own, body = (part.strip() for part in music.split("♪"))
    fields = dict(HEAD)
    more = []
    for line in own:
        if line[:2] in ("M:", "L:"):
            fields[line[0]] = line
        else:
            more.append(line)
    lines = [line for line in fields.values() if line[2:]]
    text = "\n".join(["X:1", "T:t", *lines, *more, "K:C", *body.split("↵")])
    return text + "\n"


def notes(text: str) -> Notes:
    """Onset, pitch and length in quarter notes of notes such as `C#4@1:1/2`."""
    found = []
    for word in text.split():
        letter, sharp, octave, onset, length = re.fullmatch(
            r"([A-G])(#?)(\d)@([\d./]+)(?::([\d./]+))?", word
        ).groups()
        pitch = 12 * (int(octave) + 1) + _SEMITONES[letter] + len(sharp)
        found.append((Fraction(onset), pitch, Fraction(length or 1)))
    return sorted(found)


def notes_of(score: Score) -> Notes:
    """Onset, pitch and length in quarter notes of a score, to the nearest 10,080th."""
    ticks = score.ticks_per_beat
    rows = zip(score.onset.tolist(), score.pitch.tolist(), score.duration.tolist(), strict=True)
    return sorted((Fraction(a, ticks), p, Fraction(d, ticks)) for a, p, d in rows)


def rows(heading: str) -> list[tuple[str, str, str]]:
    """What, ABC and notes of each row of the table after a line of the page."""
    if not PAGE.is_file():
        return []
    text = PAGE.read_text(encoding="utf-8").split(heading, 1)[1]
    table = text.split("| --- | --- | --- |\n", 1)[1].split("\n\n", 1)[0]
    found = []
    for line in table.splitlines():
        what, abc, wanted = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        found.append((what.strip(), abc.strip().strip("`").replace("\\|", "|"), wanted.strip()))
    return found


def read(abc: str, **more: str) -> Notes:
    """The notes of a row's music."""
    return notes_of(abc_to_score(tune(abc), **more))
