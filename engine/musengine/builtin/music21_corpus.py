"""The corpora inside the music21 package, read without its pickled cache."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from musengine.components.readers import Item, Reader
from musengine.declarations import NoSettings
from musengine.errors import UnreadableError, UserError, did_you_mean
from musengine.score import Piece, Score, Track

TICKS_PER_BEAT = 480 * 21
"""Divides evenly by 3, 5, 7, 9 and 64, so that tuplets fall on whole ticks."""

CHORALES = "bach-chorales"
NOTICE = (
    "music21's corpus carries its own terms, some works for non-commercial use only: "
    "see license.txt in the package's corpus folder"
)


class Music21CorpusReader(Reader[NoSettings]):
    """Reads works of music21's corpus: `bach-chorales`, or any of its folders."""

    def expand(self, name: str) -> list[Item]:
        """Return the works of a corpus, sorted by name.

        Raises:
            UserError: no such corpus; names the nearest and all there are.
        """
        from music21.corpus.corpora import CoreCorpus

        paths: list[Path] = [Path(path) for path in CoreCorpus().getPaths()]
        folders: dict[str, list[Path]] = {}
        for path in paths:
            folders.setdefault(_folder(path), []).append(path)
        folders[CHORALES] = _chorales(folders.get("bach", []))
        if name not in folders:
            near = did_you_mean(name, folders)
            raise UserError(
                f"music21 has no corpus {name!r}{near} there are: {', '.join(sorted(folders))}"
            )
        chosen = sorted(folders[name], key=lambda path: path.name)
        return [Item(path, f"music21:{_inside(path)}", _folder(path)) for path in chosen]

    def library(self) -> str:
        """Return the version of music21."""
        return f"music21 {version('music21')}"

    def notice(self, items: list[Item]) -> str:
        """Return where the corpus's terms stand."""
        return NOTICE

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the scores of one work; a book of tunes holds many.

        Raises:
            UnreadableError: music21 cannot parse it, or it holds no notes.
        """
        from music21 import converter, stream

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                parsed = converter.parse(item.path, forceSource=True, storePickle=False)
                if isinstance(parsed, stream.Opus):
                    works = {f"{item.id}#{i}": work for i, work in enumerate(parsed.scores)}
                else:
                    works = {item.id: parsed}
                scores = {name: _score(work) for name, work in works.items()}
            # Its parsers raise whatever a damaged file leads them to; each work stands alone.
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                raise UnreadableError(f"music21 cannot read it: {reason}") from error
        pieces = [Piece(name, score, item.style) for name, score in scores.items() if len(score)]
        if not pieces:
            raise UnreadableError("no notes")
        return pieces


def _inside(path: Path) -> str:
    """The path within the corpus, such as `bach/bwv250.mxl`."""
    parts = path.parts
    return "/".join(parts[len(parts) - parts[::-1].index("corpus") :])


def _folder(path: Path) -> str:
    return _inside(path).split("/")[0]


def _chorales(bach: list[Path]) -> list[Path]:
    """The four-part chorales: the works that music21 lists by their BWV numbers."""
    from music21.corpus import chorales

    catalogue: Any = chorales.ChoraleListRKBWV
    listed = {f"bwv{number}" for number in catalogue().byBWV}
    works: dict[str, Path] = {}
    # A few are there in two encodings: the one that most are in is taken.
    for path in sorted(bach, key=lambda path: (path.suffix != ".mxl", path.name)):
        if path.stem in listed:
            works.setdefault(path.stem, path)
    return list(works.values())


def _score(work: Any) -> Score:
    # A clarinet's part is written higher than it sounds.
    work.toSoundingPitch(inPlace=True)
    parts = list(work.parts) or [work]
    notes: list[tuple[int, int, int, int, int]] = []
    for index, part in enumerate(parts):
        # Ties are joined on the part as a whole, so that a note over a bar line stays one note.
        for element in part.flatten().stripTies().notes:
            if element.duration.isGrace or "Harmony" in element.classes:
                continue
            start, length = _ticks(element.offset), _ticks(element.quarterLength)
            for pitch in element.pitches:
                if length > 0 and 0 <= pitch.midi <= 127:
                    notes.append((start, length, pitch.midi, 80, index))
    columns = np.array(notes, dtype=np.int64).reshape(-1, 5).T
    flat = work.flatten()
    words = flat.getElementsByClass("TempoText")
    tempos = [(word.offset, word.getMetronomeMark().getQuarterBPM()) for word in words]
    marks = flat.getElementsByClass("MetronomeMark")
    tempos += [(mark.offset, mark.getQuarterBPM()) for mark in marks]
    meters = parts[0].flatten().getElementsByClass("TimeSignature")
    return Score.from_notes(
        *columns,
        ticks_per_beat=TICKS_PER_BEAT,
        tracks=[Track(str(part.partName or "")) for part in parts],
        tempos=[(_ticks(offset), float(bpm)) for offset, bpm in tempos if bpm],
        meters=[(_ticks(meter.offset), meter.numerator, meter.denominator) for meter in meters],
        length=_ticks(work.highestTime),
    )


def _ticks(quarters: Any) -> int:
    return round(Fraction(quarters) * TICKS_PER_BEAT)
