"""The model: look-back by hand, valid draws, exact likelihoods; stepping is reading the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from musengine.api import (
    Array,
    Batch,
    DecodeSettings,
    Encoded,
    EncodedPiece,
    Evidence,
    GridStep,
    Layout,
    Model,
    ModelConfig,
    Output,
    Piece,
    Score,
    Track,
)
from musengine.testing import create, generate_steps
from musengine_notes import sampler as sampler_module
from musengine_notes.config import NotesEncoderConfig, NotesModelConfig, NotesSamplerConfig
from musengine_notes.copies import CopyIndex
from musengine_notes.encoder import Notes
from musengine_notes.form import copying
from musengine_notes.form.copying import Aims
from musengine_notes.form.found import FoundAdditions
from musengine_notes.form.lookback import Bars, channels
from musengine_notes.form.similarity import means_of
from musengine_notes.layout import NoteEvents, Part
from musengine_notes.model import NoteModel
from musengine_notes.nucleus import Nucleus
from musengine_notes.sampler import NotesSampler

HUNDREDTHS = GridStep(Fraction(1, 100), "seconds")
TRUNKS = ("recurrent", "transformer")


def band(bars: int = 24, seed: int = 0) -> Score:
    """Bars of four beats in which some notes come again, of a piano, a bass and drums."""
    drawn = np.random.default_rng(seed)
    rows = []
    for bar in range(bars):
        if bar % 4 == 0:
            tune = 60 + drawn.integers(0, 12, 4)
        for beat in range(4):
            at = (4 * bar + beat) * 480
            rows.append((at, 240, tune[beat] + (bar == 7), 60 + 10 * beat, 0))
            rows += [(at, 100, 36, 100, 2)] * (beat % 2 == 0)
        rows.append((4 * bar * 480, 1900, 40, 70, 1))
    tracks = [Track("p", 0), Track("b", 33), Track("d", 0, is_drum=True)]
    controls = [(480 * beat, 0, 64, 127 * (beat % 2)) for beat in range(1, 8)]
    onset, duration, pitch, velocity, track = np.array(rows).T
    return Score.from_notes(
        *(onset, duration, pitch, velocity, track),
        ticks_per_beat=480,
        tracks=tracks,
        controls=controls,
    )


def encoder(**settings: Any) -> Notes:
    made = Notes(NotesEncoderConfig(**settings))
    made.fit([Piece("a", band())])
    return made


def model(layout: NoteEvents, *, seed: int = 0, **settings: Any) -> NoteModel:
    torch.manual_seed(seed)
    chosen = {"width": 16, "layers": 2, "heads": 2, "context": 20, "hidden": 8, **settings}
    made = NoteModel(NotesModelConfig(**chosen), layout)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return made.eval()


def batch_of(pieces: list[Encoded], first: int = 0, carried: Any = None) -> Batch:
    """Rows of whole pieces of one length, without the steps before `first`."""
    steps = np.stack([piece.steps[max(first - 1, 0) :] for piece in pieces]).astype(np.int64)
    if not first:
        steps = np.concatenate([np.zeros_like(steps[:, :1]), steps], axis=1)
    names = pieces[0].conditioning
    rows = len(pieces)
    return Batch(
        steps=torch.from_numpy(steps),
        mask=torch.ones(rows, steps.shape[1] - 1, dtype=torch.bool),
        reset=torch.full((rows,), not first),
        begins=torch.full((rows,), not first),
        position=torch.full((rows,), first),
        pieces=torch.arange(rows),
        conditioning={
            name: torch.from_numpy(np.stack([p.conditioning[name][first:] for p in pieces]))
            for name in names
        },
        carried=carried,
    )


def stepped(made: NoteModel, steps: np.ndarray, conditioning: Any) -> list[float]:
    """Return the nats of each note, one drawn after another."""
    state, last, nats = made.start(1), None, []
    for t, row in enumerate(torch.from_numpy(steps.astype(np.int64))):
        here = {name: torch.from_numpy(each[t : t + 1]) for name, each in conditioning.items()}
        context, state = made.step(last, state, here)
        told: list[float] = []

        def draw(logits: Any, row: torch.Tensor = row, told: list[float] = told) -> torch.Tensor:
            value = row[len(told)][None]
            told.append(-float(logits.logits.log_softmax(dim=-1)[0, value]))
            return value

        made.propose(context, draw)  # type: ignore[arg-type]
        nats.append(sum(told))
        last = row[None]
    return nats


class TestLookback:
    def layout(self) -> NoteEvents:
        step = GridStep(Fraction(1), "beat")
        return NoteEvents(
            step=step,
            delays=tuple(range(9)),
            durations=tuple(range(1, 9)),
            velocities=2,
            parts=(Part(False),),
            lags=(1, 2),
        )

    def test_what_followed_the_same_note_then(self) -> None:
        # A bar of four beats: 60 62 64 65, and again; the last bar has another third note.
        pitches = [60, 62, 64, 65] * 2 + [60, 62, 67, 65]
        steps = np.array([[1, 2, pitch, 0, 1] for pitch in pitches])
        steps[0, 0] = 0
        lookback = channels(steps, Bars.even(4, 12), self.layout())["lookback"]
        # Nothing is expected of the first bar, nor of the note after its barline.
        assert not lookback[:5, 0].any()
        assert lookback[5, 0].tolist() == [1, 2, 62, 0, 1, 1]
        # Each that comes as expected makes the run longer: it says 1 more.
        assert lookback[5:12, 0, 5].tolist() == [1, 2, 3, 4, 5, 6, 1]
        assert lookback[5:12, 0, 2].tolist() == [62, 64, 65, 60, 62, 64, 65]
        # Two bars back there is something from the third bar on.
        assert not lookback[:9, 1].any()
        assert lookback[9:12, 1, 2].tolist() == [62, 64, 65]

    def test_where_the_note_was_not_there_the_next_one_is_expected(self) -> None:
        # Beats 0, 2 and 3 of the first bar; in the second the note on beat 0, then one on 1.
        steps = np.array([[0, 2, 60, 0, 1], [2, 2, 62, 0, 1], [1, 2, 64, 0, 1]])
        later = np.array([[1, 2, 60, 0, 1], [1, 2, 61, 0, 1], [1, 2, 62, 0, 1]])
        whole = np.concatenate([steps, later])
        lookback = channels(whole, Bars.even(4, 8), self.layout())["lookback"]
        # After the note on beat 1 comes, one bar before, the one on beat 2: one beat later.
        assert lookback[5, 0].tolist() == [1, 2, 62, 0, 1, 1]


@pytest.mark.parametrize("trunk", TRUNKS)
class TestStepping:
    @pytest.mark.slow
    @pytest.mark.parametrize("form", [True, False])
    @pytest.mark.parametrize("step", [GridStep(Fraction(1, 4), "beat"), HUNDREDTHS])
    def test_it_is_reading_the_whole(self, trunk: str, form: bool, step: GridStep) -> None:
        made = encoder(step=step)
        made.at_once = 0  # what is drawn is what is likely
        network = model(made.layout, trunk=trunk, form=form).double()
        steps = made.encode(band()).steps
        conditioning = made.conditioning(0, len(steps), DecodeSettings())
        with torch.inference_mode():
            output = network(batch_of([Encoded(steps, conditioning)]))
            nats = stepped(network, steps, conditioning)
        assert output.nll is not None
        assert np.abs(output.nll[0].numpy() - nats).max() < 1e-9
        # The channels of the encoder say of even bars what follows from the notes.
        with torch.inference_mode():
            told = network(batch_of([made.encode(band())])).nll[0].numpy()
        assert np.abs(told - nats).max() < 1e-9

    def test_a_prompt_read_at_once(self, trunk: str) -> None:
        made = encoder()
        network = model(made.layout, trunk=trunk).double()
        steps = made.encode(band()).steps
        conditioning = made.conditioning(0, len(steps), DecodeSettings())
        prompt = torch.from_numpy(steps[None, :50].astype(np.int64))
        here = {name: torch.from_numpy(each[None, :50]) for name, each in conditioning.items()}
        one = {name: each[:, 0] for name, each in here.items()}
        with torch.inference_mode():
            state = network.prefill(prompt, network.start(1), here)
            context, _ = network.step(prompt[:, -1], state, one)
            state, last = network.start(1), None
            for t in range(51):
                other, state = network.step(last, state, one)
                last = prompt[:, t] if t < 50 else None
        assert torch.allclose(context.hidden, other.hidden, atol=1e-9, rtol=0)
        assert torch.equal(context.expected, other.expected)

    def test_after_a_whole_piece_it_goes_on(self, trunk: str) -> None:
        made = encoder()
        network = model(made.layout, trunk=trunk)
        steps = torch.from_numpy(made.encode(band()).steps[None].astype(np.int64))
        conditioning = made.conditioning(0, steps.shape[1], DecodeSettings())
        here = {name: torch.from_numpy(each[None]) for name, each in conditioning.items()}
        one = {name: each[:, 0] for name, each in here.items()}
        with torch.inference_mode():
            state = network.prefill(steps, network.start(1), here)
            context, state = network.step(steps[:, -1], state, one)
            grammar = network.fields_out.grammar
            assert not grammar(0, context.before, context.before, context.begins).any()
            # An end that was drawn is one.
            context, _ = network.step(steps[:, -1], state, one)
            allowed = ~grammar(0, context.before, context.before, context.begins)
        assert allowed.nonzero()[:, 1].tolist() == [0]

    def test_carried_on_it_is_the_whole(self, trunk: str) -> None:
        made = encoder()
        network = model(made.layout, trunk=trunk).double()
        piece = made.encode(band())
        with torch.inference_mode():
            whole = network(batch_of([piece]))
            first = network(
                batch_of(
                    [Encoded(piece.steps[:70], {k: v[:70] for k, v in piece.conditioning.items()})]
                )
            )
            rest = network(batch_of([piece], first=70, carried=first.state))
        joined = torch.cat([first.nll, rest.nll], dim=1)
        assert torch.allclose(joined, whole.nll, atol=1e-9, rtol=0)


class TestDraws:
    @pytest.mark.slow
    @pytest.mark.parametrize("step", [GridStep(Fraction(1, 4), "beat"), HUNDREDTHS])
    def test_every_draw_is_a_valid_note(self, step: GridStep) -> None:
        made = encoder(step=step)
        sampler = NotesSampler(
            NotesSamplerConfig(temperature=1.5, top_p=1.0, copy=0.0), made.layout
        )
        pieces = generate_steps(
            model(made.layout), [sampler], encoder=made, length="300 steps", seeds=range(6)
        )
        for piece in pieces:
            kinds = piece[:, 1]
            over = int(np.argmax(kinds == made.layout.end)) if made.layout.end in kinds else 300
            assert (kinds[over:] == made.layout.end).all()
            notes = piece[:over][kinds[:over] >= 2]
            drums = notes[:, 1] == 2
            assert (notes[drums, 2] >= 128).all()
            assert (notes[~drums, 2] < 128).all()
            assert (notes[drums, 3] == 0).all()
            rests = piece[:over][kinds[:over] == 0]
            assert (rests[:, 0] == len(made.layout.delays) - 1).all()
            # Nothing is struck twice at once, and nothing comes before what it is after.
            onset = np.cumsum(np.array(made.layout.delays)[piece[:over, 0]])
            _, together = np.unique(onset, return_counts=True)
            # The end may come with as many as there are at the most.
            assert together.max() <= made.layout.at_once + 1
            key = onset * 10**6 + piece[:over, 1] * 1000 + piece[:over, 2]
            assert (np.diff(key) > 0).all()

    def test_the_shares_of_all_notes_add_up_to_one(self) -> None:
        made = encoder()
        layout = made.layout
        network = model(layout).double()
        fields = network.fields_out
        before = torch.tensor([[3, 3, 127, 0, 0]])
        lookback = torch.zeros(1, len(layout.lags), 6, dtype=torch.int64)
        lookback[:, 0] = torch.tensor([0, 4, 60, 3, 2, 4])
        hidden = torch.randn(1, 16, dtype=torch.float64)
        # After the highest pitch of the bass, at once: only the piano and the end are left.
        drawn = torch.tensor([[0, part, pitch, 3, 2] for part in (4, 5) for pitch in (0, 60)])
        count = len(drawn)
        at_once = fields.grammar(1, drawn[:1], before, torch.tensor([False]))
        assert (~at_once).nonzero()[:, 1].tolist() == [4, 5]
        with torch.inference_mode():
            nll = fields.nll(
                hidden.expand(count, -1),
                drawn,
                before.expand(count, -1),
                torch.zeros(count, dtype=torch.bool),
                torch.zeros(count, dtype=torch.int64),
                lookback.expand(count, -1, -1),
            )
        # An end has no pitch but 0, and no duration: what is not valid has no share.
        assert nll[0] < 1e6
        assert nll[1] < 1e6
        assert nll[2] > 1e6

    def test_a_piece_depends_on_its_seed_alone(self) -> None:
        made = encoder()
        sampler = NotesSampler(NotesSamplerConfig(copy=0.0), made.layout)
        network = model(made.layout)
        together = generate_steps(network, [sampler], encoder=made, length="60 steps", seeds=[1, 2])
        (alone,) = generate_steps(network, [sampler], encoder=made, length="60 steps", seeds=[2])
        assert together[1].tolist() == alone.tolist()


class TestTransposing:
    def test_rows_move_within_their_instruments_ranges(self) -> None:
        made = encoder()
        network = model(made.layout, transpose=6)
        piece = made.encode(band())
        seen = network._seen(batch_of([piece] * 64))
        torch.manual_seed(0)
        moved = network._transposed(seen, torch.ones(64, len(piece.steps), dtype=torch.bool))
        by = moved.target[..., 2] - seen.target[..., 2]
        part = seen.target[..., 1]
        assert not by[part == 2].any()  # drums
        assert not by[part == 5].any()  # the end
        # The bass has one pitch alone, so that nothing can move; without it the piano can.
        assert not by.any()
        wide = [Part(True, 0, 127), Part(False, 0, 127), Part(False, 0, 127)]
        network.ranges[2:5] = torch.tensor([(p.lowest, p.highest) for p in wide])
        moved = network._transposed(seen, torch.ones(64, len(piece.steps), dtype=torch.bool))
        by = moved.target[..., 2] - seen.target[..., 2]
        assert not by[part == 2].any()
        amounts = by[:, 1]
        assert set(amounts.tolist()) == set(range(-6, 7))
        pitched = (part == 3) | (part == 4)
        assert ((by == amounts[:, None]) | ~pitched).all()
        # What is expected moves along.
        expected = moved.lookback[..., 2] - seen.lookback[..., 2]
        assert ((expected == amounts[:, None, None]) | (expected == 0)).all()
        assert expected.any()

    def test_the_likelihood_falls_in_training(self) -> None:
        made = encoder()
        network = model(made.layout, dropout=0.0).train()
        batch = batch_of([made.encode(band())] * 4)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        losses = []
        for _ in range(30):
            loss = network(batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0] / 2


class TestCopying:
    @pytest.mark.slow
    def test_it_is_moved_until_as_much_comes_back_as_wanted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copying, "STEPS", 60)
        monkeypatch.setattr(copying, "PIECES", 4)
        found = {}
        for wanted in (0.0, 0.9):
            made = encoder(lags=(1, 2))
            made.returns = (wanted, wanted)
            network = model(made.layout)
            aims = Aims("auto", 0.0)
            found[wanted] = copying.tried_additions(network, Nucleus(1.0, 1.0), 16, aims)
            # Another process finds the same.
            again = copying.tried_additions(model(made.layout), Nucleus(1.0, 1.0), 16, aims)
            assert torch.equal(again, found[wanted])
        assert (found[0.9][:-1] > found[0.0][:-1] + 0.3).all()
        assert found[0.9][-1] == 0

    def test_more_is_quoted_until_runs_are_as_long_as_wanted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copying, "STEPS", 96)
        monkeypatch.setattr(copying, "PIECES", 4)
        made = encoder(lags=(1,))
        network = model(made.layout)
        # Its own pieces are what it quotes; held out are others, and then one of them.
        own = copying._tried(network, Nucleus(1.0, 1.0), 16, torch.zeros(2), 99, Aims(0.0, 0.0))
        other = made.encode(band(6)).steps
        found = {}
        for name, held_out in (("others", other), ("own", own[0])):
            aims = Aims(0.5, "auto", CopyIndex.of(own, [held_out], made.layout))
            found[name] = copying.tried_additions(network, Nucleus(1.0, 1.0), 16, aims)
            assert found[name][0] == 0.5
        assert found["own"][1] > 2
        assert found["others"][1] <= 0
        without = Aims("auto", "auto", CopyIndex.of(own, [], made.layout))
        assert copying.tried_additions(network, Nucleus(1.0, 1.0), 16, without)[-1] == 0

    def test_what_comes_after_the_end_of_a_piece_is_none_of_it(self) -> None:
        made = encoder(lags=(1,))
        end = made.layout.end
        # Bars of one note each, all alike, then others; a grid step of 16 is the longest delay.
        delay = made.layout.delays.index(16)
        rows = [[delay if k else 0, 2, 60, 1, 0] for k in range(4)]
        rows += [[delay, 2, 40 + 2 * k, 1, 0] for k in range(4)]
        whole = np.array([rows], dtype=np.int64)
        # Of eight bars the last is not counted: three of six pairs are alike.
        assert copying.alike(whole, made.layout, 16).tolist() == [[0.5]]
        ended = whole.copy()
        ended[0, 4:] = [0, end, 0, 0, 0]
        assert copying.alike(ended, made.layout, 16).tolist() == [[1.0]]

    def test_pieces_too_short_for_a_lag_are_not_in_its_mean(self) -> None:
        tried = np.array([[0.1, 0.3, np.nan], [0.5, np.nan, np.nan]])
        assert np.allclose(means_of(tried), [0.3, 0.3, np.nan], equal_nan=True)

    def test_it_is_found_once_for_weights_and_a_way_of_drawing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries = []

        def tried(network: NoteModel, chooser: Nucleus, bar: int, aims: Aims) -> torch.Tensor:
            tries.append((chooser, bar))
            return torch.tensor([0.25, -0.5, 1.0]) * len(tries)

        monkeypatch.setattr(sampler_module, "tried_additions", tried)
        made = encoder(lags=(1, 2))
        network = model(made.layout)
        bars = {"metre": torch.tensor([[0, 0, 16, 0], [0, 0, 12, 0], [0, 0, 16, 0]])}

        def tuned(state: Mapping[str, Array], **settings: Any) -> NotesSampler:
            sampler = NotesSampler(NotesSamplerConfig(**settings), made.layout)
            sampler.load_state({**index, **state})
            sampler.tune(network, bars)
            return sampler

        fitted = NotesSampler(NotesSamplerConfig(), made.layout)
        fitted.fit([made.encode(band()).steps], [])
        index = fitted.state()
        first = tuned({})
        assert tries == [(Nucleus(1.0, 0.95), 12), (Nucleus(1.0, 0.95), 16)]
        again = tuned(first.state())
        assert len(tries) == 2
        assert all(
            np.array_equal(again.state()[name], first.state()[name]) for name in first.state()
        )
        # What a stranger's file has for another number of lags is not taken.
        state = {**first.state(), "added": first.state()["added"][:, 1:]}
        assert tuned(state).state()["added"].shape == (2, 3)
        assert len(tries) == 4
        del tries[2:]
        tuned(first.state(), top_p=0.9)
        assert len(tries) == 4
        tuned(first.state(), copy=0.5, quote=0.0)
        assert len(tries) == 4
        # What is to be quoted depends on what is copied.
        tuned(first.state(), copy=0.5)
        assert len(tries) == 6
        with torch.no_grad():
            next(network.parameters()).add_(1e-3)
        tuned(first.state())
        assert len(tries) == 8

    @pytest.mark.parametrize(
        "damage",
        [
            {"added_in": np.zeros((1, 2), dtype=np.int64)},
            {"added": np.zeros((2, 2), dtype=np.float32)},
            {"added": np.full((1, 2), np.nan, dtype=np.float32)},
            {"digests": np.zeros((1, 1), dtype=np.uint64)},
        ],
    )
    def test_a_state_of_another_shape_is_refused(self, damage: Mapping[str, Array]) -> None:
        whole = {
            "digests": np.zeros(1, dtype=np.uint64),
            "added_in": np.zeros(1, dtype=np.int64),
            "added": np.zeros((1, 2), dtype=np.float32),
        }
        assert len(FoundAdditions.from_arrays(whole).entries) == 1
        with pytest.raises(ValueError, match="copying"):
            FoundAdditions.from_arrays({**whole, **damage})

    @pytest.mark.slow
    def test_by_hand(self) -> None:
        made = encoder(lags=(1,))
        network = model(made.layout)
        shares = []
        for copy in (-8.0, 0.0, 8.0):
            sampler = NotesSampler(NotesSamplerConfig(copy=copy), made.layout)
            pieces = generate_steps(
                network, [sampler], encoder=made, length="100 steps", seeds=range(2)
            )
            right = [
                (channels(piece, Bars.even(16, 10**4), made.layout)["lookback"][:, 0], piece)
                for piece in pieces
            ]
            shares.append(
                np.mean([(told[:, :3] == piece[:, :3]).all(axis=1).mean() for told, piece in right])
            )
        assert shares[0] <= shares[1] < shares[2]
        assert shares[2] > 0.5


class _Oracle(Model[ModelConfig]):
    """Knows of a grid that one of twelve pitches begins in every step but the first."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(ModelConfig(), layout)
        self.register_buffer("nothing", torch.zeros(1))

    def forward(self, batch: Batch) -> Output:
        nll = torch.full(batch.mask.shape, math.log(12), dtype=torch.float64)
        nll[:, 0] = 0.0
        return Output(nll=nll, mask=batch.mask)


