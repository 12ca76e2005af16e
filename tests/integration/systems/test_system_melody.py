"""midi-rnn: monophonic melodies out of any folder of MIDI files, windows of 20 steps."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
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

from musengine.api import (
    Batch,
    DecodeSettings,
    Model,
    Piece,
    Progress,
    Score,
    Track,
    read_dataset,
)
from musengine.testing import (
    CommandResult,
    batch_of,
    batches_of,
    create,
    generate_steps,
    load_checkpoint,
    read_midi,
    run_command,
    score_of,
    write_midi,
)

TRACKS = (Track("chords", 24), Track("tune", 40), Track("bass", 32), Track("kit", is_drum=True))
SMALL = ("model.layers=[8]", "callback=[]")


def song(number: int) -> Score:
    """Chords, a tune and a bass of 40 beats at 120 BPM, and drums; a beat is two steps."""
    random = np.random.default_rng(number)
    pitches = 60 + random.integers(0, 12, 40)
    rows = [(4 * k, 4, p, 80, 0) for k in range(40) for p in (48, 52)]
    rows += [(4 * k, 3, int(p), 80, 1) for k, p in enumerate(pitches)]
    rows += [(4 * k, 4, int(p) - 24, 80, 2) for k, p in enumerate(pitches[::-1])]
    rows += [(4 * k, 1, 36, 80, 3) for k in range(40)]
    return score_of(rows, tracks=TRACKS)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten songs."""
    folder = tmp_path_factory.mktemp("melody") / "music"
    for number in range(10):
        write_midi(song(number), folder / f"{number}.mid")
    return folder


@pytest.fixture(scope="module")
def trained(music: Path) -> tuple[Path, CommandResult]:
    """Two epochs of the pipeline with the original's values, a small net, and two melodies."""
    run_dir = music.parent / "experiments" / "01"
    few = ("training.epochs=2", "training.batch_size=256", "generate.count=2")
    more = ("generate.length=40 steps", "run.message=two epochs")
    told = ("callback.0.type=console",) if find_spec("tensorboard") else ("callback=[]",)
    done = run("midi-rnn", run_dir, f"corpus.path={music}", SMALL[0], *told, *few, *more)
    return run_dir, done


def melody(**settings: Any) -> Any:
    classic = {"step": "0.25 seconds", "hold": False, "tolerance": 0.0}
    return create("encoder", "melody", **{**classic, **settings})


def net(**settings: Any) -> Model[Any]:
    torch.manual_seed(0)
    model: Model[Any] = create("model", "melody", melody().layout, **{"layers": [8], **settings})
    return model


@pytest.mark.slow
@row("`--data_dir`", "`corpus.path`")
def test_the_folder(music: Path, trained: tuple[Path, CommandResult]) -> None:
    """Every file of the folder has given its melodies."""
    found = {name.partition("#")[0] for names in parts(trained[0]).values() for name in names}
    assert found == {path.name for path in music.glob("*.mid")}


@row("monophonic instruments of each file", "`encoder.tolerance` (0 is strict)")
def test_tracks_in_which_one_note_sounds_at_a_time() -> None:
    """Tune and bass are taken, chords and drums are not; nor is a tune that overlaps once, unless
    it may."""
    assert [piece.id for piece in melody().pieces(Piece("a", song(0)))] == ["a#2", "a#3"]
    overlapping = score_of([(4 * k, 4 + (k == 3), 60 + k) for k in range(30)])
    with pytest.raises(Exception, match="no track is a melody"):
        melody().pieces(Piece("a", overlapping))
    assert len(list(melody(tolerance=1.0).pieces(Piece("a", overlapping)))) == 1


@row("tracks with no more notes than the window", "`encoder.fewest_notes`")
def test_tracks_with_few_notes_are_left_out() -> None:
    """A track of 20 notes is left out, one of 21 is taken."""
    tracks = (Track("short"), Track("long"))
    rows = [(4 * k, 4, 60, 80, 0) for k in range(20)] + [(4 * k, 4, 60, 80, 1) for k in range(21)]
    taken = melody().pieces(Piece("a", score_of(rows, tracks=tracks)))
    assert [piece.id for piece in taken] == ["a#2"]


