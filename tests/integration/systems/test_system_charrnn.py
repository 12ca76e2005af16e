"""MusicRNN: MIDI files written as text, and a character RNN that learns the text."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from system_rows import generate, parts, ready, recorded, records, row, run, tables, weights

from musengine.api import (
    Callback,
    DecodeSettings,
    History,
    Model,
    NoSettings,
    Piece,
    PieceRandom,
    Progress,
    Score,
    Text,
    Track,
    load_pipeline,
    read_dataset,
    run_pipeline,
)
from musengine.testing import (
    CommandResult,
    batch_of,
    batches_of,
    create,
    generate_steps,
    load_checkpoint,
    read_midi,
    rows_of,
    run_command,
    score_of,
    write_midi,
)

ALPHABET = (
    'GINSBLDPKUzEJ@ROFMQ=CWHZX;T?V>xA6<Y89[74:{]^a3/5102`+-cb.d*,f(e)hg$i|kj#}ml&!npotq"sruwy'
)
SMALL = ("model.units=8", "model.embedding=8", "callback=[]")


def tune(shift: int, beats: int = 6) -> Score:
    """Notes of a beat with a bass of two, at 120 BPM."""
    rows = [(4 * k, 4, 60 + (5 * k + shift) % 12) for k in range(beats)]
    return score_of([*rows, *((8 * k, 8, 40 + shift) for k in range(beats // 2))])


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of MIDI files, and a text of the same notation beside them."""
    folder = tmp_path_factory.mktemp("charrnn") / "music"
    for shift in range(4):
        write_midi(tune(shift), folder / "first" / f"{shift}.mid")
    write_midi(tune(5, 20), folder / "second" / "long.mid")
    (folder / "second" / "there.txt").write_text("_" + "4^_4^_/_" * 40)
    return folder


@pytest.fixture(scope="module")
def trained(music: Path) -> tuple[Path, CommandResult]:
    """Two epochs of the pipeline with the original's values, and two samples of a second."""
    run_dir = music.parent / "run"
    few = ("training.epochs=2", "generate.count=2", "generate.length=1 seconds")
    more = ("training.keep_checkpoints=5", "corpus.valid=0.2")
    return run_dir, run("charrnn", run_dir, f"corpus.path={music}", *SMALL, *few, *more)


def roll(**settings: Any) -> Any:
    return create("encoder", "text-roll", **settings)


def text_of(score: Score, **settings: Any) -> str:
    written: Text = roll(**settings).to_text(score)
    return written.text


def net(**settings: Any) -> Model[Any]:
    torch.manual_seed(0)
    small: dict[str, Any] = {"layers": 2, "units": 6, "embedding": 5, "dropout": 0.0}
    model: Model[Any] = create("model", "charrnn", roll().layout, **{**small, **settings})
    return model.eval()


@row("one character for each of 88 notes", "`encoder.alphabet`, `encoder.lowest`")
def test_a_character_for_each_key() -> None:
    """A scale over all 88 keys is the original's list, from `G` to `y`; another alphabet from
    another pitch on is a setting."""
    scale = score_of([(k, 1, 21 + k) for k in range(88)])
    assert text_of(scale, step="1/4 beat") == "_" + "".join(f"{c}_" for c in ALPHABET)
    own = {"alphabet": "abc", "lowest": 60, "step": "1/4 beat"}
    assert text_of(score_of([(0, 1, 60), (1, 1, 62)]), **own) == "_a_c_"


@row("the separation character `_`", "`encoder.separator`")
def test_the_separator_ends_a_step() -> None:
    """Notes of a step stand low to high before it, a silent step is it alone."""
    score = score_of([(0, 1, 64), (0, 1, 60), (2, 1, 60)])
    low, high = ALPHABET[60 - 21], ALPHABET[64 - 21]
    assert text_of(score, step="1/4 beat") == f"_{low}{high}__{low}_"
    assert text_of(score, step="1/4 beat", separator="~") == f"~{low}{high}~~{low}~"


