"""Notes drawn in one call of compiled code are those drawn step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_notes_model import HUNDREDTHS, band, encoder, model

from musengine.api import Array, History, PieceRandom
from musengine.testing import compiled_way, compiled_ways, generate_steps
from musengine_notes import stepping
from musengine_notes.ahead import NotesAhead
from musengine_notes.config import NotesSamplerConfig
from musengine_notes.copies import CopyIndex, loop_keys
from musengine_notes.encoder import Notes
from musengine_notes.form import copying
from musengine_notes.form.copying import Aims
from musengine_notes.form.loops import longest_loop
from musengine_notes.model import NoteModel
from musengine_notes.nucleus import Nucleus
from musengine_notes.sampler import NotesSampler

pytestmark = pytest.mark.skipif(not compiled_ways(), reason="no compiled code here")


@pytest.fixture(params=compiled_ways())
def processor(request: pytest.FixtureRequest) -> Iterator[str]:
    with compiled_way(request.param):
        yield request.param


def pieces(
    network: NoteModel, drawn: NotesSampler, made: Notes, prompts: list[Array], steps: int = 70
) -> list[Array]:
    seeds = range(len(prompts))
    length = f"{steps} steps"
    return generate_steps(
        network, [drawn], length=length, seeds=seeds, encoder=made, prompts=prompts
    )


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoteModel, "choose_ahead", lambda *given: None)


def same(ours: list[Array], others: list[Array]) -> None:
    for one, other in zip(ours, others, strict=True):
        assert np.array_equal(one, other)


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what tells how many steps the compiled code has drawn."""
    found = [0]
    choose = NoteModel.choose_ahead

    def ahead(self: NoteModel, *given: Any) -> Any:
        made = choose(self, *given)
        found[0] += 0 if made is None else made[0].choice.shape[1]
        return made

    monkeypatch.setattr(NoteModel, "choose_ahead", ahead)
    return lambda: found[0]


