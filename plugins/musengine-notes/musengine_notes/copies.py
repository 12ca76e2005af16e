"""Which runs of notes the training music holds, and how long those are that a piece has of it.

A run is compared by what makes it known again wherever it begins: for each note how long after the
one before it begins (where time is counted in beats), its part, and its pitch as a distance from
the last pitch, or which drum it is. Every eight such notes in a row are one gram; a run of k notes
is k - 7 grams in a row that the training music has, and so at the least as long as the longest that
was copied from one place.

The grams are kept in a Bloom filter (B. H. Bloom, Space/time trade-offs in hash coding with
allowable errors, 1970) of 16 bits a gram: 2 MB for a million notes. With 8 bits set for each, a
gram that was never there is taken for one in 0.06 % of cases: (1 - exp(-8 / 16))^8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine.api import Array, CopiedRuns, IntArray
from musengine_notes.form.loops import LoopWatch, keys_of_notes, longest_loop, loop_bound
from musengine_notes.layout import DELAY, DRUM_PITCHES, FIRST_PART, PART, PITCH, NoteEvents

GRAM = 8
"""Notes that are looked up together."""
_BITS = 16
"""Of the filter for each gram."""
_PROBES = 8
_TOGETHER = 2**16
"""Grams that are entered in the filter together."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_PERCENTILE = 95
"""Of the longest runs in pieces held out, beyond which none is drawn."""
ANY_LENGTH = 2**62
"""Of runs and loops that may be as long as they come."""
BEGINNING = 720
"""Notes of each piece that are compared with new pieces: some thirty bars of most music."""

Hashes = npt.NDArray[np.uint64]


def mixed(number: Hashes) -> Hashes:
    """Return numbers of which each bit depends on all those given (the mixer of SplitMix64)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = number ^ (number >> np.uint64(31))
    return result


_POWERS: Hashes = np.array(
    [pow(int(_FACTOR), k, 2**64) for k in reversed(range(GRAM))], dtype=np.uint64
)
"""(8,) what the notes of a gram are multiplied by, the last by 1."""


def note_hashes(waits: IntArray, parts: IntArray, pitches: IntArray, previous: IntArray) -> Hashes:
    """Return what tells notes apart.

    Args:
        waits: grid steps since the note before, of any part; 0 where time is not counted in beats.
        parts: values of the field.
        pitches: values of the field, drums beyond `DRUM_PITCHES`.
        previous: the last pitch before that is no drum's; of the first note its own.
    """
    # Pitches as intervals, so that a run is known again in any key; drums by themselves, as other
    # drums are another rhythm. The offsets keep the two apart and all numbers above 0.
    drum = pitches >= DRUM_PITCHES
    moved = np.where(drum, pitches + 256, pitches - previous + 128)
    # One whole number for each note: 12 bits for the pitch, 12 for the part, what is above for the
    # wait.
    joined = waits * 2**24 + parts * 2**12 + moved
    return mixed(joined.astype(np.uint64) * _FACTOR + _FACTOR)


def notes_among(events: Array, layout: NoteEvents) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return (M,) the waits, parts and pitches of the notes among events (T, 5), and their places.

    A wait is the grid steps since the note before, of any part; 0 where time is not counted in
    beats.
    """
    part = events[:, PART].astype(np.int64)
    place = np.nonzero((part >= FIRST_PART) & (part < layout.end))[0]
    delay = np.asarray(layout.delays, dtype=np.int64)[events[:, DELAY].astype(np.int64)]
    onset = np.cumsum(delay)[place] if layout.in_beats else np.zeros(len(place), dtype=np.int64)
    waits = np.diff(onset, prepend=onset[:1])
    return waits, part[place], events[place, PITCH].astype(np.int64), place


def hashes_of(events: Array, layout: NoteEvents) -> tuple[Hashes, IntArray]:
    """Return (M,) what tells the notes among events (T, 5) apart, and their places there."""
    waits, part, pitch, place = notes_among(events, layout)
    # (M,) for each note the place of the last pitched one before it, by a running maximum of
    # places.
    sounding = np.where(pitch < DRUM_PITCHES, np.arange(len(pitch)), -1)
    latest = np.maximum.accumulate(np.concatenate([[-1], sounding]))[:-1]
    previous = np.where(latest < 0, pitch, pitch[latest])
    return note_hashes(waits, part, pitch, previous), place


