"""Biaxial RNN (biaxial-rnn-music-composition): layers along time, then along the notes."""

from __future__ import annotations

import json
import math
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from system_rows import PIPELINES, generate, parts, ready, records, row, run, step_of, weights

from musengine.api import (
    Callback,
    DecodeSettings,
    History,
    Model,
    NoSettings,
    PieceRandom,
    Progress,
    Score,
    run_pipeline,
)
from musengine.testing import (
    CommandResult,
    batch_of,
    batches_of,
    create,
    load_checkpoint,
    read_midi,
    rows_of,
    run_command,
    score_of,
    write_midi,
)
from musengine.training.descent import total_loss

SMALL = ("model.time_layers=[6]", "model.note_layers=[4]", "training.batch_size=2")
SAMPLES = 'callback=[{type="samples", every=4, early_every=2, early_until=4, length="4 steps"}]'


def piece(shift: int, beats: int, meter: tuple[int, int] = (4, 4)) -> Score:
    """A chord on every beat; a tick is a sixteenth."""
    rows = [(4 * k, 4, 50 + shift + (5 * k) % 12 + p) for k in range(beats) for p in (0, 4, 7)]
    return score_of(rows, meters=[(0, *meter)])


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pieces of 12 bars, one of exactly 8, one of 7, and a waltz."""
    folder = tmp_path_factory.mktemp("biaxial") / "music"
    for shift in range(3):
        write_midi(piece(shift, 48), folder / f"{shift}.mid")
    write_midi(piece(3, 32), folder / "exact.mid")
    write_midi(piece(4, 28), folder / "short.mid")
    write_midi(piece(5, 48, (3, 4)), folder / "waltz.mid")
    return folder


@pytest.fixture(scope="module")
def trained(music: Path) -> tuple[Path, CommandResult]:
    """Ten updates of the pipeline with the original's constants, and a piece of 12 steps."""
    run_dir = music.parent / "run"
    few = ("training.steps=10", "training.checkpoint_every=5", "generate.length=12 steps")
    return run_dir, run("biaxial-classic", run_dir, f"corpus.path={music}", *SMALL, *few, SAMPLES)


def encoder(**settings: Any) -> Any:
    return create("encoder", "biaxial", **settings)


def net(**settings: Any) -> Model[Any]:
    torch.manual_seed(0)
    small = {"time_layers": [6], "note_layers": [5], "beat": "classic", "position": "index"}
    layout = encoder(lowest=58, highest=69).layout
    model: Model[Any] = create("model", "biaxial", layout, **{**small, **settings})
    return model.eval()


def random_piece(seed: int = 0, steps: int = 12) -> Any:
    """A piece of twelve notes from A sharp on."""
    random = np.random.default_rng(seed)
    rows = [(t, 1, int(p)) for t in range(steps) for p in 58 + random.permutation(12)[:3]]
    return encoder(lowest=58, highest=69).encode(score_of(rows))


@pytest.mark.slow
@row("folder `music`", "`corpus.path`")
def test_the_folder(trained: tuple[Path, CommandResult]) -> None:
    """All pieces that are long enough are learned from; none is held out."""
    assert parts(trained[0])["train"] == ["0.mid", "1.mid", "2.mid", "exact.mid", "short.mid"]
    assert parts(trained[0])["valid"] == []


@row("`lowerBound`, `upperBound`", "`encoder.lowest`, `encoder.highest` (the last note itself)")
def test_78_notes() -> None:
    """24 is the first of 78 notes, 101 the last; others are left out and counted."""
    encoded = encoder().encode(score_of([(0, 1, p) for p in (23, 24, 101, 102)]))
    assert np.flatnonzero(encoded.steps[0, :, 0]).tolist() == [0, 77]
    assert dict(encoded.dropped) == {"notes out of range": 2}


@row("a sixteenth; borders half-way", "`encoder.step`")
def test_events_go_to_the_nearest_step() -> None:
    """With 120 ticks to a step, an onset at 59 is in step 0 and one at 60 in step 1."""
    score = score_of([(59, 120, 60), (60, 120, 62)], ticks_per_beat=480)
    steps = encoder().encode(score).steps
    assert [int(steps[:, p - 24, 1].argmax()) for p in (60, 62)] == [0, 1]