@row("notes out of 21 to 108", '`[encoder]` with `type = "text-roll"`')
def test_notes_out_of_range_are_counted() -> None:
    """They are left out and counted, where the original took another note's character."""
    score = score_of([(0, 16, 20), (0, 16, 60), (0, 16, 109)])
    encoded = roll().encode(score)
    assert dict(encoded.dropped) == {"notes out of range": 2}
    assert set(text_of(score)) == {"_", ALPHABET[60 - 21]}


@row("resolution of 16 steps to a quarter note", "`encoder.step`")
def test_steps_of_a_sixteenth_of_a_beat() -> None:
    """A quarter note is 16 steps, times go to the nearest, none is lost on the way."""
    assert text_of(score_of([(0, 4, 60)])).count("_") == 1 + 16
    # Notes of 21 of 480 ticks: 0.7 of a step each; the tenth ends at step 7, not at 10 x 1.
    rows = [(21 * k, 21, 60 + k % 2) for k in range(10)]
    assert text_of(score_of(rows, ticks_per_beat=480)).count("_") == 1 + 7


@row("120 BPM", "`encoder.tempo`, `generate.tempo`; in seconds, `encoder.step`")
def test_the_tempo_of_a_text() -> None:
    """A text read back has 120 BPM or the tempo that is set; with steps in seconds any tempo is
    written as it sounds."""
    text = Text("_4_4_", "text-roll")
    assert roll().from_text(text).tempo_bpm.tolist() == pytest.approx([120.0])
    assert roll(tempo=90.0).from_text(text).tempo_bpm.tolist() == pytest.approx([90.0], abs=1e-3)
    slow = score_of([(0, 4, 60)], tempos=[(0, 60.0)])
    assert text_of(slow, step="0.03125 seconds").count("_") == 1 + 32


@row("a note struck again shows a gap", '`[encoder]` with `type = "text-roll"`')
def test_a_note_struck_while_it_sounds() -> None:
    """It is silent in the step before, and reads back as two notes."""
    score = score_of([(0, 4, 60), (4, 4, 60)])
    c = ALPHABET[60 - 21]
    assert text_of(score, step="1/4 beat") == f"_{c}_{c}_{c}__{c}_{c}_{c}_{c}_"
    assert len(roll(step="1/4 beat").from_text(Text(text_of(score, step="1/4 beat")))) == 2


@row("empty steps at both ends removed", '`[encoder]` with `type = "text-roll"`')
def test_silence_at_both_ends_is_left_out() -> None:
    """Silence before and after is gone, and one separator stands at either end."""
    c = ALPHABET[60 - 21]
    assert text_of(score_of([(8, 1, 60)], length=32), step="1/4 beat") == f"_{c}_"


@row("tracks cut to the shortest when merged", '`[encoder]` with `type = "text-roll"`')
def test_tracks_are_united_over_the_longest() -> None:
    """A track that ends early cuts nothing, and a note in two tracks is one character."""
    rows = [(0, 1, 60, 80, 0), (0, 1, 60, 80, 1), (1, 1, 62, 80, 1)]
    score = score_of(rows, tracks=(Track("a"), Track("b")))
    c, d = ALPHABET[60 - 21], ALPHABET[62 - 21]
    assert text_of(score, step="1/4 beat") == f"_{c}_{d}_"


@row("`check_all_midis`", "`musengine inspect PATH --expect-bpm 120 --expect-range 21-108`")
def test_files_that_do_not_fit_are_told_not_deleted(tmp_path: Path) -> None:
    """Files of another tempo, out of range or unreadable are named; all are still there."""
    write_midi(tune(0), tmp_path / "good.mid")
    write_midi(score_of([(0, 4, 60)], tempos=[(0, 90.0)]), tmp_path / "slow.mid")
    write_midi(score_of([(0, 4, 110)]), tmp_path / "high.mid")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    words = ("inspect", str(tmp_path), "--expect-bpm", "120", "--expect-range", "21-108")
    done = run_command(*words, "--jobs", "1")
    lines = [line for line in done.out.splitlines() if ".mid: " in line]
    told = {Path(line.split(": ")[0]).name for line in lines}
    assert told == {"slow.mid", "high.mid", "broken.mid"}
    assert len(list(tmp_path.glob("*.mid"))) == 4


