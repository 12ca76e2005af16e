"""LSTMmusic: three LSTM layers with skip connections and peepholes on rolls of 0.3 seconds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from system_rows import (
    PIPELINES,
    generate,
    most_moved,
    parts,
    ready,
    recorded,
    records,
    row,
    run,
    step_of,
    tables,
    weights,
)

from musengine.api import DecodeSettings, Model, Output, Score, TrainingConfig
from musengine.testing import (
    CommandResult,
    batch_of,
    batches_of,
    create,
    load_checkpoint,
    read_midi,
    run_command,
    score_of,
    write_midi,
)

SMALL = ("model.layers=[8, 8, 8]", "callback=[]")
OUTPUTS = "output=[{type='midi'}, {type='probabilities'}, {type='heatmap'}, {type='picture'}]"


def tune(number: int) -> Score:
    """Chords in quarter notes, at 120 BPM some 20 seconds."""
    rows = [(4 * k, 4, 48 + number + (5 * k) % 7 + p) for k in range(40) for p in (0, 4, 7)]
    return score_of(rows)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tunes."""
    folder = tmp_path_factory.mktemp("lstm3") / "music"
    for number in range(8):
        write_midi(tune(number), folder / f"{number}.mid")
    return folder


@pytest.fixture(scope="module")
def trained(music: Path) -> tuple[Path, CommandResult]:
    """Five epochs of the pipeline with the original's constants, and a piece of 30 steps."""
    run_dir = music.parent / "run"
    few = ("training.epochs=5", "generate.count=1", "generate.length=30 steps", OUTPUTS)
    return run_dir, run("lstm3-classic", run_dir, f"corpus.path={music}", *SMALL, *few)


def train(music: Path, run_dir: Path, *settings: str) -> dict[str, torch.Tensor]:
    run("lstm3-classic", run_dir, f"corpus.path={music}", *SMALL, *settings, command="train")
    return weights(run_dir)


def roll(**settings: Any) -> Any:
    classic = {"step": "0.3 seconds", "silence_marker": True}
    return create("encoder", "piano-roll", **{**classic, **settings})


def net(**settings: Any) -> Model[Any]:
    torch.manual_seed(0)
    model: Model[Any] = create("model", "lstm3", roll().layout, **{"layers": [6, 5, 4], **settings})
    return model.eval()