@row("play and articulate", '`encoder.notes = "onsets"`')
def test_two_bits_for_each_note() -> None:
    """Held: play alone; struck, also while it sounds: both."""
    steps = encoder().encode(score_of([(0, 2, 60), (2, 2, 60)])).steps[:, 60 - 24]
    assert steps.tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]


@row("state matrix back to MIDI", '`[[output]]` with `type = "midi"`')
def test_notes_are_ended_and_struck_again() -> None:
    """A note struck while it sounds is ended first, and all are ended at the end."""
    steps = np.zeros((4, 78, 2), np.uint8)
    steps[:, 36, 0] = 1
    steps[[0, 2], 36, 1] = 1
    score = encoder().decode(steps, DecodeSettings())
    quarter = score.ticks_per_beat // 4
    assert [note[:3] for note in rows_of(score)] == [
        (0, 2 * quarter, 60),
        (2 * quarter, 2 * quarter, 60),
    ]


@row("numerators 2 and 4", '`encoder.numerators` with `encoder.meters = "cut"`')
def test_files_are_cut_at_other_meters(trained: tuple[Path, CommandResult]) -> None:
    """What comes after the change to 3/4 is not read, a piece in 3/4 is left out and named; kept
    whole with `"keep"`."""
    changing = score_of([(4 * k, 4, 60) for k in range(16)], meters=[(0, 4, 4), (32, 3, 4)])
    assert len(encoder(meters="cut").encode(changing).steps) == 32
    assert len(encoder(meters="keep").encode(changing).steps) == 64
    assert "waltz.mid: meter 3/4" in trained[1].err


@row("files below one segment are dropped", "`training.sequence_length`")
def test_short_pieces_are_named_and_exact_ones_work(trained: tuple[Path, CommandResult]) -> None:
    """A piece of 7 bars is left out by name; one of exactly 8 is learned from."""
    assert "short.mid: too short" in trained[1].err
    assert "exact.mid" not in trained[1].err


@row("80 numbers for each note", '`model.beat = "classic"`, `model.position = "index"`')
def test_what_a_note_is_told() -> None:
    """Place, class, surroundings, context and beat of the second of twelve notes, by hand; beyond
    the range stand zeros, where the original wrapped round."""
    model = net()
    before = torch.zeros(12, 2)
    before[0] = torch.tensor([1.0, 1.0])  # pitch 58, A sharp, is struck
    before[5] = torch.tensor([1.0, 0.0])  # pitch 63, D sharp, is held
    told = model.features(before, torch.tensor([6.0, 0.0, 0.0]))[1]
    expected = torch.zeros(80)
    expected[0] = 1  # its place
    expected[1 + 59 % 12] = 1  # pitch 59, B
    expected[13 + 2 * 11 : 13 + 2 * 11 + 2] = torch.tensor([1.0, 1.0])  # a semitone below
    expected[13 + 2 * 16] = 1  # four above
    expected[63 + 11] = expected[63 + 4] = 1  # A sharp and D sharp, counted from B
    expected[75:79] = torch.tensor([-1.0, 1.0, 1.0, -1.0])  # 6 is 0110, lowest bit first
    torch.testing.assert_close(told, expected)


@row("layers along time `[300, 300]`", "`model.time_layers`")
def test_layers_along_time_are_the_same_for_every_note() -> None:
    """They read 80 numbers; a net for more notes has as many weights."""
    model = net(time_layers=[7, 6])
    assert [layer.units for layer in model.time.typed_layers] == [7, 6]
    assert model.time.typed_layers[0].input_weight.shape == (4 * 7, 80)
    wide = create("model", "biaxial", encoder().layout, time_layers=[7, 6], note_layers=[5])
    narrow = net(time_layers=[7, 6])
    counts = [sum(p.numel() for p in each.parameters()) for each in (wide, narrow)]
    assert counts[0] == counts[1] + 4 * 7 * 3  # eight numbers tell the beat by default, not five


