"""The conformance kit finds each planted fault, and nothing in what is right."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers import piano_roll
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.encoding.grammar import Grammar
from musengine.encoding.layouts import Tokens
from musengine.errors import UserError
from musengine.interfaces.callback import Callback
from musengine.interfaces.encoder import Encoded, Encoder
from musengine.interfaces.loss import Loss, negative_log_likelihood
from musengine.interfaces.metric import Evidence, Metric
from musengine.interfaces.model import Batch, Model, Output, Proposal
from musengine.interfaces.reader import Item, Reader
from musengine.interfaces.sampler import TokenSampler
from musengine.interfaces.writer import Writer
from musengine.music.piece import Piece
from musengine.music.score import Score
from musengine.plugins import manager
from musengine.plugins.configs import EncoderConfig, ModelConfig, NoSettings
from musengine.plugins.declarations import ModelDeclaration
from musengine.testing import SitePackages, batch_of, create, score_of
from musengine.testing.conformance import (
    EncoderCheck,
    ModelCheck,
    SamplerCheck,
    check_callback,
    check_command,
    check_loss,
    check_metric,
    check_plugin,
    check_reader,
    check_writer,
)
from musengine.training.device import supports_bfloat16

LAYOUT = Tokens(size=5)
BATCH = batch_of([1, 2, 3, 4, 0, 1, 2, 4], [4, 4, 2, 1, 0, 3])


class Right(Model[ModelConfig]):
    """A GRU over tokens that does everything as it should."""

    def __init__(self, config: ModelConfig, layout: Tokens) -> None:
        super().__init__(config, layout)
        self.embedding = nn.Embedding(layout.size + 1, 6)
        self.cell = nn.GRU(6, 8, batch_first=True)
        self.output = nn.Linear(8, layout.size)

    def read(self, tokens: Tensor, first: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, size) and the hidden state; `first` (B, T) marks beginnings."""
        below = self.embedding(torch.where(first, self.layout.size, tokens))  # type: ignore[attr-defined]
        out, hidden = self.cell(below, hidden[None])
        return self.output(out), hidden[0]

    def forward(self, batch: Batch) -> Output:
        first = torch.zeros_like(batch.mask)
        first[:, 0] = batch.begins
        hidden = torch.zeros(len(batch.mask), 8) if batch.carried is None else batch.carried
        logits, hidden = self.read(batch.inputs, first, hidden)
        return Output(logits=logits, targets=batch.targets, mask=batch.mask, state=hidden)

    def start(self, pieces: int) -> Tensor:
        return torch.zeros(pieces, 8)

    def step(
        self, last: Tensor | None, state: Tensor, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        tokens = torch.zeros(len(state), 1, dtype=torch.long) if last is None else last[:, None]
        first = torch.full_like(tokens, last is None, dtype=torch.bool)
        logits, state = self.read(tokens, first, state)
        return logits[:, 0], state


def changed(make: Callable[[Output, Batch], Output]) -> type[Right]:
    """Return the model with another output."""

    class Changed(Right):
        def forward(self, batch: Batch) -> Output:
            return make(super().forward(batch), batch)

    return Changed


def logits(make: Callable[[Tensor, Batch], Tensor]) -> type[Right]:
    """Return the model with other logits."""

    def output(out: Output, batch: Batch) -> Output:
        assert out.logits is not None
        return Output(make(out.logits, batch), out.targets, out.mask, state=out.state)

    return changed(output)


class Unregistered(Right):
    def __init__(self, config: ModelConfig, layout: Tokens) -> None:
        super().__init__(config, layout)
        self.more = [nn.Linear(8, layout.size)]

    def read(self, tokens: Tensor, first: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        out, hidden = super().read(tokens, first, hidden)
        return out + self.more[0].bias, hidden


class Idle(Right):
    def __init__(self, config: ModelConfig, layout: Tokens) -> None:
        super().__init__(config, layout)
        self.idle = nn.Linear(2, 2)


class Ungrouped(Right):
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.cell.parameters())}]


class OtherStep(Right):
    def step(self, last: Any, state: Any, conditioning: Any) -> tuple[Tensor, Tensor]:
        out, state = super().step(last, state, conditioning)
        return out * 1.1, state


