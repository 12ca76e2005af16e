"""Step-wise generation with models whose every step is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from helpers import refused
from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.builtin.samplers import Bernoulli, Categorical, Greedy
from musengine.config.quantities import GridStep, Length, Meter
from musengine.encoding.layouts import Layout, Tokens
from musengine.generation.engine import GenerationPlan, generate, piece_seeds, tune
from musengine.generation.lengths import steps_in
from musengine.generation.prompts import cut_prompt
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import Model, Request
from musengine.interfaces.sampler import History, PieceRandom
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.plugins.configs import EncoderConfig, ModelConfig, NoSettings
from musengine.utils.arrays import Array

CPU = torch.device("cpu")
SETTINGS = DecodeSettings(tempo=60.0, meter=Meter(3, 4))


class Counting(Encoder[EncoderConfig]):
    """Tokens 0 to 9, where token n lasts n beats and 9 ends the piece."""

    @property
    def layout(self) -> Layout:
        return Tokens(size=10, end=9)

    def encode(self, content: Score | Text) -> Encoded:
        raise NotImplementedError

    def decode(self, steps: Array, settings: DecodeSettings) -> Score | Text:
        raise NotImplementedError

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> Any:
        scale = 1.0 if unit == "beats" else 60 / settings.tempo
        return np.cumsum(steps.astype(np.float64)) * scale

    def conditioning(self, first: int, count: int, settings: DecodeSettings) -> Mapping[str, Array]:
        return {"index": np.arange(first, first + count)}


class Successor(Model[ModelConfig]):
    """After token n comes n + 1, for certain; it notes the conditioning channel it was given."""

    def __init__(self, layout: Layout, first: int = 1, wrap: int = 9) -> None:
        super().__init__(ModelConfig(), layout)
        self.first, self.wrap = first, wrap
        self.seen: list[list[int]] = []

    def start(self, pieces: int) -> Tensor:
        return torch.zeros(pieces, 0)

    def step(self, last: Tensor | None, state: Tensor, conditioning: Mapping[str, Tensor]) -> Any:
        self.seen.append(conditioning["index"].tolist())
        following = torch.full((len(state),), self.first) if last is None else last % self.wrap + 1
        logits = torch.full((len(state), 10), -torch.inf)
        logits[torch.arange(len(state)), following] = 0.0
        return logits, state


def plan(
    prompts: list[list[int]], length: Length, first: list[int] | None = None
) -> GenerationPlan:
    encoded = [Encoded(steps=np.array(prompt, dtype=np.int64)) for prompt in prompts]
    seeds = piece_seeds(0, len(prompts))
    return GenerationPlan(
        encoded, first or [0] * len(prompts), seeds, length, [SETTINGS] * len(encoded)
    )


def categorical(layout: Layout) -> list[Any]:
    return [Categorical(NoSettings(), layout)]


def made(model: Model[Any], encoder: Encoder[Any], wanted: GenerationPlan) -> list[list[int]]:
    pieces = generate(model, encoder, categorical(encoder.layout), wanted, device=CPU)
    return [piece.steps.tolist() for piece in pieces]


def test_each_piece_goes_on_from_its_own_prompt() -> None:
    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout, wrap=8)
    # Prompts of two lengths are made in two groups, but come back in order.
    wanted = plan([[5], [1, 2], [], [7]], Length(3, "tokens"))
    assert made(model, encoder, wanted) == [[6, 7, 8], [3, 4, 5], [1, 2, 3], [8, 1, 2]]


def test_the_end_token_closes_a_piece() -> None:
    encoder = Counting(EncoderConfig())
    wanted = plan([[5], [1]], Length(6, "tokens"))
    assert made(Successor(encoder.layout), encoder, wanted) == [[6, 7, 8], [2, 3, 4, 5, 6, 7]]


def test_lengths_follow_the_tokens_own_time() -> None:
    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout, wrap=8)
    # From 1: 2 + 3 + 4 = 9 beats are the first to reach 2 bars of 3, as well as 6.5 beats.
    for length in (Length(2, "bars"), Length(6.5, "beats"), Length(9, "seconds")):
        assert made(model, encoder, plan([[1]], length)) == [[2, 3, 4]]


def test_pieces_of_different_tempo_and_meter_are_made_side_by_side() -> None:
    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout, wrap=8)
    settings = [SETTINGS, DecodeSettings(tempo=120.0, meter=Meter(4, 4))]
    # From 1: 2 + 3 + 4 beats are 9 seconds at 60 beats a minute; at 120 it takes 5 and 6 more.
    seconds = replace(plan([[1], [1]], Length(9, "seconds")), settings=settings)
    assert made(model, encoder, seconds) == [[2, 3, 4], [2, 3, 4, 5, 6]]
    # Both have two rows of conditioning until the slower one is done: one call for both.
    assert all(len(rows) == 2 for rows in model.seen)
    bars = replace(plan([[1], [1]], Length(3, "bars")), settings=settings)
    assert made(model, encoder, bars) == [[2, 3, 4], [2, 3, 4, 5]]


def test_a_sampler_that_reads_tempo_and_meter_gets_pieces_of_one() -> None:
    seen = []

    class Timed(Categorical):
        reads_settings = True

        def begin(self, history: History, random: PieceRandom) -> None:
            seen.append((len(history.steps), history.settings.tempo))

    encoder = Counting(EncoderConfig())
    tempos = [60.0, 90.0, 60.0]
    settings = [DecodeSettings(tempo=tempo) for tempo in tempos]
    wanted = replace(plan([[1], [1], [1]], Length(2, "tokens")), settings=settings)
    chain = [Timed(NoSettings(), encoder.layout)]
    generate(Successor(encoder.layout), encoder, chain, wanted, device=CPU)
    assert seen == [(2, 60.0), (1, 90.0)]


def test_samplers_are_tuned_for_the_pieces_that_are_made() -> None:
    seen = []

    class Tuned(Categorical):
        def tune(self, model: Model[Any], conditioning: Mapping[str, Tensor]) -> None:
            seen.append((model.training, conditioning["index"].tolist()))

    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout).train()
    chain = [Tuned(NoSettings(), encoder.layout)]
    # The first steps to be made come after prompts of two steps, and of none.
    wanted = plan([[1, 2], []], Length(2, "tokens"), first=[10, 20])
    tune(chain, model, encoder, wanted, CPU)
    assert seen == [(False, [12, 20])]
    assert model.training
    # Of no pieces there is nothing to know.
    tune(chain, model, encoder, plan([], Length(2, "tokens")), CPU)
    assert len(seen) == 1


def test_conditioning_is_those_of_the_step_to_choose() -> None:
    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout, wrap=8)
    # The prompts begin at steps 10 and 20 of their pieces and are 2 steps long.
    made(model, encoder, plan([[1, 2], [3, 4]], Length(2, "tokens"), first=[10, 20]))
    assert model.seen == [[10, 20], [11, 21], [12, 22], [13, 23]]


def test_a_piece_whose_time_stands_still_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("musengine.generation.engine.MOST_STEPS", 40)
    encoder = Counting(EncoderConfig())
    model = Successor(encoder.layout, wrap=8)
    monkeypatch.setattr(encoder, "elapsed", lambda steps, unit, settings: np.zeros(len(steps)))
    assert len(made(model, encoder, plan([[1]], Length(5, "beats")))[0]) == 40


class Own(Model[ModelConfig]):
    """Writes its pieces all at once, as a diffusion model does."""

    def generate(self, request: Request) -> list[Array]:
        pieces = []
        for index, prompt in enumerate(request.prompts):
            steps = np.full(0, 0)
            while not request.done(index, steps):
                steps = np.append(steps, prompt[-1])
            pieces.append(np.append(steps, [7, 7]))
        return pieces


def test_a_model_that_generates_by_itself_is_cut_to_length() -> None:
    encoder = Counting(EncoderConfig())
    model = Own(ModelConfig(), encoder.layout)
    wanted = plan([[2], [5]], Length(6, "beats"))
    pieces = generate(model, encoder, [], wanted, device=CPU, own=True)
    assert [piece.steps.tolist() for piece in pieces] == [[2, 2, 2], [5, 5]]


class Fixed(Model[ModelConfig]):
    """A grid whose notes have the same probabilities at every step."""

    def __init__(self, layout: Layout, probabilities: list[float]) -> None:
        super().__init__(ModelConfig(), layout)
        self.logits = torch.logit(torch.tensor(probabilities))[:, None]

    def start(self, pieces: int) -> Tensor:
        return torch.zeros(pieces, 0)

    def step(self, last: Tensor | None, state: Tensor, conditioning: Mapping[str, Tensor]) -> Any:
        return self.logits.expand(len(state), *self.logits.shape), state


def grid_encoder() -> PianoRoll:
    return PianoRoll(PianoRollConfig(lowest=60, highest=62, step=GridStep(Fraction(1, 4), "beat")))


def grid_plan(pieces: int, steps: int) -> GenerationPlan:
    nothing = [Encoded(steps=grid_encoder().empty())] * pieces
    length = Length(steps, "steps")
    return GenerationPlan(
        nothing, [0] * pieces, piece_seeds(3, pieces), length, [SETTINGS] * pieces
    )


def test_drawn_notes_have_the_models_frequencies() -> None:
    encoder = grid_encoder()
    model = Fixed(encoder.layout, [0.0, 0.3, 1.0])
    wanted = grid_plan(8, 500)
    pieces = generate(model, encoder, [Bernoulli(NoSettings(), encoder.layout)], wanted, device=CPU)
    share = np.concatenate([piece.steps for piece in pieces])[..., 0].mean(axis=0)
    # 4000 draws of 0.3: 4 sigma = 4 · sqrt(0.21 / 4000) = 0.029.
    assert share[1] == pytest.approx(0.3, abs=0.029)
    assert (share[0], share[2]) == (0.0, 1.0)
    greedy = generate(model, encoder, [Greedy(NoSettings(), encoder.layout)], wanted, device=CPU)
    assert greedy[0].steps[..., 0].tolist() == [[0, 0, 1]] * 500


def test_kept_logits_are_the_models() -> None:
    encoder = grid_encoder()
    model = Fixed(encoder.layout, [0.2, 0.5, 0.9])
    samplers = [Bernoulli(NoSettings(), encoder.layout)]
    wanted = grid_plan(2, 5)
    pieces = generate(model, encoder, samplers, wanted, device=CPU, keep_logits=True)
    assert pieces[1].logits is not None
    assert pieces[1].logits.shape == (5, 3, 1)
    np.testing.assert_allclose(pieces[1].logits[4, :, 0], model.logits[:, 0].numpy())


def test_pieces_do_not_depend_on_their_neighbours() -> None:
    encoder = grid_encoder()
    model = Fixed(encoder.layout, [0.5, 0.5, 0.5])
    samplers = [Bernoulli(NoSettings(), encoder.layout)]
    few = generate(model, encoder, samplers, grid_plan(2, 100), device=CPU)
    many = generate(model, encoder, samplers, grid_plan(90, 100), device=CPU)
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.steps, other.steps)
    assert not np.array_equal(many[0].steps, many[1].steps)


def test_cutting_a_prompt() -> None:
    encoder = grid_encoder()
    piece = Encoded(
        steps=np.arange(24, dtype=np.uint8).reshape(8, 3, 1), conditioning={"bar": np.arange(8)}
    )
    # A step is a quarter of a beat: 0.5 beats are 2 steps, 1 beat is 4.
    cut, first = cut_prompt(
        piece, Length(0.5, "beats"), Length(1, "beats"), encoder, SETTINGS, "tune"
    )
    assert first == 2
    assert cut.steps[:, 0, 0].tolist() == [6, 9, 12, 15]
    assert cut.conditioning["bar"].tolist() == [2, 3, 4, 5]
    cut, _ = cut_prompt(piece, Length(6, "steps"), Length(9, "beats"), encoder, SETTINGS, "tune")
    assert len(cut.steps) == 2
    with refused("prompt-too-short", "generate.prompt_offset: ", "tune", "8 steps"):
        cut_prompt(piece, Length(8, "steps"), Length(1, "steps"), encoder, SETTINGS, "tune")


def test_cutting_a_prompt_at_a_place_drawn_at_random() -> None:
    encoder = grid_encoder()
    piece = Encoded(steps=np.arange(24, dtype=np.uint8).reshape(8, 3, 1))
    random = np.random.default_rng(0)
    cuts = [
        cut_prompt(piece, random, Length(6, "steps"), encoder, SETTINGS, "tune") for _ in range(60)
    ]
    # Six of eight steps fit at three places, and everywhere the part is whole.
    assert {first for _, first in cuts} == {0, 1, 2}
    for cut, first in cuts:
        np.testing.assert_array_equal(cut.steps, piece.steps[first : first + 6])
    # A piece too short for the part gives what it has.
    short, first = cut_prompt(piece, random, Length(9, "steps"), encoder, SETTINGS, "tune")
    assert (len(short.steps), first) == (8, 0)


def test_steps_in_adds_up_inexact_tempi() -> None:
    encoder = PianoRoll(PianoRollConfig(step=GridStep(Fraction(1, 10), "seconds")))
    steps = np.zeros((50, 88, 1), dtype=np.uint8)
    # 0.1 is not exact in binary, and 3 · 0.1 > 0.3 there: still three steps, not four.
    assert steps_in(Length(0.3, "seconds"), steps, encoder, SETTINGS) == 3
    assert steps_in(Length(5, "seconds"), steps, encoder, SETTINGS) == 50
    assert steps_in(Length(5.1, "seconds"), steps, encoder, SETTINGS) is None
    assert steps_in(Length(0, "bars"), steps, encoder, SETTINGS) == 0


def test_a_silent_step_is_marked_as_the_encoder_marks_it() -> None:
    encoder = PianoRoll(
        PianoRollConfig(
            lowest=60, highest=62, step=GridStep(Fraction(1, 4), "beat"), silence_marker=True
        )
    )
    samplers = [Bernoulli(NoSettings(), encoder.layout)]
    # Never a note: every step holds the marker, and is read back as silence.
    silent = Fixed(encoder.layout, [0.0, 0.0, 0.0])
    (piece,) = generate(silent, encoder, samplers, grid_plan(1, 3), device=CPU)
    assert piece.steps[..., 0].tolist() == [[1, 0, 0]] * 3
    assert len(encoder.decode(piece.steps, SETTINGS)) == 0
    # A step with a note needs none.
    sounding = Fixed(encoder.layout, [0.0, 0.0, 1.0])
    (piece,) = generate(sounding, encoder, samplers, grid_plan(1, 3), device=CPU)
    assert piece.steps[..., 0].tolist() == [[0, 0, 1]] * 3


class Stepping(Counting):
    """Tokens of which 4 moves time on by one step and 8 by two; the others happen in a step."""

    @property
    def layout(self) -> Layout:
        return Tokens(size=10, meanings={3: ("pitch", 60), 4: ("step", 1), 8: ("step", 2)})


def test_steps_are_counted_by_the_tokens_that_move_time_on() -> None:
    encoder = Stepping(EncoderConfig())
    tokens = np.array([1, 4, 3, 8, 4, 2])
    assert [steps_in(Length(n, "steps"), tokens, encoder, SETTINGS) for n in (1, 2, 3, 4)] == [
        2,  # the token 4 ends the first step
        4,  # the token 8 the second and the third
        4,
        5,
    ]
    assert steps_in(Length(5, "steps"), tokens, encoder, SETTINGS) is None
    assert steps_in(Length(5, "tokens"), tokens, encoder, SETTINGS) == 5
    # 1 to 8 hold three steps, 1 to 9 and 1 to 4 again are the fourth.
    made = generate(
        Successor(encoder.layout),
        encoder,
        categorical(encoder.layout),
        plan([[]], Length(4, "steps")),
        device=CPU,
    )
    assert made[0].steps.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]


def test_an_prompt_has_no_end() -> None:
    piece = Encoded(steps=np.array([1, 2, 3, 9]))  # 9 ends it
    encoder = Counting(EncoderConfig())
    for length, wanted in ((2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3]), (50, [1, 2, 3])):
        cut, _ = cut_prompt(
            piece, Length(0, "steps"), Length(length, "tokens"), encoder, SETTINGS, "it"
        )
        assert cut.steps.tolist() == wanted


@given(st.data())
def test_a_continuation_of_a_roll_is_what_its_steps_are(data):
    # A roll says all that sounds in every step, so that what goes before changes nothing.
    channels = data.draw(st.sampled_from([("sound",), ("sound", "onset")]))
    notes = "onsets" if len(channels) == 2 else "merged"
    encoder = PianoRoll(PianoRollConfig(lowest=60, highest=62, notes=notes))
    shape = (data.draw(st.integers(2, 12)), 3, len(channels))
    steps = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    at = data.draw(st.integers(1, len(steps) - 1))
    settings = DecodeSettings(tempo=77.0, meter=Meter(3, 4))
    after = encoder.decode_after(steps[:at], steps[at:], settings)
    alone = encoder.decode(steps[at:], settings)
    assert isinstance(after, Score)
    assert after.fingerprint() == alone.fingerprint()