@row("`read_all`, `to_midi_all`", "`musengine convert IN OUT --to text-roll`, `--from text-roll`")
def test_folders_to_text_and_back(music: Path, tmp_path: Path) -> None:
    """Every MIDI file becomes a text, and every text a MIDI file with the same notes."""
    first = str(music / "first")
    texts, back = str(tmp_path / "texts"), str(tmp_path / "back")
    there = ("convert", first, texts, "--to", "text-roll", "--jobs", "1")
    assert run_command(*there).status == 0
    assert (tmp_path / "texts" / "0.txt").read_text().strip() == text_of(tune(0))
    again = ("convert", texts, back, "--from", "text-roll", "--to", "midi", "--jobs", "1")
    assert run_command(*again).status == 0
    pitches = sorted(note[2] for note in rows_of(read_midi(tmp_path / "back" / "2.mid")))
    assert pitches == sorted(note[2] for note in rows_of(tune(2)))


@row("training reads all `.txt`", '`corpus.path`; `[encoder]` with `type = "chars"` for any text')
def test_texts_are_learned_from(trained: tuple[Path, CommandResult]) -> None:
    """The text beside the MIDI files is a piece of the corpus."""
    names = [name for each in parts(trained[0]).values() for name in each]
    assert "second/there.txt" in names
    chars = create("encoder", "chars", texts="plain")
    chars.fit([Piece("a", Text("X:1\nabc"))])
    steps = chars.encode(Text("abc")).steps
    assert chars.decode(steps, DecodeSettings()).text == "abc"


@row("`midis_folder_name_list`", "`corpus.path`, a list")
def test_one_or_more_folders(music: Path) -> None:
    """Two folders by name are read as one corpus."""
    path = f"corpus.path={json.dumps([str(music / name) for name in ('first', 'second')])}"
    dataset = read_dataset(ready("charrnn", path, "corpus.jobs=1", "corpus.valid=0"))
    assert len(dataset.parts["train"]) == 6


@row("`layer_size`, `n_layer`", "`model.units`, `model.layers`, `model.embedding`")
def test_sizes_of_the_net() -> None:
    """Two layers of 6 units over an embedding of 5, a softmax over 89 characters; 3 x 178 in the
    preset."""
    shapes = [tuple(weight.shape) for weight in net().parameters()]
    assert (90, 5) in shapes  # and what stands before the first character
    assert (4 * 6, 5) in shapes  # four gates
    assert (89, 6) in shapes
    config = ready("charrnn").model.config
    assert (config.layers, config.units, config.embedding) == (3, 178, 178)


@row("`output_keep_prob`", "`model.dropout`, which is one less that")
def test_dropout() -> None:
    """Nothing is dropped in the preset; with 0.5 two readings in training differ."""
    assert ready("charrnn").model.config.dropout == 0.0
    model, batch = net(dropout=0.5), batch_of(list(range(20)))
    assert torch.equal(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)


@row("`batch_size`, `seq_size`", "`training.batch_size`, `training.sequence_length`")
def test_chunks_of_64_characters_of_one_file() -> None:
    """A text of 150 characters comes in chunks of 64, 64 and 22, one row each."""
    training = ready("charrnn").training
    assert (training.batch_size, training.sequence_length) == (1, 64)
    batches = batches_of([np.arange(150) % 89], "stateful", batch_size=1, sequence_length=64)
    assert [int(batch.mask.sum()) for batch in batches] == [64, 64, 22]