class ReadTwice(Right):
    def prefill(self, prompt: Tensor, state: Any, conditioning: Any) -> Tensor:
        state = super().prefill(prompt, state, conditioning)
        return self.step(prompt[:, -1], state, {})[1]


class Ahead(Right):
    """Chooses several tokens in one call, step by step."""

    off = 0.0
    """Added to the logits that tokens are drawn from."""
    steps_read = 0
    """How many steps too many are read."""

    def choose_ahead(
        self, last: Tensor | None, state: Any, conditioning: Mapping[str, Tensor], draw: Any
    ) -> tuple[Proposal, Any] | None:
        choices, said = [], []
        for noise in draw.noise(self.layout.size).unbind(1):  # type: ignore[attr-defined]
            out, state = self.step(last, state, {})
            last = (out + self.off * torch.arange(5) + noise).argmax(dim=-1)
            choices.append(last)
            said.append(out)
        for _ in range(self.steps_read):
            _, state = self.step(last, state, {})
        return Proposal(torch.stack(choices, dim=1), torch.stack(said, dim=1)), state


class OtherTokensAhead(Ahead):
    off = 1.0


class ReadAhead(Ahead):
    steps_read = 1


class OtherLogitsAhead(Ahead):
    def choose_ahead(self, *given: Any) -> tuple[Proposal, Any] | None:
        made = super().choose_ahead(*given)
        assert made is not None
        return Proposal(made[0].choice, made[0].logits * 1.1), made[1]


class Narrow(Right):
    def forward(self, batch: Batch) -> Output:
        out = super().forward(batch)
        assert out.logits is not None
        assert out.logits.dtype == torch.float32, "no bfloat16 please"
        return out


class Stuck(Right):
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": 1e-9}]


MODEL_FAULTS: dict[str, tuple[type[Right], str]] = {
    "sees its own target": (
        logits(lambda out, batch: out + functional.one_hot(batch.targets, 5)),
        "leak",
    ),
    "sees what is later": (logits(lambda out, _: out + out.mean(1, keepdim=True)), "leak"),
    "dropout left on": (logits(lambda out, _: functional.dropout(out, 0.5)), "evaluation"),
    "weights in a list": (Unregistered, "state-dict"),
    "float64": (logits(lambda out, _: out.double()), "output"),
    "logits of another shape": (logits(lambda out, _: out[..., :-1]), "output"),
    "no targets": (changed(lambda out, _: Output(out.logits, None, out.mask)), "output"),
    "no mask": (changed(lambda out, _: Output(out.logits, out.targets)), "output"),
    "a mask that is broadcast": (
        changed(lambda out, batch: Output(out.logits, out.targets, batch.mask[:, :1])),
        "output",
    ),
    "a loss of its own, undeclared": (
        changed(lambda out, _: Output(loss=torch.zeros((), requires_grad=True))),
        "output",
    ),
    "rows that see each other": (logits(lambda out, _: out - out.mean(0)), "rows"),
    "a parameter that takes no part": (Idle, "gradient"),
    "a parameter in no group": (Ungrouped, "gradient"),
    "another answer step by step": (OtherStep, "stepping"),
    "a prompt's last step read twice": (ReadTwice, "prefill"),
    "other tokens at once": (OtherTokensAhead, "ahead"),
    "other logits at once": (OtherLogitsAhead, "ahead"),
    "the last of several tokens read": (ReadAhead, "ahead"),
    "no state to carry": (
        changed(lambda out, _: Output(out.logits, out.targets, out.mask)),
        "carried-state",
    ),
    "a state that is not used": (
        logits(lambda out, batch: out if batch.carried is None else out * 0.5),
        "carried-state",
    ),
    "no mixed precision": (Narrow, "bfloat16"),
    "no learning": (Stuck, "overfit"),
}


def model_findings(model: type[Model[Any]], *, deep: bool = False) -> set[str]:
    declaration = ModelDeclaration(
        name="x", summary="", target="a:B", layouts=("tokens",), config=ModelConfig, stateful=True
    )
    loss = create("loss", "cross-entropy", LAYOUT)
    check = ModelCheck(lambda: model(ModelConfig(), LAYOUT), BATCH, declaration, loss)
    return {finding.check for finding in check.findings(deep=deep)}


