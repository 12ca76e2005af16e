"""The melody model: what it is shown, that stepping equals reading, that it forgets and carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from musengine.api import DecodeSettings, Model, Score
from musengine.testing import batch_of, batches_of, create, generate_steps, train_steps
from musengine_melody.config import HOLD, MelodyEncoderConfig, MelodyModelConfig
from musengine_melody.encoder import Melody
from musengine_melody.model import MelodyLSTM

ENCODER = Melody(MelodyEncoderConfig())


def make_model(**settings: Any) -> MelodyLSTM:
    torch.manual_seed(0)
    return MelodyLSTM(MelodyModelConfig(**{"layers": (8, 6), **settings}), ENCODER.layout).eval()


def random_pieces(*lengths: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 130, length) for length in lengths]


MELODY = (61, HOLD, 63, 65, HOLD, HOLD, 0, 66)


def test_windows_and_their_targets_are_adjacent() -> None:
    (batch,) = batches_of([MELODY], batching="windows", sequence_length=3, batch_size=100)
    output = make_model()(batch)
    # For each window of three the token right after it and no other counts, five in all.
    assert output.mask is not None
    assert output.mask.tolist() == [[True]] * 5
    seen = {
        tuple(window): target
        for window, (target,) in zip(batch.inputs.tolist(), output.targets.tolist(), strict=True)
    }
    assert seen == {MELODY[k : k + 3]: MELODY[k + 3] for k in range(5)}


def test_what_is_said_of_a_window_is_said_at_its_last_step() -> None:
    model = make_model()
    (batch,) = batches_of([MELODY], batching="windows", sequence_length=3, batch_size=100)
    everywhere = model(replace(batch, mask=torch.ones_like(batch.mask)))
    torch.testing.assert_close(model(batch).logits, everywhere.logits[:, -1:])
    torch.testing.assert_close(model(batch).targets, everywhere.targets[:, -1:])


def test_it_learns_a_melody_by_heart() -> None:
    # Were targets and logits one step off, what follows the holds could not be told.
    model = make_model(layers=(24,), dropout=0.0).train()
    batch = batch_of(MELODY)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = train_steps(model, [batch] * 100, optimizer=optimizer)
    # 130 tokens to choose from at first: ln 130 = 4.87 nats.
    assert losses[0] == pytest.approx(np.log(130), abs=0.5)
    assert losses[-1] < 0.1
    assert model(batch).logits.argmax(-1)[0].tolist() == list(MELODY)


def test_before_the_first_token_is_nothing_which_is_no_rest() -> None:
    model = make_model()
    batch = batch_of([60, 60])
    nothing = model(batch).logits[0, 0]
    rest = model(replace(batch, begins=torch.tensor([False]))).logits[0, 0]
    assert not torch.allclose(nothing, rest)
    # Zeros in give the biases alone: the same whatever the input weights are.
    with torch.no_grad():
        model.stack.typed_layers[0].input_weight.mul_(7.0)
    torch.testing.assert_close(model(batch).logits[0, 0], nothing)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_stepping_equals_teacher_forcing(dtype: torch.dtype, tolerance: float) -> None:
    model = make_model().to(dtype)
    batch = batch_of(*random_pieces(12, 12, 12))
    with torch.inference_mode():
        expected = model(batch).logits
        state, last = model.start(3), None
        for t in range(12):
            logits, state = model.step(last, state, {})
            torch.testing.assert_close(logits, expected[:, t], atol=tolerance, rtol=0)
            last = batch.targets[:, t].long()


def test_a_prompt_read_in_one_pass_leaves_the_state_of_reading_it_by_steps() -> None:
    model = make_model().double()
    prompt = batch_of(*random_pieces(9, 9)).targets
    with torch.inference_mode():
        at_once = model.prefill(prompt, model.start(2), {})
        by_steps = super(MelodyLSTM, model).prefill(prompt, model.start(2), {})
    torch.testing.assert_close(at_once, by_steps, atol=1e-12, rtol=0)


def test_the_state_is_carried_through_a_piece_and_new_for_the_next() -> None:
    model = make_model().double()
    pieces = random_pieces(11, 7, 5)
    expected = {index: model(batch_of(one)).logits[0].detach() for index, one in enumerate(pieces)}
    carried, met = None, 0
    for batch in batches_of(pieces, batching="stateful", sequence_length=4, batch_size=2):
        output = model(replace(batch, carried=carried))
        carried = output.state
        for row, index in enumerate(batch.pieces.tolist()):
            count = int(batch.mask[row].sum())
            start = int(batch.position[row])
            torch.testing.assert_close(
                output.logits[row, :count],
                expected[index][start : start + count] if count else output.logits[row, :0],
                atol=1e-12,
                rtol=0,
            )
            met += count
    assert met == 23


def test_dropout_only_in_training() -> None:
    model, batch = make_model(dropout=0.5), batch_of(*random_pieces(6))
    still = model(batch).logits
    torch.testing.assert_close(model(batch).logits, still)
    model.train()
    assert not torch.allclose(model(batch).logits, still)


def test_an_empty_stack_is_refused() -> None:
    ((key, message),) = MelodyModelConfig(layers=()).problems()
    assert (key, message) == ("layers", "name the units of at least one layer, as [128]")


@pytest.mark.parametrize("hold", [True, False])
def test_no_note_is_held_longer_than_the_guard_allows(hold: bool) -> None:
    pytest.importorskip("musengine_samplers")
    encoder = Melody(MelodyEncoderConfig(hold=hold))
    torch.manual_seed(0)
    model = MelodyLSTM(MelodyModelConfig(layers=(4,)), encoder.layout)
    with torch.no_grad():
        # Left alone it would hold one note for ever: "hold", or middle C again and again.
        model.output.weight.zero_()
        model.output.bias[129 if hold else 61] = 4.0
        model.output.bias[61] += 1.0
    draw = create("sampler", "categorical", encoder.layout)
    longest = create("sampler", "longest-note", encoder.layout, length="1.25 beats")

    def durations(*chain: Any) -> list[int]:
        pieces = generate_steps(model, chain, encoder=encoder, length="200 steps", seeds=[1, 2, 3])
        scores = [encoder.decode(steps, DecodeSettings()) for steps in pieces]
        assert all(isinstance(score, Score) for score in scores)
        return [int(duration) // 120 for score in scores for duration in score.duration]

    assert max(durations(draw, longest)) == 5
    assert max(durations(draw)) > 5


def test_what_is_recorded_is_what_a_reading_goes_through() -> None:
    model, batch = make_model().double(), batch_of(*random_pieces(9, 9))
    with torch.inference_mode():
        recorded = model.record(batch)
        output = model(batch)
    torch.testing.assert_close(recorded["probabilities"].values, output.logits.softmax(-1))
    assert recorded["layers.0.hidden"].values.shape == (2, 9, 8)
    for k, (hidden, cell) in enumerate(output.state):
        torch.testing.assert_close(recorded[f"layers.{k}.hidden"].values[:, -1], hidden)
        torch.testing.assert_close(recorded[f"layers.{k}.cell"].values[:, -1], cell)
    assert recorded["layers.1.cell"].axes == ("piece", "step", "unit")


def test_tokens_drawn_at_once_are_those_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    asked: Any = {"length": "60 steps", "seeds": (0, 1), "prompts": [MELODY, MELODY[:3]]}
    ours = generate_steps(model, encoder=ENCODER, **asked)
    monkeypatch.setattr(MelodyLSTM, "choose_ahead", Model.choose_ahead)
    others = generate_steps(model, encoder=ENCODER, **asked)
    assert [piece.tolist() for piece in ours] == [piece.tolist() for piece in others]
    assert len(np.unique(ours[0])) > 10
