"""The reader of ABC tunes as scores, and its checks of what it read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

from musengine.api import Item, Piece, Reader, Score
from musengine.errors import UnreadableError
from musengine_notation.abc.book import Tune, encoding_told, read_book, tunes_of
from musengine_notation.abc.events import QUARTER, WrittenBar
from musengine_notation.abc.score import Repeats, ScoredTune, scored
from musengine_notation.abc.tune import ParsedTune, TuneParser
from musengine_notation.checks import (
    Bar,
    bars_of_sections,
    told_of_bars,
    told_of_notes,
    uneven_bars,
)
from musengine_notation.config import AbcConfig


class AbcReader(Reader[AbcConfig]):
    """Reads `.abc` files as a Score for each tune."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the tunes of one file.

        A tune that cannot be read is left out, as with `strict` is one that is not understood in
        full; the warnings of the first piece name it.

        Raises:
            UnreadableError: empty, too large, UTF-16, or no tune in it can be read.
        """
        text, encoding = read_book(item)
        tunes = tunes_of(text)
        if not tunes:
            raise UnreadableError("no tunes in it", code="no-pieces")
        many = len(tunes) > 1
        pieces: list[Piece] = []
        left_out: list[UnreadableError] = []
        for tune in tunes:
            name = f"{item.id}#{tune.place}" if many else item.id
            try:
                pieces.append(self._piece(tune, name, item.style, encoding))
            except UnreadableError as error:
                what = f"{tune.label} is left out: {error}" if many else str(error)
                left_out.append(UnreadableError(what, code=error.code))
        if not pieces:
            raise left_out[0]
        first, *others = pieces
        warnings = (*map(str, left_out), *first.warnings)
        return [
            Piece(first.id, first.content, first.style, None, warnings, first.format),
            *others,
        ]

    def _piece(self, tune: Tune, name: str, style: str, encoding: str) -> Piece:
        parsed, result = read_tune(tune.numbered_lines, self.config.repeats)
        faults = faults_of(parsed, result)
        if faults and self.config.strict:
            raise UnreadableError(faults[0], code="abc-not-understood")
        told = tuple(f"{tune.name}, {fault}" for fault in faults)
        warnings = (*encoding_told(tune, encoding), *told)
        return Piece(name, result.score, style, warnings=warnings, format="ABC")


def read_tune(
    lines: Sequence[tuple[int, str]], repeats: Repeats = "written"
) -> tuple[ParsedTune, ScoredTune]:
    """Return what the lines of a tune say, and its score.

    Args:
        lines: their numbers in the file, and their texts.
        repeats: whether each note is there once, or as often as it is played.

    Raises:
        UnreadableError: no key, no notes, or more than is read of one tune.
    """
    parsed = TuneParser().parse(lines)
    result = scored(parsed, repeats)
    if not len(result.score):
        raise UnreadableError("no notes in it", code="no-notes")
    return parsed, result


def abc_to_score(text: str, repeats: Repeats = "written") -> Score:
    """Return the score of a tune in ABC notation; of several tunes the first.

    Raises:
        UnreadableError: it is no tune, there are no notes in it, or more than is read of one tune.
    """
    _, result = read_tune(_first_tune(text), repeats)
    return result.score


def abc_bars(text: str) -> list[Bar]:
    """Return the bars in which there is anything of a tune in ABC notation, voice by voice.

    Raises:
        UnreadableError: it is no tune, or more than is read of one tune.
    """
    return bars_of(TuneParser().parse(_first_tune(text)))


def _first_tune(text: str) -> list[tuple[int, str]]:
    tunes = tunes_of(text)
    if not tunes:
        raise UnreadableError("no tunes in it", code="no-pieces")
    return tunes[0].numbered_lines


def bars_of(parsed: ParsedTune) -> list[Bar]:
    """Return the bars of a parsed tune, voice by voice."""
    sections = []
    for bars in parsed.bars:
        numbered = list(enumerate(bars, 1))
        for _, section in itertools.groupby(numbered, key=lambda entry: entry[1].section):
            sections.append([_measured(bar, number) for number, bar in section])
    return bars_of_sections(sections)


def _measured(bar: WrittenBar, number: int) -> tuple[Fraction, Fraction | None, str]:
    meter = None if bar.meter is None else Fraction(bar.meter, QUARTER)
    # Lengths are whole units, so a bar of uncommon tuplets may lack a few of them.
    if bar.meter is not None and abs(bar.length - bar.meter) < QUARTER // 10_000:
        return Fraction(bar.meter, QUARTER), meter, f"bar {number} (line {bar.line})"
    return Fraction(bar.length, QUARTER), meter, f"bar {number} (line {bar.line})"


def faults_of(parsed: ParsedTune, result: ScoredTune) -> list[str]:
    """Return what was not understood of a tune, or cannot be what was meant, a line each."""
    faults = [f"line {warned.line}: {warned.what}" for warned in parsed.warnings]
    if result.left_out:
        faults.append(f"notes too high or too low for MIDI: {result.left_out}")
    faults.append(told_of_bars(uneven_bars(bars_of(parsed))))
    if result.written:
        read = len(result.score) + result.joined + result.left_out
        faults.append(told_of_notes(parsed.letters, read))
    return [fault for fault in faults if fault]