def test_a_model_that_is_right() -> None:
    assert model_findings(Right, deep=True) == set()


def test_a_model_that_rightly_chooses_several_tokens_at_once() -> None:
    assert model_findings(Ahead) == set()


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_models_fault(fault: str) -> None:
    model, check = MODEL_FAULTS[fault]
    if check == "bfloat16" and not supports_bfloat16(torch.device("cpu")):
        pytest.skip("this processor has no mixed precision to fail in")
    assert check in model_findings(model, deep=check == "overfit")


class Learning(PianoRoll):
    """A piano roll that has learned one thing."""

    learned: Any = 0

    def fit(self, pieces: Any) -> None:
        self.learned = [len(piece.content) for piece in sorted(pieces, key=lambda p: p.id)]

    def state(self) -> dict[str, Any]:
        return {"learned": self.learned}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.learned = state["learned"]


class Drawing(Learning):
    def encode(self, content: Any) -> Encoded:
        encoded = super().encode(content)
        steps = encoded.steps.copy()
        steps[0, random.randrange(steps.shape[1])] ^= 1
        return Encoded(steps)


class InOrder(Learning):
    def fit(self, pieces: Any) -> None:
        self.learned = [piece.id for piece in pieces]


class ASet(Learning):
    def state(self) -> dict[str, Any]:
        return {"learned": {1, 2}}


class Forgetful(Learning):
    def load_state(self, state: Mapping[str, Any]) -> None:
        pass

    def encode(self, content: Any) -> Encoded:
        encoded = super().encode(content)
        return encoded if self.learned else Encoded(encoded.steps * 0)


class TwoEverywhere(Learning):
    def encode(self, content: Any) -> Encoded:
        return Encoded(super().encode(content).steps * 2)


class Drifting(Learning):
    def decode(self, steps: Any, settings: Any) -> Any:
        return super().decode(np.roll(steps, 1, axis=1), settings)


class Nothing(Learning):
    def decode(self, steps: Any, settings: Any) -> Any:
        return None


class Fussy(Learning):
    def decode(self, steps: Any, settings: Any) -> Any:
        if not len(steps):
            raise IndexError("no steps")
        return super().decode(steps, settings)


class Still(Learning):
    def elapsed(self, steps: Any, unit: Any, settings: Any) -> Any:
        return np.zeros(len(steps))


class Foreseeing(Learning):
    def elapsed(self, steps: Any, unit: Any, settings: Any) -> Any:
        return np.linspace(0, 1, len(steps))


class Channelled(Learning):
    def encode(self, content: Any) -> Encoded:
        steps = super().encode(content).steps
        return Encoded(steps, {"beat": np.zeros((len(steps), 4))})


ENCODER_FAULTS = {
    "same-again": Drawing,
    "fit-order": InOrder,
    "state": ASet,
    "arrays": TwoEverywhere,
    "round-trip": Drifting,
    "any-array": Fussy,
    "elapsed": Still,
    "conditioning": Channelled,
}


def encoder_findings(encoder: type[PianoRoll]) -> set[str]:
    pieces = [
        Piece("a", score_of([(0, 4, 60), (4, 4, 64)])),
        Piece("b", score_of([(0, 2, 67), (2, 2, 62), (4, 4, 60)])),
    ]
    config = piano_roll().config
    return {found.check for found in EncoderCheck(lambda: encoder(config), pieces).findings()}


def test_an_encoder_that_is_right() -> None:
    assert encoder_findings(Learning) == set()


@pytest.mark.parametrize(
    ("check", "encoder"),
    [
        *ENCODER_FAULTS.items(),
        ("state", Forgetful),
        ("round-trip", Nothing),
        ("any-array", Nothing),
        ("elapsed", Foreseeing),
    ],
)
def test_an_encoders_fault(check: str, encoder: type[PianoRoll]) -> None:
    assert check in encoder_findings(encoder)


