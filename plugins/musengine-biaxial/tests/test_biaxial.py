"""The biaxial net: equal to plain loops, a likelihood, and the same when it generates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from biaxial_toys import BOTH, PLAY, grid, logits_by_hand, make_batch, make_model

from musengine.api import Batch, GridDraw, LSTMStack, negative_log_likelihood
from musengine_biaxial import model as module
from musengine_biaxial.config import BiaxialConfig
from musengine_biaxial.model import Biaxial

CLASSIC: dict[str, Any] = {"beat": "classic", "position": "index"}


@pytest.mark.parametrize("candidate", ["tanh", "linear"])
@pytest.mark.parametrize("start", ["zero", "trained", "fixed"])
def test_logits_and_loss_equal_a_loop_over_the_notes(candidate: str, start: str) -> None:
    layout = grid(lowest=55, pitches=15)
    model = make_model(layout, candidate=candidate, start=start, **CLASSIC)
    batch = make_batch(layout, rows=2, steps=6)
    output = model(batch)
    nll_BT = negative_log_likelihood(output, layout).detach().numpy()
    for row, steps in enumerate(batch.steps.numpy()):
        expected = logits_by_hand(model, steps, first=int(batch.position[row]))
        np.testing.assert_allclose(output.logits[row].detach().numpy(), expected, atol=1e-11)
        for t in range(6):
            loss = 0.0
            for note in range(15):
                play, articulate = 1 / (1 + np.exp(-expected[t, note]))
                played, struck = steps[t + 1, note]
                loss -= np.log(play if played else 1 - play)
                # Articulate counts only where the note plays.
                if played:
                    loss -= np.log(articulate if struck else 1 - articulate)
            assert nll_BT[row, t] == pytest.approx(loss, abs=1e-10)


@pytest.mark.parametrize("channels", [BOTH, PLAY])
def test_probabilities_of_all_steps_sum_to_one(channels: tuple[str, ...]) -> None:
    # Three notes: every step that can occur (a note is struck only where it plays), summed.
    layout = grid(channels, pitches=3)
    model = make_model(layout)
    notes = [(0,), (1,)] if len(channels) == 1 else [(0, 0), (1, 0), (1, 1)]
    every = torch.tensor([[a, b, c] for a in notes for b in notes for c in notes])
    one = make_batch(layout, rows=1, steps=1)
    count = len(every)
    before = one.steps[:, :1].expand(count, -1, -1, -1)
    batch = Batch(
        steps=torch.cat([before, every[:, None].to(torch.uint8)], dim=1),
        **{
            name: getattr(one, name).repeat_interleave(count, 0)
            for name in ("mask", "reset", "begins", "position", "pieces")
        },
        conditioning={"beat": one.conditioning["beat"].repeat_interleave(count, 0)},
    )
    nll = negative_log_likelihood(model(batch), layout)
    assert torch.exp(-nll).sum().item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("channels", [BOTH, PLAY])
@pytest.mark.parametrize("candidate", ["tanh", "linear"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_generation_with_recorded_draws_equals_teacher_forcing(
    channels: tuple[str, ...], candidate: str, dtype: torch.dtype, tolerance: float
) -> None:
    layout = grid(channels)
    model = make_model(layout, candidate=candidate, start="trained").to(dtype)
    pieces, steps, prompt_steps = 4, 10, 3
    batch = make_batch(layout, rows=pieces, steps=steps)
    beat = batch.conditioning["beat"]
    thresholds = torch.logit(torch.rand(steps, pieces, *layout.step_shape))
    prompt = batch.targets[:, :prompt_steps]
    made, said = [], []
    with torch.inference_mode():
        state = model.prefill(prompt, model.start(pieces), {"beat": beat[:, :prompt_steps]})
        last = prompt[:, -1]
        for t in range(prompt_steps, steps):
            context, state = model.step(last, state, {"beat": beat[:, t]})
            proposal = model.propose(context, GridDraw(thresholds[t], layout))
            # Proposing again changes nothing.
            again = model.propose(context, GridDraw(thresholds[t], layout))
            assert torch.equal(proposal.choice, again.choice)
            last = proposal.choice
            made.append(last)
            said.append(proposal.logits)
        whole = torch.cat([torch.zeros_like(prompt[:, :1]), prompt, torch.stack(made, 1)], dim=1)
        output = model(replace(batch, steps=whole))
    logits, choice = torch.stack(said, 1), torch.stack(made, 1)
    torch.testing.assert_close(output.logits[:, prompt_steps:], logits, atol=tolerance, rtol=0)
    # Each bit is 1 where the teacher-forced logit exceeds its threshold, articulate only with play.
    expected = output.logits[:, prompt_steps:] > thresholds[prompt_steps:].transpose(0, 1)
    if len(channels) == 2:
        expected[..., 1] &= expected[..., 0]
    assert torch.equal(choice.bool(), expected)
    assert 0.1 < choice[..., 0].float().mean() < 0.9
    assert (choice[0] != choice[1]).any()


def test_the_first_step_of_nothing_reads_silence() -> None:
    layout = grid()
    model = make_model(layout)
    batch = make_batch(layout, rows=1, steps=2)
    with torch.inference_mode():
        context, _ = model.step(None, model.start(1), {"beat": batch.conditioning["beat"][:, 0]})
        silence = torch.zeros(1, *layout.step_shape, dtype=torch.uint8)
        same, _ = model.step(silence, model.start(1), {"beat": batch.conditioning["beat"][:, 0]})
    torch.testing.assert_close(context, same)


def test_long_pieces_are_scored_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = grid()
    model = make_model(layout)
    batch = make_batch(layout, rows=2, steps=9)
    whole = model(batch).logits
    # 2 rows of 7 notes: 56 notes of steps at once are 4 steps, the last stretch is 1 step.
    monkeypatch.setattr(module, "AT_ONCE", 56)
    with torch.inference_mode():
        torch.testing.assert_close(model(batch).logits, whole, atol=1e-12, rtol=0)


def test_stretches_with_the_state_carried_equal_the_whole_and_a_reset_forgets() -> None:
    layout = grid()
    model = make_model(layout, start="trained")
    batch = make_batch(layout)
    whole = model(batch).logits
    cut = {name: (channel[:, :5], channel[:, 5:]) for name, channel in batch.conditioning.items()}
    first = replace(batch, steps=batch.steps[:, :6], mask=batch.mask[:, :5])
    rest = replace(batch, steps=batch.steps[:, 5:], mask=batch.mask[:, 5:])
    carried = model(replace(first, conditioning={"beat": cut["beat"][0]})).state
    rest = replace(rest, conditioning={"beat": cut["beat"][1]}, carried=carried)
    goes_on = torch.tensor([False, False, False])
    torch.testing.assert_close(model(replace(rest, reset=goes_on)).logits, whole[:, 5:])
    mixed = model(replace(rest, reset=torch.tensor([True, False, False]))).logits
    alone = model(replace(rest, carried=None)).logits
    torch.testing.assert_close(mixed[0], alone[0])
    torch.testing.assert_close(mixed[1:], whole[1:, 5:])
    assert not torch.allclose(mixed[0], whole[0, 5:])


@pytest.mark.parametrize("candidate", ["tanh", "linear"])
def test_what_is_recorded_is_what_generation_went_through(candidate: str) -> None:
    layout = grid()
    model = make_model(layout, candidate=candidate, start="trained")
    batch = make_batch(layout, rows=2, steps=5)
    with torch.inference_mode():
        recorded = model.record(batch)
        logits = model(batch).logits
        state, notes = model.start(2), layout.pitches
        for t in range(5):
            last = batch.inputs[:, t]
            context, state = model.step(last, state, {"beat": batch.conditioning["beat"][:, t]})
            for k, (hidden, cell) in enumerate(state):
                torch.testing.assert_close(recorded[f"time.{k}.hidden"].values[:, t], hidden)
                torch.testing.assert_close(recorded[f"time.{k}.cell"].values[:, t], cell)
            below, along = torch.zeros(2, 2, dtype=torch.float64), model.note.initial_state(2)
            for note in range(notes):
                x = torch.cat([context[:, note], below], dim=1)
                along = model.note.step(x, along).state
                below = batch.targets[:, t, note].double()
                for k, (hidden, cell) in enumerate(along):
                    here = recorded[f"note.{k}.hidden"].values[:, t, note]
                    torch.testing.assert_close(here, hidden)
                    here = recorded[f"note.{k}.cell"].values[:, t, note]
                    torch.testing.assert_close(here, cell)
        torch.testing.assert_close(recorded["probabilities"].values, torch.sigmoid(logits))
    assert recorded["time.1.cell"].axes == ("piece", "step", "note", "unit")
    assert recorded["probabilities"].axes == ("piece", "step", "note", "channel")


@pytest.mark.parametrize("candidate", ["tanh", "linear"])
def test_gradients_agree_with_finite_differences(candidate: str) -> None:
    layout = grid(pitches=3)
    sizes: dict[str, Any] = {"time_layers": (2, 2), "note_layers": (2,), "beat": "none"}
    model = make_model(layout, candidate=candidate, start="trained", **sizes)
    batch = make_batch(layout, rows=2, steps=3)
    names = [name for name, _ in model.named_parameters()]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        weights = dict(zip(names, values, strict=True))
        output = torch.func.functional_call(model, weights, (batch,))
        return negative_log_likelihood(output, layout).mean()

    # Along random directions: one number at a time takes a hundred times as long.
    parameters = tuple(model.parameters())
    assert torch.autograd.gradcheck(loss, parameters, eps=1e-6, atol=1e-7, fast_mode=True)


def test_a_step_tells_nothing_of_itself_nor_of_what_follows() -> None:
    # Changing one note of one step moves the logits above it in that step, and of later steps.
    layout = grid()
    model = make_model(layout)
    batch = make_batch(layout, rows=1, steps=8)
    steps = batch.steps.clone()
    steps[0, 1 + 4, 3, 0] ^= 1
    moved = (model(replace(batch, steps=steps)).logits - model(batch).logits).abs().sum(-1)[0] > 0
    assert not moved[:4].any()
    assert moved[4].tolist() == [False] * 4 + [True] * 3
    assert moved[5:].all()


def test_dropout_is_one_draw_for_a_sequence() -> None:
    layout = grid()
    model = make_model(layout, dropout=0.5).train()
    batch = make_batch(layout)
    torch.manual_seed(0)
    first = model(batch).logits
    torch.manual_seed(0)
    assert torch.equal(model(batch).logits, first)
    assert not torch.equal(model(batch).logits, first)


def test_what_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = grid()
    model = make_model(layout, dropout=0.5).train()
    shapes = []

    def dropped(self: LSTMStack, x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        return x

    monkeypatch.setattr(LSTMStack, "dropped", dropped)
    model(make_batch(layout, rows=3, steps=9))
    # Inputs of every layer but the first of each axis, the output layer's included: along time
    # (3 pieces · 7 notes, 9 steps, 6 units), along the notes (9 · 3, 7, 4) and (9 · 3, 7, 3).
    assert shapes == [(21, 9, 6), (27, 7, 4), (27, 7, 3)]


def test_classic_initialisation_has_the_originals_spread() -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"initialisation": "classic", "start": "fixed", "note_layers": (64,)}
    model = Biaxial(BiaxialConfig(time_layers=(50, 40), **settings), grid(lowest=24, pitches=78))
    first, second = model.time.typed_layers
    # 4 · 50 · 80 = 16,000 weights: their spread is within 4 · 0.02 / sqrt(32,000) of 1 / 50.
    assert first.input_weight.std().item() == pytest.approx(1 / 50, abs=0.0005)
    assert second.hidden_weight.std().item() == pytest.approx(1 / 40, abs=0.001)
    assert model.output.weight.std().item() == pytest.approx(1 / 2, abs=0.15)
    assert first.start.std().item() == pytest.approx(1 / 50, abs=0.007)
    assert not any("start" in name for name, _ in model.named_parameters())
    assert sum("start" in name for name in model.state_dict()) == 3


def test_a_grid_that_does_not_tell_the_beat_is_refused() -> None:
    plain = replace(grid(), conditioning=())
    (message,) = BiaxialConfig().incompatibilities(plain)
    assert 'encoder.type = "biaxial"' in message
    assert not list(BiaxialConfig(beat="none").incompatibilities(plain))
    (message,) = BiaxialConfig().incompatibilities(replace(grid(PLAY), silence_marker=True))
    assert "silence_marker = false" in message
    # It then works without a beat.
    model = make_model(plain, beat="none")
    batch = replace(make_batch(plain), conditioning={})
    assert model(batch).logits.shape == (3, 9, 7, 2)


def test_empty_axes_are_refused() -> None:
    problems = list(BiaxialConfig(time_layers=(), note_layers=()).problems())
    assert [key for key, _ in problems] == ["time_layers", "note_layers"]
