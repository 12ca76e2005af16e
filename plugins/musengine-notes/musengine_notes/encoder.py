"""The encoder: a score to one row of numbers for each note, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from musengine.api import (
    Array,
    DecodeSettings,
    Encoded,
    Encoder,
    Guide,
    Infill,
    IntArray,
    LeftOut,
    Piece,
    Score,
    Steering,
    Text,
    Track,
    steps_to_ticks,
)
from musengine.errors import UnreadableError
from musengine_notes.config import NotesEncoderConfig
from musengine_notes.events import (
    SUSTAIN,
    Events,
    arranged,
    bars_of,
    loudness,
    pedal_events,
    velocity_of,
)
from musengine_notes.form.lookback import Bars, channels, onsets_of
from musengine_notes.form.similarity import Returns
from musengine_notes.layout import (
    BAR,
    DRUM_PITCHES,
    DURATION,
    FIRST_PART,
    LOOKBACK,
    METRE,
    PART,
    PEDAL,
    PITCH,
    UNKNOWN,
    VELOCITY,
    NoteEvents,
)
from musengine_notes.parts import Instrument, Kind, PartCounts, called, part_of_tracks
from musengine_notes.steering.asked import channels_asked
from musengine_notes.steering.guide import guide_of

TICKS_PER_BEAT = 960
MAX_STEPS = 2**22
"""Longer pieces are refused: 72 hours of sixteenths at 120 beats a minute, 11 of hundredths."""


class Notes(Encoder[NotesEncoderConfig]):
    """Scores to notes one after another, with instruments, drums, velocities and the pedal."""

    def __init__(self, config: NotesEncoderConfig) -> None:
        super().__init__(config)
        self.kind: Kind = "one"
        self.instruments: list[Instrument] = []
        self.pedal_part = -1
        self.returns: tuple[float, ...] = ()
        self.at_once = 0

    @property
    def layout(self) -> NoteEvents:
        """The layout, with the instruments that were learned."""
        return replace(
            self.config.layout(),
            parts=tuple(each.part for each in self.instruments),
            pedal=self.pedal_part >= 0,
            returns=self.returns,
            at_once=self.at_once,
        )

    def fit(self, pieces: Iterable[Piece]) -> None:
        """Learn which instruments there are, which one uses a pedal, and how much comes back."""
        counts, form = PartCounts(), Returns(self.config.layout())
        pedals: Counter[tuple[int, str, bool]] = Counter()
        for piece in pieces:
            if not isinstance(piece.content, Score):
                continue
            score = self._read(piece.content)
            counts.add(score)
            form.add(score)
            moves = score.control[score.control[:, 1] == SUSTAIN, 0]
            for track, count in Counter(moves.tolist()).items():
                each = score.tracks[track]
                pedals[each.program, each.name, each.is_drum] += count
        self.kind = counts.kind(self.config.parts)
        self.instruments = counts.instruments(self.kind, self.config.most_parts)
        self.pedal_part = self._pedal_part(pedals) if self.config.pedal else -1
        self.returns, self.at_once = form.means(), form.at_once()

    def _pedal_part(self, pedals: Mapping[tuple[int, str, bool], int]) -> int:
        moves = np.zeros(len(self.instruments) + 1, dtype=np.int64)
        for (program, name, drums), count in pedals.items():
            track = Track(name=name, program=program, is_drum=drums)
            (part,), _ = part_of_tracks([track], self.kind, self.instruments)
            if part >= 0 and not self.instruments[part].drums:
                moves[part] += count
        return int(moves.argmax()) if moves.any() else -1

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T, 5) numbers, and last the end.

        Raises:
            UnreadableError: it is a text, has no notes, or is too long.
        """
        if not isinstance(content, Score):
            raise UnreadableError("notes are read from a score", code="text-not-score")
        score, dropped = self._known(self._read(content))
        if not len(score):
            raise UnreadableError("no notes", code="no-notes")
        layout = self.layout
        bars, shift = bars_of(score, layout, MAX_STEPS)
        # Bars first: by them an upbeat moves the music, and with it every event.
        events = self._events(score, layout, shift, dropped)
        steps_TF = arranged(events, layout)
        return Encoded(
            # 16 bits hold every field: the longest table has a few hundred entries.
            steps=steps_TF.astype(np.int16),
            conditioning=channels(steps_TF, bars, layout),
            dropped={what: count for what, count in dropped.items() if count},
        )

    def _read(self, score: Score) -> Score:
        return score if self.config.drums else score.take(~score.is_drum)

    def _known(self, score: Score) -> tuple[Score, dict[str, int]]:
        """Return the notes of known instruments, their tracks' numbers those of the instruments."""
        part, own = part_of_tracks(score.tracks, self.kind, self.instruments)
        here = part[score.track] if len(score) else np.zeros(0, dtype=np.int64)
        lost = here < 0
        moved = (own[score.track] == 0) & ~lost if len(score) else lost
        dropped = {
            "notes of unknown instruments": int(lost.sum()),
            "notes given to another instrument": int(moved.sum()),
        }
        controls = score.control.copy()
        # Controllers go to instruments too, -1 where their track has none.
        controls[:, 0] = part[controls[:, 0]] if len(controls) else 0
        kept = replace(score.take(~lost), control=controls)
        return replace(kept, track=here[~lost]), dropped

    def _events(
        self, score: Score, layout: NoteEvents, shift: int, dropped: dict[str, int]
    ) -> Events:
        first, after, _ = score.quantise(layout.step)
        drums = np.array([each.drums for each in self.instruments], dtype=bool)[score.track]
        notes = Events(
            onset=first + shift,
            part=score.track + FIRST_PART,
            pitch=score.pitch + DRUM_PITCHES * drums,
            # How long a drum is held is not heard.
            length=np.where(drums, 1, after - first),
            loudness=loudness(score.velocity, layout.velocities),
        )
        kept = notes.one_of_each()
        dropped["notes that begin together, taken for one"] = len(notes) - len(kept)
        if layout.pedal:
            kept = kept.beside(pedal_events(score, self.pedal_part, layout.step, shift))
        return kept

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what the arrays have no place for."""
        if isinstance(content, Text):
            return {}
        pedals = content.control[:, 1] == SUSTAIN
        if self.pedal_part >= 0:
            part, _ = part_of_tracks(content.tracks, self.kind, self.instruments)
            pedals &= part[content.control[:, 0]] != self.pedal_part
        counts = {
            "drum notes": (0 if self.config.drums else int(content.is_drum.sum())),
            "tempo changes": len(content.tempo_tick) - 1 if self.layout.in_beats else 0,
            "pedal movements": int(pedals.sum()),
        }
        keep = {"drum notes": "encoder.drums = true"}
        return {what: LeftOut(n, keep.get(what, "")) for what, n in counts.items() if n}

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the notes on a track for each instrument; a key struck again ends what it held."""
        layout, steps = self.layout, np.asarray(steps, dtype=np.int64).reshape(-1, 5)
        onset = onsets_of(steps, layout)
        part = steps[:, PART]
        durations = np.array(layout.durations, dtype=np.int64)
        notes = (part >= FIRST_PART) & (part < layout.end)
        drums = np.array([False, False, *(each.drums for each in self.instruments), False])
        here = np.where(notes, part, 0)
        # A drum's pitch on an instrument, and the reverse, which only foreign arrays have.
        pitch = steps[:, PITCH] % DRUM_PITCHES
        length = durations[np.clip(steps[:, DURATION], 0, len(durations) - 1)]
        length = np.where(drums[here], 1, length)
        found = Events(onset, part, pitch, length, steps[:, VELOCITY]).take(notes).one_of_each()
        moves = steps[part == PEDAL, PITCH], onset[part == PEDAL]
        return self._score(found, moves, settings)

    def _score(
        self, notes: Events, moves: tuple[IntArray, IntArray], settings: DecodeSettings
    ) -> Score:
        used = np.unique(notes.part)
        track = np.searchsorted(used, notes.part)
        tracks = [self.instruments[part - FIRST_PART].track for part in used.tolist()]
        first = self._ticks(notes.onset, settings.tempo)
        after = self._ticks(notes.onset + notes.length, settings.tempo)
        pedal = np.flatnonzero(used == self.pedal_part + FIRST_PART).tolist()
        ticks = self._ticks(moves[1], settings.tempo).tolist()
        meter = settings.meter
        return Score.from_notes(
            onset=first,
            duration=after - first,
            pitch=notes.pitch,
            velocity=velocity_of(notes.loudness, self.layout.velocities),
            track=track,
            ticks_per_beat=TICKS_PER_BEAT,
            tracks=tracks or [each.track for each in self.instruments[:1]],
            tempos=[(0, settings.tempo)],
            meters=[(0, meter.numerator, meter.denominator)],
            controls=[
                (tick, pedal[0], SUSTAIN, 127 if down else 0)
                for tick, down in zip(ticks, moves[0].tolist(), strict=True)
                if pedal
            ],
        )

    def _ticks(self, steps: IntArray, tempo: float) -> IntArray:
        step = self.config.step
        if step.unit == "beat":
            return steps_to_ticks(steps, step.size, TICKS_PER_BEAT)
        exact = steps * float(step.size) * tempo / 60 * TICKS_PER_BEAT
        return np.rint(exact).astype(np.int64)

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): when each event begins.

        An end that follows an end moves time on, so that generation comes to one.
        """
        layout, steps = self.layout, np.asarray(steps, dtype=np.int64).reshape(-1, 5)
        onset = onsets_of(steps, layout).astype(np.float64)
        # A model that draws nothing but ends must still come to the length that is asked for.
        ends = steps[:, PART] == layout.end
        onset += np.cumsum(ends & np.append(False, ends[:-1])[: len(ends)]) * max(layout.delays)
        size = float(self.config.step.size)
        if layout.in_beats and unit == "seconds":
            size *= 60.0 / settings.tempo
        elif not layout.in_beats and unit == "beats":
            size *= settings.tempo / 60.0
        return onset * size

    def conditioning(self, first: int, count: int, settings: DecodeSettings) -> Mapping[str, Array]:
        """Return bars that are all alike; where a note lies in them follows from those before."""
        layout = self.layout
        metre = np.full((count, METRE), UNKNOWN, dtype=np.int16)
        if not layout.in_beats:
            metre[:, BAR] = 0
            return {"metre": metre}
        beats = settings.meter.beats_per_bar
        # As `with_whole_bars` does with files: a bar of one beat says that bars are not known.
        bar = (beats if beats > 1 else 4 * beats) / self.config.step.size
        metre[:, BAR] = max(1, min(round(bar), 2**15 - 1))
        lookback = np.zeros((count, len(layout.lags), LOOKBACK), dtype=np.int16)
        return {"metre": metre, "lookback": lookback}

    def steered(
        self, steering: Steering, count: int, settings: DecodeSettings
    ) -> Mapping[str, Array]:
        """Return which delays and parts are free, and how many notes are wanted in how long a bar.

        Raises:
            UserError: no such instrument was learned.
        """
        return channels_asked(self, steering, count, settings)

    def called(self, name: str) -> tuple[int, Track]:
        """Return the number of the instrument that people call so, and the track of a new part."""
        return called(name, self.kind, self.instruments)

    def numbers_of(self, tracks: Iterable[Track]) -> IntArray:
        """Return for each track the number of the instrument that plays it, -1 for none."""
        return part_of_tracks(tracks, self.kind, self.instruments)[0]

    def guide(self, infill: Infill, passages: int, settings: DecodeSettings) -> Guide:
        """Return what leads notes past those of a piece.

        Raises:
            UserError: no such instrument was learned, or the piece is too long.
        """
        return guide_of(self, infill, passages, settings)

    def given(self, score: Score) -> tuple[Events, Bars | None, int]:
        """Return the events of a piece in order, its bars, and by how many grid steps it was moved.

        Raises:
            UnreadableError: it is too long.
        """
        known, dropped = self._known(self._read(score))
        layout = self.layout
        bars, shift = bars_of(score, layout, MAX_STEPS)
        return self._events(known, layout, shift, dropped).one_of_each(), bars, shift

    def tick_of(self, steps: IntArray, score: Score) -> IntArray:
        """Return the ticks of a piece at which grid steps lie."""
        step = self.config.step
        if step.unit == "beat":
            return steps_to_ticks(steps, step.size, score.ticks_per_beat)
        return np.rint(score.ticks(steps * float(step.size))).astype(np.int64)

    def state(self) -> dict[str, Any]:
        """Return the instruments."""
        return {
            "kind": self.kind,
            "instruments": [each.as_json() for each in self.instruments],
            "pedal_part": self.pedal_part,
            "returns": list(self.returns),
            "at_once": self.at_once,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the instruments."""
        self.kind = state["kind"]
        self.instruments = [Instrument(**each) for each in state["instruments"]]
        self.pedal_part = int(state["pedal_part"])
        # A share; whatever else a stranger's file holds asks for nothing.
        shares = map(float, state["returns"])
        self.returns = tuple(share if 0 <= share <= 1 else 0.0 for share in shares)
        self.at_once = int(state["at_once"])