def random_roll(steps: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((steps, 88, 1)) < 0.05
    return drawn.astype(np.uint8)


@pytest.mark.slow
@row("folder of MIDI files", "`corpus.path`")
def test_the_folder(music: Path, trained: tuple[Path, CommandResult]) -> None:
    """Every file is a tune that is learned from or held out."""
    found = parts(trained[0])
    assert sorted(name for names in found.values() for name in names) == [
        f"{number}.mid" for number in range(8)
    ]


@row("notes 21 to 108", "`encoder.lowest`, `encoder.highest`")
def test_88_notes() -> None:
    """Pitch 21 is the first of 88 columns, 108 the last; others are dropped and counted."""
    encoded = roll().encode(score_of([(0, 4, 20), (0, 4, 21), (0, 4, 108), (0, 4, 109)]))
    assert np.flatnonzero(encoded.steps[0, :, 0]).tolist() == [0, 87]
    assert dict(encoded.dropped) == {"notes out of range": 2}


@row("step of 0.3 seconds", "`encoder.step`")
def test_steps_are_seconds_not_beats() -> None:
    """A note at beat 3 begins at 1.5 s with 120 BPM, in step 5, and at 3 s with 60, in step 10."""
    for bpm, step in ((120.0, 5), (60.0, 10)):
        encoded = roll().encode(score_of([(12, 4, 60)], tempos=[(0, bpm)]))
        assert int(encoded.steps[:, 60 - 21, 0].argmax()) == step


@row("one bit for each note and step", '`encoder.notes = "merged"`')
def test_a_long_note_is_a_run_of_ones() -> None:
    """A note of 1.5 s is five ones, and one struck again at once is not told from it."""
    held = roll().encode(score_of([(0, 12, 60)])).steps
    struck = roll().encode(score_of([(0, 6, 60), (6, 6, 60)])).steps
    assert held[:, 39, 0].tolist() == [1] * 5
    np.testing.assert_array_equal(held, struck)


@row("note 0 for silence", "`encoder.silence_marker`")
def test_silence_is_a_note_of_its_own() -> None:
    """A step in which nothing sounds has bit 0, in writing and in reading back."""
    encoder = roll()
    # 12 sixteenths at 120 BPM are 1.5 s, five steps.
    steps = encoder.encode(score_of([(0, 12, 60), (24, 12, 60)])).steps
    assert steps[:, 0, 0].tolist() == [0] * 5 + [1] * 5 + [0] * 5
    assert encoder.decode(steps, DecodeSettings()).pitch.tolist() == [60, 60]


@row("units of the three layers", "`model.layers`")
def test_units_of_each_layer() -> None:
    """Layers of 6, 5 and 4 units; 176 each in the preset."""
    model = net()
    units = [layer.units for layer in model.stack.typed_layers]
    assert units == [6, 5, 4]
    assert ready("lstm3-classic").model.config.layers == (176, 176, 176)


@row("skip connections", "`model.skip_connections`")
def test_every_layer_sees_the_input_and_is_seen() -> None:
    """Layers 2 and 3 have the input's 88 columns beside the layer below, the output all layers'."""
    widths = [layer.input_weight.shape[1] for layer in net().stack.typed_layers]
    assert widths == [88, 88 + 6, 88 + 5]
    assert net().output.in_features == 6 + 5 + 4
    assert net(skip_connections=False).output.in_features == 4


@row("peepholes", "`model.peepholes`")
def test_gates_see_the_cell() -> None:
    """Three vectors for each layer: input and forget gate see the old cell, the output gate the
    new one."""
    model = net().double()
    layer = model.stack.typed_layers[0]
    assert layer.peephole.shape == (3, 6)
    with torch.no_grad():
        for weight in (layer.input_weight, layer.hidden_weight, layer.bias):
            weight.zero_()
        layer.bias[2 * 6 : 3 * 6] = 0.5  # the candidate's
        layer.peephole[0], layer.peephole[1], layer.peephole[2] = 1.0, 2.0, 3.0
        cell = torch.full((1, 6), 0.25, dtype=torch.float64)
        start = [(torch.zeros_like(cell), cell), *model.stack.initial_state(1)[1:]]
        x = torch.zeros(1, 88, dtype=torch.float64)
        hidden = model.stack.step(x, start).state[0][0]
    i, f = 1 / (1 + math.exp(-0.25)), 1 / (1 + math.exp(-0.5))
    new = f * 0.25 + i * math.tanh(0.5)
    assert float(hidden[0, 0]) == pytest.approx(math.tanh(new) / (1 + math.exp(-3 * new)))


@row("88 independent sigmoids", '`[model]` with `type = "lstm3"`')
def test_notes_are_independent_given_the_past() -> None:
    """With logits of 0 a step costs 88 ln 2 nats, whatever sounds in it."""
    model = net()
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.zero_()
    loss = create("loss", "cross-entropy", model.layout)
    nats = float(loss(model(batch_of(random_roll(9)))).detach())
    assert nats == pytest.approx(88 * math.log(2), rel=1e-5)


@row("`sigRand`", '`model.weight_sigma` with `model.initialisation = "classic"`')
def test_weights_are_normal() -> None:
    """Weights have the standard deviation 0.1, biases of gates the mean 0.5 / units."""
    model = net(layers=[64], initialisation="classic", weight_sigma=0.1)
    (layer,) = model.stack.typed_layers
    # 22,528 draws: their deviation is known to 0.1 / sqrt(2 n), four times that is 0.002.
    assert float(layer.input_weight.detach().std()) == pytest.approx(0.1, abs=0.002)
    model = net(layers=[64], initialisation="classic", weight_sigma=1e-5)
    bias = model.stack.typed_layers[0].bias.detach()
    assert float(bias[:64].mean()) == pytest.approx(0.5 / 64, abs=1e-5)


@row("`muRand`", '`model.start_range` with `model.start = "fixed"`')
def test_the_first_state_is_drawn_and_kept(trained: tuple[Path, CommandResult]) -> None:
    """States before the first step lie between 0 and 0.01, are not learned, and are saved."""
    stored = {key: value for key, value in weights(trained[0]).items() if key.endswith("start")}
    assert len(stored) == 3
    assert all(float(v.min()) >= 0 and 0 < float(v.max()) <= 0.01 for v in stored.values())
    model = net(start="fixed", start_range=0.01)
    learned = dict(model.named_parameters())
    assert not [name for name in learned if name.endswith("start") and learned[name].requires_grad]


@row("`epsilon`", "`training.epsilon`")
def test_the_smallest_number_divided_by() -> None:
    """RMSprop's first step is rate x g / (sqrt(0.1 g^2) + epsilon)."""
    for epsilon in (1e-5, 1.0):
        moved = step_of("rmsprop", 2.0, learning_rate=0.01, smoothing=0.9, epsilon=epsilon)
        assert moved == pytest.approx(-0.01 * 2 / (math.sqrt(0.4) + epsilon))


@row("`gradClip`", "`training.clip_value`")
def test_every_element_of_the_gradient_is_clipped(music: Path, tmp_path: Path) -> None:
    """With a bound of 0.001, SGD and a rate of 1, no weight moves by more than 0.001 and some
    do by that; 30 in the preset."""
    pipeline = tmp_path / "sgd.toml"
    pipeline.write_text(
        f'[corpus]\npath = "{music.as_posix()}"\n[model]\ntype = "lstm3"\nlayers = [8]\n'
        '[training]\noptimizer = "sgd"\nlearning_rate = 1.0\nclip_norm = 0.0\n'
        "clip_value = 0.001\nsequence_length = 32\n"
    )
    states = []
    for steps in (0, 1):
        words = ("train", str(pipeline), "--run-dir", str(tmp_path / str(steps)), "--quiet")
        assert run_command(*words, settings=[f"training.steps={steps}"]).status == 0
        states.append(weights(tmp_path / str(steps)))
    before, after = states
    assert most_moved(before, after) == pytest.approx(0.001, rel=1e-3)
    assert ready("lstm3-classic").training.clip_value == 30.0


@row("cross-entropy or squared error", '`[loss]` with `type = "cross-entropy"`, `"squared-error"`')
def test_either_cost() -> None:
    """A note with logit 0 that sounds costs ln 2 or 1/4, each of the others as much."""
    layout = roll().layout
    target = torch.zeros(1, 1, 88, 1)
    target[0, 0, 40] = 1
    output = Output(logits=torch.zeros(1, 1, 88, 1), targets=target)
    names = ("cross-entropy", "squared-error")
    costs = [float(create("loss", name, layout)(output)) for name in names]
    assert costs == pytest.approx([88 * math.log(2), 88 / 4], rel=1e-6)


@row("`R1`, `R2`, `R3`, `Rout`", "`model.rates`")
def test_each_layer_has_a_rate() -> None:
    """Four groups of parameters with the four rates, each layer's and the output's."""
    model = net(rates=[0.1, 0.2, 0.3, 0.4])
    groups = model.parameter_groups()
    assert [group["lr"] for group in groups] == [0.1, 0.2, 0.3, 0.4]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@row("`setNewRates`", "`model.rates` when a run goes on")
def test_rates_change_when_a_run_goes_on(music: Path, tmp_path: Path) -> None:
    """With a rate next to nothing for the second layer it stays as it was, the others go on."""
    before = train(music, tmp_path / "run", "training.steps=2")
    rates = "model.rates=[0.001, 1e-30, 0.001, 0.001]"
    after = train(music, tmp_path / "run", "training.steps=4", rates)
    still = {key for key in before if torch.equal(before[key], after[key])}
    # What is fixed from the start does not move either.
    assert {key for key in still if "start" not in key} == {
        f"stack.layers.1.{name}" for name in ("input_weight", "hidden_weight", "bias", "peephole")
    }


@row("L1 term lambda", "`model.l1`")
def test_l1_is_on_weights_not_on_biases() -> None:
    """The penalty is lambda times the sum of all weights' absolute values, no bias among them."""
    model = net(l1=0.01).train()
    penalty = model(batch_of(random_roll(3))).penalty
    total = sum(
        float(weight.detach().abs().sum())
        for name, weight in model.named_parameters()
        if "bias" not in name and not name.endswith("start")
    )
    assert float(penalty.detach()) == pytest.approx(0.01 * total, rel=1e-5)


@row("the 0.9 of the running mean", '`training.smoothing` with `training.optimizer = "rmsprop"`')
def test_a_true_running_mean_of_squares() -> None:
    """After gradients 2 and 1 the mean is 0.9 x 0.4 + 0.1 x 1, not the original's last step."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    training = TrainingConfig(learning_rate=0.01, smoothing=0.9, epsilon=1e-5)
    made = create("optimizer", "rmsprop", training).create([{"params": [weight]}])
    for gradient in (2.0, 1.0):
        before = float(weight.detach())
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        made.step()
    mean = 0.9 * 0.1 * 4 + 0.1 * 1
    assert float(weight.detach()) - before == pytest.approx(-0.01 / (math.sqrt(mean) + 1e-5))


@row("`sizeOfMiniBatch`", "`training.batch_size`")
def test_five_tunes_at_once() -> None:
    """Five rows in a batch of the preset, each a tune of its own."""
    batch = batches_of([random_roll(30, k) for k in range(7)], "pieces", batch_size=5)[0]
    assert len(set(batch.pieces.tolist())) == 5
    assert ready("lstm3-classic").training.batch_size == 5


@row("`lengthOfMB`", '`training.sequence_length` with `training.fill = "repeat"`')
def test_short_tunes_repeat_and_long_ones_are_cut() -> None:
    """A tune of 3 steps becomes 8 by repeating itself from the start, one of 20 a part of 8."""
    short, long = random_roll(3, 1), random_roll(20, 2)
    options: dict[str, Any] = {"sequence_length": 8, "fill": "repeat", "batch_size": 2}
    (batch,) = batches_of([short, long], "pieces", **options)
    rows = {int(piece): row for row, piece in enumerate(batch.pieces)}
    assert batch.mask.all()
    repeated = np.concatenate([short] * 3)[:8]
    np.testing.assert_array_equal(batch.targets[rows[0]].numpy(), repeated)
    begin = int(batch.position[rows[1]])
    np.testing.assert_array_equal(batch.targets[rows[1]].numpy(), long[begin : begin + 8])


@row("minibatches from a shuffled list", '`training.batching = "pieces"`')
def test_an_epoch_is_all_tunes_in_another_order() -> None:
    """Each epoch has every tune once, unlike the original, which used five; orders differ."""
    tunes = [random_roll(12, k) for k in range(7)]
    orders = [
        [
            int(p)
            for batch in batches_of(tunes, "pieces", batch_size=5, epoch=e)
            for p in batch.pieces
        ]
        for e in (0, 1)
    ]
    assert [sorted(set(order)) for order in orders] == [list(range(7))] * 2
    assert orders[0] != orders[1]


@row("states carried over inside a minibatch", '`training.batching = "stateful"`')
def test_states_are_carried_within_a_tune() -> None:
    """The state goes on from chunk to chunk of a tune and begins anew with the next: reading in
    chunks says what reading at once says."""
    model = net().double()
    steps = random_roll(12)
    whole = model(batch_of(steps)).logits[0]
    carried, chunks = None, []
    for batch in batches_of([steps], "stateful", sequence_length=5, batch_size=1):
        output = model(replace(batch, carried=carried))
        carried = output.state
        chunks.append(output.logits[0][batch.mask[0]])
    torch.testing.assert_close(torch.cat(chunks), whole, atol=1e-12, rtol=0)


@row("`noOfEpoch`", "`training.epochs`")
def test_passes_over_all_tunes(trained: tuple[Path, CommandResult]) -> None:
    """After five epochs training ended; 100 in the preset."""
    assert load_checkpoint(trained[0]).meta["state"]["epoch"] == 5
    assert ready("lstm3-classic").training.epochs == 100


@row("`noOfEpochPerMB`", "`training.updates_per_batch`")
def test_updates_in_a_row_on_each_minibatch() -> None:
    """Every minibatch comes twice in a row."""
    tunes = [random_roll(12, k) for k in range(10)]
    batches = batches_of(tunes, "pieces", batch_size=5, updates_per_batch=2)
    drawn = [tuple(batch.pieces.tolist()) for batch in batches]
    assert drawn[0] == drawn[1] != drawn[2] == drawn[3]
    assert ready("lstm3-classic").training.updates_per_batch == 2


@row(
    "loss and seconds of every update, kept", "the run's `metrics.jsonl`; `training.log_every = 1`"
)
def test_costs_are_kept(trained: tuple[Path, CommandResult]) -> None:
    """The log has the loss and the seconds of every update, and the losses fall."""
    found = records(trained[0], "loss")
    last = load_checkpoint(trained[0]).meta["state"]["step"]
    assert [record["step"] for record in found] == list(range(1, last + 1))
    assert sorted(record["seconds"] for record in found) == [each["seconds"] for each in found]
    assert found[-1]["loss"] < found[0]["loss"]


@row("`saveParameters`, `loadParameters`", "every run saves; `training.init_from`")
def test_weights_of_another_run(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """A run begins with another's best weights; a net of another size is refused by name."""
    origin = f"training.init_from={trained[0]}"
    begun = train(music, tmp_path / "a", origin, "training.steps=0")
    best = trained[0] / "checkpoints" / best_of(trained[0])
    expected = load_checkpoint(best).model
    assert all(torch.equal(begun[key], expected[key]) for key in begun)
    words = ("train", str(PIPELINES / "lstm3-classic.toml"), "--run-dir", str(tmp_path / "b"))
    settings = [f"corpus.path={music}", *SMALL, origin, "model.layers=[9, 8, 8]"]
    done = run_command(*words, settings=settings)
    assert done.status == 1
    # The output layer reads 25 units where it has weights for 24.
    assert "output.weight has shape (88, 24), the model needs (88, 25)" in done.err


def best_of(run_dir: Path) -> str:
    best: str = json.loads((run_dir / "state.json").read_text())["best"]["checkpoint"]
    return best


@row("`genMusic(start, n)`", "`generate.prompt`, `generate.prompt_length`, `generate.length`")
def test_going_on_from_an_example(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """The example's first 20 steps stand before the n new ones."""
    example = (f"generate.prompt={music / '2.mid'}", "generate.include_prompt=true")
    made = generate(trained[0], tmp_path, *example, "generate.prompt_length=20 steps")[0]
    own = roll().encode(read_midi(music / "2.mid")).steps[:20]
    np.testing.assert_array_equal(roll().encode(made).steps[:20], own)
    assert tables(trained[0])["generate"]["prompt_length"] == "20 steps"


@row("`genProbThreshold`", '`[[sampler]]` with `type = "threshold"`')
def test_improbable_notes_are_never_drawn(trained: tuple[Path, CommandResult]) -> None:
    """Every note that was drawn had a probability above 0.1."""
    steps, shares = thought(trained[0])
    assert steps.any()
    assert shares[steps == 1].min() > 0.1


def thought(run_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(run_dir / "samples" / "piece-001.npz", allow_pickle=False) as arrays:
        return arrays["steps"][..., 0], arrays["probabilities"][..., 0]


@row("the returned probabilities", '`[[output]]` with `type = "probabilities"`')
def test_the_probabilities_of_every_step_and_note(trained: tuple[Path, CommandResult]) -> None:
    """An array of 30 steps and 88 notes, between 0 and 1, beside the tune's."""
    steps, shares = thought(trained[0])
    assert steps.shape == shares.shape == (30, 88)
    assert 0 < shares.min() < shares.max() < 1


@row("no way to look inside", "`musengine generate --record FILE`")
def test_what_goes_on_inside(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """New here: hidden state and cell of each of the three layers, for every step and unit."""
    shapes = recorded(trained[0], tmp_path)
    assert len(shapes) == 6
    assert {units for _, units in shapes.values()} == {8}
    assert all(steps > 20 for steps, _ in shapes.values())


@row("plots", '`[[output]]` with `type = "heatmap"`, `"picture"`')
def test_the_plots(trained: tuple[Path, CommandResult]) -> None:
    """A heat-map between the rolls of the example and of the result, and the roll by itself."""
    (heatmap,) = (trained[0] / "samples").glob("piece-001*.png")
    with Image.open(heatmap) as image:
        assert image.size == (1200, 900)
        assert len(image.getcolors(maxcolors=2**20)) > 20
    assert (trained[0] / "samples" / "piece-001.svg").read_text().startswith("<svg")


@row("MIDI with the same range and step", '`[[output]]` with `type = "midi"`')
def test_written_times_are_multiples_of_the_step(trained: tuple[Path, CommandResult]) -> None:
    """Every note begins and ends at a multiple of 0.3 seconds and lies in the range."""
    score = read_midi(trained[0] / "samples" / "piece-001.mid")
    seconds = np.concatenate([score.seconds(score.onset), score.seconds(score.end)])
    np.testing.assert_allclose(seconds / 0.3, np.round(seconds / 0.3), atol=1e-3)
    assert score.pitch.min() >= 21
    assert score.pitch.max() <= 108