class Barred(Encoder[EncoderConfig]):
    """A bar before each note; the token 0 is the bar, 1 the begin."""

    between: ClassVar[list[int]] = [0]

    @property
    def layout(self) -> Tokens:
        kinds = ["bar", "begin", *["note"] * 128]
        after = {"bar": ("note",), "note": ("bar",), "begin": ("bar",)}
        return Tokens(size=130, begin=1, grammar=Grammar.of_kinds(kinds, after, ("bar",)))

    def encode(self, content: Any) -> Encoded:
        notes = [[*self.between, 2 + pitch] for pitch in content.pitch.tolist()]
        return Encoded(np.concatenate(notes))

    def decode(self, steps: Any, settings: Any) -> Any:
        pitches = [token - 2 for token in steps.tolist() if token > 1]
        return score_of([(4 * n, 4, pitch) for n, pitch in enumerate(pitches)])

    def elapsed(self, steps: Any, unit: Any, settings: Any) -> Any:
        return np.cumsum(steps > 1) * (1.0 if unit == "beats" else 0.5)


class Unbarred(Barred):
    between: ClassVar[list[int]] = []


class Beginning(Barred):
    between: ClassVar[list[int]] = [1]


def test_what_an_encoders_own_layout_forbids() -> None:
    def found(encoder: type[Barred]) -> set[str]:
        pieces = [Piece(str(n), score_of([(0, 4, n), (4, 4, 64)])) for n in (60, 61)]
        make = lambda: encoder(EncoderConfig())  # noqa: E731
        return {finding.check for finding in EncoderCheck(make, pieces).findings()}

    assert found(Barred) == set()
    assert found(Unbarred) == found(Beginning) == {"arrays"}


class Plain(TokenSampler[NoSettings]):
    def logits(self, logits: Tensor, history: Any) -> Tensor:
        return logits


def sampler(make: Callable[[Tensor], Tensor]) -> type[Plain]:
    class Changed(Plain):
        def logits(self, logits: Tensor, history: Any) -> Tensor:
            return make(logits)

    return Changed


SAMPLER_FAULTS = {
    "what is forbidden let through": (sampler(lambda x: x.clamp_min(-9)), "forbidden"),
    "everything forbidden": (sampler(lambda x: x - torch.inf), "shape"),
    "another shape": (sampler(lambda x: x[:, :-1]), "shape"),
    "pieces mixed": (sampler(lambda x: x - x.mean(0)), "pieces"),
    "PyTorch's own numbers": (sampler(lambda x: x + 0 * torch.rand(())), "random"),
}


def sampler_findings(kind: type[Plain]) -> set[str]:
    check = SamplerCheck(lambda: kind(NoSettings(), LAYOUT), LAYOUT)
    return {finding.check for finding in check.findings()}


class Counting(Plain):
    """Counts what stands before a piece and is none of it."""

    heeds_padding = True

    def logits(self, logits: Tensor, history: Any) -> Tensor:
        return logits * history.steps.shape[1]


class Timed(Plain):
    """Goes by the tempo, and says that it does not."""

    reads_settings = False

    def logits(self, logits: Tensor, history: Any) -> Tensor:
        return logits * history.settings.tempo


class Forgetful(Plain):
    """Learns a token to leave out, and keeps nothing of it."""

    unwanted: int | None = None

    def fit(self, training: Any, held_out: Any) -> None:
        self.unwanted = int(next(training)[0])

    def logits(self, logits: Tensor, history: Any) -> Tensor:
        if self.unwanted is None:
            return logits
        return logits.index_fill(1, torch.tensor([self.unwanted]), -torch.inf)


class Remembering(Forgetful):
    def state(self) -> dict[str, Any]:
        return {} if self.unwanted is None else {"unwanted": np.array([self.unwanted])}

    def load_state(self, state: Any) -> None:
        self.unwanted = int(state["unwanted"][0])


class Listing(Remembering):
    def state(self) -> dict[str, Any]:
        return {"unwanted": [self.unwanted]}


def test_samplers() -> None:
    assert sampler_findings(Remembering) == set()
    assert sampler_findings(Forgetful) == sampler_findings(Listing) == {"state"}
    assert sampler_findings(Plain) == set()
    for fault, (kind, check) in SAMPLER_FAULTS.items():
        assert check in sampler_findings(kind), fault
    assert sampler_findings(Counting) == {"padding"}
    assert sampler_findings(Timed) == {"settings"}