@pytest.mark.parametrize("form", [True, False])
@pytest.mark.parametrize("settings", [{}, {"step": HUNDREDTHS}], ids=["beats", "seconds"])
def test_the_same_notes_as_step_by_step(
    settings: Any, form: bool, processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder(**settings)
    network = model(made.layout, form=form)
    drawn = NotesSampler(NotesSamplerConfig(copy=0.7, temperature=0.9), made.layout)
    whole = made.encode(band(6)).steps
    # Nothing, the beginning of a piece, and one that has ended.
    prompts = [made.empty(), *(whole[:n] for n in (1, 30, len(whole)))]
    steps = counted(monkeypatch)
    ours = pieces(network, drawn, made, prompts)
    assert steps() == 2 * 70  # those without a prompt, and those with one
    one_by_one(monkeypatch)
    same(ours, pieces(network, drawn, made, prompts))


def test_as_much_is_held_to_come_back_as_step_by_step(
    processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder(lags=(1, 2, 3))
    made.returns = (0.4, 0.6, 0.0)
    network = model(made.layout)
    drawn = NotesSampler(NotesSamplerConfig(quote=0.0), made.layout)
    free = NotesSampler(NotesSamplerConfig(copy=0.0, quote=0.0), made.layout)
    for sampler in (drawn, free):
        sampler.tuning_steps = 0  # what would be found beside the pull
    prompts = [made.empty(), made.encode(band(6)).steps[:30], made.empty()]
    ours = pieces(network, drawn, made, prompts)
    assert not np.array_equal(ours[0], pieces(network, free, made, prompts)[0])
    one_by_one(monkeypatch)
    same(ours, pieces(network, drawn, made, prompts))


def test_what_is_forgotten_is_forgotten_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "KEPT", 24)
    made = encoder(lags=(1, 2))
    network = model(made.layout)
    drawn = NotesSampler(NotesSamplerConfig(copy=3.0), made.layout)
    ours = pieces(network, drawn, made, [made.empty()] * 2)
    one_by_one(monkeypatch)
    same(ours, pieces(network, drawn, made, [made.empty()] * 2))


def test_runs_are_copied_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder()
    network = model(made.layout)
    prompts = [made.empty()] * 3
    free = NotesSampler(NotesSamplerConfig(copy=0.0, longest_copy=0), made.layout)
    music = pieces(network, free, made, prompts)
    # With the same numbers the pieces would be those of the training part to the end.
    bounded = NotesSampler(NotesSamplerConfig(copy=0.0, longest_copy=12), made.layout)
    bounded.fit(music, [])
    assert bounded._index is not None
    ours = pieces(network, bounded, made, prompts)
    longest = [bounded._index.longest(piece, made.layout) for piece in ours]
    assert max(bounded._index.longest(piece, made.layout) for piece in music) > 20
    assert max(longest) == 12
    one_by_one(monkeypatch)
    same(ours, pieces(network, bounded, made, prompts))


def test_loops_go_on_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder(lags=(1, 2))
    network = model(made.layout)
    prompts = [made.empty(), made.encode(band(6)).steps[:30], made.empty()]
    found = {}
    for bound in (0, 40):
        way = NotesSamplerConfig(copy=8.0, quote=0.5, longest_copy=20, longest_loop=bound)
        drawn = NotesSampler(way, made.layout)
        drawn.fit([made.encode(band(7)).steps], [])
        ours = pieces(network, drawn, made, prompts)
        found[bound] = [longest_loop(loop_keys(piece, made.layout)) for piece in ours]
        with monkeypatch.context() as patched:
            one_by_one(patched)
            same(ours, pieces(network, drawn, made, prompts))
    assert min(found[0]) > 40
    assert max(found[40]) == 40


@pytest.mark.parametrize("longest", [0, 30], ids=["any length", "bounded"])
def test_what_is_added_lets_runs_go_on_or_end(
    longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder()
    network = model(made.layout)
    prompts = [made.empty()] * 3
    free = NotesSampler(NotesSamplerConfig(copy=0.0, quote=0.0), made.layout)
    music = pieces(network, free, made, prompts)
    copied = {}
    for quote in (-9.0, 0.0, 9.0):
        # With the same numbers a little warmer: another note than the training part's now and then.
        way = NotesSamplerConfig(copy=0.0, quote=quote, longest_copy=longest, temperature=1.01)
        drawn = NotesSampler(way, made.layout)
        drawn.fit(music, [])
        ours = pieces(network, drawn, made, prompts)
        assert drawn._index is not None
        runs = [drawn._index.runs(piece, made.layout)[0] for piece in ours]
        copied[quote] = sum(int((each > 0).sum()) for each in runs)
        assert not longest or max(each.max() for each in runs) <= longest
        with monkeypatch.context() as patched:
            one_by_one(patched)
            same(ours, pieces(network, drawn, made, prompts))
    assert copied[-9.0] < copied[0.0] < copied[9.0]


def test_past_changes_of_meter() -> None:
    made = encoder(lags=(1, 2))
    network = model(made.layout)
    random = np.random.default_rng(0)
    steps, rows = 40, 3
    length = torch.from_numpy(random.choice([12, 16, 24], (rows, steps)))
    here = {
        "metre": torch.stack([length * 0, length * 0, length, length * 0], dim=-1),
        "bar_start": torch.from_numpy(random.integers(0, 30, (rows, steps))),
        "ago": torch.from_numpy(random.integers(-1, 60, (rows, steps, 2))),
    }
    numbers = torch.rand(rows, steps, 5, generator=torch.Generator().manual_seed(0))
    chooser = Nucleus(1.0, 1.0)
    more = torch.tensor([0.5, -0.5])
    with torch.inference_mode():
        added = torch.tensor([*more.tolist(), 0.0])
        draw = NotesAhead(chooser, lambda: numbers, lambda bar, _: added.expand(*bar.shape, 3))
        chosen = network.choose_ahead(None, network.start(rows), here, draw)
        assert chosen is not None
        last, state = None, network.start(rows)
        for t in range(steps):
            now = {name: channel[:, t] for name, channel in here.items()}
            context, state = network.step(last, state, now)
            fields = iter(numbers[:, t].unbind(1))
            last = network.propose(context, lambda of: chooser(of, more, next(fields))).choice  # type: ignore[arg-type]  # noqa: B023
            assert torch.equal(last, chosen[0].choice[:, t])
        for ours, other in zip(chosen[1][1], state[1], strict=True):
            assert torch.equal(ours, other)


def test_tuning_finds_what_it_finds_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PIECES", 3)
    monkeypatch.setattr(copying, "STEPS", 96)
    made = encoder(lags=(1, 2))
    made.returns = (0.5, 0.4)
    network = model(made.layout)
    own = copying._tried(network, Nucleus(1.0, 1.0), 16, torch.zeros(3), 99, Aims(0.0, 0.0))
    aims = Aims("auto", "auto", CopyIndex.of(own, [own[0]], made.layout))
    ours = copying.tried_additions(network, Nucleus(1.0, 0.9), 16, aims)
    assert ours.abs().min() > 0.01
    one_by_one(monkeypatch)
    other = copying.tried_additions(network, Nucleus(1.0, 0.9), 16, aims)
    assert torch.allclose(ours, other, atol=1e-6)


def test_pieces_are_the_same_however_they_are_shared_out() -> None:
    made = encoder()
    network = model(made.layout)
    drawn = NotesSampler(NotesSamplerConfig(copy=0.0), made.layout)
    prompts = [made.empty()] * 5
    alone = pieces(network, drawn, made, prompts)
    with compiled_way(compiled_ways()[0], threads=3):
        same(alone, pieces(network, drawn, made, prompts))
        same(alone[:1], pieces(network, drawn, made, prompts[:1]))


def test_changed_weights_are_used_and_a_copy_reads_its_own() -> None:
    made = encoder()
    network = model(made.layout)
    drawn = NotesSampler(NotesSamplerConfig(copy=0.0), made.layout)
    prompts = [made.empty()]
    first = pieces(network, drawn, made, prompts)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.05
    changed = pieces(other, drawn, made, prompts)
    assert not np.array_equal(changed[0], first[0])
    same(pieces(network, drawn, made, prompts), first)
    network.load_state_dict(other.state_dict())
    same(pieces(network, drawn, made, prompts), changed)


class Lowest(NotesSampler):
    """Draws the lowest value there is."""

    def draw(self, logits: Any, history: History, random: PieceRandom) -> torch.Tensor:
        return (logits.logits > -1e8).int().argmax(dim=-1)


def test_another_sampler_is_asked_at_each_step() -> None:
    made = encoder()
    (piece,) = pieces(
        model(made.layout), Lowest(NotesSamplerConfig(copy=0.0), made.layout), made, [made.empty()]
    )
    # Time moves on where as many have begun at once as may.
    assert piece[:, 0].max() <= 1
    assert not piece[:, 3:].any()


@pytest.mark.parametrize("settings", [{"trunk": "transformer"}, {}], ids=["transformer", "float64"])
def test_other_models_go_step_by_step(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder()
    network = model(made.layout, **settings)
    if not settings:
        network.double()
    steps = counted(monkeypatch)
    drawn = NotesSampler(NotesSamplerConfig(copy=0.0), made.layout)
    (piece,) = pieces(network, drawn, made, [made.empty()], steps=20)
    assert steps() == 0
    assert len(piece) == 20


def test_what_does_not_fit_is_refused() -> None:
    made = encoder(lags=(1, 2))
    network = model(made.layout)
    chooser, bar = Nucleus(1.0, 1.0), torch.full((2, 4, 4), 16)
    wrong_numbers = NotesAhead(
        chooser, lambda: torch.rand(2, 3, 5), lambda bar, lags: torch.zeros(*bar.shape, lags + 1)
    )
    right = replace(wrong_numbers, numbers=lambda: torch.rand(2, 4, 5))
    beyond = torch.tensor([[0, 99, 60, 0, 0]] * 2)
    with torch.inference_mode():
        with pytest.raises(ValueError, match="draws"):
            network.choose_ahead(None, network.start(2), {"metre": bar}, wrong_numbers)
        with pytest.raises(ValueError, match="last"):
            network.choose_ahead(None, network.start(3), {"metre": bar}, right)
        with pytest.raises(ValueError, match="events"):
            network.choose_ahead(beyond, network.start(2), {"metre": bar}, right)
        assert network.choose_ahead(None, network.start(2), {"metre": bar}, right) is not None
