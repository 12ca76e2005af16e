"""A Score: notes as plain arrays, with the maps that give ticks their meaning."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from musengine.config.quantities import GridStep
from musengine.music import texts as texts_module
from musengine.music import timing
from musengine.music.note_tables import COLUMNS, LAST_TICK, by_tick, sorted_notes, sorted_order
from musengine.music.texts import TextEvent
from musengine.utils.arrays import FloatArray, IntArray

MAPS = ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key_tick", "key")
"""The arrays of a Score that give ticks their meaning."""
CONTROLS = ("control_tick", "control")
"""The arrays of a Score with an entry for each controller."""
_NO_CONTROLS: IntArray = np.zeros((4, 0), dtype=np.int64)


@dataclass(frozen=True)
class Track:
    """One part of a score.

    Attributes:
        name: as the file says.
        program: General MIDI, 0 to 127.
        is_drum: whether its pitches are drums.
        channel: the MIDI channel, 0 to 15, it was read from; None where it has none.
    """

    name: str = ""
    program: int = 0
    is_drum: bool = False
    channel: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Score:
    """Notes as parallel arrays with a tempo map and a meter map; make one with `from_notes`.

    Times are whole ticks, `ticks_per_beat` of them to a quarter note. Notes are sorted by onset,
    then pitch, track, duration and velocity.

    Attributes:
        onset: (N,) ticks from the start, at least 0.
        duration: (N,) ticks, at least 1.
        pitch: (N,) MIDI numbers, 0 to 127.
        velocity: (N,) 1 to 127.
        track: (N,) index into `tracks`.
        ticks_per_beat: resolution.
        tracks: the parts.
        tempo_tick: (K,) ticks at which a tempo begins; the first is 0.
        tempo_bpm: (K,) quarter notes per minute.
        meter_tick: (M,) ticks at which a meter begins; the first is 0.
        meter: (M, 2) numerator and denominator.
        key_tick: (J,) ticks at which a key signature begins; none may be known.
        key: (J, 2) sharps (flats negative), and 0 for major or 1 for minor.
        length: ticks; no note ends later.
        control_tick: (C,) ticks of controllers and pitch bends, of which those of each track are in
            order; most music has none.
        control: (C, 3) index into `tracks`, number, and value: 0 to 127 of a controller, -8,192 to
            8,191 of a bend, whose number is `BEND`.
        texts: its title, chord symbols and markers, by tick; they never sound.
    """

    onset: IntArray
    duration: IntArray
    pitch: IntArray
    velocity: IntArray
    track: IntArray
    ticks_per_beat: int
    tracks: tuple[Track, ...]
    tempo_tick: IntArray
    tempo_bpm: FloatArray
    meter_tick: IntArray
    meter: IntArray
    key_tick: IntArray
    key: IntArray
    length: int
    control_tick: IntArray = field(default_factory=lambda: _NO_CONTROLS[0])
    control: IntArray = field(default_factory=lambda: _NO_CONTROLS[1:].T)
    texts: tuple[TextEvent, ...] = ()

    @classmethod
    def from_notes(
        cls,
        onset: npt.ArrayLike,
        duration: npt.ArrayLike,
        pitch: npt.ArrayLike,
        velocity: npt.ArrayLike = 80,
        track: npt.ArrayLike = 0,
        *,
        ticks_per_beat: int,
        tracks: Sequence[Track] = (Track(),),
        tempos: Sequence[tuple[int, float]] = (),
        meters: Sequence[tuple[int, int, int]] = (),
        keys: Sequence[tuple[int, int, bool]] = (),
        controls: Sequence[tuple[int, int, int, int]] = (),
        texts: Iterable[TextEvent] = (),
        length: int | None = None,
    ) -> Score:
        """Build a score from arrays in any order; scalars are repeated for every note.

        Args:
            onset: ticks.
            duration: ticks; less than 1 becomes 1.
            pitch: MIDI numbers.
            velocity: 1 to 127.
            track: index into `tracks`.
            ticks_per_beat: resolution, at least 1.
            tracks: the parts.
            tempos: (tick, quarter notes per minute); 120 from the start where none is given.
                Kept in whole microseconds per quarter note, as MIDI keeps them.
            meters: (tick, numerator, denominator); 4/4 from the start where none is given.
            keys: (tick, sharps with flats negative, whether minor).
            controls: (tick, track, number, value) of controllers, and of bends as number `BEND`.
            texts: in any order.
            length: ticks; by default where the last note ends.

        Raises:
            ValueError: a value outside its range.
        """
        # One table is filled row by row, which repeats scalars and makes no array twice.
        onset_N = np.atleast_1d(np.asarray(onset, dtype=np.int64))
        notes_5N = np.empty((5, *onset_N.shape), dtype=np.int64)
        for row, values in zip(notes_5N, (onset_N, duration, pitch, velocity, track), strict=True):
            row[...] = values
        np.maximum(notes_5N[1], 1, out=notes_5N[1])
        return cls.from_table(
            notes_5N,
            ticks_per_beat=ticks_per_beat,
            tracks=tracks,
            tempos=tempos,
            meters=meters,
            keys=keys,
            controls_4C=by_tick(controls, len(tracks)) if controls else None,
            texts=texts,
            length=length,
        )

    @classmethod
    def from_table(
        cls,
        notes_5N: IntArray,
        *,
        ticks_per_beat: int,
        tracks: Sequence[Track],
        tempos: timing.Tempos = (),
        meters: Sequence[tuple[int, int, int]] = (),
        keys: Sequence[tuple[int, int, bool]] = (),
        controls_4C: IntArray | None = None,
        texts: Iterable[TextEvent] = (),
        length: int | None = None,
    ) -> Score:
        """Build a score from one table of notes in any order, which is faster than from arrays.

        Args:
            notes_5N: onset, duration of at least 1, pitch, velocity and track, a row each.
            ticks_per_beat: this and all others as `from_notes` has them.
            tracks: the parts.
            tempos: (tick, quarter notes per minute), pairs or an array (K, 2).
            meters: (tick, numerator, denominator).
            keys: (tick, sharps with flats negative, whether minor).
            controls_4C: tick, track, number and value, a row each, not looked at.
            texts: in any order.
            length: ticks.

        Raises:
            ValueError: a value outside its range.
        """
        if ticks_per_beat < 1:
            raise ValueError(f"ticks_per_beat must be at least 1, got {ticks_per_beat}")
        # The columns are views of one array (5, N).
        (onset, duration, pitch, velocity, track), last = sorted_notes(notes_5N, len(tracks))
        tempo_tick, tempo_bpm = timing.tempo_map(tempos)
        meter_tick, meter = timing.meter_map(meters)
        key_tick, key = timing.key_map(keys)
        controls_4C = _NO_CONTROLS if controls_4C is None else controls_4C
        score = object.__new__(cls)
        # All fields at once: the initialiser of a frozen dataclass sets them one by one, which
        # takes as long as sorting the notes of a small file.
        vars(score).update(
            onset=onset,
            duration=duration,
            pitch=pitch,
            velocity=velocity,
            track=track,
            ticks_per_beat=int(ticks_per_beat),
            tracks=tuple(tracks),
            tempo_tick=tempo_tick,
            tempo_bpm=tempo_bpm,
            meter_tick=meter_tick,
            meter=meter,
            key_tick=key_tick,
            key=key,
            length=max(last, int(length or 0)),
            control_tick=controls_4C[0],
            control=controls_4C[1:].T,
            texts=texts_module.in_order(texts) if texts else (),
        )
        return score

    def __len__(self) -> int:
        return len(self.onset)

    def __getstate__(self) -> dict[str, object]:
        """Return what is pickled, between processes: columns in the fewest bytes that hold them."""
        state = dict(self.__dict__)
        for name in COLUMNS:
            column = state[name]
            # No value is below 0, so that the largest alone decides on the type.
            state[name] = column.astype(np.min_scalar_type(int(column.max(initial=0))))
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore what `__getstate__` returned."""
        for name in COLUMNS:
            column = state[name]
            assert isinstance(column, np.ndarray)
            state[name] = column.astype(np.int64)
        self.__dict__.update(state)

    def _repr_svg_(self) -> str:
        """Return its piano-roll, which a notebook shows."""
        # Here, since only notebooks need it.
        from musengine.music.notebook import piano_roll_svg

        return piano_roll_svg(self)

    @property
    def end(self) -> IntArray:
        """(N,) ticks at which the notes end."""
        return self.onset + self.duration

    @property
    def is_drum(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the note belongs to a drum track."""
        drums = np.array([track.is_drum for track in self.tracks], dtype=bool)
        return drums[self.track] if len(self) else np.zeros(0, dtype=bool)

    def seconds(self, ticks: npt.ArrayLike) -> FloatArray:
        """Return the times in seconds of ticks, through the tempo map."""
        return timing.ticks_to_seconds(ticks, self.tempo_tick, self.tempo_bpm, self.ticks_per_beat)

    def ticks(self, seconds: npt.ArrayLike) -> FloatArray:
        """Return the times in ticks of seconds, fractions kept: the inverse of `seconds`."""
        return timing.seconds_to_ticks(
            seconds, self.tempo_tick, self.tempo_bpm, self.ticks_per_beat
        )

    def bars(self, ticks: npt.ArrayLike) -> FloatArray:
        """Return the times in bars of ticks, through the meter map: 2.5 is amid the third bar."""
        return timing.ticks_to_bars(ticks, self.meter_tick, self.meter, self.ticks_per_beat)

    def ticks_of_bars(self, bars: npt.ArrayLike) -> FloatArray:
        """Return the times in ticks of bars, fractions kept: the inverse of `bars`."""
        return timing.bars_to_ticks(bars, self.meter_tick, self.meter, self.ticks_per_beat)

    @property
    def n_bars(self) -> int:
        """How many bars the whole length takes, the last perhaps not full."""
        # The slack keeps a last bar that is full but for a rounding error from counting as two.
        return math.ceil(float(self.bars(self.length)) - 1e-9)

    @property
    def upbeat(self) -> int:
        """Ticks of an upbeat: of a first bar alone that is shorter than those after it; else 0."""
        if len(self.meter_tick) < 2:
            return 0
        bars = self.meter[:2, 0] * 4 * self.ticks_per_beat / self.meter[:2, 1]
        # Readers write an upbeat as a bar of its own meter, such as 1/4 before 4/4.
        alone = self.meter_tick[1] == bars[0] < bars[1]
        return int(self.meter_tick[1]) if alone else 0

    def quantise(self, step: GridStep) -> tuple[IntArray, IntArray, int]:
        """Return onsets and ends in grid steps, nearest step, every note at least one step long.

        Each time is rounded by itself, so no remainder accumulates; a time half-way between two
        steps goes to the later one. Fractions of a beat are computed in whole numbers, exactly.

        Returns:
            (N,) first step, (N,) step after the last, and the length of the piece in steps.
        """
        first = self.nearest_steps(self.onset, step)
        # Ends are rounded as onsets are, not durations: legato notes still meet.
        after = np.maximum(self.nearest_steps(self.end, step), first + 1)
        total = int(self.nearest_steps(np.array([self.length]), step)[0])
        return first, after, max(total, int(after.max(initial=0)))

    def nearest_steps(self, ticks: IntArray, step: GridStep) -> IntArray:
        """Return the grid step nearest to each tick; half-way goes to the later step."""
        if step.unit == "beat":
            return timing.round_ticks(ticks, step.size, self.ticks_per_beat)
        # Half a nanostep of slack keeps exact halves on the later step despite rounding.
        return np.floor(self.seconds(ticks) / float(step.size) + 0.5 + 5e-10).astype(np.int64)

    def in_order(self) -> Score:
        """Return the score with its notes sorted as a Score has them."""
        notes_5N = np.stack([getattr(self, name) for name in COLUMNS])
        return self.take(sorted_order(notes_5N, notes_5N.max(axis=1, initial=0).tolist()))

    def take(self, chosen: npt.NDArray[np.bool_] | IntArray) -> Score:
        """Return the score with the notes of a mask or of indices, in that order; maps stay."""
        columns = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return replace(self, **columns)

    def transpose(self, semitones: int) -> Score:
        """Return the score moved by semitones; drums stay, notes leaving 0 to 127 are dropped.

        Key signatures move with the notes, to the one with the fewest sharps or flats, and so do
        chord symbols.
        """
        pitch = np.where(self.is_drum, self.pitch, self.pitch + semitones)
        inside = (pitch >= 0) & (pitch <= 127)
        key = self.key.copy()
        if semitones % 12:
            # A semitone is seven fifths, and twelve fifths lead back: five flats to six sharps.
            key[:, 0] = (key[:, 0] + 7 * semitones + 5) % 12 - 5
        # Pitched notes may then lie on the other side of drums struck with them.
        texts = tuple(
            each._replace(text=texts_module.transpose_chord(each.text, semitones))
            if each.kind == "chord"
            else each
            for each in self.texts
        )
        return replace(self, pitch=pitch, key=key, texts=texts).take(inside).in_order()

    def fingerprint(self) -> str:
        """Return a hash of all that sounds: equal scores have equal fingerprints."""
        # Meter and key are not in it: they do not sound.
        digest = hashlib.sha256(str(self.ticks_per_beat).encode())
        for values in (self.onset, self.duration, self.pitch, self.velocity, self.track):
            digest.update(values.tobytes())
        digest.update(self.tempo_tick.tobytes() + self.tempo_bpm.tobytes())
        parts = [(track.name, track.program, track.is_drum) for track in self.tracks]
        digest.update(repr((self.length, parts)).encode())
        return digest.hexdigest()

    def notes_fingerprint(self) -> str:
        """Return a hash of the written notes alone, by which copies of a piece are recognised.

        Onsets (from the first), durations and pitches count, in beats, and which are drums;
        velocities, tracks, tempo, resolution and silence around the music do not.
        """
        onset = self.onset - int(self.onset.min(initial=LAST_TICK)) if len(self) else self.onset
        # Reduced like a fraction: the same music at 96 and at 480 ticks a beat gives the same
        # numbers.
        common = int(np.gcd.reduce(np.concatenate([onset, self.duration, [self.ticks_per_beat]])))
        rows = np.stack([onset // common, self.duration // common, self.pitch, self.is_drum])
        # Sorted anew, as notes are sorted by track, which does not count here.
        rows = rows[:, np.lexsort(rows)].astype(np.int64)
        digest = hashlib.sha256(str(self.ticks_per_beat // common).encode())
        digest.update(rows.tobytes())
        return digest.hexdigest()