class FullLoss(Loss[NoSettings]):
    unit = "nats per step"

    def per_step(self, output: Output) -> Tensor:
        return negative_log_likelihood(output, self.layout)


class Summed(FullLoss):
    def per_step(self, output: Output) -> Tensor:
        return super().per_step(output).sum(1)


class Unmasked(FullLoss):
    def __call__(self, output: Output, reduction: Any = "mean") -> Tensor:
        return self.per_step(output).mean()


def test_losses() -> None:
    assert check_loss(FullLoss(NoSettings(), LAYOUT), LAYOUT) == []
    for kind, check in ((Summed, "loss"), (Unmasked, "mask")):
        findings = check_loss(kind(NoSettings(), LAYOUT), LAYOUT)
        assert check in {each.check for each in findings}, kind


class Figures(Metric[NoSettings]):
    notes: Any = 3.0

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        return {"notes": self.notes}


class Words(Figures):
    notes = "three"


class Drawn(Figures):
    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        return {"notes": random.random()}


def test_metrics() -> None:
    evidence: Any = None
    assert check_metric(Figures(NoSettings()), evidence) == []
    assert check_metric(Words(NoSettings()), evidence)
    assert check_metric(Drawn(NoSettings()), evidence)


class Eager(Reader[NoSettings]):
    def read(self, item: Item) -> list[Piece]:
        return [Piece(item.id, json.loads(item.path.read_bytes()))]


class OtherBytes(Writer[NoSettings]):
    suffix = ".x"

    def write(self, content: Any, path: Path) -> None:
        path.write_bytes(random.randbytes(8))


class NoFile(OtherBytes):
    def write(self, content: Any, path: Path) -> None:
        pass


def test_readers_and_writers(tmp_path: Path) -> None:
    score: Score = score_of([(0, 4, 60)])
    assert check_reader(create("reader", "midi"), ".mid", tmp_path) == []
    assert check_writer(create("writer", "midi"), score, tmp_path) == []
    assert [each.check for each in check_reader(Eager(NoSettings()), ".x", tmp_path)] == ["garbage"]
    for writer in (OtherBytes(NoSettings()), NoFile(NoSettings())):
        assert [each.check for each in check_writer(writer, score, tmp_path / "")] == ["files"]
        for path in tmp_path.glob("*.x"):
            path.unlink()


class Remembers(Callback[NoSettings]):
    seen: Any = 1

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}


class Lossy(Remembers):
    def state(self) -> dict[str, Any]:
        return {"seen": object()}


def test_callbacks_and_commands() -> None:
    assert check_callback(lambda: Remembers(NoSettings())) == []
    assert check_callback(lambda: Lossy(NoSettings()))
    assert check_command(None) == []
    assert check_command(lambda parser: parser.add_argument("--quiet"))


@pytest.mark.parametrize("deep", [False, True])
def test_the_cores_own_components_keep_the_contract(deep: bool) -> None:
    found = check_plugin("core", deep=deep)
    assert {what: list(map(str, wrong)) for what, wrong in found.items() if wrong} == {}
    assert {"import", "model frequencies", "encoder piano-roll", "reader midi"} < found.keys()


@pytest.mark.slow
def test_a_plugin_that_imports_torch_and_one_that_is_not_there(
    site_packages: SitePackages, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    import torch
    from musengine.api import MetricDeclaration, hookimpl

    @hookimpl
    def musengine_metrics():
        return [MetricDeclaration(name="heavy", summary="", target="heavy_module:Gone")]
    """
    site_packages.add("heavy-plugin", {"heavy": "heavy_module"}, heavy_module=source)
    monkeypatch.setattr(manager, "load", site_packages.load)
    found = check_plugin("heavy-plugin")
    assert [each.check for each in found["import"]] == ["import"]
    assert [each.check for each in found["metric heavy"]] == ["target"]
    with pytest.raises(UserError) as caught:
        check_plugin("heavi")
    assert caught.value.code == "unknown-plugin"
