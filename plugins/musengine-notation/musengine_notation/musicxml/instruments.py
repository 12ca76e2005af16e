"""The instruments of a MusicXML part, and what each sounds like."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from musengine.api import GENERAL_MIDI
from musengine_notation.musicxml.values import number

_DRUM_CHANNEL = 10
_NUMBERS = re.compile(r"(?:\s+(?:[ivx]+|\d+)\.?)+$")
"""Behind the name of an instrument, as in `Violin II`."""


@dataclass(frozen=True)
class Voice:
    """What notes of an instrument sound like.

    Attributes:
        name: the instrument's.
        program: General MIDI, 0 to 127.
        is_drum: whether they are drums.
        drum: the pitch of the instrument, where it is one drum of a kit.
    """

    name: str = ""
    program: int = 0
    is_drum: bool = False
    drum: int | None = None


@dataclass
class PartHeader:
    """What a score says of a part beside its music.

    Attributes:
        name: the part's.
        voices: those of its instruments, by their ids, the first for notes that name none.
    """

    name: str = ""
    voices: dict[str, Voice] = field(default_factory=dict)

    def voice(self, name: str) -> Voice:
        """Return the voice of an instrument's id; the first where there is none of that id."""
        found = self.voices.get(name)
        return next(iter(self.voices.values()), _guessed(self.name)) if found is None else found

    def change(self, midi: Element) -> None:
        """Take what the music says of an instrument from here on."""
        name = midi.get("id", "")
        if name in self.voices:
            self.voices[name] = _sounding(self.voices[name], midi)


def header_of(element: Element) -> PartHeader:
    """Return what an entry of the list of parts says."""
    header = PartHeader(_words(element.findtext("part-name")))
    for instrument in element.findall("score-instrument"):
        name = _words(instrument.findtext("instrument-name"))
        # Many programs write names and no MIDI; a violin that sounds as a piano would be learned as
        # one.
        guess = program_named(name) or program_named(header.name) or 0
        header.voices[instrument.get("id", "")] = Voice(name, guess)
    for midi in element.findall("midi-instrument"):
        header.voices.setdefault(midi.get("id", ""), _guessed(header.name))
        header.change(midi)
    return header


def _sounding(voice: Voice, midi: Element) -> Voice:
    program, channel = number(midi.findtext("midi-program")), number(midi.findtext("midi-channel"))
    drum = number(midi.findtext("midi-unpitched"))
    if program is not None and 1 <= program <= 128:
        voice = replace(voice, program=int(program) - 1)
    if channel is not None:
        voice = replace(voice, is_drum=channel == _DRUM_CHANNEL)
    if drum is not None and 1 <= drum <= 128:
        voice = replace(voice, drum=int(drum) - 1)
    return voice


def program_named(name: str) -> int | None:
    """Return the program of General MIDI with a name, capitals and a number behind it apart."""
    return _PROGRAMS.get(_NUMBERS.sub("", name.casefold().strip()))


def _words(text: str | None) -> str:
    return " ".join((text or "").split())[:200]


def _guessed(name: str) -> Voice:
    return Voice("", program_named(name) or 0)


_PROGRAMS = {name.casefold(): program for program, name in enumerate(GENERAL_MIDI)} | {
    "piano": 0,
    "violoncello": 42,
    "double bass": 43,
    "horn": 60,
    "harp": 46,
    "guitar": 24,
    "organ": 19,
    "strings": 48,
    "voice": 52,
}
