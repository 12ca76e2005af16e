"""Scores to the tokens of one of MidiTok's tokenisers, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import miditok
import numpy as np
import symusic

from musengine.api import (
    Array,
    DecodeSettings,
    Encoded,
    Encoder,
    FloatArray,
    GridStep,
    LeftOut,
    Score,
    Text,
    Tokens,
    Track,
    Vocabulary,
    left_out_of_performance,
)
from musengine.errors import UnreadableError, UserError
from musengine_remi.config import MidiTokConfig
from musengine_remi.grammar import known_grammar

TOKENIZERS = {"remi": miditok.REMI, "tsd": miditok.TSD, "structured": miditok.Structured}
METERS = {2: [2, 3, 4], 4: [1, 2, 3, 4, 5, 6, 7], 8: [2, 3, 5, 6, 7, 9, 12]}
"""The numerators that there are tokens for, by denominator."""
LAST_BEAT = 2**16
"""Pieces that go on longer are refused: each bar is a token, empty or not."""


class MidiTokEncoder(Encoder[MidiTokConfig]):
    """All tracks of a score as one sequence; those of one program become one track."""

    def __init__(self, config: MidiTokConfig) -> None:
        super().__init__(config)
        self.tokenizer = TOKENIZERS[config.tokenizer](_settings(config))
        numbers: dict[str, int] = self.tokenizer.vocab
        self.vocabulary = Vocabulary(tuple(sorted(numbers, key=numbers.__getitem__)))
        self.kind_V = np.array([name.partition("_")[0] for name in self.vocabulary.names])
        self.position_V = self._values("Position", int)
        self.shift_V = self._values("TimeShift", _beats)
        self.tempo_V = self._values("Tempo", float)
        self.upper_V = self._values("TimeSig", lambda meter: int(meter.partition("/")[0]))
        self.lower_V = self._values("TimeSig", lambda meter: int(meter.partition("/")[2]))
        self.tells_meter = "TimeSig" in self.kind_V

    def _values(self, kind: str, number: Callable[[str], float]) -> FloatArray:
        """Return (V,): what tokens of one type say; of all others no number."""
        found_V = np.full(len(self.vocabulary), np.nan)
        for token in np.flatnonzero(self.kind_V == kind).tolist():
            found_V[token] = number(self.vocabulary.names[token].partition("_")[2])
        return found_V

    @cached_property
    def layout(self) -> Tokens:
        """The tokens that MidiTok makes for these settings; nothing is learned."""
        names = self.vocabulary.names
        meanings = {name: ("bar", 0) for name in names if name == "Bar_None"}
        meanings |= {f"Pitch_{pitch}": ("pitch", pitch) for pitch in range(128)}
        types = self.tokenizer.tokens_types_graph.items()
        may_follow = frozenset((kind, frozenset(those)) for kind, those in types)
        grammar = known_grammar(names, may_follow, self.config.resolution)
        return self.vocabulary.layout(meanings=meanings, begin="BOS_None", grammar=grammar)

    def state(self) -> dict[str, Any]:
        """Return the names of the tokens, by which another version of MidiTok is told."""
        return {"vocabulary": self.vocabulary.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Compare the tokens with those that a model was trained with."""
        if Vocabulary.from_state(state["vocabulary"]) != self.vocabulary:
            raise UserError(
                "the installed MidiTok makes other tokens than those the model was trained with; "
                "install the version of then, which versions.json of the run names",
                code="other-tokens",
            )

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T,) tokens from the first bar on, and what there is no token for."""
        if not isinstance(content, Score) or not len(content):
            raise UnreadableError("there are no notes to make tokens of", code="no-notes")
        if content.length > LAST_BEAT * content.ticks_per_beat:
            raise UnreadableError(f"it has more than {LAST_BEAT} beats", code="piece-too-long")
        # Built from the Score, not read from a file: what was odd in the file is mended by then.
        score, foreign = self._symusic(content)
        steps_T = np.array(self.tokenizer.encode(score).ids, dtype=np.int16)
        kept = np.isin(self.kind_V[steps_T], ("Pitch", "PitchDrum")).sum()
        cut = content.duration > self.config.longest * content.ticks_per_beat
        counts = {
            "notes struck twice at once": len(content) - int(kept),
            "notes cut short": int(cut.sum()),
            "metres without a token": foreign,
        }
        dropped = {what: count for what, count in counts.items() if count}
        return Encoded(steps=steps_T, dropped=dropped, keep={"notes cut short": "encoder.longest"})

    def _symusic(self, score: Score) -> tuple[Any, int]:
        """Return a score in MidiTok's own ticks, and how many of its metres are left out.

        Tracks come in the order of their programs: the tokens of a moment stand in that of tracks.
        """
        meters = list(zip(score.meter_tick.tolist(), score.meter.tolist(), strict=True))
        known = [(tick, meter) for tick, meter in meters if meter[0] in METERS.get(meter[1], ())]
        foreign = len(meters) - len(known)
        if not known or known[0][0]:
            known.insert(0, (0, [4, 4]))
        if not self.tells_meter:
            known, foreign = [(0, [4, 4])], 0
        # MidiTok's positions in a quarter: what it would resample to, less exactly.
        per_quarter = self.config.resolution * max(meter[1] for _, meter in known) // 4
        step = GridStep(Fraction(1, per_quarter), "beat")
        first, after, _ = score.quantise(step)
        found: Any = symusic.Score(per_quarter)
        for tick, (upper, lower) in known:
            (place,) = score.nearest_steps(np.array([tick]), step).tolist()
            found.time_signatures.append(symusic.TimeSignature(place, upper, lower))
        tempo_tick = score.nearest_steps(score.tempo_tick, step).tolist()
        for place, bpm in zip(tempo_tick, score.tempo_bpm.tolist(), strict=True):
            found.tempos.append(symusic.Tempo(place, qpm=bpm))
        parts = sorted(enumerate(score.tracks), key=lambda p: (p[1].is_drum, p[1].program))
        for index, part in parts:
            track: Any = symusic.Track(part.name, part.program, part.is_drum)
            columns = (first, after - first, score.pitch, score.velocity)
            own = [column[score.track == index].astype(np.int32) for column in columns]
            track.notes = symusic.Note.from_numpy(*own)
            found.tracks.append(track)
        return found, foreign

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return the pedal's movements, for which there are no tokens."""
        if isinstance(content, Text):
            return {}
        found = left_out_of_performance(content, in_beats=False).items()
        return {what: count for what, count in found if what == "pedal movements"}

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the notes; tempo and metre are those of the tokens, before them the settings'."""
        upper, lower = self._first_meter(settings)
        first_metre = f"TimeSig_{upper}/{lower}"
        # MidiTok counts in 4/4 until it is told.
        ids = [self.vocabulary[first_metre]] if first_metre in self.vocabulary else []
        found = self.tokenizer.decode(miditok.TokSequence(ids=ids + steps.tolist()))
        per_quarter = found.ticks_per_quarter
        tick_T = np.rint(self._quarters(steps, settings) * per_quarter).astype(np.int64)
        tracks = sorted(found.tracks, key=lambda track: (track.is_drum, track.program))
        notes_5N = np.zeros((5, 0), dtype=np.int64)
        for index, track in enumerate(tracks):
            own = track.notes.numpy()
            rows = (own["time"], own["duration"], own["pitch"], own["velocity"])
            table = np.stack([*rows, np.full(len(track.notes), index)])
            notes_5N = np.concatenate([notes_5N, table], axis=1)
        return Score.from_table(
            notes_5N,
            ticks_per_beat=per_quarter,
            tracks=[Track(each.name, each.program, each.is_drum) for each in tracks] or [Track()],
            tempos=[(0, settings.tempo), *_said(tick_T, self.tempo_V[steps])],
            meters=[(0, upper, lower), *_said(tick_T, self.upper_V[steps], self.lower_V[steps])],
            length=int(tick_T[-1]) if len(steps) else 0,
        )

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> FloatArray:
        """Return (T,): where each token stands, a note's at the note's beginning."""
        quarters_T = self._quarters(steps, settings)
        if unit == "beats":
            return quarters_T
        tempo_T = _held(self.tempo_V[steps], settings.tempo)[:-1]
        seconds_T: FloatArray = np.cumsum(np.diff(quarters_T, prepend=0.0) * 60 / tempo_T)
        return seconds_T

    def _first_meter(self, settings: DecodeSettings) -> tuple[int, int]:
        """Return the metre before the first that tokens tell."""
        upper, lower = settings.meter.numerator, settings.meter.denominator
        known = not self.tells_meter or f"TimeSig_{upper}/{lower}" in self.vocabulary
        return (upper, lower) if known else (4, 4)

    def _quarters(self, steps: Array, settings: DecodeSettings) -> FloatArray:
        """Return (T,): the quarter notes from the first token to where each stands."""
        upper, lower = self._first_meter(settings)
        upper_T = _held(self.upper_V[steps], upper)
        lower_T = _held(self.lower_V[steps], lower if self.tells_meter else 4)
        # A beat is what the metre counts in; a bar is as long as the metre at its end.
        beat_T, bar_T = 4 / lower_T, self.kind_V[steps] == "Bar"
        place_T = np.where(bar_T, 0, self.position_V[steps])
        # The first bar begins at 0, unless a position stands before it.
        begun_T = np.cumsum(~np.isnan(place_T)) - ~np.isnan(place_T) > 0
        ended_T = np.where(bar_T & begun_T, upper_T[:-1] * beat_T[:-1], 0.0)
        shift_T = np.nan_to_num(self.shift_V[steps]) * beat_T[:-1]
        within_T = _held(place_T, 0)[1:] * beat_T[1:] / self.config.resolution
        # A prompt may hold what the grammar forbids; time then waits.
        quarters_T: FloatArray = np.maximum.accumulate(np.cumsum(ended_T + shift_T) + within_T)
        return quarters_T


