"""Layouts of tokens that say more: a grammar, a begin token, bars; and vocabularies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from musengine.builtin.samplers import Categorical
from musengine.data.batching import Batches
from musengine.encoding.grammar import Grammar
from musengine.encoding.layouts import Layout, Tokens
from musengine.encoding.vocabulary import Vocabulary
from musengine.errors import UserError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.loss import negative_log_likelihood
from musengine.interfaces.prediction import predict
from musengine.interfaces.short_forms.sequence_model import SequenceModel
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import ModelConfig, NoSettings
from musengine.testing import batch_of, batches_of, create, generate_steps, train_steps

BAR, POSITION, PITCH, LENGTH, BEGIN = 0, 1, 2, 3, 4
KINDS = ("bar", "position", "pitch", "length", "begin")
AFTER = {
    "bar": ("bar", "position"),
    "position": ("pitch",),
    "pitch": ("length",),
    "length": ("bar", "position", "pitch"),
    "begin": ("bar",),
}
GRAMMAR = Grammar.of_kinds(KINDS, AFTER, first=("bar",))
LAYOUT = Tokens(size=5, meanings={BAR: ("bar", 0)}, begin=BEGIN, grammar=GRAMMAR)
LEGAL = [BAR, POSITION, PITCH, LENGTH, PITCH, LENGTH, BAR, BAR, POSITION, PITCH, LENGTH]


def test_what_may_follow_is_what_was_said():
    assert GRAMMAR.allowed(np.array([])).tolist() == [True, False, False, False, False]
    assert GRAMMAR.allowed(np.array([BAR])).tolist() == [True, True, False, False, False]
    assert GRAMMAR.allowed(np.array(LEGAL)).tolist() == [True, True, True, False, False]
    assert GRAMMAR.violation(np.array(LEGAL)) is None
    assert GRAMMAR.violation(np.array([BAR, POSITION, LENGTH])) == 2
    assert GRAMMAR.violation(np.array([PITCH])) == 0


def test_a_grammar_of_states_of_ones_own():
    # Ten positions that only rise until the token 10, a bar, comes.
    def after(state: int, token: int) -> int | None:
        if token == 10:
            return 0
        return token + 1 if token >= state else None

    rising = Grammar.explored(0, after, size=11)
    assert rising.may_come.shape == (11, 11)
    assert rising.violation(np.array([0, 3, 3, 10, 2])) == 2
    assert rising.violation(np.array([0, 3, 9, 10, 2])) is None
    assert rising.allowed(np.array([0, 8])).tolist() == [False] * 9 + [True, True]
    # After what may not come it goes on as after the same token elsewhere.
    assert rising.allowed(np.array([8, 3])).tolist() == [False] * 4 + [True] * 7


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Grammar.of_kinds(KINDS, AFTER | {"bar": ("rest",)}, ("bar",)),
        lambda: Grammar.of_kinds(KINDS, {"bar": ("bar",)}, ("bar",)),
        lambda: Grammar.of_kinds(KINDS, AFTER | {"pitch": ()}, ("bar",)),
        lambda: Grammar(np.ones((1, 2), bool), np.ones((1, 2), np.int64)),
        lambda: Grammar(np.ones((1, 2), bool), np.zeros((2, 2), np.int64)),
        lambda: Grammar.explored(0, lambda state, token: None, 3),
        lambda: Grammar.explored((), lambda *state_and_token: state_and_token, 2**14),
    ],
)
def test_grammars_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()


class Recurrent(SequenceModel[ModelConfig]):
    """A small GRU."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(ModelConfig(), layout)
        self.embedding = nn.Embedding(self.inputs, 6)
        self.layer = nn.GRU(6, 8, batch_first=True)
        self.output = nn.Linear(8, self.size)

    def start(self, pieces: int) -> Tensor:
        return self.output.weight.new_zeros(pieces, 8)

    def read(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, after = self.layer(self.embedding(tokens), state[None])
        return self.output(hidden), after[0]


def small_model(layout: Tokens = LAYOUT) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(layout).eval()


def test_what_is_forbidden_has_no_probability():
    model = small_model()
    batch = batch_of(LEGAL, LEGAL[6:], layout=LAYOUT)
    assert batch.inputs[:, 0].tolist() == [BEGIN, BEGIN]
    with torch.no_grad():
        logits = model(batch).logits
        nll_BT = negative_log_likelihood(predict(model, batch), LAYOUT)
    # After a pitch only a length may come: it is certain. After a position, only a pitch.
    assert nll_BT[0, [2, 3, 5, 9, 10]].tolist() == [0.0] * 5
    # First comes a bar, for certain; then a bar or a position, among themselves.
    assert nll_BT[:, 0].tolist() == [0.0, 0.0]
    at = torch.log_softmax(logits[0, 1, [BAR, POSITION]].double(), dim=-1)
    assert float(nll_BT[0, 1]) == pytest.approx(-float(at[1]), abs=1e-6)


def test_what_a_prompt_has_against_the_grammar_is_finite():
    nll_BT = negative_log_likelihood(
        predict(small_model(), batch_of([PITCH, PITCH, LENGTH], layout=LAYOUT)), LAYOUT
    )
    assert torch.isfinite(nll_BT).all()


def test_training_learns_among_what_may_come():
    model = small_model()
    losses = train_steps(model, [batch_of(LEGAL, layout=LAYOUT)] * 60)
    # Of eleven tokens five are open; the grammar alone says the others.
    assert losses[-1] < 0.5 * losses[0]


@given(st.integers(0, 2**31), st.lists(st.integers(0, 11), min_size=1, max_size=6))
def test_every_draw_is_legal_whatever_the_prompts_length(seed, lengths):
    chain = [Categorical(NoSettings(), LAYOUT)]
    prompts = [LEGAL[:n] for n in lengths]
    made = generate_steps(
        small_model(),
        chain,
        length="20 tokens",
        seeds=[seed + n for n in range(len(lengths))],
        prompts=prompts,
    )
    for prompt, steps in zip(prompts, made, strict=True):
        assert len(steps) == 20
        assert GRAMMAR.violation(np.array([*prompt, *steps.tolist()])) is None


def test_prompts_of_different_length_are_gone_on_from_as_alone():
    chain = [Categorical(NoSettings(), LAYOUT)]
    prompts = [LEGAL[:3], LEGAL, [], LEGAL[:6], LEGAL[:3]]
    model = small_model()
    together = generate_steps(
        model, chain, length="30 tokens", seeds=[1, 2, 3, 4, 5], prompts=prompts
    )
    for number, prompt in enumerate(prompts):
        (alone,) = generate_steps(
            model, chain, length="30 tokens", seeds=[number + 1], prompts=[prompt]
        )
        assert together[number].tolist() == alone.tolist()


@pytest.mark.parametrize("layout", [LAYOUT, Tokens(size=4)], ids=["begin", "no-begin"])
def test_all_follows_from_what_a_sequence_model_reads(layout):
    model = small_model(layout).double()
    first = torch.arange(4) % layout.size
    batch = batch_of(first.tolist(), (3 - first).tolist(), layout=layout)
    with torch.no_grad():
        whole = model(batch).logits
        state, last, found = model.start(2), model.before_first(2), []
        for t in range(4):
            logits, state = model.step(last, state, {})
            found.append(logits)
            last = batch.targets[:, t]
        torch.testing.assert_close(torch.stack(found, dim=1), whole, atol=1e-12, rtol=0)
        state = model.prefill(batch.targets[:, :3], model.start(2), {})
        after, _ = model.step(batch.targets[:, 2], state, {})
        torch.testing.assert_close(after, whole[:, 3], atol=1e-12, rtol=0)
        # Carried on in one row, begun afresh in the other.
        begins = torch.tensor([False, True])
        again = replace(batch, carried=model(batch).state, reset=begins, begins=begins)
        torch.testing.assert_close(model(again).logits[1], whole[1], atol=1e-12, rtol=0)
        assert not torch.allclose(model(again).logits[0], whole[0])


def test_bars_begin_where_tokens_say():
    assert LAYOUT.bar_starts(np.array(LEGAL)).tolist() == [0, 6, 7]
    assert LAYOUT.bar_starts(np.array([PITCH, LENGTH, BAR])).tolist() == [0, 2]
    assert Tokens(size=5).bar_starts(np.array(LEGAL)).tolist() == []


def test_segments_begin_at_bars():
    pieces = [LEGAL * 4, LEGAL[6:] * 9]
    batches = batches_of(
        pieces, "segments", layout=LAYOUT, align="bars", sequence_length=8, batch_size=3
    )
    assert batches
    for batch in batches:
        assert (batch.targets[:, 0] == BAR).all()
        assert batch.mask.all()
    config = TrainingConfig(align="bars", sequence_length=8)
    strategy = create("batching", "segments", config, [11])
    with pytest.raises(UserError) as caught:
        Batches([EncodedPiece("", Encoded(np.array(LEGAL)), "")], strategy, Tokens(size=5))
    assert caught.value.code == "no-bars"


def test_a_vocabulary_that_is_learned():
    pieces = [["c", "a", "c"], ["b", "c", "a"], ["d"]]
    learned = Vocabulary.learned(pieces, special=("begin", "end"), most=3)
    assert learned.names == ("begin", "end", "c", "a", "b")
    assert Vocabulary.learned(pieces, fewest=2).names == ("c", "a")
    assert learned.encode(["a", "end"]).tolist() == [3, 1]
    assert learned.encode(["d", "c"], unknown="begin").tolist() == [0, 2]
    assert learned.decode(np.array([4, 2])) == ["b", "c"]
    assert (len(learned), "d" in learned, learned["c"]) == (5, False, 2)
    with pytest.raises(KeyError):
        learned.encode(["d"])


def test_a_vocabulary_comes_back_from_its_state():
    known = Vocabulary(("begin", "x", "y"))
    assert Vocabulary.from_state(known.state()) == known
    for wrong in ({"names": []}, ["a", 3], ["a", "a"], None, "ab"):
        with pytest.raises(ValueError, match=r"."):
            Vocabulary.from_state(wrong)


def test_the_layout_of_a_vocabulary():
    known = Vocabulary(("begin", "Bar", "Pitch_60"))
    layout = known.layout(
        meanings={"Bar": ("bar", 0), "Pitch_60": ("pitch", 60)}, begin="begin", end="Bar"
    )
    assert (layout.size, layout.begin, layout.end) == (3, 0, 1)
    assert layout.tokens_of("pitch") == {2: 60}
    assert layout.restricted
