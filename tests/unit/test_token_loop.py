"""Several tokens chosen in one call are those chosen one by one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from musengine.builtin.samplers import Categorical, Greedy
from musengine.config.quantities import Length
from musengine.encoding.layouts import Layout, Tokens
from musengine.generation.engine import GeneratedPiece, GenerationPlan, generate, piece_seeds
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import Model, Proposal
from musengine.interfaces.sampler import History, Sampler, TokensAhead, TokenSampler
from musengine.nn import LibraryLSTM, LSTMStack, TokenLoop, TokenWeights, compiled
from musengine.plugins.blame import ContractError
from musengine.plugins.configs import EncoderConfig, ModelConfig, NoSettings

pytestmark = pytest.mark.skipif(not compiled.kernels, reason="no compiled code here")
SIZE, UNITS = 21, 13


class Letters(Encoder[EncoderConfig]):
    @property
    def layout(self) -> Layout:
        return Tokens(size=SIZE)

    def encode(self, content: Any) -> Encoded:
        raise NotImplementedError

    def decode(self, steps: Any, settings: DecodeSettings) -> Any:
        raise NotImplementedError

    def elapsed(self, steps: Any, unit: Any, settings: DecodeSettings) -> Any:
        raise NotImplementedError


class Net(Model[ModelConfig]):
    """Layers of a library or of the engine, and how many steps it has chosen ahead."""

    def __init__(self, *, library: bool, layers: int = 2) -> None:
        super().__init__(ModelConfig(), Tokens(size=SIZE))
        self.embedding = nn.Embedding(SIZE + 1, 7)
        self.lstm = nn.LSTM(7, UNITS, layers, batch_first=True) if library else None
        self.stack = None if library else LSTMStack(7, [UNITS] * layers, candidate="linear")
        self.output = nn.Linear(UNITS, SIZE)
        self.loop, self.ahead = TokenLoop(self.weights), 0
        self.layers = layers

    @property
    def run(self) -> Any:
        return self.stack if self.lstm is None else LibraryLSTM(self.lstm)

    def weights(self) -> TokenWeights:
        weights = self.embedding.weight, self.output.weight, self.output.bias
        return TokenWeights(self.run, *weights)

    def start(self, pieces: int) -> Any:
        return ((torch.zeros(pieces, UNITS),) * 2,) * self.layers

    def step(self, last: Tensor | None, state: Any, conditioning: Mapping[str, Tensor]) -> Any:
        last = torch.full((len(state[0][0]),), SIZE) if last is None else last
        made = self.run.step(self.embedding(last), state)
        hidden, after = made if isinstance(made, tuple) else (made.last, made.state)
        return self.output(hidden), after

    def choose_ahead(
        self, last: Tensor | None, state: Any, conditioning: Any, draw: Any
    ) -> tuple[Proposal, Any] | None:
        assert isinstance(draw, TokensAhead)
        last = torch.full((len(state[0][0]),), SIZE) if last is None else last
        made = self.loop.draw(self.parameters(), last, state, partial(draw.noise, SIZE))
        if made is None:
            return None
        self.ahead += draw.steps
        return Proposal(made[0], made[1]), made[2]


def net(*, library: bool = False, layers: int = 2) -> Net:
    torch.manual_seed(0)
    made = Net(library=library, layers=layers)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.5)
    return made


def pieces(
    model: Model[Any], *samplers: Sampler[Any], steps: int = 37, prompts: tuple[int, ...] = (0, 0)
) -> list[GeneratedPiece]:
    encoder = Letters(EncoderConfig())
    plan = GenerationPlan(
        prompts=[Encoded(np.arange(length, dtype=np.int16)) for length in prompts],
        first=[0] * len(prompts),
        seeds=piece_seeds(0, len(prompts)),
        length=Length(float(steps), "tokens"),
        settings=[DecodeSettings()] * len(prompts),
    )
    chain = samplers or (Categorical(NoSettings(), encoder.layout),)
    device = torch.device("cpu")
    return generate(model, encoder, chain, plan, device=device, keep_logits=True)


def same(ours: list[GeneratedPiece], others: list[GeneratedPiece]) -> None:
    for one, other in zip(ours, others, strict=True):
        assert np.array_equal(one.steps, other.steps)
        assert one.logits is not None
        assert other.logits is not None
        assert np.abs(one.logits - other.logits).max() < 1e-4


@pytest.mark.parametrize("processor", [n for n in compiled.NAMES if compiled.kernels_of(n)])
@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("prompts", [(0, 0, 0), (5, 2)])
def test_the_same_tokens_as_one_by_one(
    library: bool, prompts: tuple[int, ...], processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "kernels", compiled.kernels_of(processor))
    model = net(library=library)
    ours = pieces(model, prompts=prompts)
    # Not one more than is wanted.
    assert model.ahead == 37
    monkeypatch.setattr(Net, "choose_ahead", Model.choose_ahead)
    others = pieces(model, prompts=prompts)
    same(ours, others)
    assert len(np.unique(ours[0].steps)) > 5


def test_pieces_are_the_same_however_they_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    alone = pieces(model, prompts=(0,) * 7)
    monkeypatch.setattr(compiled, "LEAST_WORK", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    same(alone, pieces(model, prompts=(0,) * 7))


def test_changed_weights_are_used_and_a_copy_reads_its_own() -> None:
    model = net()
    first = pieces(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.embedding.weight += 1.0
    changed = pieces(other)
    assert not np.array_equal(changed[0].logits, first[0].logits)
    same(pieces(model), first)
    model.load_state_dict(other.state_dict())
    same(pieces(model), changed)


class Observer(TokenSampler[NoSettings]):
    """Leaves tokens as they are, and counts them."""

    reshapes = False
    seen = 0

    def logits(self, logits: Tensor, history: History) -> Tensor:
        return logits

    def observe(self, choice: Tensor) -> None:
        self.seen += 1


def test_samplers_that_look_at_tokens_are_shown_each() -> None:
    model = net()
    layout = Tokens(size=SIZE)
    watching = Observer(NoSettings(), layout)
    made = pieces(model, watching)
    assert (model.ahead, watching.seen) == (0, 37)
    same(made, pieces(model))
    model.ahead = 0
    likeliest = pieces(model, Greedy(NoSettings(), layout))
    assert model.ahead == 0
    logits = likeliest[0].logits
    assert logits is not None
    assert (logits.argmax(axis=-1) == likeliest[0].steps).all()


@pytest.mark.parametrize("change", ["float64", "deep"])
def test_where_there_is_no_loop_tokens_are_chosen_one_by_one(change: str) -> None:
    model = net(layers=17) if change == "deep" else net().double()
    if change == "float64":
        model.start = lambda pieces: ((torch.zeros(pieces, UNITS).double(),) * 2,) * 2  # type: ignore[method-assign]
    made = pieces(model, steps=5)
    assert model.ahead == 0
    assert [len(piece.steps) for piece in made] == [5, 5]


def test_what_does_not_fit_is_refused() -> None:
    model = net()
    weights, last = list(model.parameters()), torch.zeros(2, dtype=torch.int64)

    def drawn(last: Tensor, rows: int = 2, size: int = SIZE) -> Any:
        return model.loop.draw(weights, last, model.start(2), lambda: torch.rand(rows, 3, size))

    assert drawn(last) is not None
    for wrong in (lambda: drawn(last + SIZE + 1), lambda: drawn(last - 1)):
        with pytest.raises(ValueError, match="do not fit"):
            wrong()
    with pytest.raises(ValueError, match="do not fit"):
        drawn(last, rows=3)
    with pytest.raises(ValueError, match="do not fit"):
        drawn(last, size=SIZE - 1)


@pytest.mark.parametrize("wrong", ["steps", "kind"])
def test_a_model_that_returns_something_else_is_told(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = torch.zeros(2, 3, dtype=torch.int64)
    made = (Proposal(choice, choice.float()), None) if wrong == "steps" else choice
    monkeypatch.setattr(Net, "choose_ahead", lambda *given: made)
    with pytest.raises(ContractError, match="choose_ahead"):
        pieces(net())
