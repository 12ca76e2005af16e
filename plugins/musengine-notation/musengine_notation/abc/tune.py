"""One tune in ABC notation, from its lines to the events of its voices."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from musengine.errors import UnreadableError
from musengine_notation.abc import fields
from musengine_notation.abc.events import Change, VoiceEvents, WrittenBar
from musengine_notation.abc.fields import FieldError, Key, Properties
from musengine_notation.abc.lexer import tokens_of
from musengine_notation.abc.lines import Line, logical_lines, note_letters
from musengine_notation.abc.macros import Macro, expanded, macro_of
from musengine_notation.abc.midi import directive
from musengine_notation.abc.signs import Signs
from musengine_notation.abc.voice import Voice

MAX_VOICES = 100
MAX_WARNINGS = 50

_MUSIC_LIKE_FIELD = re.compile(r"[A-Ga-gxzXZ]:[|:\]\s]*[|:\]]")
"""A line such as `G:|` of a tune's body."""
_SAYING_NOTHING = frozenset("ABCDEFGHNORSTWXZdrsw")
"""Fields that say nothing of what sounds."""


@dataclass(frozen=True, order=True)
class Warned:
    """One thing that was odd about a tune: the line of the file, and what."""

    line: int
    what: str


@dataclass
class ParsedTune:
    """What a tune says.

    Attributes:
        number: of its `X:` field; empty where it has none.
        title: its first `T:` field.
        voices: those with any music, in the order in which they are declared or appear.
        bars: of each voice as it is written.
        order: parts as the header's `P:` asks for them; empty for as written.
        letters: note letters in its music, grace notes left out.
        music: the lines of it.
        warnings: what was not understood.
    """

    number: str = ""
    title: str = ""
    voices: list[VoiceEvents] = field(default_factory=list)
    bars: list[list[WrittenBar]] = field(default_factory=list)
    order: str = ""
    letters: int = 0
    music: list[str] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)


@dataclass
class _Header:
    """What the header says, before its end shows what holds."""

    meter: tuple[int, int] | None = None
    unit: Fraction | None = None
    tempo: str = ""
    bpm: float | None = None
    key: Key = field(default_factory=Key)
    properties: Properties = field(default_factory=Properties)
    directives: list[tuple[str, str]] = field(default_factory=list)
    declared: dict[str, Properties] = field(default_factory=dict)
    voice: str = ""


