"""Scores to tokens and back: what MidiTok makes of them, what may follow what, and when it is."""

from __future__ import annotations

import numpy as np
import pytest

from musengine.api import DecodeSettings, Meter, Piece, Score, Tokens, Track
from musengine.errors import UnreadableError, UserError
from musengine.testing import problem, score_of
from musengine.testing.conformance import EncoderCheck
from musengine_remi.config import MidiTokConfig
from musengine_remi.encoder import MidiTokEncoder

TOKENIZERS = ("remi", "tsd", "structured")
SETTINGS = DecodeSettings(tempo=100.0, meter=Meter(4, 4))


def encoder(tokenizer: str = "remi", **settings: int) -> MidiTokEncoder:
    return MidiTokEncoder(MidiTokConfig(tokenizer=tokenizer, **settings))


def band(meters=((0, 3, 4),), tempos=((0, 90.0),)) -> Score:
    """Four bars of 3/4 in ticks of a quarter of a beat: a violin, a piano, and drums between."""
    tracks = [Track(is_drum=True), Track(program=40), Track(program=0)]
    rows = [(0, 4, 67, 100, 1), (0, 12, 48, 60, 2), (4, 1, 38, 90, 0), (6, 2, 69, 100, 1)]
    rows += [(12, 12, 50, 60, 2), (26, 10, 72, 20, 1), (40, 8, 36, 127, 0)]
    return score_of(rows, tracks=tracks, tempos=tempos, meters=meters)


def names(steps, of: MidiTokEncoder) -> list[str]:
    return of.vocabulary.decode(steps)


def notes(score: Score) -> list[tuple]:
    """Return onset, duration, pitch and program or "drums" of each note, in beats."""
    parts = ["drums" if track.is_drum else track.program for track in score.tracks]
    beats = (score.onset / score.ticks_per_beat, score.duration / score.ticks_per_beat)
    return sorted(
        (*row, parts[track]) for *row, track in zip(*beats, score.pitch, score.track, strict=True)
    )


def test_a_bar_of_remi_is_what_its_authors_say() -> None:
    remi = encoder(velocities=127)
    score = score_of([(2, 2, 60, 80, 0), (2, 4, 38, 99, 1)], tracks=[Track(), Track(is_drum=True)])
    assert names(remi.encode(score).steps, remi) == [
        *("Bar_None", "TimeSig_4/4", "Position_0", "Tempo_120.0", "Position_4"),
        *("Program_0", "Pitch_60", "Velocity_80", "Duration_0.4.8"),
        *("Program_-1", "PitchDrum_38", "Velocity_99", "Duration_1.0.8"),
    ]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_programs_drums_and_times_come_back(tokenizer: str) -> None:
    tokens = encoder(tokenizer)
    again = tokens.decode(tokens.encode(band()).steps, SETTINGS)
    assert notes(again) == notes(band())
    assert np.abs(again.velocity - band().velocity).max() <= 4


@pytest.mark.parametrize("tokenizer", ["remi", "tsd"])
def test_tempo_and_metre_come_back_where_they_change(tokenizer: str) -> None:
    tokens = encoder(tokenizer, tempos=211)  # one for each whole number from 40 to 250
    score = band(meters=[(0, 3, 4), (24, 6, 8)], tempos=[(0, 90.0), (26, 140.0)])
    again = tokens.decode(tokens.encode(score).steps, SETTINGS)
    assert again.tempo_bpm == pytest.approx([90, 140], abs=0.01)
    assert (again.tempo_tick / again.ticks_per_beat).tolist() == [0, 6.5]
    assert again.meter.tolist() == [[3, 4], [6, 8]]
    assert (again.meter_tick / again.ticks_per_beat).tolist() == [0, 6]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_what_is_not_said_is_that_of_the_settings(tokenizer: str) -> None:
    tokens = encoder(tokenizer)
    note = names(tokens.encode(band()).steps, tokens)[-4:]
    alone = tokens.decode(tokens.vocabulary.encode(note), DecodeSettings(100.0, Meter(3, 4)))
    assert alone.tempo_bpm.tolist() == [100.0]
    assert alone.meter.tolist() == [[3, 4]]