class TestComparable:
    """One distribution, told through two encoders: nats per note agree."""

    def test_as_notes_and_as_a_grid(self) -> None:
        # After a beat of silence a note on every beat, each of twelve pitches as likely.
        drawn = np.random.default_rng(0).integers(60, 72, 50)
        score = Score.from_notes(480 * np.arange(1, 51), 480, drawn, 80, ticks_per_beat=480)
        told = {}
        for name in ("grid", "notes"):
            made: Any
            network: Any
            if name == "grid":
                made = create(
                    *("encoder", "piano-roll"),
                    step="1 beat",
                    lowest=60,
                    highest=71,
                )
                network = _Oracle(made.layout)
            else:
                made = Notes(NotesEncoderConfig(velocities=1))
                made.fit([Piece("a", score)])
                network = self.knowing(made.layout)
            encoded = replace(made.encode(score), notes=len(score))
            evidence = Evidence(network, made, [EncodedPiece("a", encoded, "")], "test")
            told[name] = create("metric", "nll").measure(evidence)["nats_per_note"]
        assert told["grid"] == pytest.approx(math.log(12), abs=1e-9)
        # What the notes say beside it: after each note that the piece goes on, and at last its end.
        more = -50 * math.log(0.98) - math.log(0.02)
        assert told["notes"] == pytest.approx(math.log(12) + more / 50, abs=1e-5)

    def knowing(self, layout: NoteEvents) -> NoteModel:
        """A model that says the same by its biases alone."""
        network = model(layout, form=False).double()
        with torch.no_grad():
            for weight in network.parameters():
                weight.zero_()
            wanted = (
                {4: 0.98, 0: 0.02},  # a beat later, or at once, which only the end can be
                {2: 0.5, 3: 0.5},
                {0: 1 / 13, **dict.fromkeys(range(60, 72), 1 / 13)},
                {0: 0.5, 3: 0.5},  # the end has the first duration, and no other can have it
                {0: 1.0},
            )
            for output, shares in zip(network.fields_out.outputs, wanted, strict=True):
                output.bias.fill_(-1e4)
                for value, share in shares.items():
                    output.bias[value] = math.log(share)
            # Who plays follows from when: an embedded delay moves one hidden unit, and it the part.
            part = network.fields_out
            part.before[0].weight[0, 0] = 10.0
            part.outputs[1].weight[2, 0], part.outputs[1].weight[3, 0] = -100.0, 100.0
            part.outputs[1].bias[2] += 500.0
            # How long follows from the end alone: the note's is the second.
            part.before[2].weight[part.offsets[1] + 2, 0] = 10.0
            part.outputs[3].weight[3, 0], part.outputs[3].weight[0, 0] = 100.0, -100.0
            # The pitch: the end's is none, and a note's is not that.
            part.before[1].weight[part.offsets[1] + 2, 0] = 10.0
            part.outputs[2].weight[0, 0] = -100.0
        return network
