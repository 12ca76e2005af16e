"""A score as the text of a MusicXML file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np

from musengine.api import GENERAL_MIDI, ChordSymbol, Score, chord_symbol
from musengine.errors import UnwritableError
from musengine_notation.musicxml.values import KIND_OF
from musengine_notation.written.grid import BEAT, Bar, bars_of, on_grid
from musengine_notation.written.parts import Part
from musengine_notation.written.spelling import key_of_notes

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DRUM_CHANNEL = 10
_FEW_TEMPOS = 4
"""Tempi that are shown in any piece, and bars for each that is shown in a long one."""


def to_musicxml(score: Score) -> str:
    """Return a score as the text of a MusicXML 4.0 file.

    Each track with notes is a part, with its name or that of its instrument. Times that can be
    written are kept exactly: parts of a beat down to 64ths, triplets, quintuplets and septuplets.
    Other music is moved to a plain division of each beat. A piano that needs both hands has two
    staves. Without a key signature pitches are spelled as in the key that most of them are in.

    Args:
        score: the music; its controllers are left out.

    Raises:
        UnwritableError: it has no notes, or more bars or notes than anyone reads.
    """
    if not len(score):
        raise UnwritableError("no notes to write", code="no-notes")
    bars = bars_of(score)
    written = on_grid(score, bars)
    tracks = sorted(set(written.track.tolist()))
    lines = [_HEAD, '<score-partwise version="4.0">', *_title(score), "<part-list>"]
    for track in tracks:
        lines += _entry(written, track)
    lines.append("</part-list>")
    keys, tempos, sharps = _keys(score, bars), _tempos(score, bars), key_of_notes(score)
    texts = _texts(score, bars)
    for track in tracks:
        part = Part(written, track, sharps, _name(track))
        lines.append(f'<part id="{_name(track)}">')
        # Measures are made one after the other, each part keeping its own place in its notes.
        for index, bar in enumerate(bars):
            implicit = ' implicit="yes"' if bar.upbeat else ""
            lines.append(f'<measure number="{index + 1 - bars[0].upbeat}"{implicit}>')
            changed = not index or bar.meter != bars[index - 1].meter
            # Once, in the first part: programs take them for all.
            marks = [*tempos[index], *texts[index]] if track == tracks[0] else ()
            lines += part.measure(bar, keys.get(index), bar.meter if changed else None, marks)
            lines.append("</measure>")
        lines.append("</part>")
    return "\n".join([*lines, "</score-partwise>", ""])


def _name(track: int) -> str:
    return f"P{track + 1}"


def _entry(score: Score, index: int) -> Iterator[str]:
    """Yield what the list of parts says of a track: its name, and what plays it."""
    track, name = score.tracks[index], _name(index)
    usual = "Drums" if track.is_drum else GENERAL_MIDI[track.program]
    shown = escape(" ".join(_NO_XML.sub("", track.name).split()) or usual)
    yield f'<score-part id="{name}"><part-name>{shown}</part-name>'
    program = f"<midi-program>{track.program + 1}</midi-program>"
    if not track.is_drum:
        sound = f"<instrument-name>{GENERAL_MIDI[track.program]}</instrument-name>"
        yield f'<score-instrument id="{name}-I1">{sound}</score-instrument>'
        yield f'<midi-instrument id="{name}-I1">{program}</midi-instrument></score-part>'
        return
    pitches = sorted(set(score.pitch[score.track == index].tolist()))
    for pitch in pitches:
        sound = f"<instrument-name>{pitch}</instrument-name>"
        yield f'<score-instrument id="{name}-I{pitch + 1}">{sound}</score-instrument>'
    channel = f"<midi-channel>{_DRUM_CHANNEL}</midi-channel>"
    for pitch in pitches:
        drum = f"{channel}{program}<midi-unpitched>{pitch + 1}</midi-unpitched>"
        yield f'<midi-instrument id="{name}-I{pitch + 1}">{drum}</midi-instrument>'
    yield "</score-part>"


def _keys(score: Score, bars: list[Bar]) -> dict[int, tuple[int, int]]:
    """Return the key signatures, sharps and whether minor, by the index of the bar they are in."""
    return {
        _bar_at(bars, tick * BEAT / score.ticks_per_beat): (sharps, minor)
        for tick, (sharps, minor) in zip(score.key_tick.tolist(), score.key.tolist(), strict=True)
        if tick <= score.length
    }


def _tempos(score: Score, bars: list[Bar]) -> dict[int, list[str]]:
    """Return the tempi by the index of the bar they are in, as lines.

    Where they change so often that no one would read them the first alone is shown.
    """
    found: dict[int, list[str]] = defaultdict(list)
    shows_all = len(score.tempo_tick) <= max(_FEW_TEMPOS, len(bars) // _FEW_TEMPOS)
    for tick, bpm in zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True):
        if tick > score.length:
            break
        place = round(tick * BEAT / score.ticks_per_beat)
        bar = _bar_at(bars, place)
        number, after = f"{bpm:.2f}".rstrip("0").rstrip("."), place - bars[bar].start
        offset = f'<offset sound="yes">{after}</offset>' if after else ""
        if tick and not shows_all:
            found[bar].append(f'<sound tempo="{number}">{offset}</sound>')
            continue
        mark = f"<beat-unit>quarter</beat-unit><per-minute>{number}</per-minute>"
        found[bar].append(
            '<direction placement="above">'
            f"<direction-type><metronome>{mark}</metronome></direction-type>"
            f'{offset}<sound tempo="{number}"/></direction>'
        )
    return found


def _title(score: Score) -> Iterator[str]:
    title = next((each.text for each in score.texts if each.kind == "title"), "")
    if shown := escape(" ".join(_NO_XML.sub("", title).split())):
        yield f"<work><work-title>{shown}</work-title></work>"


def _texts(score: Score, bars: list[Bar]) -> dict[int, list[str]]:
    """Return chord symbols and markers by the index of the bar they are in, as lines."""
    found: dict[int, list[str]] = defaultdict(list)
    for tick, kind, text in score.texts:
        if kind == "title" or tick > score.length:
            continue
        place = round(tick * BEAT / score.ticks_per_beat)
        bar = _bar_at(bars, place)
        after = place - bars[bar].start
        offset = f"<offset>{after}</offset>" if after else ""
        symbol = chord_symbol(text)
        if kind == "chord" and symbol is not None:
            found[bar].append(f"<harmony>{_chord(symbol)}{offset}</harmony>")
        elif shown := escape(" ".join(_NO_XML.sub("", text).split())):
            mark = f"<direction-type><rehearsal>{shown}</rehearsal></direction-type>"
            found[bar].append(f'<direction placement="above">{mark}{offset}</direction>')
    return found


def _chord(symbol: ChordSymbol) -> str:
    quality = escape(symbol.quality, {'"': "&quot;"})
    kind = f'<kind text="{quality}">{KIND_OF.get(symbol.quality, "other")}</kind>'
    bass = f"<bass>{_pitch(symbol.bass, 'bass')}</bass>" if symbol.bass else ""
    return f"<root>{_pitch(symbol.root, 'root')}</root>{kind}{bass}"


def _pitch(name: str, what: str) -> str:
    alter = {"#": 1, "b": -1}.get(name[1:])
    altered = "" if alter is None else f"<{what}-alter>{alter}</{what}-alter>"
    return f"<{what}-step>{name[0]}</{what}-step>{altered}"


def _bar_at(bars: list[Bar], place: float) -> int:
    """Return the index of the bar that a place is in."""
    return max(int(np.searchsorted([bar.start for bar in bars], place, side="right")) - 1, 0)
