"""One voice of a tune while it is parsed: lengths, accidentals, tuplets, chords and bars."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from musengine.errors import UnreadableError
from musengine_notation.abc.events import (
    WHOLE,
    BarLine,
    Change,
    Event,
    Note,
    Overlay,
    PartLabel,
    Sound,
    VoiceEvents,
    Words,
    WrittenBar,
)
from musengine_notation.abc.fields import ACCIDENTALS, LETTERS, NATURAL, Key, Properties
from musengine_notation.abc.lexer import length_of

LONGEST_SOUND = 1024 * WHOLE
"""No note or rest is longer."""
LONGEST_REST = 10_000
"""Bars that a rest may have."""
LARGEST_TUPLET = 99
_COMPOUND = 3
"""Three eighths of a compound meter are one beat."""

_REPEATS_BEHIND_END = re.compile(r"\](:+)\|")

Warn = Callable[[str], None]


class Voice:
    """What holds in one voice, and its events so far.

    Args:
        name: as `V:` has it.
        key: of the tune.
        meter: of the tune.
        unit: length of a note without a number, as a fraction of a whole note.
        warn: told of what is not understood.
    """

    def __init__(
        self, name: str, key: Key, meter: tuple[int, int] | None, unit: Fraction, warn: Warn
    ) -> None:
        self.written = VoiceEvents(name, name)
        self.bars: list[WrittenBar] = []
        self.key, self.meter, self.warn = key, meter, warn
        self.transpose = self.octave = self.clef = 0
        self.midi_transpose = self.midi_more = 0
        self.program: int | None = None
        self.channel: int | None = None
        self.drums: dict[str, int] = {}
        self.propagate = "pitch"
        self.label = ""
        self.set_unit(unit)
        self._shift = 0
        self._accidentals: dict[int, int] = {}
        self._tuplets: list[list[int]] = []
        self._broken: tuple[int, int] | None = None
        self._last: Sound | None = None
        self._chord: Sound | None = None
        self._broken_chord = ""
        self._position = self._furthest = 0
        self._overlaid = 0
        self._region: list[int] | None = None
        self._section = 0
        self._rested = False

    # What holds from here on.

    def set_unit(self, unit: Fraction) -> None:
        """Take another unit length."""
        self.unit = unit
        # In whole units, of which all usual unit lengths have a whole number.
        self._unit = WHOLE * unit.numerator // unit.denominator

    def set_meter(self, meter: tuple[int, int] | None) -> None:
        """Take another meter."""
        self.meter = meter
        self.add(Change("meter", meter))

    def set_key(self, key: Key) -> None:
        """Take another key; accidentals before it end."""
        self.key = key
        self._accidentals.clear()
        self.tell_key()

    def set_properties(self, found: Properties) -> None:
        """Take what a voice or key field says besides the key."""
        self.transpose = self.transpose if found.transpose is None else found.transpose
        self.octave = self.octave if found.octave is None else found.octave
        self.clef = self.clef if found.clef is None else found.clef
        if found.name:
            self.written.name = found.name
        self.shift_again()

    def shift_again(self) -> None:
        """Add up what moves the music: by voice, key, clef and MIDI directives."""
        own = self.transpose + 12 * self.octave + self.clef
        before = self._shift
        self._shift = own + self.midi_transpose + self.midi_more
        # Octaves leave the key as it is.
        if (self._shift - before) % 12:
            self.tell_key()

    def tell_key(self) -> None:
        """Add the key as it sounds."""
        if self.key.sharps is None:
            return
        sharps = self.key.sharps
        if self._shift % 12:
            # A semitone is seven fifths, and twelve fifths lead back.
            sharps = (sharps + 7 * self._shift + 5) % 12 - 5
        self.add(Change("key", (sharps, self.key.minor)))

    def tell_sound(self) -> None:
        """Add the program and channel."""
        self.add(Change("sound", (self.program, self.channel)))

    def add(self, event: Event) -> None:
        """Add an event."""
        self.written.events.append(event)

    def begin_part(self, label: str) -> None:
        """Begin a part of the tune, which `P:` in the header may name in its order of parts."""
        self.label = label
        self._section += 1
        self.add(PartLabel(label))

    # Notes.

    def note(self, match: re.Match[str], line: int) -> None:
        """Add a note, to the chord where one is open."""
        letter, octave = match["letter"], match["octave"]
        index = LETTERS.index(letter.upper())
        octaves = (5 if letter.islower() else 4) + octave.count("'") - octave.count(",")
        sign = match["sign"]
        raised = self._raised(index, octaves, sign, match["micro"])
        pitch = 12 * (octaves + 1) + NATURAL[index] + raised + self._shift
        if self.channel == 10:
            pitch = self.drums.get(f"{sign or ''}{letter}{octave}", pitch)
        length = self._length(match["length"])
        note = Note(7 * octaves + index, pitch, length, signed=sign is not None)
        if self._chord is not None:
            if not self._chord.length:
                self._chord.length = length
            self._chord.notes.append(note)
            return
        self._sound(Sound(length, [note], line))

    def _raised(self, index: int, octaves: int, sign: str | None, micro: str | None) -> int:
        """Return the semitones that a letter is raised by, here."""
        # By letter in all octaves, as the standard has it, or in its own octave alone.
        place = index if self.propagate == "pitch" else 7 * octaves + index
        if sign is None:
            return self._accidentals.get(place, self.key.signature[index])
        raised = ACCIDENTALS[sign]
        if micro:
            above, _, below = micro.partition("/")
            part = Fraction(int(above or 1), int(below or (2 if "/" in micro else 1)) or 1)
            raised = int(raised * part)
            self.warn(f"{sign}{micro} is no accidental of twelve to the octave; taken as {raised}")
        if self.propagate != "not":
            self._accidentals[place] = raised
        return raised

    def graced(self, match: re.Match[str]) -> None:
        """Take the accidental of a grace note, which makes no sound here."""
        if match["sign"] is not None:
            letter, octave = match["letter"], match["octave"]
            octaves = (5 if letter.islower() else 4) + octave.count("'") - octave.count(",")
            self._raised(LETTERS.index(letter.upper()), octaves, match["sign"], match["micro"])

    def rest(self, text: str, line: int) -> None:
        """Add a rest; within a chord it is no sound, but may give the chord's length."""
        length = self._length(text)
        if self._chord is not None:
            self._chord.length = self._chord.length or length
            return
        self._sound(Sound(length, [], line))

    def rest_bars(self, text: str, line: int) -> None:
        """Add a rest of whole bars."""
        count = int(text[:6] or 1)
        if not 1 <= count <= LONGEST_REST:
            raise UnreadableError(f"line {line}: a rest of {count} bars")
        numerator, denominator = self.meter or (4, 4)
        length = WHOLE * numerator * count // denominator
        self._tuplets.clear()
        self._broken = None
        self._sound(Sound(length, [], line))
        self._rested = True

    def _length(self, text: str) -> int:
        numerator, denominator = length_of(text)
        return self._unit * numerator // denominator

    def _sound(self, sound: Sound) -> None:
        # Tuplets within tuplets: each scales, and each counts the note.
        for tuplet in self._tuplets:
            sound.scale(tuplet[1], tuplet[2])
            tuplet[0] -= 1
        if self._tuplets:
            self._tuplets = [tuplet for tuplet in self._tuplets if tuplet[0]]
        if self._broken is not None:
            sound.scale(*self._broken)
            self._broken = None
        if sound.length > LONGEST_SOUND:
            raise UnreadableError(f"line {sound.line}: a note of more than 1024 whole notes")
        if sound.length <= 0:
            raise UnreadableError(f"line {sound.line}: a note too short to be counted")
        self._last = sound
        self._position += sound.length
        self.written.events.append(sound)

    def tuplet(self, text: str) -> None:
        """Begin a tuplet `(p:q:r`: p notes in the time of q, for the next r notes."""
        count, time, notes = [*(int(part[:4] or 0) for part in text[1:].split(":")), 0, 0][:3]
        # The standard's own rule: q is 3 in compound meters and 2 in others where p is 5, 7 or 9.
        numerator, denominator = self.meter or (4, 4)
        is_compound = numerator > _COMPOUND and not numerator % _COMPOUND and denominator >= 8
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
        time = time or usual.get(count, 3 if is_compound else 2)
        notes = notes or count
        if not 1 < count <= LARGEST_TUPLET or max(time, notes) > LARGEST_TUPLET:
            if count != 1:
                self.warn(f"{text[:20]} is no tuplet")
            return
        if self._tuplets:
            self.warn(f"{text} begins within another tuplet")
        # Deeper ones are mistakes, and a tune of nothing else would grow the list without end.
        if len(self._tuplets) < 3:
            self._tuplets.append([notes, time, count])

    def break_rhythm(self, text: str) -> None:
        """Lengthen the last note and shorten the next, or the other way: `>`, `<<`."""
        if self._chord is not None:
            self._broken_chord = text  # within a chord it is meant for the whole of it
            return
        if self._last is None:
            self.warn(f"{text} stands behind no note")
            return
        # Doubly dotted and so on: `>>` is 7/4 and 1/4.
        part = 2 ** len(text)
        longer, shorter = (2 * part - 1, part), (1, part)
        own, others = (longer, shorter) if text[0] == ">" else (shorter, longer)
        before = self._last.length
        self._last.scale(*own)
        self._position += self._last.length - before
        self._broken = others

    def tie(self) -> None:
        """Tie the last note, or all of the last chord."""
        if self._chord is not None:
            tied = self._chord.notes[-1:]
        else:
            tied = self._last.notes if self._last is not None else []
        if not tied:
            self.warn("a tie behind no note")
        for note in tied:
            note.tied = True

    def open_chord(self, line: int) -> None:
        """Begin a chord, `[`: the notes up to `]` start together."""
        if self._chord is not None:
            self.warn("a chord within a chord")
            return
        self._chord = Sound(0, [], line)

    def close_chord(self, text: str) -> None:
        """End a chord; a length behind it multiplies those within."""
        chord, self._chord = self._chord, None
        if chord is None:
            self.warn("] closes no chord")
        elif not chord.length:
            self.warn("a chord without notes")
        else:
            chord.scale(*length_of(text))
            self._sound(chord)
            if self._broken_chord:
                self.break_rhythm(self._broken_chord)
        self._broken_chord = ""

    def end_line(self) -> None:
        """Close what must not go on in another line."""
        if self._chord is not None:
            self.warn("a chord is not closed")
            self.close_chord("")

    # Bars.

    def bar(self, lines: str, endings: tuple[int, ...], line: int) -> None:
        """Add a bar line as it is written, such as `:|`, and the ending that begins with it."""
        self.end_line()
        before, line_drawn, after = lines.partition("|")
        if not line_drawn:  # `::`
            repeats, begins = len(lines) // 2, True
        else:
            # Behind a line that is not drawn, `[|]`, or an end there may stand a repeat: `[|]:|`.
            late = _REPEATS_BEHIND_END.search(after)
            repeats = len(late[1]) if late else before.count(":")
            begins = after.endswith(":")
        double = lines.count("|") > 1 or "]" in lines or "[" in lines
        parts = bool(double or repeats or begins or endings)
        self._end_bar(line, parts=parts)
        self.add(BarLine(min(repeats, 10), begins, endings, double, line=line))

    def ending(self, numbers: tuple[int, ...], line: int) -> None:
        """Begin an ending without a bar line of its own."""
        if numbers:
            self._end_bar(line, parts=True)
            self.add(BarLine(endings=numbers, is_bar=False, line=line))

    def _end_bar(self, line: int, *, parts: bool) -> None:
        if self._overlaid:
            self._overlaid -= 1
        else:
            if self._region is not None:
                self._region[1] += 1
            length = max(self._position, self._furthest)
            if length:
                meter = None
                if self.meter is not None and not self._rested:
                    meter = WHOLE * self.meter[0] // self.meter[1]
                self.bars.append(WrittenBar(line, length, meter, self._section))
            self._furthest = 0
        self._position = 0
        self._rested = False
        self._section += parts
        self._accidentals.clear()

    def overlay(self, text: str) -> None:
        """Go back in time: by bars (`&`, `&&`), or to where a region began (`(&`)."""
        self.end_line()
        if text == "(&":
            self._region = [self._position, 0]
            self.add(Overlay(0))
            return
        if text == "&)":
            if self._region is None:
                self.warn("&) closes nothing")
                return
            self._region = None
            self.add(Overlay(-1))
            return
        self._furthest = max(self._furthest, self._position)
        self._accidentals.clear()
        self._position, self._overlaid = self._region or (0, len(text) - 1)
        self._last = None
        self.add(Overlay(len(text)))

    def words(self, text: str) -> None:
        """Keep a chord symbol or an annotation."""
        if text:
            self.add(Words(text))

    def finish(self, line: int) -> None:
        """End the voice: what is open is closed, and the last bar counted."""
        self.end_line()
        if self._broken is not None:
            self.warn("a broken rhythm without a note behind it")
        self._overlaid = 0
        self._end_bar(line, parts=False)