@row("layers along the notes `[100, 50]`", "`model.note_layers`")
def test_a_note_knows_those_below_it() -> None:
    """Another note at place 4 changes what is said of the notes above, of none below."""
    model = net(note_layers=[5, 4]).double()
    batch = batch_of(random_piece())
    said = model(batch).logits[0, -1].detach()
    batch.targets[0, -1, 4] = 1 - batch.targets[0, -1, 4]
    changed = model(batch).logits[0, -1].detach()
    assert torch.equal(changed[:5], said[:5])
    assert not torch.isclose(changed[5:], said[5:]).all(dim=-1).any()


@row("dropout 0.5, none when composing", "`model.dropout`")
def test_dropout_is_for_training_alone() -> None:
    """Readings differ in training and are the same afterwards; 0.5 in the preset."""
    model, batch = net(dropout=0.5, time_layers=[6, 6]), batch_of(random_piece())
    assert torch.equal(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)
    assert ready("biaxial-classic").model.config.dropout == 0.5


@row("no tanh on the cell's input", "`model.candidate`")
def test_a_linear_candidate() -> None:
    """Gates of a half and a cell input of 4: the cell is 2, with tanh it would be below 1/2."""
    cells = []
    for candidate in ("linear", "tanh"):
        stack = net(candidate=candidate).time
        (layer,) = stack.typed_layers
        with torch.no_grad():
            for weight in (layer.input_weight, layer.hidden_weight, layer.bias):
                weight.zero_()
            layer.bias[2 * 6 : 3 * 6] = 4.0
            zeros = [(torch.zeros(1, 6), torch.zeros(1, 6))]
            cells.append(float(stack.step(torch.zeros(1, 80), zeros).state[0][1][0, 0]))
    assert cells == pytest.approx([2.0, 0.5 * math.tanh(4.0)])


@row("random constant states at the start", "`model.start`")
def test_the_first_state_is_constant(trained: tuple[Path, CommandResult]) -> None:
    """It is drawn once, saved with the weights and never learned."""
    before = load_checkpoint(sorted((trained[0] / "checkpoints").iterdir())[0]).model
    after = weights(trained[0])
    starts = [name for name in after if name.endswith("start")]
    assert len(starts) == 2
    assert all(torch.equal(before[name], after[name]) and after[name].any() for name in starts)
    assert not torch.equal(before["output.weight"], after["output.weight"])


@row("weights N(0, 1) / outputs", "`model.initialisation`")
def test_weights_are_normal_by_their_outputs() -> None:
    """Weights of a layer of 50 units have the standard deviation 1/50."""
    model = net(time_layers=[50], initialisation="classic")
    drawn = model.time.typed_layers[0].input_weight.detach()
    # 16,000 draws: four deviations of their own deviation are 0.0005.
    assert float(drawn.std()) == pytest.approx(1 / 50, abs=0.0005)


@row("`batch_width`, `batch_len`", "`training.batch_size`, `training.sequence_length`")
def test_ten_segments_of_eight_bars() -> None:
    """Ten rows of 128 steps with the preset's values."""
    training = ready("biaxial-classic").training
    assert (training.batch_size, training.sequence_length) == (10, 128)
    pieces = [np.zeros((300, 78, 2), np.uint8)] * 6
    batch = batches_of(pieces, "segments", batch_size=10, sequence_length=128, align=16)[0]
    assert batch.mask.shape == (10, 128)


@row("`division_len`; random pieces", '`training.align` with `training.batching = "segments"`')
def test_segments_begin_at_multiples_of_16() -> None:
    """All begin at multiples of 16, at many of them, in many pieces."""
    pieces = [np.zeros((300 + k, 78, 2), np.uint8) for k in range(6)]
    options: dict[str, Any] = {"batch_size": 10, "sequence_length": 128, "align": 16}
    batches = [b for e in range(20) for b in batches_of(pieces, "segments", epoch=e, **options)]
    begins = {int(place) for batch in batches for place in batch.position}
    assert begins <= set(range(0, 177, 16))
    assert len(begins) > 8
    assert {int(p) for batch in batches for p in batch.pieces} == set(range(6))


