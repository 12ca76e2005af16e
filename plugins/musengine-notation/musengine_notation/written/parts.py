"""One part of a MusicXML file, measure by measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musengine.api import Score
from musengine_notation.written.grid import BEAT, Bar
from musengine_notation.written.layout import Measures, Symbol, staves
from musengine_notation.written.spelling import shown_accidentals, spelled

_CLEFS = {
    "treble": "<sign>G</sign><line>2</line>",
    "bass": "<sign>F</sign><line>4</line>",
    "percussion": "<sign>percussion</sign>",
}
_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_USUAL_VELOCITY = 80
"""What readers take for notes that say nothing."""
_FORTE = 0.9
"""The velocity of a hundredth of what a note's `dynamics` counts in."""
_VOICES = 4
"""Numbers that the voices of a staff have at least, so that those of a second begin at 5."""
_DRUMS = {
    35: "F4", 36: "F4", 37: "C5x", 38: "C5", 40: "C5", 39: "C5x", 41: "G4", 43: "A4", 45: "B4",
    47: "C5", 48: "D5", 50: "E5", 42: "G5x", 44: "D4x", 46: "G5x", 49: "A5x", 57: "A5x", 55: "B5x",
    52: "B5x", 51: "F5x", 59: "F5x", 53: "F5x", 54: "B4x", 56: "E5x",
}  # fmt: skip
"""Where drums of General MIDI stand on a staff, and which have a cross for a head."""


