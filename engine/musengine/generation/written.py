"""What generated music is written with: its tempo, meter, key, program and velocity.

One rule for all of them, and a function for each. What counts is, the first that there is: what the
user set, what the encoder's `decode` returns, what the prompt has, what most of the corpus has, and
a default. `decode` is told the tempo and meter that follow from all but itself; where it returns
others, they are what the arrays say. So are programs and velocities where the encoder's settings
say that its arrays hold them (`keeps`). Of other encoders a program other than 0, a velocity other
than 80 and a key are taken for what they say.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from musengine.config.quantities import Meter
from musengine.interfaces.encoder import DecodeSettings
from musengine.music import timing
from musengine.music.prevailing import DRUMS, Prevailing
from musengine.music.score import Score, Track
from musengine.pipeline.sections import GenerateConfig
from musengine.plugins.configs import Kept

TEMPO, METER, PROGRAM, VELOCITY = 120.0, Meter(4, 4), 0, 80
"""Where nothing says any."""


@dataclass(frozen=True)
class Known:
    """What is known of a piece before it is made.

    Attributes:
        config: what the user set.
        prompt: what the music has that the piece goes on from.
        corpus: what most of the training part has.
    """

    config: GenerateConfig
    prompt: Prevailing = field(default_factory=Prevailing)
    corpus: Prevailing = field(default_factory=Prevailing)


def settings_of(known: Known) -> DecodeSettings:
    """Return the tempo and meter that `decode` is told."""
    return DecodeSettings(tempo=tempo(known), meter=meter(known))


def tempo(known: Known) -> float:
    """Return the tempo of a piece whose arrays say none."""
    chosen = (known.config.tempo, known.prompt.tempo, known.corpus.tempo)
    return next((each for each in chosen if each is not None), TEMPO)


def meter(known: Known) -> Meter:
    """Return the meter of a piece whose arrays say none."""
    if known.config.meter is not None:
        return known.config.meter
    chosen = known.prompt.meter or known.corpus.meter
    return METER if chosen is None else Meter(*chosen)


def key(known: Known, decoded: Score) -> tuple[int, int] | None:
    """Return the key of a piece; None for what its arrays say, or where none is known."""
    if known.config.key is not None:
        return known.config.key.sharps, int(known.config.key.minor)
    return None if len(decoded.key) else known.prompt.key or known.corpus.key


def program(known: Known, decoded: Score, keeps: Collection[Kept] = ()) -> int | None:
    """Return the program of all tracks, `DRUMS` for drums; None for what they have."""
    if known.config.instrument is not None:
        return known.config.instrument.program
    # An encoder that says nothing of programs leaves 0, the piano, which is then no statement.
    if "program" in keeps or any(track.program or track.is_drum for track in decoded.tracks):
        return None
    chosen = (known.prompt.program, known.corpus.program)
    return next((each for each in chosen if each is not None), PROGRAM)


def velocity(known: Known, decoded: Score, keeps: Collection[Kept] = ()) -> int | None:
    """Return the velocity of all notes; None for what they have."""
    if known.config.velocity is not None:
        return known.config.velocity
    if "velocity" in keeps or (decoded.velocity != VELOCITY).any():
        return None
    chosen = (known.prompt.velocity, known.corpus.velocity)
    return next((each for each in chosen if each is not None), VELOCITY)


def as_written(decoded: Score, known: Known, keeps: Collection[Kept] = ()) -> Score:
    """Return a decoded score with all that it is written with.

    Args:
        decoded: what the encoder made of the arrays.
        known: what else is known of the piece.
        keeps: what the encoder's arrays hold.
    """
    score = decoded
    if known.config.tempo is not None:
        ticks, bpm = timing.tempo_map([(0, known.config.tempo)])
        score = replace(score, tempo_tick=ticks, tempo_bpm=bpm)
    if known.config.meter is not None:
        chosen = known.config.meter
        ticks, meters = timing.meter_map([(0, chosen.numerator, chosen.denominator)])
        score = replace(score, meter_tick=ticks, meter=meters)
    if (signature := key(known, decoded)) is not None:
        sharps, minor = signature
        ticks, keys = timing.key_map([(0, sharps, bool(minor))])
        score = replace(score, key_tick=ticks, key=keys)
    if (chosen_program := program(known, decoded, keeps)) is not None:
        tracks = tuple(_playing(track, chosen_program) for track in score.tracks)
        score = replace(score, tracks=tracks)
    if (chosen_velocity := velocity(known, decoded, keeps)) is not None:
        score = replace(score, velocity=np.full_like(score.velocity, chosen_velocity))
    return score


def _playing(track: Track, chosen: int) -> Track:
    """Return a track with a program; drums that its encoder made stay drums."""
    if track.is_drum or chosen == DRUMS:
        return replace(track, is_drum=True)
    return replace(track, program=chosen)