@row("loss: articulate counts where a note plays", '`[loss]` with `type = "cross-entropy"`')
def test_articulate_counts_only_where_play_is_1() -> None:
    """With logits of 0 each of twelve notes costs ln 2, and each that plays ln 2 more."""
    model = net()
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.zero_()
    output = model(batch_of(random_piece()))
    nats = float(create("loss", "cross-entropy", model.layout)(output).detach())
    assert nats == pytest.approx((12 + 3) * math.log(2), rel=1e-5)


@row("cost summed over notes, steps and segments", "`training.loss_reduction`")
def test_the_sum_is_descended() -> None:
    """`sum` is the preset's; of two rows of 12 steps it is 24 times the mean."""
    assert ready("biaxial-classic").training.loss_reduction == "sum"
    model = net()
    output = model(batch_of(random_piece(0), random_piece(1)))
    loss = create("loss", "cross-entropy", model.layout)
    mean, total = (float(total_loss(output, loss, how).detach()) for how in ("mean", "sum"))
    assert total == pytest.approx(24 * mean, rel=1e-5)


@row("AdaDelta, its rho and eps", "`training.optimizer`, `training.smoothing`, `training.epsilon`")
def test_adadelta_by_its_formula() -> None:
    """The first step is rate x sqrt(eps) / sqrt(0.05 g^2 + eps) x g."""
    training = ready("biaxial-classic").training
    assert (training.optimizer, training.learning_rate) == ("adadelta", 1.0)
    assert (training.smoothing, training.epsilon) == (0.95, 1e-6)
    moved = step_of("adadelta", 2.0, learning_rate=1.0, smoothing=0.95, epsilon=1e-6)
    assert moved == pytest.approx(-math.sqrt(1e-6) / math.sqrt(0.05 * 4 + 1e-6) * 2)


@row("gradients rescaled to 5", "`training.clip_each_norm`")
def test_each_gradient_is_bounded_by_itself(music: Path, tmp_path: Path) -> None:
    """With SGD, a rate of 1 and a bound of 0.01 no weight matrix moves further than 0.01."""
    pipeline = tmp_path / "sgd.toml"
    pipeline.write_text(
        f'[corpus]\npath = "{music.as_posix()}"\nvalid = 0.0\n[model]\ntype = "biaxial"\n'
        'time_layers = [4]\nnote_layers = [4]\n[training]\noptimizer = "sgd"\n'
        "learning_rate = 1.0\nclip_norm = 0.0\nclip_each_norm = 0.01\nbatch_size = 2\n"
        "sequence_length = 16\n"
    )
    states = []
    for steps in (0, 1):
        words = ("train", str(pipeline), "--run-dir", str(tmp_path / str(steps)), "--quiet")
        assert run_command(*words, settings=[f"training.steps={steps}"]).status == 0
        states.append(weights(tmp_path / str(steps)))
    moved = [float((states[1][name] - states[0][name]).norm()) for name in states[0]]
    assert max(moved) == pytest.approx(0.01, rel=1e-3)
    assert ready("biaxial-classic").training.clip_each_norm == 5.0


@row("epochs of one batch each", "`training.steps`")
def test_so_many_batches(trained: tuple[Path, CommandResult]) -> None:
    """Ten updates here, 10,000 in the preset."""
    assert load_checkpoint(trained[0]).meta["state"]["step"] == 10
    assert ready("biaxial-classic").training.steps == 10_000


@row("cost printed every 100", "shown as it goes, and in the run's `metrics.jsonl`")
def test_costs_are_told(trained: tuple[Path, CommandResult]) -> None:
    """A line of the log has the step and the loss, which is a sum: of 256 steps, more than one
    step could cost at random, 78 ln 2."""
    (record,) = records(trained[0], "loss")
    assert (record["step"], record["unit"]) == (10, "nats per step, summed")
    assert record["loss"] > 78 * math.log(2)