@row("grid of 250 ms", "`encoder.step`")
def test_the_grid_is_in_seconds_or_in_beats() -> None:
    """At 60 BPM a beat is four steps of 0.25 seconds; in beats a sixteenth is one at any tempo."""
    score = score_of([(0, 4, 60), (4, 4, 62)], tempos=[(0, 60.0)])
    assert melody().encode(score).steps.tolist() == [61] * 4 + [63] * 4
    fast = score_of([(0, 4, 60), (4, 4, 62)], tempos=[(0, 240.0)])
    assert melody().encode(fast).steps.tolist() == [61, 63]
    assert melody(step="1/4 beat").encode(fast).steps.tolist() == [61] * 4 + [63] * 4


@row("leading silence trimmed", '`[encoder]` with `type = "melody"`')
def test_silence_before_the_first_note_is_trimmed() -> None:
    """A melody that begins after eight beats begins with its first note."""
    assert melody().encode(score_of([(32, 4, 60), (40, 4, 62)])).steps.tolist() == [
        *(61, 61, 0, 0, 63, 63)
    ]


@row("129 classes: a rest, 1 + pitch", "`encoder.hold = false`")
def test_129_classes() -> None:
    """0 is a rest, pitch 127 is 128; a note struck again is held, as equal classes are."""
    encoder = melody()
    assert encoder.layout.size == 129
    steps = encoder.encode(score_of([(0, 2, 127), (4, 2, 60), (6, 2, 60)])).steps
    assert steps.tolist() == [128, 0, 61, 61]
    again = encoder.decode(steps, DecodeSettings())
    assert again.pitch.tolist() == [127, 60]
    assert (again.duration / again.ticks_per_beat).tolist() == [0.5, 1.0]


@row("`--window_size`", '`training.sequence_length` with `training.batching = "windows"`')
def test_windows_of_20_steps_and_the_step_after_them() -> None:
    """Of 25 steps there are five windows; each has 20 steps in and the very next as its target."""
    steps = np.arange(25) % 129
    (batch,) = batches_of([steps], "windows", sequence_length=20, batch_size=32)
    asked = [(int(row.nonzero()[0]), len(row)) for row in batch.mask]
    assert [count for _, count in asked] == [20] * 5
    targets = sorted(int(batch.targets[k][batch.mask[k]]) for k in range(5))
    assert targets == [20, 21, 22, 23, 24]
    assert all(int(batch.mask[k].sum()) == 1 and bool(batch.mask[k, -1]) for k in range(5))
    before = sorted(int(row[-1]) for row in batch.inputs)
    assert before == [19, 20, 21, 22, 23]


@row("`--n_jobs`, `--max_files_in_ram`", "`corpus.jobs`; memory does not grow with the folder")
def test_several_processes_read_the_same(music: Path, trained: tuple[Path, CommandResult]) -> None:
    """Two processes read what one does."""
    settings = (f"corpus.path={music}", "corpus.jobs=2", "corpus.cache=false")
    dataset = read_dataset(ready("midi-rnn", *settings))
    found = {part: sorted(piece.id for piece in dataset.parts[part]) for part in dataset.parts}
    assert found == parts(trained[0])


@row("20 % of the files for validation", "`corpus.valid`")
def test_a_fifth_is_held_out_file_by_file(trained: tuple[Path, CommandResult]) -> None:
    """The preset holds a fifth out, trains on the rest, and the melodies of a file stay
    together."""
    assert tables(trained[0])["corpus"]["valid"] == 0.2
    found = parts(trained[0])
    files = {part: {name.partition("#")[0] for name in found[part]} for part in found}
    assert 0 < len(files["valid"]) < len(files["train"])
    assert not files["valid"] & files["train"]


@row("`--rnn_size`, `--num_layers`", "`model.layers`")
def test_units_of_each_layer() -> None:
    """Two layers of 5 and 3 units and a softmax over 129 classes."""
    shapes = [tuple(weight.shape) for weight in net(layers=[5, 3]).parameters()]
    assert (4 * 5, 129) in shapes  # four gates
    assert (4 * 3, 5) in shapes
    assert shapes[-2:] == [(129, 3), (129,)]


