"""The character model: stepping and stretches equal the whole, streams forget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from musengine.api import (
    Batch,
    Model,
    Tokens,
    mixed_precision,
    negative_log_likelihood,
    supports_bfloat16,
)
from musengine.testing import generate_steps
from musengine_charrnn.config import CharRnnConfig
from musengine_charrnn.model import CharRnn

SIZE = 7
KINDS = [
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "lstm", "tied": True},  # 9 units to an embedding of 5: a layer between
    {"cell": "gru", "tied": True, "embedding": 9, "layers": 1},
]


def make_model(**settings: Any) -> CharRnn:
    torch.manual_seed(0)
    chosen = {"layers": 3, "units": 9, "embedding": 5, **settings}
    model = CharRnn(CharRnnConfig(**chosen), Tokens(size=SIZE)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    return model


def make_batch(rows: int = 3, steps: int = 12) -> Batch:
    torch.manual_seed(1)
    tokens = torch.randint(0, SIZE, (rows, steps + 1))
    tokens[:, 0] = 0
    return Batch(
        steps=tokens,
        mask=torch.ones(rows, steps, dtype=torch.bool),
        reset=torch.ones(rows, dtype=torch.bool),
        begins=torch.ones(rows, dtype=torch.bool),
        position=torch.zeros(rows, dtype=torch.long),
        pieces=torch.arange(rows),
    )


def stretch(batch: Batch, start: int, stop: int, carried: Any) -> Batch:
    """Some steps of a batch as the stateful batching cuts them."""
    first = torch.full((len(batch.steps),), start == 0)
    return replace(
        batch,
        steps=batch.steps[:, start : stop + 1],
        mask=batch.mask[:, start:stop],
        reset=first,
        begins=first,
        carried=carried,
    )


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_stepping_equals_teacher_forcing(
    settings: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    model, batch = make_model(**settings).to(dtype), make_batch()
    with torch.inference_mode():
        expected = model(batch).logits
        state, last = model.start(3), None
        for t in range(12):
            logits, state = model.step(last, state, {})
            torch.testing.assert_close(logits, expected[:, t], atol=tolerance, rtol=0)
            last = batch.targets[:, t]


@pytest.mark.parametrize("settings", KINDS)
def test_a_prompt_read_in_one_pass_leaves_the_state_of_reading_it_by_steps(
    settings: dict[str, Any],
) -> None:
    model, prompt = make_model(**settings).double(), make_batch().targets
    with torch.inference_mode():
        for length in (1, 2, 12):
            at_once = model.prefill(prompt[:, :length], model.start(3), {})
            by_steps = super(CharRnn, model).prefill(prompt[:, :length], model.start(3), {})
            torch.testing.assert_close(at_once, by_steps, atol=1e-12, rtol=0)


@pytest.mark.parametrize("settings", KINDS)
def test_stretches_of_64_with_the_state_carried_equal_the_whole(settings: dict[str, Any]) -> None:
    model, batch = make_model(**settings).double(), make_batch(rows=2, steps=200)
    with torch.inference_mode():
        whole, parts, carried = model(batch), [], None
        for start in range(0, 200, 64):
            output = model(stretch(batch, start, min(start + 64, 200), carried))
            parts.append(output.logits)
            carried = output.state
    torch.testing.assert_close(torch.cat(parts, dim=1), whole.logits, atol=1e-12, rtol=0)
    torch.testing.assert_close(carried, whole.state, atol=1e-12, rtol=0)


def test_a_piece_begins_with_a_token_of_its_own() -> None:
    model, batch = make_model().double(), make_batch()
    amid = model(replace(batch, begins=torch.zeros(3, dtype=torch.bool))).logits
    # Token 0 stands before a piece in every batch, but it is not what the model reads there.
    assert not torch.allclose(model(batch).logits[:, 0], amid[:, 0])
    other = batch.steps.clone()
    other[:, 0] = 5
    torch.testing.assert_close(model(replace(batch, steps=other)).logits, model(batch).logits)


def test_a_reset_stream_forgets() -> None:
    model, batch = make_model().double(), make_batch()
    carried = model(batch).state
    reset = torch.tensor([True, False, True])
    fresh = model(batch).logits
    mixed = model(replace(batch, reset=reset, carried=carried)).logits
    torch.testing.assert_close(mixed[reset], fresh[reset], atol=1e-12, rtol=0)
    assert not torch.allclose(mixed[1], fresh[1])


@pytest.mark.parametrize("settings", KINDS)
def test_gradients_agree_with_finite_differences(settings: dict[str, Any]) -> None:
    model, batch = make_model(**settings, units=4).double(), make_batch(rows=2, steps=4)
    parameters = list(model.parameters())

    def loss() -> torch.Tensor:
        logits = model(batch).logits.flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, batch.targets.flatten(), reduction="sum")

    torch.autograd.backward(loss())
    torch.manual_seed(2)
    for _ in range(3):
        direction = [torch.randn_like(p) for p in parameters]
        # The derivative along a direction, from both sides: its error is of the order of eps².
        slope, eps = 0.0, 1e-5
        for sign in (1, -2):
            with torch.no_grad():
                for parameter, step in zip(parameters, direction, strict=True):
                    parameter += sign * eps * step
                slope += (1 if sign > 0 else -1) * loss().item() / (2 * eps)
        with torch.no_grad():
            for parameter, step in zip(parameters, direction, strict=True):
                parameter += eps * step
        grads = [p.grad for p in parameters]
        wanted = sum((g * d).sum().item() for g, d in zip(grads, direction, strict=True))
        assert slope == pytest.approx(wanted, rel=1e-6)


def test_tied_weights_are_one_tensor() -> None:
    def count(**settings: Any) -> int:
        return sum(p.numel() for p in make_model(**settings).parameters())

    # 7 tokens by 9 units are saved; where the embedding is narrower a layer of 9 x 5 + 5 comes in
    # and the output's 7 x 9 weights go.
    assert count(embedding=9) - count(embedding=9, tied=True) == 63
    assert count() - count(tied=True) == 63 - 50
    model = make_model(tied=True)
    with torch.no_grad():
        model.embedding.weight[2] = 0.0
    logits = model(make_batch()).logits
    torch.testing.assert_close(logits[..., 2], model.output.bias[2].expand(3, 12))


def test_dropout_only_in_training() -> None:
    model, batch = make_model(dropout=0.5), make_batch()
    torch.testing.assert_close(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.allclose(model(batch).logits, model(batch).logits)


def test_forget_gates_begin_open() -> None:
    torch.manual_seed(0)
    model = CharRnn(CharRnnConfig(layers=2, units=9, embedding=5), Tokens(size=SIZE))
    for layer in model.layers.all_weights:
        _, hidden, input_bias, hidden_bias = layer
        assert (input_bias + hidden_bias)[9:18].tolist() == [1.0] * 9
        assert (input_bias + hidden_bias).sum() == 9.0
        for gate in hidden.detach().split(9):
            torch.testing.assert_close(gate @ gate.t(), torch.eye(9), atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", KINDS)
def test_mixed_precision_runs(settings: dict[str, Any]) -> None:
    model, batch = make_model(**settings).train(), make_batch()
    cpu = torch.device("cpu")
    with mixed_precision("bfloat16" if supports_bfloat16(cpu) else "float32", cpu):
        first = model(batch)
        second = model(replace(batch, carried=first.state, reset=torch.tensor([True, False, True])))
    loss = negative_log_likelihood(second, model.layout).sum()
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("begins", [True, False])
def test_what_is_recorded_is_what_a_reading_goes_through(
    settings: dict[str, Any], begins: bool
) -> None:
    model, batch = make_model(**settings).double(), make_batch()
    batch = replace(batch, begins=torch.full((3,), begins))
    with torch.inference_mode():
        recorded = model.record(batch)
        output = model(batch)
    torch.testing.assert_close(recorded["probabilities"].values, output.logits.softmax(-1))
    assert recorded["probabilities"].axes == ("piece", "step", "token")
    parts = ("hidden", "cell") if settings["cell"] == "lstm" else ("hidden",)
    layers = settings.get("layers", 3)
    names = {f"layers.{k}.{part}" for k in range(layers) for part in parts}
    assert recorded.keys() == names | {"probabilities"}
    # After the last step the layers are in the state that the whole reading leaves.
    for k, layer in enumerate(output.state):
        for part, values in zip(parts, layer, strict=True):
            torch.testing.assert_close(recorded[f"layers.{k}.{part}"].values[:, -1], values)


@pytest.mark.parametrize("settings", KINDS)
def test_tokens_drawn_at_once_are_those_drawn_one_by_one(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(**settings)
    ours = generate_steps(model, length="40 tokens", seeds=(0, 1, 2))
    monkeypatch.setattr(CharRnn, "choose_ahead", Model.choose_ahead)
    others = generate_steps(model, length="40 tokens", seeds=(0, 1, 2))
    assert [piece.tolist() for piece in ours] == [piece.tolist() for piece in others]
    assert {token for piece in ours for token in piece.tolist()} == set(range(SIZE))