def _settings(config: MidiTokConfig) -> Any:
    """Return MidiTok's own settings."""
    performed = config.tokenizer != "structured"
    return miditok.TokenizerConfig(
        pitch_range=(0, 127),
        beat_res={(0, 4): config.resolution, (4, config.longest): config.resolution // 2},
        num_velocities=config.velocities,
        special_tokens=["PAD", "BOS"],
        use_programs=True,
        use_pitchdrum_tokens=True,
        drums_pitch_range=(0, 127),
        use_tempos=performed,
        num_tempos=config.tempos,
        use_time_signatures=performed,
        time_signature_range=METERS,
        # The notes of a moment then come in one order, whatever it was in the file.
        remove_duplicated_notes=True,
        delete_equal_successive_tempo_changes=True,
        delete_equal_successive_time_sig_changes=True,
    )


def _beats(shift: str) -> float:
    """Return the beats that MidiTok writes as beats, parts and how many parts a beat has."""
    beats, parts, per_beat = map(int, shift.split("."))
    return beats + parts / per_beat


def _held(value_T: FloatArray, first: float) -> FloatArray:
    """Return (T + 1,): what holds before each step and after the last, where it may change."""
    latest_T = np.maximum.accumulate(np.where(np.isnan(value_T), 0, np.arange(len(value_T)) + 1))
    held_T: FloatArray = np.insert(value_T, 0, first)[np.insert(latest_T, 0, 0)]
    return held_T


def _said(tick_T: Array, *values: FloatArray) -> list[tuple[Any, ...]]:
    """Return (tick, value, ...) of the tokens that say something."""
    said = [column[~np.isnan(values[0])].tolist() for column in (tick_T, *values)]
    return list(zip(*said, strict=True))