@row("state carried through a file", '`training.batching = "stateful"`')
def test_the_state_is_really_carried() -> None:
    """Reading in chunks says what reading at once says, and the next text begins afresh, which
    the original intended."""
    model = net().double()
    texts = [np.arange(23) % 89, (np.arange(17) * 5) % 89]
    expected = [model(batch_of(text)).logits[0].detach() for text in texts]
    carried = None
    said: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for batch in batches_of(texts, "stateful", batch_size=1, sequence_length=8):
        output = model(replace(batch, carried=carried))
        carried = output.state
        said[int(batch.pieces[0])].append(output.logits[0][batch.mask[0]].detach())
    for index, chunks in said.items():
        torch.testing.assert_close(torch.cat(chunks), expected[index], atol=1e-12, rtol=0)


@row("a text shorter than a batch", '`training.batching = "stateful"`')
def test_short_texts_work() -> None:
    """A text of 5 characters is a chunk, where the original divided by zero."""
    (batch,) = batches_of([np.arange(5)], "stateful", batch_size=1, sequence_length=64)
    assert int(batch.mask.sum()) == 5


@row("`n_epoch`", "`training.epochs`")
def test_passes_over_all_texts(trained: tuple[Path, CommandResult]) -> None:
    """Two epochs here, 500 in the preset."""
    assert load_checkpoint(trained[0]).meta["state"]["epoch"] == 2
    assert ready("charrnn").training.epochs == 500


class Rates(Callback[NoSettings]):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        super().__init__(NoSettings())
        self.rates: list[float] = []

    def on_step(self, progress: Progress) -> None:
        self.rates.append(progress.learning_rate)


@row(
    "`learning_rate / floor(sqrt(n_batches))`",
    "`training.learning_rate`, `training.rate_per_piece`",
)
def test_a_rate_for_each_file(tmp_path: Path) -> None:
    """It is divided by floor(sqrt(chunks)): of texts of 4 and of 9 chunks a half and a third."""
    for name, chunks in (("a", 4), ("b", 9)):
        path = tmp_path / "texts" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("_4" * (8 * chunks - 1) + "_4")
    settings = (f"corpus.path={tmp_path / 'texts'}", *SMALL, "training.sequence_length=16")
    more = ("training.learning_rate=0.006", "training.epochs=1", "corpus.jobs=1", "corpus.valid=0")
    callback = Rates()
    pipeline = ready("charrnn", *settings, *more)
    run_pipeline(pipeline, tmp_path / "run", train_only=True, callbacks=[callback])
    assert sorted(callback.rates) == pytest.approx([0.002] * 9 + [0.003] * 4)
    assert pipeline.training.optimizer == "adam"