def loop_keys(events: Array, layout: NoteEvents) -> IntArray:
    """Return (M,) what is the same for those notes among events (T, 5) that a loop repeats."""
    waits, part, pitch, _ = notes_among(events, layout)
    return keys_of_notes(waits, part, pitch)


def grams_of(hashes: Hashes) -> Hashes:
    """Return (M - 7,) the grams that end at each note from the eighth on."""
    if len(hashes) < GRAM:
        return np.zeros(0, dtype=np.uint64)
    # A polynomial of the hashes modulo 2**64, so that the last note's share can be added by itself
    # (see `going_on`). A view: only the product takes memory.
    windows = np.lib.stride_tricks.sliding_window_view(hashes, GRAM)
    result: Hashes = (windows * _POWERS).sum(axis=1, dtype=np.uint64)
    return result


@dataclass(frozen=True)
class CopyIndex:
    """The training music's grams, and the longest runs that pieces held out have of them.

    Attributes:
        bits: (bytes,) the filter.
        held_out: (pieces,) notes.
        begun: (pieces, 2) of their beginnings: how many notes, and the longest run in those.
        loop: notes that go round, as long as the longest loops of the training music; None where
            that was not looked at.
    """

    bits: npt.NDArray[np.uint8]
    held_out: IntArray
    begun: IntArray
    loop: int | None = None

    @classmethod
    def of(
        cls, training: Iterable[Array], held_out: Iterable[Array], layout: NoteEvents
    ) -> CopyIndex:
        """Return the index of encoded pieces (T, 5)."""
        each, loops = [], []
        for piece in training:
            # Unique within each piece first: loops would else fill memory before they are thrown
            # out.
            each.append(np.unique(grams_of(hashes_of(piece, layout)[0])))
            loops.append(longest_loop(loop_keys(piece, layout)))
        grams = np.unique(np.concatenate([np.zeros(0, dtype=np.uint64), *each]))
        bits = np.zeros(max(1, len(grams) * _BITS // 8), dtype=np.uint8)
        # Some at a time: the places of a gram take sixteen times its memory.
        for some in np.array_split(grams, 1 + len(grams) // _TOGETHER):
            places = _places(some, bits.size * 8)
            # `at`, as several grams share bytes, of which a plain `|=` would keep one.
            np.bitwise_or.at(bits, places // 8, np.left_shift(1, places % 8).astype(np.uint8))
        index = cls(bits, np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64))
        found = [index.runs(piece, layout)[0] for piece in held_out]
        begun = [runs[:BEGINNING] for runs in found if len(runs)]
        return cls(
            bits,
            np.array([runs.max(initial=0) for runs in found], dtype=np.int64),
            np.array([(len(runs), runs.max()) for runs in begun], dtype=np.int64).reshape(-1, 2),
            loop_bound(loops),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> CopyIndex:
        """Return the index that arrays hold.

        Raises:
            ValueError: they are not of one.
        """
        bits, held_out = arrays["bits"], arrays["held_out"]
        # Runs of earlier versions have neither.
        begun = arrays.get("begun", np.zeros((0, 2), dtype=np.int64))
        loop = arrays.get("loop", np.zeros(0, dtype=np.int64))
        if (
            (bits.dtype != np.uint8 or bits.ndim != 1 or not bits.size)
            or held_out.ndim != 1
            or (begun.ndim != 2 or begun.shape[1] != 2)
            or (loop.ndim != 1 or loop.size > 1)
        ):
            raise ValueError("no index of runs of notes")
        longest = int(loop[0]) if loop.size else None
        return cls(bits, held_out.astype(np.int64), begun.astype(np.int64), longest)

    def as_arrays(self) -> dict[str, Array]:
        """Return the arrays that `from_arrays` makes the index of."""
        loop = np.array([] if self.loop is None else [self.loop], dtype=np.int64)
        return {"bits": self.bits, "held_out": self.held_out, "begun": self.begun, "loop": loop}

    def holds(self, grams: Hashes) -> npt.NDArray[np.bool_]:
        """Return whether each gram is one of the training music's."""
        flat = grams.reshape(-1)
        result = self._set(flat, slice(0, 2))
        # Most are not there, which two of the bits tell nearly always.
        left = np.flatnonzero(result)
        result[left] = self._set(flat[left], slice(2, _PROBES))
        return result.reshape(grams.shape)

    def _set(self, grams: Hashes, probes: slice) -> npt.NDArray[np.bool_]:
        """Return (M,): whether some of each gram's bits are set."""
        places = _places(grams, self.bits.size * 8, probes)
        found = (self.bits[places // 8] >> (places % 8).astype(np.uint8)) & 1
        result: npt.NDArray[np.bool_] = np.all(found, axis=-1)
        return result

    def runs(self, events: Array, layout: NoteEvents) -> tuple[IntArray, IntArray]:
        """Return (M,) how long the run is that ends at each note, and the notes' places."""
        hashes, place = hashes_of(events, layout)
        there = np.zeros(len(hashes), dtype=bool)
        there[GRAM - 1 :] = self.holds(grams_of(hashes))
        number = np.arange(len(there))
        since = np.maximum.accumulate(np.where(there, -1, number)) if len(there) else number
        return np.where(there, number - since + GRAM - 1, 0), place

    def longest(self, events: Array, layout: NoteEvents, first: int = 0) -> int:
        """Return the longest run that ends at one of the events from `first` on."""
        runs, place = self.runs(events, layout)
        return int(runs[place >= first].max(initial=0))

    def lacking(self, events_NTF: IntArray, layout: NoteEvents) -> float:
        """Return log(r / s): r is the mean of the longest runs in beginnings of pieces held out.

        And s that of pieces, of each as many notes as one of those has; both are 1 more. 0 where no
        piece was held out.
        """
        if not len(self.begun):
            return 0.0
        notes = np.resize(self.begun[:, 0], len(events_NTF))
        heard = [
            self.runs(events, layout)[0][:count].max(initial=0)
            for events, count in zip(events_NTF, notes.tolist(), strict=True)
        ]
        return float(np.log((1 + self.begun[:, 1].mean()) / (1 + np.mean(heard))))

    def bound(self) -> int | None:
        """Return the 95th percentile of the longest runs of pieces held out; None without any."""
        if not len(self.held_out):
            return None
        return max(GRAM, int(np.percentile(self.held_out, _PERCENTILE, method="higher")))


def _places(grams: Hashes, size: int, probes: slice = slice(0, _PROBES)) -> IntArray:
    """Return (M, probes) bits of each gram, by double hashing (Kirsch and Mitzenmacher 2006)."""
    # Two hashes stand for eight. The second is odd, so that its multiples do not meet too soon.
    first, second = mixed(grams), mixed(grams ^ _FACTOR) | np.uint64(1)
    steps = np.arange(probes.start, probes.stop, dtype=np.uint64)
    places = (first[:, None] + steps * second[:, None]) % np.uint64(size)
    result: IntArray = places.astype(np.int64)
    return result


@dataclass(frozen=True)
class Limits:
    """Of notes in a row.

    Attributes:
        copied: that may stand in the training music.
        loop: that may go round.
    """

    copied: int = ANY_LENGTH
    loop: int = ANY_LENGTH


class CopyWatch:
    """Follows the notes of N pieces while they are made, and knows what would go on with a run.

    Args:
        index: of the training music.
        layout: of the events.
        prompts: the pieces' beginnings.
        limits: of runs and loops.

    Attributes:
        loops: follows what goes round.
    """

    def __init__(
        self,
        index: CopyIndex,
        layout: NoteEvents,
        prompts: Sequence[Array],
        limits: Limits = Limits(),
    ) -> None:
        self.index, self.layout, self.limits = index, layout, limits
        self.loops = LoopWatch(len(prompts), limits.loop)
        self._delays = np.asarray(layout.delays, dtype=np.int64)
        for number, prompt in enumerate(prompts):
            self.loops.begin(number, loop_keys(prompt, layout))
        begun = [self._begun(prompt) for prompt in prompts]
        self._last_NG = np.stack([each[0] for each in begun])
        self._waited_N = np.array([each[1] for each in begun], dtype=np.int64)
        self._pitch_N = np.array([each[2] for each in begun], dtype=np.int64)
        self.known_N = np.array([each[3] for each in begun], dtype=np.int64)
        self.run_N = np.array([each[4] for each in begun], dtype=np.int64)

    def _begun(self, prompt: Array) -> tuple[Hashes, int, int, int, int]:
        """Return the last notes, the time since, the last pitch, how many notes, and the run."""
        hashes, place = hashes_of(prompt, self.layout)
        # Padded in front with zeros; `known_N` says whether a whole gram is there.
        last = np.zeros(GRAM, dtype=np.uint64)
        if not len(hashes):
            return last, 0, -1, 0, 0
        tail = hashes[-GRAM:]
        last[GRAM - len(tail) :] = tail
        after = prompt[place[-1] + 1 :, DELAY].astype(np.int64)
        pitches = prompt[place, PITCH].astype(np.int64)
        sounding = pitches[pitches < DRUM_PITCHES]
        pitch = int(sounding[-1]) if len(sounding) else -1
        runs, _ = self.index.runs(prompt, self.layout)
        return last, int(self._delays[after].sum()), pitch, len(hashes), int(runs[-1])

    def observe(self, events_N5: Array) -> None:
        """Take in the next event of each piece."""
        part = events_N5[:, PART].astype(np.int64)
        self._waited_N += self._delays[events_N5[:, DELAY].astype(np.int64)]
        note = (part >= FIRST_PART) & (part < self.layout.end)
        pitch = events_N5[:, PITCH].astype(np.int64)
        self.loops.observe(keys_of_notes(self._waits(self._waited_N), part, pitch), note)
        new = self._hashes(part[:, None], pitch[:, None], self._waited_N[:, None])[:, 0]
        moved = np.concatenate([self._last_NG[:, 1:], new[:, None]], axis=1)
        self._last_NG = np.where(note[:, None], moved, self._last_NG)
        self.known_N += note
        gram = (self._last_NG * _POWERS).sum(axis=1, dtype=np.uint64)
        there = self.index.holds(gram) & (self.known_N >= GRAM)
        longer = np.where(self.run_N > 0, self.run_N + 1, GRAM)
        self.run_N = np.where(note, np.where(there, longer, 0), self.run_N)
        self._pitch_N = np.where(note & (pitch < DRUM_PITCHES), pitch, self._pitch_N)
        self._waited_N[note] = 0

    def runs(self) -> CopiedRuns:
        """Return what the compiled loop follows the notes by, in the place of `observe`."""
        return CopiedRuns(
            self.index.bits,
            self.limits.copied,
            self.limits.loop,
            self._last_NG,
            self._waited_N,
            self._pitch_N,
            self.known_N,
            self.run_N,
            self.loops.recent_NP,
            self.loops.again_NP,
        )

    def going_on(
        self, rows_K: IntArray, delay_K: IntArray, part_K: IntArray, pitches: int
    ) -> npt.NDArray[np.bool_]:
        """Return (K, pitches) which pitch would go on with a run, for some pieces' next events."""
        waited = self._waited_N[rows_K] + self._delays[delay_K]
        pitch = np.broadcast_to(np.arange(pitches, dtype=np.int64), (len(rows_K), pitches))
        new = self._hashes(part_K[:, None], pitch, waited[:, None], rows_K)
        # Seven notes are known; only the last of the gram differs from pitch to pitch.
        before = (self._last_NG[rows_K, 1:] * _POWERS[:-1]).sum(axis=1, dtype=np.uint64)
        return self.index.holds(before[:, None] + new)

    def going_round(
        self, rows_K: IntArray, delay_K: IntArray, part_K: IntArray, pitches: int
    ) -> npt.NDArray[np.bool_]:
        """Return (K, pitches) which pitch would go on with a loop that is barred."""
        waits = self._waits(self._waited_N[rows_K] + self._delays[delay_K], rows_K)
        next_KP = self.loops.recent_NP[rows_K]
        # (K, periods) the pitch that goes on, where wait and part are the loop's; else no pitch.
        pitch = next_KP - keys_of_notes(waits, part_K, np.zeros_like(part_K))[:, None]
        around = self.loops.barred()[rows_K] & (pitch >= 0) & (pitch < pitches)
        found = np.zeros((len(rows_K), pitches), dtype=bool)
        row, period = np.nonzero(around)
        found[row, pitch[row, period]] = True
        return found

    def _hashes(
        self, part: IntArray, pitch: IntArray, waited: IntArray, rows: IntArray | None = None
    ) -> Hashes:
        previous = self._pitch_N[:, None] if rows is None else self._pitch_N[rows, None]
        waits = self._waits(waited[:, 0], rows)[:, None]
        return note_hashes(waits, part, pitch, np.where(previous < 0, pitch, previous))

    def _waits(self, waited: IntArray, rows: IntArray | None = None) -> IntArray:
        """Return (K,) the waits by which notes are compared; the first note has none."""
        known = self.known_N if rows is None else self.known_N[rows]
        return np.where(self.layout.in_beats & (known > 0), waited, 0)
