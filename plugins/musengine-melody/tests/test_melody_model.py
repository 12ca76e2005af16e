"""The melody model: what it is shown, that stepping equals reading, that it forgets and carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from musengine.api import (
    Batch,
    DecodeSettings,
    Encoded,
    EncodedPiece,
    Length,
    NoSettings,
    Score,
    negative_log_likelihood,
)
from musengine.data.batching import Batches, whole_pieces
from musengine.interfaces.training import TrainingConfig
from musengine.plugins import manager
from musengine_melody.config import HOLD, MelodyEncoderConfig, MelodyModelConfig
from musengine_melody.encoder import Melody
from musengine_melody.model import MelodyLSTM

ENCODER = Melody(MelodyEncoderConfig())


def make_model(**settings: Any) -> MelodyLSTM:
    torch.manual_seed(0)
    return MelodyLSTM(MelodyModelConfig(**{"layers": (8, 6), **settings}), ENCODER.layout).eval()


def piece(*tokens: int) -> EncodedPiece:
    return EncodedPiece("made", Encoded(steps=np.array(tokens, dtype=np.int16)), "")


def random_pieces(*lengths: int) -> list[EncodedPiece]:
    random = np.random.default_rng(0)
    return [piece(*random.integers(0, 130, length)) for length in lengths]


def batches_of(pieces: list[EncodedPiece], batching: str, **settings: int) -> Batches:
    """The batches of a strategy of the core."""
    strategy = manager.load().registry.get("batching", batching).load()
    lengths = [len(piece) for piece in pieces]
    return Batches(pieces, strategy(NoSettings(), TrainingConfig(**settings), lengths))


def whole(pieces: list[EncodedPiece]) -> Batch:
    ((_, batch),) = whole_pieces(pieces)
    return batch


MELODY = (61, HOLD, 63, 65, HOLD, HOLD, 0, 66)


def test_windows_and_their_targets_are_adjacent() -> None:
    (batch,) = batches_of([piece(*MELODY)], "windows", sequence_length=3, batch_size=100).epoch(0)
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
    (batch,) = batches_of([piece(*MELODY)], "windows", sequence_length=3, batch_size=100).epoch(0)
    everywhere = model(replace(batch, mask=torch.ones_like(batch.mask)))
    torch.testing.assert_close(model(batch).logits, everywhere.logits[:, -1:])
    torch.testing.assert_close(model(batch).targets, everywhere.targets[:, -1:])


def test_it_learns_a_melody_by_heart() -> None:
    # Were targets and logits one step off, what follows the holds could not be told.
    model = make_model(layers=(24,), dropout=0.0).train()
    batch = whole([piece(*MELODY)])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        negative_log_likelihood(model(batch), model.layout).sum().backward()
        optimizer.step()
    said = model.eval()(batch).logits.argmax(-1)
    assert said[0].tolist() == list(MELODY)


def test_before_the_first_token_is_nothing_which_is_no_rest() -> None:
    model = make_model()
    batch = whole([piece(60, 60)])
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
    batch = whole(random_pieces(12, 12, 12))
    with torch.inference_mode():
        expected = model(batch).logits
        state, last = model.start(3), None
        for t in range(12):
            logits, state = model.step(last, state, {})
            torch.testing.assert_close(logits, expected[:, t], atol=tolerance, rtol=0)
            last = batch.targets[:, t].long()


def test_a_prompt_read_in_one_pass_leaves_the_state_of_reading_it_by_steps() -> None:
    model = make_model().double()
    prompt = whole(random_pieces(9, 9)).targets
    with torch.inference_mode():
        at_once = model.prefill(prompt, model.start(2), {})
        by_steps = super(MelodyLSTM, model).prefill(prompt, model.start(2), {})
    torch.testing.assert_close(at_once, by_steps, atol=1e-12, rtol=0)


def test_the_state_is_carried_through_a_piece_and_new_for_the_next() -> None:
    model = make_model().double()
    pieces = random_pieces(11, 7, 5)
    expected = {index: model(whole([one])).logits[0].detach() for index, one in enumerate(pieces)}
    batches = batches_of(pieces, "stateful", sequence_length=4, batch_size=2)
    carried, met = None, 0
    for batch in batches.epoch(0):
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
    model, batch = make_model(dropout=0.5), whole(random_pieces(6))
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
    from musengine.api import NoSettings
    from musengine.builtin.samplers import Categorical
    from musengine.generation import engine
    from musengine_samplers.config import LongestNoteConfig
    from musengine_samplers.guards import LongestNote

    encoder = Melody(MelodyEncoderConfig(hold=hold))
    torch.manual_seed(0)
    model = MelodyLSTM(MelodyModelConfig(layers=(4,)), encoder.layout)
    with torch.no_grad():
        # Left alone it would hold one note for ever: "hold", or middle C again and again.
        model.output.weight.zero_()
        model.output.bias[129 if hold else 61] = 4.0
        model.output.bias[61] += 1.0
    plan = engine.GenerationPlan(
        prompts=[Encoded(steps=encoder.empty())] * 3,
        first=[0] * 3,
        seeds=[1, 2, 3],
        length=Length(200, "steps"),
        settings=DecodeSettings(),
    )
    longest = LongestNote(LongestNoteConfig(length=Length(1.25, "beats")), encoder.layout)
    samplers = [Categorical(NoSettings(), encoder.layout), longest]

    def durations(chain: list[Any]) -> list[int]:
        made = engine.generate(model, encoder, chain, plan, device=torch.device("cpu"))
        scores = [encoder.decode(one.steps, plan.settings) for one in made]
        assert all(isinstance(score, Score) for score in scores)
        return [int(duration) // 120 for score in scores for duration in score.duration]

    assert max(durations(samplers)) == 5
    assert max(durations(samplers[:1])) > 5