@row("`init_from_model`", "`training.init_from`")
def test_going_on_from_a_saved_model(
    music: Path, trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """A new run begins with the weights of the other."""
    more = (f"training.init_from={trained[0]}", "training.steps=0", f"corpus.path={music}")
    run("charrnn", tmp_path / "run", *SMALL, *more, command="train")
    state = json.loads((trained[0] / "state.json").read_text())
    best = load_checkpoint(trained[0] / "checkpoints" / state["best"]["checkpoint"]).model
    begun = weights(tmp_path / "run")
    assert all(torch.equal(begun[key], best[key]) for key in begun)


@row("`model_save_name`, saved after every epoch", "`--run-dir DIR`, `training.checkpoint_every`")
def test_saved_after_every_epoch(trained: tuple[Path, CommandResult]) -> None:
    """The named folder has a checkpoint of each of the two epochs."""
    names = [path.name for path in sorted((trained[0] / "checkpoints").iterdir())]
    assert ["_epoch-0001_" in names[0], "_epoch-0002_" in names[-1]] == [True, True]
    assert len(records(trained[0], "valid")) == 2


@row("`n` seconds long", "`generate.length`")
def test_seconds_are_counted_in_separators(trained: tuple[Path, CommandResult]) -> None:
    """A second is 32 steps: the sample has as many separators, and one that begins it."""
    text = (trained[0] / "samples" / "piece-001.txt").read_text()
    assert text.count("_") == 32 + text.startswith("_")


@row("`first_chars`", "`generate.prompt_text`")
def test_the_first_characters_are_forced(
    trained: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    """Every sample begins with them."""
    first = 'generate.prompt_text="_4^_4^_"'
    generate(trained[0], tmp_path, first, "generate.count=3")
    texts = [path.read_text() for path in tmp_path.glob("*.txt")]
    assert len(texts) == 3
    assert all(text.startswith("_4^_4^_") for text in texts)


@row("`sample_from_model`", "`musengine generate RUN`")
def test_samples_of_a_saved_model(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """The same seed makes of the same model the same texts, without the corpus."""
    for name in ("a", "b"):
        generate(trained[0], tmp_path / name, "generate.seed=3", "generate.count=1")
    a, b = ((tmp_path / name / "piece-001.txt").read_text() for name in ("a", "b"))
    assert a == b


@row("`sample_dir`, `sample_name`", "`--out DIR`, `--name NAME`")
def test_where_samples_go(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """The folder and the name are those given."""
    generate(trained[0], tmp_path / "there", "generate.count=1", name="song")
    assert (tmp_path / "there" / "song-001.txt").is_file()


@row("A drawn from Normal(mu, sigma)", '`[[sampler]]` with `type = "tempered"`')
def test_probabilities_to_a_power_drawn_once() -> None:
    """Each sample has one power; p = 3/4 to the power 2 and made to sum to 1 is 9/10."""
    model = net()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.output.bias.fill_(-30.0)
        model.output.bias[0], model.output.bias[1] = math.log(3.0), 0.0
    chain = [create("sampler", "tempered", model.layout, mu=2.0, sigma=0.0)]
    chain.append(create("sampler", "categorical", model.layout))
    texts = generate_steps(model, chain, length="50 tokens", seeds=range(80), encoder=roll())
    count = int((np.concatenate(texts) == 0).sum())
    # 4,000 draws: four standard deviations are 76.
    assert abs(count - 3600) <= 4 * math.sqrt(4000 * 0.9 * 0.1)


@row("A at or below 0", '`[[sampler]]` with `type = "tempered"`')
def test_powers_at_or_below_0_are_drawn_again() -> None:
    """With mu 0.01 and sigma 1, half of the first draws would be none; all powers are above 0."""
    layout = roll().layout
    tempered = create("sampler", "tempered", layout, mu=0.01, sigma=1.0)
    random = PieceRandom(list(range(200)), torch.device("cpu"))
    tempered.begin(History(layout, torch.zeros((200, 0), dtype=torch.int64), 0), random)
    assert bool((tempered.power_N > 0).all())


@row(
    "`.txt` and `.mid` of each sample", '`[[output]]` with `type = "text"` and with `type = "midi"`'
)
def test_each_sample_is_written_twice(trained: tuple[Path, CommandResult]) -> None:
    """The MIDI file has the notes of the text."""
    samples = trained[0] / "samples"
    text = Text((samples / "piece-002.txt").read_text(), "text-roll")
    written = read_midi(samples / "piece-002.mid")
    assert text_of(written) == text_of(roll().from_text(text))


@row("no way to look inside", "`musengine generate --record FILE`")
def test_what_goes_on_inside(trained: tuple[Path, CommandResult], tmp_path: Path) -> None:
    """New here: hidden state and cell of each of the three layers, for every step and unit."""
    shapes = recorded(trained[0], tmp_path)
    assert len(shapes) == 6
    assert {units for _, units in shapes.values()} == {8}
    assert all(steps > 20 for steps, _ in shapes.values())


@row("settings that a text needs to be read again", "kept with the run")
def test_the_settings_travel_with_the_model(trained: tuple[Path, CommandResult]) -> None:
    """The run's pipeline has alphabet, separator and step, with which its texts are read."""
    encoder = tables(trained[0])["encoder"]
    assert (encoder["alphabet"], encoder["separator"]) == (ALPHABET, "_")
    assert (encoder["lowest"], encoder["step"]) == (21, "1/16 beat")
    assert load_pipeline(trained[0] / "pipeline.toml").encoder.config.tempo == 120.0