@row("a sample every 500, every 100 at first", '`[[callback]]` with `type = "samples"`')
def test_samples_while_it_learns(trained: tuple[Path, CommandResult]) -> None:
    """Here every 2 of the first 4 updates and every 4 then; 100, 1,000 and 500 by default."""
    made = (trained[0] / "samples").rglob("*step-*.mid")
    steps = {int(re.findall(r"step-(\d+)", str(path))[-1]) for path in made}
    assert steps == {2, 4, 8}
    table = next(each for each in ready("biaxial-classic").callbacks if each.name == "samples")
    settings = table.config
    assert (settings.every, settings.early_every, settings.early_until) == (500, 100, 1000)


@row(
    "weights every 500, all kept",
    '`training.checkpoint_every`, `training.keep_checkpoints = "all"`; '
    "`--checkpoint STEP` of `musengine generate`",
)
def test_any_weights_that_were_written(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """Those after 5 and after 10 updates are there, without pickle, and each makes pieces."""
    paths = sorted((trained[0] / "checkpoints").iterdir())
    assert {path.suffix for path in paths} == {".safetensors"}
    assert {int(path.name[5:14]) for path in paths} >= {5, 10}
    words = ("generate", str(trained[0]), "--checkpoint", "5", "--out", str(tmp_path), "--quiet")
    assert run_command(*words, settings=["generate.length=4 steps"]).status == 0
    origin = (tmp_path / "generated.jsonl").read_text()
    assert "step-000000005" in origin


class Interrupting(Callback[NoSettings]):
    """Presses Ctrl-C after the second update."""

    def on_step(self, progress: Progress) -> None:
        if progress.step == 2:
            signal.raise_signal(signal.SIGINT)


@row("Ctrl-C ends after the batch", "the same, and `musengine run` again goes on")
def test_ctrl_c_saves_and_the_run_goes_on(music: Path, tmp_path: Path) -> None:
    """After Ctrl-C in the second update its weights are saved; the same run then ends after the
    third."""
    few = (f"corpus.path={music}", *SMALL, "training.steps=3", "callback=[]", "corpus.jobs=1")
    short = ("model.time_layers=[4]", "training.batch_size=1", "training.threads=1")
    pipeline = ready("biaxial-classic", *few, *short)
    stop = [Interrupting(NoSettings())]
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(pipeline, tmp_path / "run", train_only=True, callbacks=stop)
    assert load_checkpoint(tmp_path / "run").meta["state"]["step"] == 2
    run_pipeline(pipeline, tmp_path / "run", train_only=True)
    assert load_checkpoint(tmp_path / "run").meta["state"]["step"] == 3


@row("no validation set", "`corpus.valid = 0.0`")
def test_nothing_is_held_out_and_it_is_said(trained: tuple[Path, CommandResult]) -> None:
    """All pieces are learned from, and a warning says so."""
    assert "no pieces are held out" in trained[1].err


@row("play if u1 < p, articulate if it plays and u2 < p", '`[[sampler]]` with `type = "adaptive"`')
def test_draws_from_the_lowest_note_up() -> None:
    """A threshold u becomes u ** (1 / c), so that u ** (1 / c) < p where u < p ** c; articulate
    stays as it is, and counts only where a note plays."""
    layout = encoder(lowest=58, highest=69).layout
    adaptive = create("sampler", "adaptive", layout, start=2.0)
    history = History(layout, torch.zeros(1, 0, 12, 2, dtype=torch.uint8), 0)
    adaptive.begin(history, PieceRandom([0], torch.device("cpu")))
    thresholds = torch.full((1, 12, 2), 0.25)
    made = adaptive.thresholds(thresholds, history)[0, 0]
    assert made.tolist() == pytest.approx([0.5, 0.25])


@row("`conservativity`, `gen_adaptive`", '`[[sampler]]` with `type = "adaptive"`')
def test_conservativity_follows_what_sounds() -> None:
    """After a step with one note it is capped at 1 and 0.02 is taken off; after three notes it
    goes 30 % of the way back to 1."""
    layout = encoder(lowest=58, highest=69).layout
    adaptive = create("sampler", "adaptive", layout)
    history = History(layout, torch.zeros(1, 0, 12, 2, dtype=torch.uint8), 0)
    adaptive.begin(history, PieceRandom([0], torch.device("cpu")))
    powers = []
    for notes in (1, 1, 3):
        choice = torch.zeros(1, 12, 2, dtype=torch.uint8)
        choice[0, :notes, 0] = 1
        adaptive.observe(choice)
        powers.append(float(adaptive.power_N[0]))
    assert powers == pytest.approx([0.98, 0.96, 0.96 + 0.3 * 0.04])


@row("length in multiples of 128 steps", "`generate.length`")
def test_any_length(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """Four bars are 64 steps, 16 beats; ten times 128 steps in the preset."""
    (made,) = generate(trained[0], tmp_path, "generate.length=4 bars")
    assert 0 < made.length <= 16 * made.ticks_per_beat
    assert ready("biaxial-classic").generate.length.to_toml() == "1280 steps"


@row(
    "the first step of a random training segment",
    '`generate.prompt`, `generate.prompt_length`, `generate.prompt_offset = "random"`',
)
def test_a_step_from_anywhere(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """Each piece begins with one step of a training piece, from different places."""
    made = generate(trained[0], tmp_path, "generate.include_prompt=true", "generate.count=4")
    lines = (tmp_path / "generated.jsonl").read_text().splitlines()
    firsts = [encoder().encode(score).steps[0, :, 0].tolist() for score in made]
    for line, first in zip(lines, firsts, strict=True):
        prompt = json.loads(line)["prompt"]
        assert prompt in parts(trained[0])["train"]
        learned = encoder().encode(read_midi(music / prompt)).steps[..., 0]
        assert sum(first) == 3
        assert first in learned.tolist()
    assert ready("biaxial-classic").generate.prompt_length.to_toml() == "1 steps"


@row("velocity 40", "`generate.velocity`")
def test_velocity(trained: tuple[Path, CommandResult]) -> None:
    """Every note of the run's piece has velocity 40."""
    score = read_midi(trained[0] / "samples" / "piece-001.mid")
    assert set(score.velocity.tolist()) == {40}


@row("recording while it composes", "`musengine generate --record FILE`")
def test_what_goes_on_inside(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """Hidden states and cells of every layer, for each step, note and unit."""
    file = tmp_path / "inside.npz"
    words = ("generate", str(trained[0]), "--out", str(tmp_path), "--record", str(file), "--quiet")
    assert run_command(*words, settings=["generate.length=5 steps"]).status == 0
    with np.load(file, allow_pickle=False) as inside:
        assert inside["time.0.hidden"].shape == inside["time.0.cell"].shape == (6, 78, 6)
        assert inside["note.0.cell"].shape == (6, 78, 4)


@row("recording of training batches", '`[[callback]]` with `type = "record"`')
def test_what_goes_on_inside_while_it_learns(music: Path, tmp_path: Path) -> None:
    """The first row of the batch is recorded, and the training is the same as without."""
    few = (f"corpus.path={music}", *SMALL, "training.steps=1")
    record = 'callback=[{type="record", every=1}]'
    run("biaxial-classic", tmp_path / "with", *few, record, command="train")
    (file,) = (tmp_path / "with" / "recordings").iterdir()
    with np.load(file, allow_pickle=False) as inside:
        assert inside["time.0.hidden"].shape == (128, 78, 6)
    run("biaxial-classic", tmp_path / "without", *few, "callback=[]", command="train")
    with_, without = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(with_[name], without[name]) for name in with_)


@row("all constants of the program", '`model.preset = "classic"`; `pipelines/biaxial-classic.toml`')
def test_the_sizes_of_the_original() -> None:
    """The net of the preset has 300, 300, 100 and 50 units."""
    config = ready("biaxial-classic").model.config
    assert (config.time_layers, config.note_layers) == ((300, 300), (100, 50))
    assert (PIPELINES / "biaxial-classic.toml").is_file()
