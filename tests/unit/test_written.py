"""What generated music is written with: which of what is known counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from musengine.config.quantities import Instrument, Key, Meter
from musengine.generation.written import Known, as_written, settings_of
from musengine.interfaces.encoder import DecodeSettings
from musengine.music.prevailing import DRUMS, Prevailing
from musengine.music.score import Score, Track
from musengine.pipeline.sections import GenerateConfig
from musengine.testing import score_of

CORPUS = Prevailing(tempo=90.0, meter=(6, 8), key=(2, 0), program=73, velocity=60)
PROMPT = Prevailing(tempo=70.0, meter=(3, 4), key=(-1, 1), program=40, velocity=50)
USER = GenerateConfig(
    tempo=200.0, meter=Meter(5, 4), key=Key(-3, True), instrument=Instrument(9), velocity=33
)
NOTES = [(0, 4, 60), (4, 4, 62)]


def decoded(settings: DecodeSettings, **own: object) -> Score:
    """What a decoder returns that says only what it is told, and what it has of its own."""
    told = {
        "tempos": [(0, settings.tempo)],
        "meters": [(0, settings.meter.numerator, settings.meter.denominator)],
    }
    return score_of(NOTES, **(told | own))


def written(known: Known, **own: object) -> Prevailing:
    return Prevailing.of(as_written(decoded(settings_of(known), **own), known))


OWN = {
    "tempos": [(0, 150)],
    "meters": [(0, 2, 4)],
    "keys": [(0, 4, False)],
    "tracks": [Track("", 19)],
}
DECODED = Prevailing(tempo=150.0, meter=(2, 4), key=(4, 0), program=19, velocity=50)


@pytest.mark.parametrize(
    ("known", "own", "expected"),
    [
        (
            Known(GenerateConfig()),
            {},
            Prevailing(tempo=120.0, meter=(4, 4), program=0, velocity=80),
        ),
        (Known(GenerateConfig(), corpus=CORPUS), {}, CORPUS),
        (Known(GenerateConfig(), PROMPT, CORPUS), {}, PROMPT),
        (Known(GenerateConfig(), PROMPT, CORPUS), OWN, DECODED),
        (
            Known(USER, PROMPT, CORPUS),
            OWN,
            Prevailing(tempo=200.0, meter=(5, 4), key=(-3, 1), program=9, velocity=33),
        ),
        (
            Known(GenerateConfig(), Prevailing(tempo=70.0), CORPUS),
            {},
            replace(CORPUS, tempo=70.0),
        ),
    ],
    ids=["default", "corpus", "prompt", "decoded", "user", "each-by-itself"],
)
def test_the_first_that_there_is_counts(known, own, expected):
    assert written(known, **own) == expected


def test_velocities_that_differ_are_the_decoders_own():
    known = Known(GenerateConfig(), PROMPT, CORPUS)
    score = score_of([(0, 4, 60, 80), (4, 4, 62, 100)])
    assert as_written(score, known).velocity.tolist() == [80, 100]


def test_music_of_drums_alone_is_written_as_drums():
    known = Known(GenerateConfig(), corpus=replace(CORPUS, program=DRUMS))
    assert [track.is_drum for track in as_written(score_of(NOTES), known).tracks] == [True]
    # But for an instrument that was asked for.
    asked = replace(known, config=USER)
    (track,) = as_written(score_of(NOTES), asked).tracks
    assert (track.is_drum, track.program) == (False, 9)


def test_drums_of_a_decoder_stay_drums():
    tracks = [Track("", 0), Track("", 0, True)]
    score = score_of([(0, 4, 60, 80, 0), (0, 4, 36, 80, 1)], tracks=tracks)
    found = as_written(score, Known(USER)).tracks
    assert [(track.program, track.is_drum) for track in found] == [(9, False), (0, True)]


def test_what_an_encoder_keeps_is_written_as_it_is():
    # A piano at velocity 80 on purpose looks like one of which nothing is said.
    known = Known(GenerateConfig(), PROMPT, CORPUS)
    kept = as_written(score_of(NOTES), known, ("program", "velocity"))
    assert (kept.tracks[0].program, kept.velocity.tolist()) == (0, [80, 80])
    assert as_written(score_of(NOTES), known, ("velocity",)).tracks[0].program == PROMPT.program
    asked = as_written(score_of(NOTES), replace(known, config=USER), ("program", "velocity"))
    assert (asked.tracks[0].program, asked.velocity.tolist()) == (9, [33, 33])