@row("`--dropout`", "`model.dropout`")
def test_dropout_after_each_layer() -> None:
    """Nothing is dropped in use; in training two readings differ."""
    model, batch = net(dropout=0.5), batch_of([60, 62, 64, 65])
    assert torch.equal(model.eval()(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)


@row("categorical cross-entropy, accuracy", '`[[metric]]` with `type = "nll"`, `"accuracy"`')
def test_loss_and_accuracy_are_told(trained: tuple[Path, CommandResult]) -> None:
    """The last lines of a run have both, and the figures are those of the validation part."""
    figures = json.loads((trained[0] / "evaluation.json").read_text())["valid"]
    assert 0 <= figures["accuracy"] <= 1
    assert figures["perplexity"] == pytest.approx(np.exp(figures["nll"]))
    assert [line for line in trained[1].err.splitlines()[-3:] if line.startswith("valid: nll ")]


NAMES = ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"]


@row("`--optimizer`", "`training.optimizer`")
def test_the_seven_optimizers() -> None:
    """All seven names move a weight against its gradient; Adam is the preset's."""
    moved = {name: step_of(name, 3.0, learning_rate=0.1) for name in NAMES}
    assert all(distance < 0 for distance in moved.values())
    assert moved["sgd"] == pytest.approx(-0.3)
    assert moved["adam"] == pytest.approx(-0.1, rel=1e-6)
    assert ready("midi-rnn").training.optimizer == "adam"


@row("`--learning_rate`", "`training.learning_rate`; left out, the optimizer's own")
def test_the_rate_or_the_optimizers_own() -> None:
    """Left out, Adam's first step is of 0.001; a given rate is taken."""
    assert step_of("adam", 3.0) == pytest.approx(-0.001, rel=1e-6)
    assert step_of("adam", 3.0, learning_rate=0.5) == pytest.approx(-0.5, rel=1e-6)


@row("`--grad_clip`", "`training.clip_value`")
def test_gradients_are_clipped_by_value(music: Path, tmp_path: Path) -> None:
    """With a bound of 1e-12 and SGD no weight moves, without it they do."""
    moved = []
    for bound in ("1e-12", "0"):
        few = ("training.steps=2", "training.optimizer=sgd", f"training.clip_value={bound}")
        settings = (f"corpus.path={music}", *SMALL, *few, "training.learning_rate=0.1")
        run("midi-rnn", tmp_path / bound, *settings, command="train")
        run("midi-rnn", tmp_path / f"{bound}-0", *settings, "training.steps=0", command="train")
        before, after = (weights(tmp_path / name) for name in (f"{bound}-0", bound))
        moved.append(most_moved(before, after))
    assert moved[0] < 1e-9 < 1e-6 < moved[1]


@row("`--batch_size`", "`training.batch_size`")
def test_rows_of_a_batch() -> None:
    """32 windows at once in the preset."""
    training = ready("midi-rnn").training
    assert training.batch_size == 32
    batch: Batch = batches_of([np.arange(90)], "windows", sequence_length=20, batch_size=32)[0]
    assert batch.mask.shape == (32, 20)


@row("`--num_epochs`", "`training.epochs`")
def test_passes_over_the_training_part(trained: tuple[Path, CommandResult]) -> None:
    """After two epochs training ended."""
    assert load_checkpoint(trained[0]).meta["state"]["epoch"] == 2


@row("a checkpoint each epoch, epoch and figure in its name", "`training.checkpoint_every`")
def test_a_checkpoint_of_every_epoch(trained: tuple[Path, CommandResult]) -> None:
    """All are kept; the names have epoch 1 and 2 and the validation figures of the log."""
    assert ready("midi-rnn").training.keep_checkpoints == "all"
    names = sorted(path.name for path in (trained[0] / "checkpoints").iterdir())
    found = [re.search(r"_epoch-(\d+)_valid-([\d.]+)\.safetensors", name) for name in names]
    assert [int(match[1]) for match in found if match] == [1, 2]
    told = [record["valid"]["loss"] for record in records(trained[0], "valid")]
    assert [float(match[2]) for match in found if match] == pytest.approx(told, abs=1e-4)


@row(
    "halving of the rate after 3 epochs without progress",
    '`training.schedule = "plateau"`, `training.plateau_patience`, `training.plateau_factor`',
)
def test_the_rate_halves_on_a_plateau() -> None:
    """The factor is 1 until the third validation in a row without a lower loss, then 1/2."""
    training = ready("midi-rnn").training
    plateau = create("schedule", "plateau", training)
    factors = []
    for loss in (2.0, 1.5, 1.6, 1.5, 1.7):
        plateau.on_validation(loss)
        factors.append(plateau.factor(Progress()))
    assert factors == [1.0, 1.0, 1.0, 1.0, 0.5]


@row("TensorBoard logs", '`[[callback]]` with `type = "tensorboard"`, which the pipeline has')
def test_curves_for_tensorboard(trained: tuple[Path, CommandResult]) -> None:
    """The run has a folder with the events of its training, validation loss and accuracy too."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(trained[0] / "tensorboard"))
    events.Reload()
    assert {"train/loss", "valid/loss", "valid/accuracy"} <= set(events.Tags()["scalars"])
    told = [record["valid"]["accuracy"] for record in records(trained[0], "valid")]
    kept = [event.value for event in events.Scalars("valid/accuracy")]
    assert kept == pytest.approx(told, rel=1e-6)


@row("experiments numbered automatically", "`--new`; else the run goes on")
def test_experiments_are_numbered(music: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The same file again goes on with its run; with `--new` the next is `midi-rnn-2`."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PIPELINES / "midi-rnn.toml", tmp_path)
    settings = [f"corpus.path={music}", *SMALL, "training.steps=1"]
    for more in ((), (), ("--new",)):
        assert run_command("train", "midi-rnn.toml", *more, settings=settings).status == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["midi-rnn", "midi-rnn-2"]


@row("`--experiment_dir`; one that exists is refused", "`--run-dir DIR`")
def test_a_named_folder_of_another_run_is_refused(
    music: Path, trained: tuple[Path, CommandResult]
) -> None:
    """Other settings for a folder that is taken end in one line that names them, and nothing is
    lost."""
    words = ("train", str(PIPELINES / "midi-rnn.toml"), "--run-dir", str(trained[0]))
    before = (trained[0] / "pipeline.toml").read_bytes()
    done = run_command(*words, settings=[f"corpus.path={music}", "model.layers=[9]"])
    assert done.status == 1
    assert "model.layers" in done.err
    assert (trained[0] / "pipeline.toml").read_bytes() == before


@row("`--message`", "`run.message`")
def test_a_note_with_the_run(trained: tuple[Path, CommandResult]) -> None:
    """The note is kept in the run's pipeline."""
    assert tables(trained[0])["run"]["message"] == "two epochs"


@row("`--experiment_dir` when sampling", "`musengine generate RUN`; the newest if none is named")
def test_the_newest_run(trained: tuple[Path, CommandResult], monkeypatch: Any) -> None:
    """Without a name the run that was worked on last makes the melodies."""
    root = trained[0].parents[1] / "newest"
    shutil.copytree(trained[0], root / "runs" / "a")
    monkeypatch.chdir(root)
    words = ("generate", "--out", "made", "--quiet")
    assert run_command(*words, settings=["generate.length=4 steps"]).status == 0
    assert len(list((root / "made").glob("*.mid"))) == 2


@row("newest checkpoint", "`generate.checkpoint`")
def test_the_best_or_the_last_weights(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """`last` takes the last checkpoint, as the original; `generated.jsonl` says which."""
    generate(trained[0], tmp_path / "made", 'generate.checkpoint="last"')
    origin = json.loads((tmp_path / "made" / "generated.jsonl").read_text().splitlines()[0])
    last = max(path.name for path in (trained[0] / "checkpoints").iterdir())
    assert last in json.dumps(origin)


@row("`--num_files`, `--file_length`", "`generate.count`, `generate.length`")
def test_so_many_melodies_of_such_a_length(
    trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """Three melodies of at most 16 steps, which at 120 BPM are 8 beats; ten of 1,000 by
    default."""
    made = generate(trained[0], tmp_path, "generate.count=3", "generate.length=16 steps")
    assert len(made) == 3
    assert all(score.length <= 8 * score.ticks_per_beat for score in made)
    classic = ready("midi-rnn").generate
    assert (classic.count, classic.length.to_toml()) == (10, "1000 steps")


@row("`--prime_file`", "`generate.prompt`, a file")
def test_a_file_to_go_on_from(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """The prompt is the tune's first 20 steps, ten beats, which stand at the piece's start."""
    prompt = (f"generate.prompt={music / '3.mid'}", "generate.prompt_offset=0 steps")
    (made, *_) = generate(trained[0], tmp_path, *prompt, "generate.include_prompt=true")
    (tune, _) = melody().pieces(Piece("a", read_midi(music / "3.mid")))
    whole = melody().encode(made).steps.tolist()
    assert whole[:20] == melody().encode(tune.content).steps.tolist()[:20]


@row("a random window of it", '`generate.prompt_offset = "random"`, `generate.prompt_length`')
def test_a_window_from_anywhere(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """Melodies go on from the same tune at different places of it, each for 20 steps."""
    prompt = (f"generate.prompt={music / '3.mid'}", "generate.prompt_offset=random")
    more = ("generate.count=6", "generate.include_prompt=true")
    made = generate(trained[0], tmp_path, *prompt, *more)
    (tune, _) = melody().pieces(Piece("a", read_midi(music / "3.mid")))
    steps = melody().encode(tune.content).steps.tolist()
    # The tune and the bass take turns: every second melody goes on from the tune.
    windows = [melody().encode(score).steps.tolist()[:20] for score in made[::2]]
    places = [[k for k in range(61) if steps[k : k + 20] == window] for window in windows]
    assert all(places)
    assert len({place[0] for place in places}) > 1
    assert ready("midi-rnn").generate.prompt_length.to_toml() == "20 steps"


@row("`--data_dir` when sampling", "`generate.prompt`, a folder; `corpus` for those the run keeps")
def test_prompts_from_a_folder(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """Without a file the prompts are those kept with the run; a folder gives one of each melody."""
    generate(trained[0], tmp_path / "own", "generate.count=2")
    generate(trained[0], tmp_path / "other", f"generate.prompt={music}", "generate.count=3")
    named = {
        name: [
            json.loads(line)["prompt"]
            for line in (tmp_path / name / "generated.jsonl").read_text().splitlines()
        ]
        for name in ("own", "other")
    }
    held_out = parts(trained[0])["valid"]
    assert set(named["own"]) <= set(held_out)
    assert named["other"] == ["0.mid#2", "0.mid#3", "1.mid#2"]


@row("draws from the softmax", '`[[sampler]]` with `type = "categorical"`')
def test_classes_are_drawn_by_their_probability() -> None:
    """Of 4,000 draws a class of probability 1/4 has a fourth, within four standard deviations."""
    model = net()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        # ln 3 against three classes of 0: 3 / (3 + 128) for class 61.
        model.output.bias[61] = float(np.log(128 / 3))
    draw = create("sampler", "categorical", model.layout)
    pieces = generate_steps(model, [draw], length="40 tokens", seeds=range(100), encoder=melody())
    count = int((np.concatenate(pieces) == 61).sum())
    assert abs(count - 1000) <= 4 * np.sqrt(4000 * 1 / 4 * 3 / 4)


@row("velocity 127", "`generate.velocity`")
def test_velocity(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """127 with the preset, and what else is set."""
    assert ready("midi-rnn").generate.velocity == 127
    made = generate(trained[0], tmp_path, "generate.velocity=33", "generate.length=200 steps")
    assert {v for score in made for v in score.velocity.tolist()} == {33}


@row("`--midi_instrument`", "`generate.instrument`, a name or a number")
def test_the_instrument(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """`flute` and 73 are program 73; a name there is not is an error with the nearest ones."""
    settings = ("generate.length=200 steps", "generate.count=1")
    for name, wanted in (("a", "flute"), ("b", "73")):
        made = generate(trained[0], tmp_path, f"generate.instrument={wanted}", *settings, name=name)
        assert made[0].tracks[0].program == 73
    wrong = ["generate.instrument=flut"]
    done = run_command("generate", str(trained[0]), "--out", str(tmp_path), settings=wrong)
    assert done.status == 1
    assert "flute" in done.err.lower()


@row("no way to look inside", "`musengine generate --record FILE`")
def test_what_goes_on_inside(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """New here: hidden state and cell of each of the layers, for every step and unit."""
    shapes = recorded(trained[0], tmp_path)
    assert len(shapes) == 2
    assert {units for _, units in shapes.values()} == {8}
    assert all(steps > 20 for steps, _ in shapes.values())


@row("`--save_dir`", "`--out DIR`")
def test_where_melodies_go(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """Files go where they are told to, and are numbered on."""
    generate(trained[0], tmp_path / "here", "generate.count=2")
    generate(trained[0], tmp_path / "here", "generate.count=1")
    assert len(list((tmp_path / "here").glob("piece-*.mid"))) == 3
