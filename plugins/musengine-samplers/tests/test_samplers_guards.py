"""Every guard ends the fault it is for, on models made to have that fault."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampler_toys import (
    FIRST,
    GRIDS,
    HOLD,
    LETTERS,
    LINES,
    MARKER,
    MELODY,
    MELODY_HOLD,
    MERGED,
    ONSETS,
    REST,
    ROLL,
    SIXTEENTH,
    STEP,
    SURE,
    TOKENS,
    NoteByNote,
    Told,
    chain,
    holding,
    logits_of,
    longest_run,
    make,
    note_lengths,
    roll_steps,
    sampler,
)
from torch import Tensor

from musengine.api import Grid, Tokens
from musengine.testing import problem
from musengine.testing.strategies import few

SILENT, FULL = -SURE, SURE
C_MAJOR = {0, 2, 4, 5, 7, 9, 11}


def sound_of(piece: np.ndarray, layout: Grid) -> np.ndarray:
    """(T, pitches): what is heard, the silence marker left out."""
    sound = piece[..., 0].astype(bool)
    if layout.silence_marker:
        sound[sound[:, 0] & (sound.sum(axis=1) == 1), 0] = False
    return sound


def always(token: int, layout: Tokens) -> Told:
    """A model that says one token again and again."""
    logits = torch.full((layout.size,), -SURE)
    logits[token] = SURE
    return Told(layout, logits)


def going_round(layout: Tokens, following: dict[int, int]) -> Told:
    """A model that says after each token the one that follows it."""

    def say(last: Tensor, count: int) -> Tensor:
        logits = torch.full((len(last), layout.size), -SURE)
        for row, token in enumerate(last.tolist()):
            logits[row, following[token]] = SURE
        return logits

    return Told(layout, say)


class TestLongestNote:
    @pytest.mark.parametrize("layout", [MERGED, ONSETS], ids=["merged", "onsets"])
    def test_ends_notes_that_are_held_for_ever(self, layout: Grid):
        plain = make(holding(layout), chain(layout, "bernoulli"), 100)
        assert max(note_lengths(plain[0], layout)) > 80
        guard = ("longest-note", {"length": "6 steps"})
        (piece,) = make(holding(layout), chain(layout, guard), 100)
        assert max(note_lengths(piece, layout)) == 6

    def test_a_merged_note_is_silent_for_one_step(self):
        model = Told(MERGED, logits_of(MERGED, FULL))
        (piece,) = make(model, chain(MERGED, ("longest-note", {"length": "3 steps"})), 11)
        assert piece[:, 0, 0].tolist() == [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1]

    def test_with_onsets_a_note_may_be_struck_again_at_once(self):
        model = Told(ONSETS, logits_of(ONSETS, FULL, SILENT))
        (piece,) = make(model, chain(ONSETS, ("longest-note", {"length": "3 steps"})), 8)
        assert piece[:, 0, 0].tolist() == [1] * 8
        assert piece[:, 0, 1].tolist() == [0, 0, 0, 1, 0, 0, 1, 0]

    def test_with_onsets_a_note_that_the_model_ends_is_not_struck(self):
        def say(last: Tensor, count: int) -> Tensor:
            return logits_of(ONSETS, FULL if count < 3 else SILENT, SILENT).expand(
                len(last), -1, -1
            )

        (piece,) = make(
            Told(ONSETS, say), chain(ONSETS, ("longest-note", {"length": "3 steps"})), 6
        )
        assert piece.sum(axis=(1, 2)).tolist() == [12, 12, 12, 0, 0, 0]

    def test_the_prompt_counts(self):
        prompt = np.zeros((5, 12, 1))
        prompt[2:, 4] = 1
        guard = chain(MERGED, ("longest-note", {"length": "4 steps"}))
        (piece,) = make(holding(MERGED), guard, 3, prompt=prompt)
        assert piece[:2, 4, 0].tolist() == [1, 0]

    def test_a_note_struck_in_the_prompt_counts_from_there(self):
        prompt = np.ones((6, 12, 2))
        prompt[:, :, 1] = 0
        prompt[4, :, 1] = 1
        model = Told(ONSETS, logits_of(ONSETS, FULL, SILENT))
        guard = chain(ONSETS, ("longest-note", {"length": "4 steps"}))
        (piece,) = make(model, guard, 6, prompt=prompt)
        assert piece[:, 0, 1].tolist() == [0, 0, 1, 0, 0, 0]

    @pytest.mark.parametrize(
        ("length", "steps"),
        [
            ("7 steps", 7),
            ("1.5 beats", 6),
            ("1.7 beats", 6),  # rounded down: 6.8 sixteenths
            ("1 bar", 12),  # of 3/4
            ("0.6 seconds", 4),  # 0.6 s at 100 a minute are 1 beat
            ("0.01 beats", 1),  # a note has at least one step
        ],
    )
    def test_units(self, length: str, steps: int):
        samplers = chain(MERGED, ("longest-note", {"length": length}))
        model = Told(MERGED, logits_of(MERGED, FULL))
        (piece,) = make(model, samplers, 40, tempo=100.0, meter="3/4")
        assert max(note_lengths(piece, MERGED)) == steps

    def test_of_a_melody_the_pitch_changes(self):
        melody = always(FIRST + 3, MELODY)
        assert longest_run(make(melody, chain(MELODY, "categorical"), 50)[0] == FIRST + 3) == 50
        (piece,) = make(melody, chain(MELODY, ("longest-note", {"length": "1 beat"})), 50)
        runs = [len(list(run)) for _, run in itertools.groupby(piece)]
        assert max(runs) == 4

    def test_a_hold_token_is_not_said_too_long_but_the_pitch_may_be_struck_again(self):
        melody = going_round(MELODY_HOLD, dict.fromkeys(range(14), HOLD) | {REST: FIRST})
        guard = chain(MELODY_HOLD, ("longest-note", {"length": "3 steps"}))
        (piece,) = make(melody, guard, 60)
        # Nothing sounds before the first pitch; from there each is held for two steps more.
        assert longest_run(piece == HOLD) == 2
        again = always(FIRST, MELODY_HOLD)
        assert make(again, guard, 9)[0].tolist() == [FIRST] * 9

    def test_of_a_text_roll_the_pitch_is_left_out_of_a_step(self):
        # Two pitches in every step, for ever; the second also beside another than the first.
        model = going_round(ROLL, dict.fromkeys(range(13), 7) | {STEP: 3, 7: STEP})
        plain = roll_steps(make(model, chain(ROLL, "categorical"), 90)[0])
        assert longest_run([62 in step for step in plain]) > 25
        (piece,) = make(model, chain(ROLL, ("longest-note", {"length": "4 steps"})), 90)
        steps = roll_steps(piece)
        for pitch in range(60, 72):
            assert longest_run([pitch in step for step in steps]) <= 4

    def test_of_a_text_roll_longer_steps_count(self):
        meanings = {0: ("step", 1), 1: ("step", 4), 2: ("pitch", 60), 3: ("pitch", 64)}
        layout = Tokens(size=4, step=SIXTEENTH, meanings=meanings)
        model = going_round(layout, {0: 2, 1: 2, 2: 1, 3: 1})
        (piece,) = make(model, chain(layout, ("longest-note", {"length": "6 steps"})), 200)
        length = {60: 0, 64: 0}
        now: set[int] = set()
        for token in piece:
            if (kind := meanings[int(token)])[0] == "pitch":
                now.add(kind[1])
                continue
            length = {pitch: length[pitch] + kind[1] if pitch in now else 0 for pitch in length}
            assert max(length.values()) <= 6
            now = set()

    def test_an_prompt_that_broke_the_bound_is_no_dead_end(self):
        prompt = [2, 0, 2, 0, 2, 0, 2]
        meanings = {0: ("step", 1), 2: ("pitch", 60), 1: ("pitch", 62)}
        layout = Tokens(size=4, step=SIXTEENTH, meanings=meanings)
        model = going_round(layout, {0: 2, 2: 0, 1: 0, 3: 0})
        guard = chain(layout, ("longest-note", {"length": "2 steps"}))
        (piece,) = make(model, guard, 20, prompt=prompt)
        # The prompt's last step is closed; the next has another pitch, or none.
        assert piece[0] == 0
        assert piece[1] != 2
        assert (piece == 0).sum() > 5


class TestLongestRest:
    @pytest.mark.parametrize("layout", GRIDS.values(), ids=list(GRIDS))
    @pytest.mark.parametrize("logit", [-4.0, SILENT, -np.inf])
    def test_ends_silence_that_lasts_for_ever(self, layout: Grid, logit: float):
        model = Told(layout, logits_of(layout, logit))
        plain = make(model, chain(layout, "bernoulli"), 60)
        if logit < -4:
            assert not sound_of(plain[0], layout).any()
        guard = chain(layout, ("longest-rest", {"length": "3 steps"}))
        for piece in make(model, guard, 60, count=3):
            assert longest_run(~sound_of(piece, layout).any(axis=1)) == 3

    @pytest.mark.parametrize("layout", GRIDS.values(), ids=list(GRIDS))
    def test_the_likeliest_note_sounds(self, layout: Grid):
        sound = [-20.0 - abs(row - 7) for row in range(12)]
        guard = chain(layout, ("longest-rest", {"length": "2 steps"}))
        (piece,) = make(Told(layout, logits_of(layout, sound)), guard, 9)
        heard = sound_of(piece, layout)
        assert heard.any(axis=1).tolist() == [False, False, True] * 3
        assert heard[:, 7].tolist() == [False, False, True] * 3

    def test_a_silence_marker_is_silence(self):
        # The model marks silence for ever, as it may have learned from a long rest.
        marking = [FULL] + [SILENT] * 11
        model = Told(MARKER, logits_of(MARKER, marking))
        (piece,) = make(model, chain(MARKER, ("longest-rest", {"length": "4 steps"})), 20)
        assert longest_run(~sound_of(piece, MARKER).any(axis=1)) == 4
        assert piece[:4, 0, 0].tolist() == [1] * 4

    def test_no_rest_at_all(self):
        model = Told(MERGED, logits_of(MERGED, -3.0))
        (piece,) = make(model, chain(MERGED, ("longest-rest", {"length": "0 steps"})), 100)
        assert piece.any(axis=(1, 2)).all()

    def test_notes_that_depend_on_each_other(self):
        for layout in (MERGED, ONSETS):
            model = NoteByNote(layout, logits_of(layout, SILENT))
            (piece,) = make(model, chain(layout, ("longest-rest", {"length": "5 steps"})), 40)
            assert longest_run(~piece[..., 0].any(axis=1)) == 5

    def test_a_redraw_comes_first(self):
        # With p = 0.06 each, one of twelve notes sounds with probability 0.52; only after five
        # silent draws (once in 41 times) is the likeliest forced. So others sound too, and not
        # only the likeliest.
        sound = [-2.75] * 11 + [-2.74]
        model = Told(MERGED, logits_of(MERGED, sound))
        (piece,) = make(model, chain(MERGED, ("longest-rest", {"length": "0 steps"})), 400)
        share = piece[:, 11, 0].mean() / piece[:, :11, 0].mean()
        assert 1 < share < 2

    def test_nothing_is_forced_before_the_length_is_over(self):
        # The likeliest note has p = 0.3, and top-k settles a step whenever another is drawn.
        sound = [-0.8473] + [-1.0] * 11
        tables = [("top-k", {"k": 1}), ("longest-rest", {"length": "500 steps"})]
        (piece,) = make(Told(MERGED, logits_of(MERGED, sound)), chain(MERGED, *tables), 500)
        # 4 standard deviations: 4 sqrt(500 * 0.3 * 0.7) = 41.
        assert abs(int(piece.sum()) - 150) <= 41

    def test_the_prompt_counts(self):
        guard = chain(MERGED, ("longest-rest", {"length": "4 steps"}))
        model = Told(MERGED, logits_of(MERGED, SILENT))
        (piece,) = make(model, guard, 3, prompt=np.zeros((3, 12, 1)))
        assert piece.any(axis=(1, 2)).tolist() == [False, True, False]

    @pytest.mark.parametrize("layout", LINES.values(), ids=list(LINES))
    def test_of_a_melody_rests_end(self, layout: Tokens):
        (plain,) = make(always(REST, layout), chain(layout, "categorical"), 40)
        assert (plain == REST).all()
        (piece,) = make(
            always(REST, layout), chain(layout, ("longest-rest", {"length": "3 steps"})), 40
        )
        assert longest_run(piece == REST) == 3
        assert set(piece[3::4]) <= set(range(FIRST, FIRST + 12))

    def test_a_rest_is_not_held_on(self):
        guard = chain(MELODY_HOLD, ("longest-rest", {"length": "3 steps"}))
        (piece,) = make(always(HOLD, MELODY_HOLD), guard, 40)
        # Silent for three steps, then a note, which may be held.
        assert piece[:3].tolist() == [HOLD] * 3
        assert FIRST <= piece[3] < FIRST + 12
        assert (piece[4:] == HOLD).all()

    @pytest.mark.parametrize("length", [0, 3])
    def test_of_a_text_roll_empty_steps_end(self, length: int):
        (plain,) = make(always(STEP, ROLL), chain(ROLL, "categorical"), 60)
        assert (plain == STEP).all()
        guard = chain(ROLL, ("longest-rest", {"length": f"{length} steps"}))
        steps = roll_steps(make(always(STEP, ROLL), guard, 60)[0])
        assert longest_run([not step for step in steps]) == length
        assert len(steps) > 25


class TestNotesAtOnce:
    @pytest.mark.parametrize("layout", GRIDS.values(), ids=list(GRIDS))
    @pytest.mark.parametrize("logit", [SILENT, -np.inf, -1.0, 1.0, FULL, np.inf])
    @pytest.mark.parametrize("bounds", [(0, 3), (2, 12), (2, 4), (3, 3)])
    def test_keeps_the_bounds(self, layout: Grid, logit: float, bounds: tuple[int, int]):
        fewest, most = bounds
        guard = chain(layout, ("notes-at-once", {"at_least": fewest, "at_most": most}))
        for piece in make(Told(layout, logits_of(layout, logit)), guard, 25, count=2):
            counts = sound_of(piece, layout).sum(axis=1)
            assert counts.min() >= fewest
            assert counts.max() <= most

    @pytest.mark.parametrize("layout", [MERGED, ONSETS], ids=["merged", "onsets"])
    @pytest.mark.parametrize("logit", [SILENT, 0.0, FULL])
    def test_keeps_the_bounds_where_notes_depend_on_each_other(self, layout: Grid, logit: float):
        guard = chain(layout, ("notes-at-once", {"at_least": 2, "at_most": 4}))
        pieces = make(NoteByNote(layout, logits_of(layout, logit)), guard, 25, count=3)
        counts = np.stack(pieces)[..., 0].sum(axis=2)
        assert counts.min() >= 2
        assert counts.max() <= 4

    def test_without_it_everything_sounds_at_once(self):
        (piece,) = make(Told(MERGED, logits_of(MERGED, FULL)), chain(MERGED, "bernoulli"), 5)
        assert piece.all()

    def test_the_likeliest_notes_stay_and_are_added(self):
        rising = [20.0 + row for row in range(12)]
        too_many = chain(MERGED, ("notes-at-once", {"at_most": 3}))
        (piece,) = make(Told(MERGED, logits_of(MERGED, rising)), too_many, 2)
        assert np.flatnonzero(piece[0, :, 0]).tolist() == [9, 10, 11]
        falling = [-20.0 - row for row in range(12)]
        too_few = chain(MERGED, ("notes-at-once", {"at_least": 3}))
        (piece,) = make(Told(MERGED, logits_of(MERGED, falling)), too_few, 2)
        assert np.flatnonzero(piece[0, :, 0]).tolist() == [0, 1, 2]

    def test_notes_that_were_drawn_are_kept_before_others(self):
        # Notes 2 and 5 sound for sure, the rest never; a third is added, the likeliest.
        sound = [SILENT] * 12
        sound[2] = sound[5] = FULL
        sound[8] = SILENT + 1
        guard = chain(MERGED, ("notes-at-once", {"at_least": 3}))
        (piece,) = make(Told(MERGED, logits_of(MERGED, sound)), guard, 2)
        assert np.flatnonzero(piece[1, :, 0]).tolist() == [2, 5, 8]

    def test_as_few_as_needed_are_added(self):
        # Of twelve notes with p = 0.02 five or more are drawn at once less than once in 390,000
        # times (12 over 5, 0.02 to the 5th); so whatever was drawn, it is made four.
        model = Told(MERGED, logits_of(MERGED, [-3.89 + 0.01 * row for row in range(12)]))
        (piece,) = make(model, chain(MERGED, ("notes-at-once", {"at_least": 4})), 100)
        assert (piece.sum(axis=(1, 2)) == 4).all()
        # Most are the likeliest, but not all: some of the others were drawn.
        assert 0.7 < piece[:, 8:].sum() / 400 < 1

    def test_what_is_within_the_bounds_stays_as_it_was_drawn(self):
        model = Told(MERGED, logits_of(MERGED, 0.0))
        plain = make(model, chain(MERGED, "bernoulli"), 50)[0]
        bounded = make(model, chain(MERGED, ("notes-at-once", {"at_least": 4, "at_most": 8})), 50)[
            0
        ]
        within = (plain.sum(axis=(1, 2)) >= 4) & (plain.sum(axis=(1, 2)) <= 8)
        assert 0 < within.sum() < 50
        assert np.array_equal(bounded[within], plain[within])

    @pytest.mark.parametrize("token", [STEP, 5])
    def test_of_a_text_roll(self, token: int):
        guard = chain(ROLL, ("notes-at-once", {"at_least": 2, "at_most": 3}))
        steps = roll_steps(make(always(token, ROLL), guard, 80)[0])
        assert len(steps) > 15
        assert {len(step) for step in steps} <= {2, 3}

    def test_of_a_melody_one_note_means_no_rest(self):
        (piece,) = make(always(REST, MELODY), chain(MELODY, ("notes-at-once", {"at_least": 1})), 30)
        assert (piece != REST).all()


class TestScale:
    @pytest.mark.parametrize("layout", GRIDS.values(), ids=list(GRIDS))
    def test_no_note_of_a_grid_is_outside(self, layout: Grid):
        model = Told(layout, logits_of(layout, FULL))
        assert make(model, chain(layout, "bernoulli"), 5)[0][..., 0].all()
        (piece,) = make(model, chain(layout, ("scale", {"key": "C", "scale": "major"})), 5)
        assert {int(row) for row in np.nonzero(piece[..., 0])[1]} == C_MAJOR

    @pytest.mark.parametrize("layout", TOKENS.values(), ids=list(TOKENS))
    def test_no_token_is_outside(self, layout: Tokens):
        model = Told(layout, torch.zeros(layout.size))
        settings = {"key": "D", "scale": "harmonic minor"}
        (piece,) = make(model, chain(layout, ("scale", settings)), 400)
        pitches = {(int(token) - FIRST) % 12 for token in piece if FIRST <= token < FIRST + 12}
        # D E F G A Bb C#.
        assert pitches == {2, 4, 5, 7, 9, 10, 1}
        assert set(piece) >= {0}

    @pytest.mark.parametrize(
        ("key", "scale", "expected"),
        [
            ("C", "major", {0, 2, 4, 5, 7, 9, 11}),
            ("A", "natural minor", {9, 11, 0, 2, 4, 5, 7}),
            ("A", "harmonic minor", {9, 11, 0, 2, 4, 5, 8}),
            ("A", "melodic minor", {9, 11, 0, 2, 4, 6, 8}),
            ("D", "dorian", {2, 4, 5, 7, 9, 11, 0}),
            ("E", "phrygian", {4, 5, 7, 9, 11, 0, 2}),
            ("F", "lydian", {5, 7, 9, 11, 0, 2, 4}),
            ("G", "mixolydian", {7, 9, 11, 0, 2, 4, 5}),
            ("B", "locrian", {11, 0, 2, 4, 5, 7, 9}),
            ("F#", "major pentatonic", {6, 8, 10, 1, 3}),
            ("Eb", "minor pentatonic", {3, 6, 8, 10, 1}),
            ("A", "blues", {9, 0, 2, 3, 4, 7}),
            ("Db", "whole tone", {1, 3, 5, 7, 9, 11}),
            ("Bb", "chromatic", set(range(12))),
        ],
    )
    def test_scales(self, key: str, scale: str, expected: set[int]):
        # White keys for the church modes, black keys for the pentatonic scales.
        config = sampler("scale", MERGED, key=key, scale=scale).config
        assert config.allowed() == expected

    def test_pitch_classes_of_ones_own(self):
        model = Told(MERGED, logits_of(MERGED, FULL))
        (piece,) = make(model, chain(MERGED, ("scale", {"pitch_classes": [0, 7]})), 3)
        assert set(np.nonzero(piece[..., 0])[1]) == {0, 7}

    def test_pitches_are_absolute(self):
        layout = Grid(lowest=62, pitches=5, step=SIXTEENTH)  # D, Eb, E, F, F#
        (piece,) = make(Told(layout, logits_of(layout, FULL)), chain(layout, "scale"), 2)
        assert piece[0, :, 0].tolist() == [1, 0, 1, 1, 0]


class TestSmallestInterval:
    @pytest.mark.parametrize("layout", GRIDS.values(), ids=list(GRIDS))
    @pytest.mark.parametrize("semitones", [2, 3, 5, 12])
    @pytest.mark.parametrize("logit", [-0.5, 1.0, FULL])
    def test_notes_keep_their_distance(self, layout: Grid, semitones: int, logit: float):
        guard = chain(layout, ("smallest-interval", {"semitones": semitones}))
        for piece in make(Told(layout, logits_of(layout, logit)), guard, 25, count=2):
            for step in sound_of(piece, layout):
                assert (np.diff(np.flatnonzero(step)) >= semitones).all()

    def test_of_two_the_likelier_stays(self):
        sound = [SILENT] * 12
        sound[3:8] = [20.0, 21.0, 19.0, 18.0, 22.0]
        guard = chain(MERGED, ("smallest-interval", {"semitones": 2}))
        (piece,) = make(Told(MERGED, logits_of(MERGED, sound)), guard, 1)
        # 7 first, so not 6; then 4, so neither 3 nor 5.
        assert np.flatnonzero(piece[0, :, 0]).tolist() == [4, 7]

    def test_what_keeps_its_distance_stays_as_it_was_drawn(self):
        model = Told(MERGED, logits_of(MERGED, -0.5))
        plain = make(model, chain(MERGED, "bernoulli"), 60)[0]
        guard = ("smallest-interval", {"semitones": 2})
        spaced = make(model, chain(MERGED, guard), 60)[0]
        fine = [(np.diff(np.flatnonzero(step)) >= 2).all() for step in plain[..., 0]]
        assert 0 < sum(fine) < 60
        assert np.array_equal(plain[fine], spaced[fine])

    def test_notes_that_depend_on_each_other(self):
        model = NoteByNote(ONSETS, logits_of(ONSETS, 0.0))
        guard = chain(ONSETS, ("smallest-interval", {"semitones": 3}))
        for piece in make(model, guard, 30, count=3):
            for step in piece[..., 0]:
                assert (np.diff(np.flatnonzero(step)) >= 3).all()

    def test_of_a_text_roll(self):
        guard = chain(ROLL, ("smallest-interval", {"semitones": 4}))
        steps = roll_steps(make(Told(ROLL, torch.zeros(13)), guard, 300)[0])
        assert max(len(step) for step in steps) >= 2
        for step in steps:
            assert all(b - a >= 4 for a, b in itertools.pairwise(sorted(step)))

    @few(60)
    @given(st.permutations(range(12)), st.integers(1, 4))
    def test_whoever_comes_first_is_taken(self, order: Sequence[int], reach: int):
        from musengine_samplers.ranking import spaced

        place = torch.tensor([[order.index(row) for row in range(12)]])
        kept: set[int] = set()
        for row in order:
            if all(abs(row - other) > reach for other in kept):
                kept.add(row)
        found = spaced(place, torch.ones(1, 12, dtype=torch.bool), reach)
        assert set(found[0].nonzero()[:, 0].tolist()) == kept


GUARDS = {
    "longest-note": {"length": "3 steps"},
    "longest-rest": {"length": "2 steps"},
    "notes-at-once": {"at_least": 0, "at_most": 4},
    "smallest-interval": {"semitones": 2},
    "scale": {"key": "C", "scale": "major"},
}


def assert_all_hold(piece: np.ndarray, layout: Grid, *, fewest: int = 0, most: int = 4) -> None:
    heard = sound_of(piece, layout)
    assert max(note_lengths(piece, layout), default=0) <= 3
    assert longest_run(~heard.any(axis=1)) <= 2
    assert heard.sum(axis=1).max() <= most
    assert heard.sum(axis=1).min() >= fewest
    assert set(np.nonzero(heard)[1]) <= C_MAJOR
    for step in heard:
        assert (np.diff(np.flatnonzero(step)) >= 2).all()


class TestTogether:
    @pytest.mark.parametrize("logit", [SILENT, -2.0, 0.0, FULL])
    @pytest.mark.parametrize("layout", [MERGED, ONSETS], ids=["merged", "onsets"])
    def test_all_guards_hold_in_every_order(self, layout: Grid, logit: float):
        orders = list(itertools.permutations(GUARDS.items()))[::17]
        for model in (Told, NoteByNote):
            for order in orders:
                (piece,) = make(model(layout, logits_of(layout, logit)), chain(layout, *order), 12)
                assert_all_hold(piece, layout)

    @pytest.mark.parametrize("place", [0, 1])
    @pytest.mark.parametrize(
        "shaping",
        [
            "greedy",
            ("threshold", {"threshold": 0.9}),
            ("temperature", {"temperature": 0.3}),
            ("temperature", {"temperature": 4.0}),
            ("top-k", {"k": 3}),
            ("tempered", {"mu": 0.5, "sigma": 0.5}),
            "adaptive",
        ],
    )
    def test_guards_hold_before_and_after_other_samplers(self, shaping, place: int):
        tables = list(GUARDS.items())
        tables.insert(place * len(tables), shaping)
        for logit in (SILENT, 0.0, FULL):
            (piece,) = make(Told(ONSETS, logits_of(ONSETS, logit)), chain(ONSETS, *tables), 12)
            assert_all_hold(piece, ONSETS)

    def test_four_notes_a_scale_and_a_distance(self):
        # What a chorale needs; there are enough white keys a whole tone apart in an octave.
        tables = [
            ("notes-at-once", {"at_least": 3, "at_most": 3}),
            ("smallest-interval", {"semitones": 3}),
            ("scale", {}),
        ]
        for order in itertools.permutations(tables):
            for logit in (SILENT, 0.0, FULL):
                model = NoteByNote(MERGED, logits_of(MERGED, logit))
                (piece,) = make(model, chain(MERGED, *order), 10)
                assert (piece.sum(axis=(1, 2)) == 3).all()
                for step in piece[..., 0]:
                    assert (np.diff(np.flatnonzero(step)) >= 3).all()

    @pytest.mark.parametrize("shaping", ["greedy", ("top-k", {"k": 1}), ("nucleus", {"p": 0.1})])
    @pytest.mark.parametrize("place", [0, 1])
    def test_tokens_left_by_the_guards_are_shaped_among_themselves(self, shaping, place: int):
        tables = [("longest-rest", {"length": "2 steps"}), ("scale", {"pitch_classes": [4]})]
        tables.insert(place * 2, shaping)
        (piece,) = make(always(REST, MELODY), chain(MELODY, *tables), 9)
        assert piece.tolist() == [REST, REST, FIRST + 4] * 3

    @pytest.mark.parametrize("shaping", ["greedy", ("top-k", {"k": 1}), ("nucleus", {"p": 0.1})])
    def test_the_likeliest_token_left_is_chosen(self, shaping):
        logits = torch.full((13,), -SURE)
        logits[REST], logits[5] = SURE, 0.0
        samplers = chain(MELODY, shaping, ("longest-rest", {"length": "2 steps"}))
        (piece,) = make(Told(MELODY, logits), samplers, 9)
        assert piece.tolist() == [REST, REST, 5] * 3

    def test_tokens_without_any_probability_are_better_than_forbidden_ones(self):
        logits = torch.full((13,), -torch.inf)
        logits[REST] = 0.0
        samplers = chain(MELODY, "categorical", ("longest-rest", {"length": "1 step"}))
        (piece,) = make(Told(MELODY, logits), samplers, 200)
        assert (piece[::2] == REST).all()
        assert set(piece[1::2]) == set(range(FIRST, FIRST + 12))

    def test_where_guards_leave_no_token_the_first_of_them_holds(self):
        # Only one pitch there is: held for two steps it must end, but nothing may be silent.
        layout = Tokens(size=2, step=SIXTEENTH, meanings={0: ("rest", 0), 1: ("pitch", 60)})
        note, rest = (
            ("longest-note", {"length": "2 steps"}),
            ("longest-rest", {"length": "0 steps"}),
        )
        model = Told(layout, torch.zeros(2))
        assert make(model, chain(layout, note, rest), 9)[0].tolist() == [1, 1, 0] * 3
        assert make(model, chain(layout, rest, note), 9)[0].tolist() == [1] * 9

    @few(25)
    @given(data=st.data())
    def test_any_model_any_chain(self, data: st.DataObject):
        """Random logits, random guards in a random order: every guard in the chain holds."""
        layout = data.draw(st.sampled_from([MERGED, ONSETS]))
        seed = data.draw(st.integers(0, 2**31))
        spread = data.draw(st.sampled_from([0.5, 3.0, 15.0]))
        shift = data.draw(st.sampled_from([-10.0, -2.0, 0.0, 5.0]))
        # Merged notes that have all lasted long enough leave one white key of the octave.
        fewest = data.draw(st.integers(0, 2 if layout is ONSETS else 1))
        most = data.draw(st.integers(2, 6))
        generator = torch.Generator().manual_seed(seed)

        def say(last: Tensor, count: int) -> Tensor:
            shape = (len(last), *layout.step_shape)
            return shift + spread * torch.randn(shape, generator=generator)

        tables = dict(GUARDS) | {"notes-at-once": {"at_least": fewest, "at_most": most}}
        order = data.draw(st.permutations(list(tables.items())))
        kind = data.draw(st.sampled_from([Told, NoteByNote]))
        for piece in make(kind(layout, say), chain(layout, *order), 10, seeds=[seed, seed + 1]):
            assert_all_hold(piece, layout, fewest=fewest, most=most)

    def test_what_is_forbidden_is_not_forced(self):
        # Two notes must sound, but one pitch class is all there is.
        tables = [("notes-at-once", {"at_least": 2}), ("scale", {"pitch_classes": [4]})]
        for order in (tables, tables[::-1]):
            (piece,) = make(Told(MERGED, logits_of(MERGED, 0.0)), chain(MERGED, *order), 5)
            assert piece[..., 0].sum(axis=1).tolist() == [1] * 5
            assert piece[:, 4, 0].all()


class TestIncompatibilities:
    @pytest.mark.parametrize("kind", ["longest-note", "longest-rest", "scale", "smallest-interval"])
    def test_tokens_without_notes(self, kind: str):
        with problem("settings-conflict"):
            sampler(kind, LETTERS)

    def test_steps_without_a_length(self):
        layout = Tokens(size=13, meanings=ROLL.meanings)
        with problem("settings-conflict"):
            sampler("longest-note", layout, length="2 beats")
        assert sampler("longest-note", layout, length="8 steps")

    def test_more_notes_than_there_are(self):
        with problem("settings-conflict"):
            sampler("notes-at-once", MELODY, at_least=2)
        with problem("settings-conflict"):
            sampler("notes-at-once", MERGED, at_least=13)
        with problem("settings-conflict"):
            sampler("notes-at-once", MARKER, at_least=12)

    def test_no_pitch_in_the_scale(self):
        layout = Grid(lowest=61, pitches=1, step=SIXTEENTH)
        with problem("settings-conflict"):
            sampler("scale", layout)
