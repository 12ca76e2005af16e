"""Rows of the reference page on MusicXML, and the files that they stand for."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from abc_rows import Notes, notes_of

from musengine.api import Score
from musengine_notation.musicxml.score import score_of_root
from musengine_notation.musicxml.text import musicxml_root

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "reading-musicxml.md"
_TOKEN = re.compile(r"([A-GR])(#?)(\d?)(?::([\d.]+))?((?:\+<\S*)*)")
_METER = "<attributes><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"


def note(match: re.Match[str]) -> str:
    """The element of a note or rest."""
    step, sharp, octave, duration, inside = match.groups()
    pitch = "<rest/>"
    if step != "R":
        alter = "<alter>1</alter>" if sharp else ""
        pitch = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
    more = "".join(inside.split("+")).replace("·", " ")
    length = "" if "<grace" in more else f"<duration>{duration or 1}</duration>"
    first = "".join(re.findall(r"<(?:grace|cue|chord)/>", more))
    rest = re.sub(r"<(?:grace|cue|chord)/>", "", more)
    return f"<note>{first}{pitch}{length}{rest}</note>"


def file_of(music: str, parts: str = "") -> str:
    """A whole file of the music of a row; `parts` is what stands in the list of parts."""
    bodies = []
    for number, part in enumerate(music.split("‖"), 1):
        measures = []
        for count, measure in enumerate(part.split(" | "), 1):
            inside = [
                note(match) if (match := _TOKEN.fullmatch(token)) else token.replace("·", " ")
                for token in measure.split()
            ]
            begin = _METER if count == 1 else ""
            measures.append(f'<measure number="{count}">{begin}{"".join(inside)}</measure>')
        bodies.append(f'<part id="P{number}">' + "\n".join(measures) + "</part>")
    listed = parts or "".join(
        f'<score-part id="P{number}"><part-name>Part {number}</part-name></score-part>'
        for number in range(1, len(bodies) + 1)
    )
    return (
        f'<score-partwise version="4.0"><part-list>{listed}</part-list>'
        f"{''.join(bodies)}</score-partwise>"
    )


def read(music: str, parts: str = "") -> tuple[Score, list[str]]:
    """The score of a row's music, and what was odd."""
    return score_of_root(musicxml_root(file_of(music, parts).encode()))


def read_notes(music: str) -> Notes:
    """The notes of a row's music."""
    return notes_of(read(music)[0])


def read_tempos(music: str) -> list[tuple[float, float]]:
    """The tempos of a row's music, and where they begin in quarter notes."""
    score, _ = read(music)
    beats = (score.tempo_tick / score.ticks_per_beat).tolist()
    return [
        (beat, round(bpm, 2)) for beat, bpm in zip(beats, score.tempo_bpm.tolist(), strict=True)
    ]


def tempos(text: str) -> list[tuple[float, float]]:
    """Those that a row has, as `80@0 120@4`."""
    found = [word.split("@") for word in text.split()]
    return [(float(Fraction(at)), float(bpm)) for bpm, at in found]


def rows(column: str) -> list[tuple[str, str, str]]:
    """What, MusicXML and the expected of each row of the table with such a last column."""
    if not PAGE.is_file():
        return []
    head = f"| what | MusicXML | {column} |\n| --- | --- | --- |\n"
    table = PAGE.read_text(encoding="utf-8").split(head, 1)[1].split("\n\n", 1)[0]
    found = []
    for line in table.splitlines():
        what, xml, wanted = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        found.append((what.strip(), xml.strip().strip("`").replace("\\|", "|"), wanted.strip()))
    return found
