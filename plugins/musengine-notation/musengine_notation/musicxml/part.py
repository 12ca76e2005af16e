"""One part of a MusicXML score, measure by measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from musengine.api import transpose_chord
from musengine_notation.abc.events import QUARTER
from musengine_notation.musicxml import values
from musengine_notation.musicxml.instruments import PartHeader, Voice
from musengine_notation.musicxml.text import LINE

_PASSED_OVER = frozenset(("figured-bass", "print", "listening", "grouping", "link", "bookmark"))
"""What stands in a measure and says nothing of its notes."""

_SNARE_DRUM = 38


@dataclass(slots=True)
class Note:
    """A note of a measure.

    Attributes:
        onset: units of time from where the measure begins.
        length: units of time.
        pitch: MIDI number as it sounds; may lie outside 0 to 127.
        voice: what it sounds like.
        line: of music within the part that it belongs to.
        staff: of the part's staves.
        goes_on: whether it is tied to the next of its pitch.
        continues: whether another is tied to it.
    """

    onset: int
    length: int
    pitch: int
    voice: Voice
    line: str
    staff: str
    goes_on: bool
    continues: bool


@dataclass(frozen=True)
class TempoMark:
    """A tempo somewhere in a measure.

    Attributes:
        at: units of time from where the measure begins.
        value: quarter notes per minute, or by what the tempo before is multiplied.
        relative: whether it is the latter.
        played: whether it says what is played, and not what is printed.
    """

    at: int
    value: Fraction
    relative: bool
    played: bool


@dataclass
class Measure:
    """A measure of one part.

    Attributes:
        number: as it is printed.
        line: of the file.
        implicit: whether it is no whole bar and does not claim to be one.
        length: units of time until the last of it ends.
        printed: units of time until the last that is printed of it ends.
        meter: in force in it, None where there is none.
        meters: what is newly set in it: None, or the meter.
        keys: where, how many sharps, and whether minor.
        tempos: in it.
        texts: where, and chord symbols and rehearsal marks.
        notes: in it.
        begins: whether a section begins with it.
        ends: whether a section ends with it.
    """

    number: str
    line: int
    implicit: bool = False
    length: int = 0
    printed: int = 0
    meter: tuple[int, int] | None = None
    new_meter: tuple[int, int] | None = None
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    tempos: list[TempoMark] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    begins: bool = False
    ends: bool = False

    @property
    def full(self) -> int | None:
        """Units of time that the meter in force gives it."""
        if self.meter is None:
            return None
        return self.meter[0] * 4 * QUARTER // self.meter[1]


class PartReader:
    """Reads the measures of one part; use it once.

    Args:
        header: what the score says of the part.
        warn: takes a measure and what was not understood in it.
    """

    def __init__(self, header: PartHeader, warn: Callable[[Measure, str], None]) -> None:
        self.measures: list[Measure] = []
        self.written = 0
        self._header = header
        self._warn = warn
        self._divisions = Fraction(1)
        self._meter: tuple[int, int] | None = None
        self._transposed: dict[str, int] = {}
        self._now = self._chord = 0
        self._measure = Measure("", 0)

    def read(self, measures: Iterable[Element]) -> list[Measure]:
        """Return the measures.

        Raises:
            UnreadableError: there is a length or meter larger than what is read.
        """
        for element in measures:
            implicit = element.get("implicit") == "yes"
            number = element.get("number", "")[:20]
            self._measure = Measure(number, int(element.get(LINE, "0")), implicit)
            self._measure.meter = self._meter
            self._now = self._chord = 0
            for child in element:
                self._take(child)
            self.measures.append(self._measure)
        return self.measures

    def _take(self, element: Element) -> None:
        tag = element.tag
        if tag == "note":
            self._note(element)
        elif tag in ("backup", "forward"):
            self._move(element, -1 if tag == "backup" else 1)
        elif tag == "attributes":
            self._attributes(element)
        elif tag == "harmony":
            self._harmony(element)
        elif tag == "direction":
            self._direction(element)
        elif tag == "sound":
            self._sound(element, Fraction(0))
        elif tag == "barline":
            self._barline(element)
        elif tag not in _PASSED_OVER:
            self._tell(f"the element {tag[:40]!r} is not understood")

    def _tell(self, what: str) -> None:
        self._warn(self._measure, what)

    def _reach(self) -> None:
        self._measure.length = max(self._measure.length, self._now)

    def _move(self, element: Element, direction: int) -> None:
        length = values.units(element.findtext("duration"), self._divisions)
        if length is None:
            self._tell(f"{element.tag} lacks a duration")
            return
        self._now += direction * length
        if self._now < 0:
            # A few units are what rounding leaves.
            if self._now < -(QUARTER // 10_000):
                self._tell("goes back behind its beginning")
            self._now = 0
        self._reach()

    # Notes.

    def _note(self, element: Element) -> None:
        if element.find("grace") is not None:
            return
        length = values.units(element.findtext("duration"), self._divisions)
        if length is None:
            self._tell("a note lacks a duration, and is left out")
            return
        onset = self._now
        if element.find("chord") is not None:
            # Further notes of a chord begin with its first and do not move time on.
            onset = self._chord
        else:
            self._chord = self._now
            self._now += length
        self._measure.length = max(self._measure.length, onset + length)
        if element.get("print-object") != "no":
            self._measure.printed = max(self._measure.printed, onset + length)
        # What cues show is played by others.
        if element.find("rest") is None and element.find("cue") is None:
            self._sounding(element, onset, length)

    def _sounding(self, element: Element, onset: int, length: int) -> None:
        self.written += 1
        instrument = element.find("instrument")
        voice = self._header.voice("" if instrument is None else instrument.get("id", ""))
        pitch, voice = self._pitch(element, voice)
        if pitch is None:
            self._tell("a note has no pitch that is understood, and is left out")
            return
        ties = {tie.get("type") for tie in element.iterfind("tie")}
        # `tie` is what sounds, `tied` what is drawn; some programs write the latter alone.
        ties = ties or {tie.get("type") for tie in element.iterfind("notations/tied")}
        line, staff = element.findtext("voice") or "", element.findtext("staff") or "1"
        self._measure.notes.append(
            Note(onset, length, pitch, voice, line, staff, "start" in ties, "stop" in ties)
        )

    def _pitch(self, element: Element, voice: Voice) -> tuple[int | None, Voice]:
        pitched = element.find("pitch")
        if pitched is not None:
            if voice.is_drum and voice.drum is not None:
                return voice.drum, voice
            pitch = values.pitch_of(pitched)
            # A transposition may hold for one staff, or for all where it names none.
            moved = self._transposed.get(element.findtext("staff") or "1")
            if moved is None:
                moved = self._transposed.get("", 0)
            return (None if pitch is None else pitch + moved), voice
        unpitched = element.find("unpitched")
        if unpitched is None:
            return None, voice
        if voice.drum is None:
            self._tell("which drum a note is for is not said; it is taken as a snare drum")
            return _SNARE_DRUM, Voice(voice.name, 0, True)
        return voice.drum, Voice(voice.name, voice.program, True, voice.drum)

    # What stands beside the notes.

    def _attributes(self, element: Element) -> None:
        divisions = values.number(element.findtext("divisions"))
        if divisions is not None and divisions > 0:
            self._divisions = divisions
        for transpose in element.findall("transpose"):
            self._transposed[transpose.get("number", "")] = values.semitones_of(transpose)
        key = element.find("key")
        if key is not None:
            found = values.key_of(key, self._transposed.get("", self._transposed.get("1", 0)))
            if found is not None:
                self._measure.keys.append((self._now, *found))
        time = element.find("time")
        if time is not None:
            self._time(time)
        for style in element.iterfind("measure-style/*"):
            if style.tag.endswith("-repeat") and style.get("type") == "start":
                self._tell("signs that repeat bars are not played")

    def _time(self, element: Element) -> None:
        self._meter = values.meter_of(element)
        if self._meter is None and element.find("senza-misura") is None:
            self._tell("its meter is not understood")
        if self._now:
            self._tell("the meter changes within it")
        self._measure.meter = self._measure.new_meter = self._meter

    def _harmony(self, element: Element) -> None:
        moved = self._transposed.get("", self._transposed.get("1", 0))
        for symbol in values.chords_of(element):
            late = values.number(element.findtext("offset")) or Fraction(0)
            self._text(transpose_chord(symbol, moved), late)

    def _text(self, text: str, late: Fraction) -> None:
        at = max(0, self._now + round(late * QUARTER / self._divisions))
        self._measure.texts.append((at, text))

    def _direction(self, element: Element) -> None:
        offset = element.find("offset")
        played = offset is not None and offset.get("sound") == "yes"
        late = Fraction(0)
        if offset is not None and played:
            late = values.number(offset.text) or late
        for mark in element.iterfind("direction-type/rehearsal"):
            place = values.number(element.findtext("offset")) or Fraction(0)
            self._text(mark.text or "", place)
        sound = element.find("sound")
        if sound is not None:
            self._sound(sound, late)
        for mark in element.iterfind("direction-type/metronome"):
            found = values.metronome_of(mark)
            if found is not None:
                self._tempo(*found, late, played=False)
            elif sound is None or sound.get("tempo") is None:
                self._tell("its metronome mark is not understood")

    def _sound(self, element: Element, late: Fraction) -> None:
        late += values.number(element.findtext("offset")) or 0
        for midi in element.iter("midi-instrument"):
            self._header.change(midi)
        text = element.get("tempo")
        if text is None:
            return
        bpm = values.number(text)
        if bpm is None or bpm <= 0:
            self._tell(f"a tempo of {text[:20]!r} is none")
        else:
            self._tempo(bpm, False, late, played=True)

    def _tempo(self, value: Fraction, relative: bool, late: Fraction, *, played: bool) -> None:
        at = max(0, self._now + round(late * QUARTER / self._divisions))
        self._measure.tempos.append(TempoMark(at, value, relative, played))

    def _barline(self, element: Element) -> None:
        left = element.get("location") == "left"
        style = (element.findtext("bar-style") or "regular").strip()
        parts = style not in ("regular", "dashed", "dotted", "none", "tick", "short")
        parts = parts or element.find("repeat") is not None or element.find("ending") is not None
        if left:
            self._measure.begins = self._measure.begins or parts
        else:
            self._measure.ends = self._measure.ends or parts
