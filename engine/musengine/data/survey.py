"""The survey of a corpus: what kinds of files it holds, and what a sample of them is like."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from musengine.data.discovery import DiscoveryNotes, find_items
from musengine.data.reading import open_file
from musengine.errors import UnreadableError, UserError
from musengine.interfaces.reader import Item
from musengine.music.score import Score
from musengine.music.traits import GRIDS, Traits, traits_of
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content
from musengine.plugins.declarations import ReaderDeclaration
from musengine.plugins.registry import Component, Registry
from musengine.plugins.suggestions import CorpusSurvey
from musengine.utils.arrays import FloatArray
from musengine.utils.format import counted
from musengine.utils.parallel import Failure, process_map
from musengine.utils.progress import SILENT, ProgressReporter

SAMPLE = 64
"""Files of one kind that are read at the most."""
SECONDS = 8.0
"""After which no further file of one kind is read."""
FILE_SECONDS = 10.0
"""After which a file is given up."""
_KEPT = 0.95
"""How closely onsets keep to the grid that keeps their rhythm."""
_BEAT = 0.5
"""How closely the onsets of music that keeps a beat keep to its sixteenths."""
_OFF_BEAT = "0.1 seconds"


@dataclass
class FileKind:
    """The files of a corpus that one reader reads.

    Attributes:
        reader: what reads them as scores, else as texts.
        items: the files.
        text_reader: what reads them as texts, if anything does.
        read: those of the sample, with what could be read.
        bad: those of the sample that could not be read, and why.
    """

    reader: Component
    items: list[Item] = field(default_factory=list)
    text_reader: Component | None = None
    read: list[tuple[Item, list[Traits | int]]] = field(default_factory=list)
    bad: list[tuple[Item, str]] = field(default_factory=list)

    @property
    def suffixes(self) -> list[str]:
        """The endings of its files, the frequent ones first."""
        return [suffix for suffix, _ in Counter(_suffix(i) for i in self.items).most_common()]

    def contents(self) -> set[Content]:
        """Return what its files can be read as."""
        readers = [self.reader, *([] if self.text_reader is None else [self.text_reader])]
        return {each for one in readers for each in one.declared(ReaderDeclaration).content}

    @property
    def traits(self) -> list[Traits]:
        """What its sampled scores are like."""
        return [each for _, found in self.read for each in found if isinstance(each, Traits)]

    @property
    def characters(self) -> int:
        """The characters of its sampled texts."""
        return sum(each for _, found in self.read for each in found if isinstance(each, int))

    @property
    def factor(self) -> float:
        """What an amount of the sample is multiplied with for that of all files: by their bytes."""
        whole = sum(map(_size, self.items))
        tried = [item for item, _ in (*self.read, *self.bad)]
        return whole / max(sum(map(_size, tried)), 1) if tried else 0.0

    @property
    def pieces(self) -> int:
        """How many pieces it holds."""
        found = sum(len(each) for _, each in self.read)
        if self.traits:
            found = len(self.traits)
        return round(found * len(self.items) / max(len(self.read) + len(self.bad), 1))

    @property
    def music(self) -> tuple[float, float]:
        """How much music it holds: seconds, and of what is text alone the characters."""
        seconds = sum(each.seconds for each in self.traits) * self.factor
        return seconds, self.characters * self.factor


@dataclass(frozen=True)
class SurveyedCorpus:
    """What was found in a corpus.

    Attributes:
        source: where.
        kind: the files that are taken: those with most music.
        others: the kinds of files that are not.
        survey: what those that are taken are like.
        notes: what was found beside music.
    """

    source: Source
    kind: FileKind
    others: list[FileKind]
    survey: CorpusSurvey
    notes: DiscoveryNotes


def survey_corpus(
    source: Source, registry: Registry, reporter: ProgressReporter = SILENT
) -> SurveyedCorpus:
    """Look into a corpus and read a sample of its files, always the same one.

    Raises:
        UserError: it is not there, or holds nothing that can be read; says why.
    """
    notes = DiscoveryNotes()
    kinds = _kinds(source, registry, notes)
    for kind in kinds:
        _sample(kind, reporter)
    usable = sorted((kind for kind in kinds if kind.read), key=lambda each: each.music)
    if not usable:
        raise UserError(_nothing(source, kinds, notes), code="no-music")
    # Seconds of music decide, and only among texts without any the characters.
    *others, kind = usable
    others = [*reversed(others), *(each for each in kinds if not each.read)]
    return SurveyedCorpus(source, kind, others, _survey(kind), notes)


def _kinds(source: Source, registry: Registry, notes: DiscoveryNotes) -> list[FileKind]:
    kinds: dict[str, FileKind] = {}
    for reader, item in find_items(source, registry, None, notes):
        kinds.setdefault(reader.name, FileKind(reader)).items.append(item)
    try:
        texts = {
            i.path: r for r, i in find_items(source, registry, None, DiscoveryNotes(), ("text",))
        }
    except UserError:  # a corpus or a file that no reader reads as text
        texts = {}
    for kind in kinds.values():
        kind.text_reader = texts.get(kind.items[0].path)
    return list(kinds.values())


@dataclass(frozen=True)
class _Sampled:
    item: Item
    reader: Component
    text_reader: Component | None


def _sample(kind: FileKind, reporter: ProgressReporter) -> None:
    """Read some of the files of a kind, as many as there is time for."""
    if missing := kind.reader.entry.missing_requirements():
        kind.bad = [(kind.items[0], missing[0])]
        return
    chosen = sample_items(kind.items)
    files = [_Sampled(item, kind.reader, kind.text_reader) for item in chosen]
    began = time.monotonic()
    results = process_map(_look, files, timeout=FILE_SECONDS)
    with reporter.bar("looking") as bar:
        for file, found in zip(files, results, strict=True):
            if isinstance(found, Failure):
                kind.bad.append((file.item, found.reason))
            elif isinstance(found, str):
                kind.bad.append((file.item, found))
            else:
                kind.read.append((file.item, found))
            done = len(kind.read) + len(kind.bad)
            bar.update(done / len(files), f"{done} of {counted(len(files), 'file')}")
            # Leaving the loop closes the generator, which ends the workers.
            if time.monotonic() - began > SECONDS and kind.read:
                break


def sample_items(items: Sequence[Item], most: int = SAMPLE) -> list[Item]:
    """Return some of the files, drawn by a seed, always the same ones."""
    # A sample, not the first ones: folders are sorted by composer or style.
    return random.Random(0).sample(list(items), min(most, len(items)))


def _look(file: _Sampled) -> list[Traits | int] | str:
    """Return what each piece of a file is like, scores and texts; or why it cannot be read."""
    found: list[Traits | int] = []
    try:
        other = file.text_reader if file.text_reader != file.reader else None
        for reader in (file.reader, *([] if other is None else [other])):
            for piece in open_file(reader, file.item):
                content = piece.content
                each = traits_of(content) if isinstance(content, Score) else len(content.text)
                found += [each] if each is not None else []
    except UnreadableError as error:
        return error.lines[0]
    return found or "no notes in it"


def _survey(kind: FileKind) -> CorpusSurvey:
    traits, factor = kind.traits, kind.factor
    contents: tuple[Literal["score", "text"], ...] = ("score",) if traits else ()
    texts = ("text",) if kind.characters else ()
    notation = _notation(kind)
    if not traits:
        return CorpusSurvey(
            files=len(kind.items),
            contents=("text",),
            notation=notation,
            pieces=kind.pieces,
            characters=round(factor * kind.characters),
        )
    notes = sum(each.notes for each in traits)
    # (128,) how many notes lie at or below each pitch.
    pitches = np.cumsum(sum(each.pitches for each in traits))
    length = np.array([each.beats for each in traits])
    step, on_beat = _step(np.array([each.grids for each in traits]))
    return CorpusSurvey(
        files=len(kind.items),
        contents=(*contents, *texts),
        notation=notation,
        pieces=kind.pieces,
        notes=round(factor * notes),
        beats=factor * float(length.sum()),
        seconds=factor * sum(each.seconds for each in traits),
        characters=round(factor * kind.characters),
        polyphony=float(np.average([each.polyphony for each in traits], weights=length)),
        single_lines=float(np.mean([each.single_line for each in traits])),
        melodies=sum(each.melody_notes for each in traits) / notes,
        drums=sum(each.drums for each in traits) / notes,
        step=step,
        on_beat=on_beat,
        tempo=float(np.median([each.tempo for each in traits])),
        # Without the outermost thousandth: one stray note must not widen the range of a model.
        lowest=int(np.searchsorted(pitches, 0.001 * pitches[-1])),
        highest=int(np.searchsorted(pitches, 0.999 * pitches[-1])),
        shortest=float(np.quantile(length, 0.1)),
        usual=float(np.median(length)),
    )


def _step(closeness: FloatArray) -> tuple[str, bool]:
    """Return the time step for music, and whether it keeps a beat.

    The coarsest grid that nearly all onsets lie on. Where none is found, as with ornaments and
    slurred triplets here and there, sixteenths do, which keep most of it at a bearable length.

    Args:
        closeness: (pieces, 6) as `Traits.grids`.
    """
    means = dict(zip(GRIDS, closeness.mean(axis=0).tolist(), strict=True))
    for steps, mean in means.items():
        if mean >= _KEPT:
            return f"1/{steps} beat", True
    # A grid of twelfths is kept by whatever is on a beat; a few onsets off it matter little.
    return ("1/4 beat", True) if means[4] >= _BEAT else (_OFF_BEAT, False)


def _notation(kind: FileKind) -> str:
    """Return the notation of a kind's texts, as its first readable file has it."""
    if kind.text_reader is None:
        return ""
    for item, _ in kind.read:
        try:
            content = open_file(kind.text_reader, item)[0].content
        except UnreadableError:
            continue
        return "" if isinstance(content, Score) else content.notation
    return ""


def _suffix(item: Item) -> str:
    return item.path.suffix.lower() or item.path.name


def _size(item: Item) -> int:
    try:
        return max(item.path.stat().st_size, 1)
    except OSError:
        return 1


def _nothing(source: Source, kinds: Sequence[FileKind], notes: DiscoveryNotes) -> str:
    reasons = [f"{item.path}: {reason}" for kind in kinds for item, reason in kind.bad]
    if not reasons:
        there = ", ".join(f"{count} {suffix}" for suffix, count in notes.ignored.most_common(5))
        reasons = [f"no music files found{f' (there are {there})' if there else ''}"]
    more = [f"and {len(reasons) - 5} more"] if len(reasons) > 5 else []
    return f"no usable music in {source.text}: {'; '.join([*reasons[:5], *more])}"
