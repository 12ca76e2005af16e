"""Steering by hand-computed values: slots, density, and given events taken one after another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musengine.api import DecodeSettings, GridStep, Infill, Key, Piece, Score, Steering, Track
from musengine.errors import UserError
from musengine.testing import generate_steps
from musengine_notes.config import NotesEncoderConfig, NotesModelConfig, NotesSamplerConfig
from musengine_notes.encoder import Notes
from musengine_notes.fields import NEVER, FieldLogits, Returned
from musengine_notes.form.lookback import channels
from musengine_notes.layout import FIRST_PART, PART, PITCH, REST
from musengine_notes.model import NoteModel
from musengine_notes.sampler import NotesSampler
from musengine_notes.steering.guide import NotesGuide
from musengine_notes.steering.slots import Asked, Pace, _thinned, of_scale
from musengine_notes.stepping import Past, bars_now, read

HUNDREDTHS = GridStep(Fraction(1, 100), "seconds")
TRACKS = (Track("keys", 4), Track("low", 33), Track("kit", 0, is_drum=True))
SETTINGS = DecodeSettings()
NOTHING = np.array([[0, REST, 0, 0, 0]])


def song(seed: int = 0) -> Score:
    """Two bars of 4/4, three of 3/4, four of 4/4 in which bars come again, and a pedal."""
    drawn = np.random.default_rng(seed)
    tune = drawn.integers(60, 72, 3)
    rows = []
    for beat in range(33):
        rows.append((480 * beat, 400, tune[beat % 3], 70, 0))
        if beat % 2 == 0:
            rows += [(480 * beat, 900, 40 + beat % 3, 60, 1), (480 * beat, 100, 36, 90, 2)]
    return Score.from_notes(
        *np.array(rows).T,
        ticks_per_beat=480,
        tracks=TRACKS,
        meters=[(0, 4, 4), (8 * 480, 3, 4), (17 * 480, 4, 4)],
        controls=[(960 * k, 0, 64, 127 * (k % 2)) for k in range(1, 9)],
    )


def encoder(**settings: Any) -> Notes:
    made = Notes(NotesEncoderConfig(**settings))
    made.fit([Piece("a", song())])
    return made


def model(made: Notes, **settings: Any) -> NoteModel:
    torch.manual_seed(0)
    small: dict[str, Any] = {"layers": 1, "width": 16, "hidden": 16, "heads": 2, "dropout": 0.0}
    return NoteModel(NotesModelConfig(**{**small, **settings}), made.layout).eval()


def guide(made: Notes, first: int, after: int, passages: int = 1, **more: Any) -> NotesGuide:
    infill = Infill(song(), first, after, **{"tracks": (0, 1, 2), **more})
    led = made.guide(infill, passages, SETTINGS)
    assert isinstance(led, NotesGuide)
    return led


class TestSlots:
    def test_what_is_not_free_takes_nothing_from_what_is(self) -> None:
        likely = torch.tensor([[[0.5, 0.3], [0.1, 0.1]]])
        free = torch.tensor([[[False, True], [True, False]]])
        # The slots' probabilities, once none has come before: 1/2, 3/5, 1/2, 1.
        found = _thinned(likely, free, None)
        assert found.flatten().tolist() == pytest.approx([0, 0.6, 0.4 * 0.5, 0], abs=1e-5)

    def test_where_all_is_free_nothing_changes(self) -> None:
        likely = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0))
        likely = likely / likely.sum(dim=(1, 2), keepdim=True)
        found = _thinned(likely, torch.ones_like(likely, dtype=torch.bool), None)
        assert torch.allclose(found, likely, atol=1e-5)

    def test_more_is_wanted(self) -> None:
        likely = torch.tensor([[[0.25, 0.75]]])
        free = torch.tensor([[[True, False]]])
        found = _thinned(likely, free, torch.full((1, 1, 2), np.log(3.0)))
        # 1/4 is one to three; three times that is one to one.
        assert found.flatten().tolist() == pytest.approx([0.5, 0.0])

    def test_nothing_is_sure_whatever_is_wanted(self) -> None:
        likely = torch.tensor([[[0.5, 0.0, 0.5]]])
        free = torch.ones(1, 1, 3, dtype=torch.bool)
        found = _thinned(likely, free, torch.full((1, 1, 3), 4.0))
        assert torch.isfinite(found).all()
        assert float(found.sum()) == pytest.approx(1.0, abs=1e-4)


def test_notes_are_counted_from_the_first_draw_and_given_ones_are_not() -> None:
    layout = encoder().layout
    pace = Pace.unbegun(3, torch.device("cpu"))
    note, rest = [0, FIRST_PART, 60, 3, 4], [64, REST, 0, 0, 0]
    asked = Asked(torch.ones(3, 1, 1), torch.ones(3, 2), torch.tensor([False, False, True]))
    last = torch.tensor([note, rest, note])
    pace = pace.after(last, torch.tensor([8, 8, 8]), asked, layout)
    assert (pace.begun.tolist(), pace.made.tolist()) == ([8, 8, 8], [0, 0, 0])
    pace = pace.after(last, torch.tensor([9, 72, 9]), asked, layout)
    assert (pace.begun.tolist(), pace.made.tolist()) == ([8, 8, 8], [1, 0, 0])


@pytest.mark.parametrize("settings", [{}, {"step": HUNDREDTHS}])
@pytest.mark.parametrize("bars", [(0, 17 * 480), (8 * 480, 17 * 480), (25 * 480, 33 * 480)])
def test_where_nothing_is_drawn_the_piece_is_as_it_is_encoded(
    settings: dict[str, Any], bars: tuple[int, int]
) -> None:
    made = encoder(**settings)
    led = guide(made, *bars)
    taken = [led.settle(NOTHING)[0].tolist() for _ in range(200) if not led.over]
    assert led.over
    whole = made.encode(song())
    passage = led.passage(0)
    got = passage.whole.steps
    assert got.tolist() == whole.steps[: len(got)].tolist()
    # The last that is taken only says that the passage is over.
    so_far = [*led.prompt.steps.tolist(), *taken[:-1]]
    assert so_far == got[: len(so_far)].tolist()
    assert not len(passage.score)
    # All that is given from where the passage begins counts, and what is before does not.
    assert passage.given.sum() == len(got) - len(led.prompt.steps)
    for name, channel in passage.whole.conditioning.items():
        assert channel[: len(got)].tolist() == whole.conditioning[name][: len(got)].tolist()


def test_stepping_past_changes_of_meter_expects_what_whole_pieces_do() -> None:
    made = encoder(lags=(1, 2, 4))
    layout = made.layout
    steps = made.encode(song()).steps[:-1].astype(np.int64)
    led = guide(made, 0, 480)
    told = channels(steps, made.given(song())[1], layout)
    past = Past.empty(1, 3, torch.device("cpu"))
    delays = torch.tensor(layout.delays)
    seen = []
    for event in steps:
        now = int(past.time[0]) + layout.delays[event[0]]
        here = {k: torch.from_numpy(v) for k, v in led._bars(np.array([now])).items()}
        past = read(past, torch.tensor(event[None]), bars_now(here), layout, delays)
        seen.append(past.expected[0].numpy().copy())
    assert np.array_equal(np.stack(seen[:-1]), told["lookback"][1:])
    # Something is expected after the meters change, too.
    assert (told["lookback"][60:, :, 5] > 0).any(axis=0).all()


@pytest.mark.parametrize("trunk", ["recurrent", "transformer"])
def test_a_prompt_with_changing_meters_is_read_as_it_is_scored(trunk: str) -> None:
    made = encoder(lags=(1, 2))
    network = model(made, trunk=trunk)
    led = guide(made, 25 * 480, 33 * 480)
    steps = torch.from_numpy(led.prompt.steps)[None]
    told = {k: torch.from_numpy(v)[None] for k, v in led.prompt.conditioning.items()}
    with torch.inference_mode():
        state = network.prefill(steps, network.start(1), told)
        by_steps, last = network.start(1), None
        for t in range(steps.shape[1]):
            here = {k: v[:, t] for k, v in told.items()}
            _, by_steps = network.step(last, by_steps, here)
            last = steps[:, t]
        here = {k: torch.from_numpy(np.asarray(v)) for k, v in led.conditioning().items()}
        one, _ = network.step(last, state, here)
        other, _ = network.step(last, by_steps, here)
    assert torch.allclose(one.hidden, other.hidden, atol=1e-5)
    assert torch.equal(one.expected, other.expected)


def test_free_slots_are_within_the_passage_and_before_the_next_given_event() -> None:
    made = encoder()
    # Beat 8, where the first given event is at once; the second beat begins four steps later.
    kept = song()
    kept = kept.take(kept.track != 0)
    led = made.guide(Infill(kept, 8 * 480, 10 * 480, (0,)), 1, SETTINGS)
    free = led.conditioning()["free"][0]
    keys = FIRST_PART + made.called("piano")[0]
    # The pedal and the drums of beat 8 are before the keys, so that nothing is free before them.
    assert not free.any()
    for _ in range(3):
        led.settle(NOTHING)
    # Pedal, drums and bass are past: the keys at once with them, until they come again at beat 10.
    free = led.conditioning()["free"][0]
    assert np.flatnonzero(free[:, keys]).tolist() == list(range(8))


def test_instruments_are_called_by_their_label_or_general_midi() -> None:
    made = encoder(parts="families")
    assert [each.label for each in made.instruments] == ["drums", "bass", "piano"]
    assert made.called("Bass")[0] == 1
    number, track = made.called("fretless bass")
    assert (number, track.program) == (1, 35)
    assert made.called("0")[0] == 2
    with pytest.raises(UserError, match="there are: drums, bass, piano") as caught:
        made.called("flute")
    assert caught.value.code == "unknown-instrument"


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["recurrent", "transformer"])
def test_only_the_instruments_asked_for_are_drawn(trunk: str) -> None:
    made = encoder(parts="families", pedal=False)
    network = model(made, trunk=trunk)
    (piece,) = _pieces(made, network, Steering(("bass",)))
    parts = set(piece[:, PART].tolist())
    assert FIRST_PART + 1 in parts
    assert parts <= {REST, FIRST_PART + 1, made.layout.end}


@pytest.mark.parametrize(
    ("key", "scale"),
    [
        ("D", {2, 4, 6, 7, 9, 11, 1}),
        # G and G sharp, A and A sharp: the sixth and seventh degrees, raised or not.
        ("Bm", {11, 1, 2, 4, 6, 7, 8, 9, 10}),
    ],
)
def test_notes_are_of_the_scale_but_drums_are_what_they_are(key: str, scale: set[int]) -> None:
    made = encoder(parts="families", pedal=False)
    wanted = Key.from_toml(key, Path())
    assert isinstance(wanted, Key)
    network = model(made)
    with torch.no_grad():
        network.fields_out.outputs[1].bias[made.layout.end] = -20.0
    (piece,) = _pieces(made, network, Steering(key=wanted))
    pitched = (piece[:, PART] > FIRST_PART) & (piece[:, PART] < made.layout.end)
    drums = piece[:, PART] == FIRST_PART
    assert {pitch % 12 for pitch in piece[pitched, PITCH].tolist()} == scale
    assert len({pitch % 12 for pitch in piece[drums, PITCH].tolist()}) == 12


def test_where_no_pitch_of_the_scale_is_left_another_is_drawn() -> None:
    nothing = torch.zeros(2, 1, dtype=torch.int64)
    logits = torch.tensor([[NEVER, NEVER, 1.0], [NEVER, 2.0, 1.0]])
    returned = Returned(nothing[:, 0], nothing[..., None].expand(-1, -1, 2))
    field = FieldLogits("pitch", logits, nothing, nothing > 0, returned)
    scale = torch.tensor([[True, True, False]] * 2)
    found = of_scale(field, scale, torch.tensor([True, True])).logits
    assert (found > NEVER).tolist() == [[False, False, True], [False, True, False]]


@pytest.mark.parametrize("density", [4.0, 12.0])
def test_a_bar_has_about_as_many_notes_as_are_asked_for(density: float) -> None:
    made = encoder(parts="families", pedal=False)
    network = model(made)
    with torch.no_grad():
        # One note at a time, about six in a bar.
        network.fields_out.outputs[0].bias[:] = -0.5 * torch.arange(65)
        network.fields_out.outputs[0].bias[0] = -20.0
        network.fields_out.outputs[1].bias[[REST, made.layout.end]] = -20.0
    (piece,) = _pieces(made, network, Steering(density=density))
    onset = np.cumsum(np.array(made.layout.delays)[piece[:, 0]])
    notes = int((onset < 256).sum())
    assert notes / 16 == pytest.approx(density, rel=0.1)


def _pieces(made: Notes, network: NoteModel, steering: Steering) -> list[Any]:
    sampler = NotesSampler(NotesSamplerConfig(copy=0.0), made.layout)
    return generate_steps(
        network, [sampler], encoder=made, length="400 steps", seeds=[3], steering=steering
    )