class TuneParser:
    """Parses the lines of one tune; use it once."""

    def __init__(self) -> None:
        self.tune = ParsedTune()
        self.programs: dict[int, int] = {}
        self.propagate = "pitch"
        self._header = _Header()
        self._voices: dict[str, Voice] = {}
        self._current: Voice | None = None
        self._in_body = False
        self._label = ""
        self._signs = Signs(self.warn)
        self._macros: list[Macro] = []
        self._line = 0
        self._told: Counter[str] = Counter()

    def parse(self, lines: Sequence[Line]) -> ParsedTune:
        """Return what the lines say.

        Raises:
            UnreadableError: no key, more notes or voices than a tune may have, or notes too long.
        """
        # Without a key it is no tune, but the letters of any words would be notes.
        if not any(text.startswith("K:") for _, text in lines):
            raise UnreadableError("no ABC tune: no line begins with K:")
        # The line is kept for warnings and for what bounds refuse.
        for self._line, letter, text in logical_lines(lines):
            if letter == "%":
                self._directive(text)
            elif letter == "" or (self._in_body and _MUSIC_LIKE_FIELD.match(f"{letter}:{text}")):
                self._text(f"{letter}:{text}" if letter else text)
            elif self._in_body:
                self._body_field(letter, text)
            else:
                self._header_field(letter, text)
        if not self._in_body:
            self._begin_body()
        return self._finished()

    def warn(self, what: str) -> None:
        """Note what was not understood; the same is told of no more than three lines."""
        kind = re.sub(r"\d+", "#", what)
        self._told[kind] += 1
        if self._told[kind] <= 3 and len(self.tune.warnings) < MAX_WARNINGS:
            self.tune.warnings.append(Warned(self._line, what))

    def _finished(self) -> ParsedTune:
        for voice in self._voices.values():
            voice.finish(self._line)
        heard = [voice for voice in self._voices.values() if voice.bars]
        self.tune.voices = [voice.written for voice in heard]
        self.tune.bars = [voice.bars for voice in heard]
        self.tune.letters = sum(map(note_letters, self.tune.music))
        return self.tune

    # The header.

    def _header_field(self, letter: str, text: str) -> None:
        header = self._header
        value = text.strip()
        try:
            if letter == "X":
                self.tune.number = value[:40]
            elif letter == "T":
                self.tune.title = self.tune.title or value[:200]
            elif letter == "M":
                header.meter = fields.parse_meter(value)
            elif letter == "L":
                header.unit = fields.parse_length(value)
            elif letter == "Q":
                header.tempo = value
            elif letter == "P":
                self.tune.order = fields.parse_order(value) if value else ""
            elif letter == "V":
                self._declare(value)
            elif letter == "K":
                key, properties = fields.parse_key(value)
                self._tell(properties)
                header.key, header.properties = key or Key(), properties
                if key is None and not _says_anything(properties):
                    self.warn(f"K:{value[:40]} is no key")
                self._begin_body()
            else:
                self._common_field(letter, text)
        except FieldError as error:
            self.warn(str(error))

    def _declare(self, value: str) -> None:
        name, *words = fields.words_of(value) or ["1"]
        properties = fields.properties_of(words)
        self._tell(properties)
        self._header.voice = name
        if len(self._header.declared) >= MAX_VOICES:
            raise UnreadableError(f"line {self._line}: more than {MAX_VOICES} voices")
        self._header.declared[name] = properties

    def _tell(self, properties: Properties) -> None:
        for problem in properties.problems:
            self.warn(f"{problem[:40]!r} is not understood")

    def _begin_body(self) -> None:
        self._in_body = True
        header = self._header
        # Only now, as `L:` may stand before or after `M:`.
        header.unit = header.unit or fields.default_length(header.meter)
        header.bpm = self._bpm(header.tempo, header.unit)
        for name in header.declared:
            self._new_voice(name)
        if not self._voices:
            return
        self._current = next(iter(self._voices.values()))

    def _new_voice(self, name: str) -> Voice:
        if len(self._voices) >= MAX_VOICES:
            raise UnreadableError(f"line {self._line}: more than {MAX_VOICES} voices")
        header = self._header
        assert header.unit is not None
        voice = Voice(name, header.key, header.meter, header.unit, self.warn)
        self._voices[name] = voice
        voice.propagate = self.propagate
        if header.meter is not None:
            voice.add(Change("meter", header.meter))
        if header.bpm is not None:
            voice.add(Change("tempo", header.bpm))
        # What the key field says for all, then what the voice says of itself.
        voice.set_properties(header.properties)
        voice.set_properties(header.declared.get(name, Properties()))
        for owner, text in header.directives:
            if owner in ("", name):
                self._midi(voice, text)
        voice.tell_key()
        return voice

    def _bpm(self, text: str, unit: Fraction) -> float | None:
        try:
            return fields.parse_tempo(text, unit)
        except FieldError as error:
            self.warn(str(error))
            return None

    # The body.

    def _voice(self) -> Voice:
        """Return the voice that the music now belongs to."""
        if self._current is None:
            self._current = self._voices.get("") or self._new_voice("")
        if self._label and self._current.label != self._label:
            self._current.begin_part(self._label)
        return self._current

    def _switch(self, value: str) -> None:
        name, *words = fields.words_of(value) or ["1"]
        lone = self._voices.pop("", None)
        if lone is not None:
            # Music before the first `V:` is that of voice 1.
            self._voices["1"] = lone
            lone.written.id = lone.written.name = "1"
        if name not in self._voices:
            self._new_voice(name)
        self._current = self._voices[name]
        properties = fields.properties_of(words)
        self._tell(properties)
        self._current.set_properties(properties)

    def _body_field(self, letter: str, text: str) -> None:
        value = text.strip()
        try:
            if letter == "V":
                self._switch(value)
            elif letter == "P":
                self._label = value[:1]
            elif letter in "KMLQ":
                self._change(letter, value)
            else:
                self._common_field(letter, text)
        except FieldError as error:
            self.warn(str(error))

    def _change(self, letter: str, value: str) -> None:
        voice = self._voice()
        if letter == "M":
            voice.set_meter(fields.parse_meter(value))
        elif letter == "L":
            voice.set_unit(fields.parse_length(value))
        elif letter == "Q":
            bpm = self._bpm(value, voice.unit)
            if bpm is not None:
                voice.add(Change("tempo", bpm))
        else:
            key, properties = fields.parse_key(value)
            self._tell(properties)
            if key is None and not _says_anything(properties):
                self.warn(f"K:{value[:40]} is no key")
            voice.set_properties(properties)
            if key is not None:
                voice.set_key(key)

    def _common_field(self, letter: str, text: str) -> None:
        if letter == "I":
            self._directive(text.strip())
        elif letter == "U":
            name = text.strip()[:1]
            if re.fullmatch(r"[H-Wh-w~]", name) and "=" in text:
                self._signs.symbols.add(name)
            else:
                self.warn(f"U:{text.strip()[:40]} defines no symbol")
        elif letter == "m":
            macro = macro_of(text)
            if macro is None:
                self.warn(f"m:{text.strip()[:40]} is no macro")
            else:
                self._macros.append(macro)
        elif letter not in _SAYING_NOTHING:
            self.warn(f"the field {letter}: is not understood")

    def _directive(self, text: str) -> None:
        name, _, rest = text.replace("=", " ", 1).partition(" ")
        if name == "propagate-accidentals":
            if rest.strip() not in ("pitch", "octave", "not"):
                self.warn(f"{text[:40]!r} is not understood")
                return
            self.propagate = rest.strip()
            for voice in self._voices.values():
                voice.propagate = self.propagate
        elif name == "MIDI":
            if self._in_body:
                self._midi(self._voice(), rest)
            else:
                self._header.directives.append((self._header.voice, rest))

    def _midi(self, voice: Voice, text: str) -> None:
        order = list(self._voices.values()).index(voice) + 1
        problem = directive(voice, text, self.programs, order)
        if problem:
            self.warn(problem)

    # Music.

    def _text(self, text: str) -> None:
        if not self._in_body:
            self.warn("the line is no field, and stands before the key")
            return
        line = expanded(text, self._macros)
        self.tune.music.append(line)
        for match in tokens_of(line):
            kind = match.lastgroup
            if kind == "space" or kind == "slur":
                continue
            if kind == "inline":
                self._inline(match[0][1:-1].strip())
            else:
                self._signs.read(self._voice(), match, self._line)
        if self._current is not None:
            self._current.end_line()

    def _inline(self, text: str) -> None:
        letter, _, value = text.partition(":")
        if self._current is not None:
            self._current.end_line()
        self._body_field(letter, value)


def _says_anything(properties: Properties) -> bool:
    found = (properties.transpose, properties.octave, properties.clef)
    return any(value is not None for value in found) or bool(properties.problems)