def test_time_by_hand_over_changes_of_metre_and_tempo() -> None:
    remi = encoder(tempos=211)
    told = ["Bar_None", "TimeSig_3/4", "Position_0", "Tempo_60.0", "Position_16"]
    told += ["Bar_None", "TimeSig_6/8", "Position_8", "Tempo_120.0", "Bar_None"]
    steps = remi.vocabulary.encode(told)
    beats = [0, 0, 0, 0, 2, 3, 3, 3.5, 3.5, 6]
    assert remi.elapsed(steps, "beats", SETTINGS).tolist() == beats
    seconds = [0, 0, 0, 0, 2, 3, 3, 3.5, 3.5, 4.75]
    assert remi.elapsed(steps, "seconds", SETTINGS) == pytest.approx(seconds)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_notes_begin_when_their_tokens_stand(tokenizer: str) -> None:
    tokens = encoder(tokenizer)
    steps = tokens.encode(band(meters=[(0, 3, 4), (12, 6, 8), (24, 2, 2)])).steps
    pitched = [name.startswith("Pitch") for name in names(steps, tokens)]
    stand = tokens.elapsed(steps, "beats", SETTINGS)[pitched]
    decoded = tokens.decode(steps, SETTINGS)
    assert sorted(stand) == (decoded.onset / decoded.ticks_per_beat).tolist()


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_whatever_the_grammar_lets_come_is_music_in_order(tokenizer: str) -> None:
    tokens, random = encoder(tokenizer, resolution=4), np.random.default_rng(3)
    grammar = tokens.layout.grammar
    assert grammar is not None
    for _ in range(3):
        state, drawn = grammar.start, []
        for _ in range(400):
            # Kinds alike, so that notes are no rarer than tempos.
            may = np.flatnonzero(grammar.may_come[state])
            kind = random.choice(sorted(set(tokens.kind_V[may])))
            drawn.append(random.choice(may[tokens.kind_V[may] == kind]))
            state = int(grammar.leads_to[state, drawn[-1]])
        steps = np.array(drawn)
        assert (np.diff(tokens.elapsed(steps, "seconds", SETTINGS)) >= 0).all()
        score = tokens.decode(steps, SETTINGS)
        pitches = sum(name.startswith("Pitch") for name in names(steps, tokens))
        # The last may lack what belongs to it.
        assert len(score) in (pitches, pitches - 1)
        assert grammar.violation(tokens.encode(score).steps) is None


def test_positions_go_on_in_their_bar_and_no_further() -> None:
    remi = encoder()
    layout, number = remi.layout, remi.vocabulary.numbers
    told = ["Bar_None", "TimeSig_3/4", "Position_7", "Program_0", "Pitch_60", "Velocity_79"]
    allowed = layout.grammar.allowed(remi.vocabulary.encode([*told, "Duration_1.0.8"]))
    places = [place for place in range(96) if allowed[number[f"Position_{place}"]]]
    assert places == list(range(8, 24))
    assert allowed[number["Bar_None"]]
    assert not allowed[number["TimeSig_3/4"]]


def test_the_layout_says_where_bars_begin_and_what_pitches_are() -> None:
    layout = encoder().layout
    assert isinstance(layout, Tokens)
    assert list(layout.tokens_of("bar").values()) == [0]
    assert sorted(layout.tokens_of("pitch").values()) == list(range(128))
    assert layout.begin == 1
    assert MidiTokConfig().layout().size == 0


def test_the_order_of_tracks_in_a_file_changes_nothing() -> None:
    score = band()
    order = np.array([2, 0, 1])
    moved = Score.from_notes(
        score.onset,
        score.duration,
        score.pitch,
        score.velocity,
        order[score.track],
        ticks_per_beat=4,
        tracks=[score.tracks[i] for i in np.argsort(order)],
        tempos=[(0, 90.0)],
        meters=[(0, 3, 4)],
    )
    remi = encoder()
    assert remi.encode(moved).steps.tolist() == remi.encode(score).steps.tolist()


def test_what_there_is_no_token_for_is_counted() -> None:
    score = Score.from_notes(
        [0, 0, 8],
        [4, 2, 100],
        [60, 60, 64],
        ticks_per_beat=4,
        meters=[(0, 4, 4), (32, 13, 8)],
        controls=[(0, 0, 64, 127), (8, 0, 64, 0)],
    )
    remi = encoder()
    encoded = remi.encode(score)
    assert encoded.dropped == {
        "notes struck twice at once": 1,
        "notes cut short": 1,
        "metres without a token": 1,
    }
    assert {what: left.count for what, left in remi.left_out(score).items()} == {
        "pedal movements": 2
    }
    again = remi.decode(encoded.steps, SETTINGS)
    assert (again.duration / again.ticks_per_beat).tolist() == [0.5, 12]


def test_what_cannot_be_tokens_is_refused() -> None:
    with problem("no-notes", UnreadableError):
        encoder().encode(score_of([]))
    with problem("piece-too-long", UnreadableError):
        encoder().encode(score_of([(2**30, 4, 60, 80, 0)]))


def test_a_vocabulary_of_another_version_is_refused() -> None:
    remi = encoder()
    remi.load_state(remi.state())
    with problem("other-tokens", UserError):
        remi.load_state({"vocabulary": remi.vocabulary.state()[::-1]})


def test_drums_are_struck_by_drums_and_pitches_by_others() -> None:
    remi = encoder()
    for program, follows, not_so in (
        (-1, "PitchDrum_60", "Pitch_60"),
        (40, "Pitch_60", "PitchDrum_60"),
    ):
        told = ["Bar_None", "TimeSig_4/4", "Position_0", f"Program_{program}"]
        allowed = remi.layout.grammar.allowed(remi.vocabulary.encode(told))
        assert allowed[remi.vocabulary[follows]]
        assert not allowed[remi.vocabulary[not_so]]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_it_keeps_the_contract(tokenizer: str) -> None:
    pieces = [Piece("band", band()), Piece("other", band(meters=[(0, 2, 2)]))]
    assert EncoderCheck(lambda: encoder(tokenizer), pieces).findings() == []