class Part:
    """A track as the measures of a part, asked for one after the other."""

    def __init__(self, score: Score, track: int, sharps: int, name: str) -> None:
        """Lay it out.

        Args:
            score: on the grid of written music.
            track: its index.
            sharps: of the key by which it is spelled until a signature says otherwise.
            name: its identity in the file.
        """
        self._name, self._sharps = name, sharps
        self._is_drum = score.tracks[track].is_drum
        self._staves = staves(score, track)
        self._begun = False
        self._voices: list[tuple[int, int, Measures]] = []
        number = 1
        for index, staff in enumerate(self._staves, 1):
            first = number
            for voice in staff.voices:
                self._voices.append((index, number, Measures(voice, number == first)))
                number += 1
            number = max(number, first + _VOICES)

    def measure(
        self,
        bar: Bar,
        key: tuple[int, int] | None,
        meter: tuple[int, int] | None,
        directions: Sequence[str],
    ) -> Iterator[str]:
        """Yield the lines of a measure.

        Args:
            bar: where it is.
            key: sharps and whether minor, where a signature begins.
            meter: where one begins.
            directions: lines that stand before the notes.
        """
        if key is not None:
            self._sharps = key[0]
        yield from self._attributes(key, meter)
        yield from directions
        rows = [(staff, voice, list(of.symbols(bar))) for staff, voice, of in self._voices]
        shown = {
            staff: self._accidentals([row for number, _, row in rows if number == staff])
            for staff in range(1, len(self._staves) + 1)
        }
        written = False
        for index, (staff, voice, symbols) in enumerate(rows):
            first = not index or rows[index - 1][0] != staff
            if not symbols and not first:
                continue
            if written:
                # Voices of a measure stand one after the other: back to its start for the next.
                yield f"<backup><duration>{bar.length}</duration></backup>"
            written = True
            place = f"<voice>{voice}</voice>", self._staff(staff)
            if not symbols:
                rest = f'<rest measure="yes"/><duration>{bar.length}</duration>'
                yield f"<note>{rest}{place[0]}{place[1]}</note>"
            for symbol in symbols:
                yield from self._symbol(symbol, place, shown[staff])

    def _attributes(
        self, key: tuple[int, int] | None, meter: tuple[int, int] | None
    ) -> Iterator[str]:
        inside = ""
        if key is not None:
            mode = "minor" if key[1] else "major"
            inside += f"<key><fifths>{key[0]}</fifths><mode>{mode}</mode></key>"
        if meter is not None:
            beats, unit = meter
            inside += f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
        if self._begun:
            yield from [f"<attributes>{inside}</attributes>"] if inside else []
            return
        self._begun = True
        count = len(self._staves)
        inside += f"<staves>{count}</staves>" if count > 1 else ""
        for index, staff in enumerate(self._staves, 1):
            which = f' number="{index}"' if count > 1 else ""
            inside += f"<clef{which}>{_CLEFS[staff.clef]}</clef>"
        yield f"<attributes><divisions>{BEAT}</divisions>{inside}</attributes>"

    def _staff(self, staff: int) -> str:
        return f"<staff>{staff}</staff>" if len(self._staves) > 1 else ""

    def _accidentals(self, voices: Sequence[Sequence[Symbol]]) -> dict[tuple[int, int, int], bool]:
        """Return whether an accidental stands, by start, end and pitch of a note of a staff."""
        if self._is_drum:
            return {}
        notes = sorted(
            (symbol.value.start, symbol.value.end, pitch, symbol.tied_from)
            for voice in voices
            for symbol in voice
            if symbol.chord is not None
            for pitch in symbol.chord.pitches
        )
        known = [(spelled(pitch, self._sharps), goes_on) for _, _, pitch, goes_on in notes]
        shown = shown_accidentals(known, self._sharps)
        return {
            (start, end, pitch): show
            for (start, end, pitch, _), show in zip(notes, shown, strict=True)
        }

    def _symbol(
        self,
        symbol: Symbol,
        place: tuple[str, str],
        shown: dict[tuple[int, int, int], bool],
    ) -> Iterator[str]:
        value, (voice, staff) = symbol.value, place
        if symbol.hidden:
            yield f"<forward><duration>{value.length}</duration>{voice}{staff}</forward>"
            return
        duration = f"<duration>{value.length}</duration>"
        kind = f"<type>{value.name}</type>" + "<dot/>" * value.dots
        times = ""
        if value.tuplet > 1:
            times = (
                f"<time-modification><actual-notes>{value.tuplet}</actual-notes>"
                f"<normal-notes>{value.normal}</normal-notes></time-modification>"
            )
        bracket = f'<tuplet type="{symbol.tuplet}"/>' if symbol.tuplet else ""
        if symbol.chord is None:
            notations = f"<notations>{bracket}</notations>" if bracket else ""
            yield f"<note><rest/>{duration}{voice}{kind}{times}{staff}{notations}</note>"
            return
        beams = "".join(
            f'<beam number="{level}">{what}</beam>' for level, what in enumerate(symbol.beams, 1)
        )
        ties = [
            name for name, tied in (("stop", symbol.tied_from), ("start", symbol.tied_to)) if tied
        ]
        # `tie` says what sounds, `tied` what is drawn; programs look at either.
        tie = "".join(f'<tie type="{name}"/>' for name in ties)
        tied = "".join(f'<tied type="{name}"/>' for name in ties)
        loud = symbol.chord.velocity
        dynamics = "" if loud == _USUAL_VELOCITY else f' dynamics="{loud / _FORTE:.2f}"'
        for index, pitch in enumerate(symbol.chord.pitches):
            notations = tied + (bracket if not index else "")
            accidental = ""
            if shown.get((value.start, value.end, pitch)):
                alter = spelled(pitch, self._sharps)[1]
                accidental = f"<accidental>{_ACCIDENTALS[alter]}</accidental>"
            head, instrument, notehead = self._head(pitch)
            yield (
                f"<note{dynamics}>{'<chord/>' if index else ''}{head}{duration}{tie}{instrument}"
                f"{voice}{kind}{accidental}{times}{notehead}{staff}{'' if index else beams}"
                + (f"<notations>{notations}</notations>" if notations else "")
                + "</note>"
            )

    def _head(self, pitch: int) -> tuple[str, str, str]:
        """Return where a note stands, the drum it is, and its head if that is another."""
        if not self._is_drum:
            step, alter, octave = spelled(pitch, self._sharps)
            altered = f"<alter>{alter}</alter>" if alter else ""
            return f"<pitch><step>{step}</step>{altered}<octave>{octave}</octave></pitch>", "", ""
        drum = _DRUMS.get(pitch, "E4")
        place = f"<display-step>{drum[0]}</display-step><display-octave>{drum[1]}</display-octave>"
        return (
            f"<unpitched>{place}</unpitched>",
            f'<instrument id="{self._name}-I{pitch + 1}"/>',
            "<notehead>x</notehead>" if drum.endswith("x") else "",
        )
