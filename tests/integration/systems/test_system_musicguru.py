"""MusicGuru: any MIDI file to one piano, the biaxial net on it, similarity to the training data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from system_rows import parts, ready, records, row, run, tables

from musengine.api import Item, Score, Track, load_pipeline, read_dataset
from musengine.testing import (
    CommandResult,
    batches_of,
    create,
    load_checkpoint,
    read_midi,
    rows_of,
    run_command,
    score_of,
    write_midi,
)

TRACKS = (
    Track("tune", 40, channel=0),
    Track("chords", 24, channel=1),
    Track("kit", 0, is_drum=True, channel=9),
)


def song(shift: int, *, bpm: float = 90.0, meter: tuple[int, int] = (4, 4)) -> Score:
    """A tune over chords with drums, 32 beats; the tempo doubles after half of it."""
    rows = [(480 * k, 400, 60 + shift + (0, 4, 7, 2, 5)[k % 5], 90, 0) for k in range(32)]
    rows += [(1920 * k, 1900, p + shift, 60, 1) for k in range(8) for p in (48, 52, 55)]
    rows += [(480 * k, 60, 36, 100, 2) for k in range(32)]
    return score_of(
        rows,
        ticks_per_beat=480,
        tracks=TRACKS,
        tempos=[(0, bpm), (16 * 480, 2 * bpm)],
        meters=[(0, *meter)],
    )


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of mixed styles, with a file that is damaged and one in 5/4."""
    folder = tmp_path_factory.mktemp("musicguru") / "collection"
    for shift in range(3):
        write_midi(song(shift), folder / "Irish" / "Happy" / f"{shift}.mid")
        write_midi(song(shift + 3, bpm=140.0, meter=(3, 4)), folder / "jazz" / f"{shift}.mid")
    write_midi(song(7, meter=(5, 4)), folder / "jazz" / "five.mid")
    (folder / "jazz" / "damaged.mid").write_bytes(b"MThd no more")
    return folder


@pytest.fixture(scope="module")
def one_command(collection: Path) -> tuple[Path, CommandResult]:
    """The whole way with a small net and few steps."""
    run_dir = collection.parent / "run"
    small = ("model.time_layers=[6]", "model.note_layers=[4]", "training.steps=3")
    short = ("generate.length=70 steps", "callback=[]", "training.log_every=1")
    return run_dir, run("musicguru", run_dir, f"corpus.path={collection}", *small, *short)


def flattened(path: Path, **settings: object) -> Score:
    (piece,) = create("reader", "flattened", **settings).read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content


@row("`main.py`: flatten, train, compose, compare", "`musengine run pipelines/musicguru.toml`")
def test_the_whole_way_is_one_command(one_command: tuple[Path, CommandResult]) -> None:
    """One command on a folder of mixed styles leaves a piece, and its last lines say the
    similarity."""
    run_dir, done = one_command
    figures = json.loads((run_dir / "evaluation.json").read_text())["generated"]
    said = f"generated: similarity {figures['similarity']:.6g}"
    assert [line for line in done.err.splitlines()[-3:] if line.startswith(said)]
    assert 0 < figures["similarity"] < 100
    assert len(read_midi(run_dir / "samples" / "piece-001.mid")) > 0


@row("flattening, in the program", '`[corpus.reader]` with `type = "flattened"`')
def test_a_corpus_is_flattened_as_it_is_read(
    collection: Path, one_command: tuple[Path, CommandResult]
) -> None:
    """What is trained on has as many steps of 1/16 second as the file lasts."""
    pipeline = load_pipeline(one_command[0] / "pipeline.toml")
    lengths = {piece.id: len(piece) for piece in read_dataset(pipeline).parts["train"]}
    # 16 beats at 90 BPM and 16 at 180 last 16 s, less a hundredth: the last chord ends 20 ticks
    # early. At 140 and 280 they last 72 / 7 s = 10.286 s, less nine thousandths.
    assert lengths["Irish/Happy/0.mid"] == 256
    assert lengths["jazz/0.mid"] == 164


@row("flattening of a folder", "`musengine convert IN OUT --flatten`")
def test_a_folder_is_flattened_file_by_file(collection: Path, tmp_path: Path) -> None:
    """Every readable file is written under its name, the damaged one is skipped and named."""
    done = run_command("convert", str(collection), str(tmp_path / "flat"), "--flatten")
    assert done.status == 0
    written = [path.relative_to(tmp_path / "flat").as_posix() for path in tmp_path.rglob("*.mid")]
    assert len(written) == 7
    assert "Irish/Happy/0.mid" in written
    assert "damaged.mid: " in done.err


@row("all tracks and channels to one piano", '`[corpus.reader]` with `type = "flattened"`')
def test_all_tracks_become_one_piano(collection: Path) -> None:
    """One track, program 0, with the notes of the tune and of the chords."""
    flat = flattened(collection / "Irish/Happy/0.mid")
    assert flat.tracks == (Track("piano"),)
    assert len(flat) == 32 + 24


@row("tempo changes resolved to 120 BPM", '`[corpus.reader]` with `type = "flattened"`')
def test_tempo_changes_are_resolved(collection: Path) -> None:
    """Every note begins at the second at which it began before; the tempo is 120 throughout."""
    before = read_midi(collection / "Irish/Happy/0.mid")
    flat = flattened(collection / "Irish/Happy/0.mid")
    heard = np.unique(before.seconds(before.onset[~before.is_drum]))
    np.testing.assert_allclose(np.unique(flat.seconds(flat.onset)), heard, atol=60 / 120 / 480)
    assert flat.tempo_bpm.tolist() == [120.0]


@row("resolution rounded up to a multiple of 16", '`[corpus.reader]` with `type = "flattened"`')
def test_the_resolution_is_raised_with_its_ticks(tmp_path: Path) -> None:
    """100 ticks a beat become 112, and a beat is still a beat."""
    path = write_midi(score_of([(100, 100, 60)], ticks_per_beat=100), tmp_path / "a.mid")
    assert rows_of(flattened(path)) == [(112, 112, 60, 80, 0)]


@row("longest note", "`corpus.reader.longest_note`; `--longest-note` of `musengine convert`")
def test_notes_that_hang_are_ended(tmp_path: Path) -> None:
    """A note held for 40 beats is ended after 4, or after the length that is set."""
    path = write_midi(score_of([(0, 160, 60), (160, 4, 62)]), tmp_path / "a.mid")
    assert flattened(path).duration.tolist()[0] == 4 * 16
    assert flattened(path, longest_note="2 beats").duration.tolist()[0] == 2 * 16


@row("a note struck while it sounds", '`[corpus.reader]` with `type = "flattened"`')
def test_a_note_struck_while_it_sounds_ends_the_one_before(tmp_path: Path) -> None:
    """Of two tracks that strike one pitch, the later strike ends the earlier note."""
    rows = [(0, 16, 60, 80, 0), (8, 16, 60, 80, 1)]
    score = score_of(rows, ticks_per_beat=16, tracks=TRACKS[:2])
    flat = flattened(write_midi(score, tmp_path / "a.mid"))
    assert rows_of(flat) == [(0, 8, 60, 80, 0), (8, 16, 60, 80, 0)]


@row("notes and time signatures alone are kept", '`[corpus.reader]` with `type = "flattened"`')
def test_notes_and_meters_alone_are_kept(tmp_path: Path) -> None:
    """Controllers, bends, key and programs are gone; the meter changes when it did."""
    score = score_of(
        [(0, 64, 60), (64, 64, 62)],
        ticks_per_beat=16,
        tracks=(Track("flute", 73),),
        controls=[(0, 0, 64, 127)],
        keys=[(0, 3, False)],
        meters=[(0, 4, 4), (64, 3, 4)],
    )
    flat = flattened(write_midi(score, tmp_path / "a.mid"))
    assert (len(flat.control), len(flat.key), flat.tracks[0].program) == (0, 0, 0)
    assert (flat.meter_tick.tolist(), flat.meter.tolist()) == ([0, 64], [[4, 4], [3, 4]])


@row("channel 10 let through", "`corpus.reader.keep_drums`, `encoder.drums`")
def test_drums_are_left_out_unless_asked_for(collection: Path) -> None:
    """No drum is read; with both keys they are notes among the others, as in the original."""
    path = collection / "Irish/Happy/0.mid"
    assert not (flattened(path).pitch == 36).any()
    kept = flattened(path, keep_drums=True)
    assert kept.is_drum.sum() == 32
    encoder = create("encoder", "biaxial", drums=True)
    assert encoder.encode(kept).steps[:, 36 - 24, 1].sum() == 32


@row("all channels but one muted", "`corpus.reader.channels`; `--channels` of `musengine convert`")
def test_the_main_melody_by_itself(collection: Path, tmp_path: Path) -> None:
    """Channel 1 alone is the tune, in a corpus and as a file to listen to."""
    path = collection / "Irish/Happy/0.mid"
    assert len(flattened(path, channels=[1])) == 32
    out = str(tmp_path / "melody.mid")
    assert run_command("convert", str(path), out, "--channels", "1").status == 0
    assert len(read_midi(Path(out))) == 32


@row(
    "chosen channels merged",
    "`corpus.reader.mute_channels`; `--mute-channels` of `musengine convert`",
)
def test_chosen_channels_are_merged(collection: Path, tmp_path: Path) -> None:
    """Without channel 1 the chords are left; with 1 and 2 both are on one piano."""
    path = collection / "Irish/Happy/0.mid"
    assert len(flattened(path, mute_channels=[1])) == 24
    assert len(flattened(path, channels=[1, 2])) == 56
    out = str(tmp_path / "rest.mid")
    assert run_command("convert", str(path), out, "--mute-channels", "1,10").status == 0
    assert len(read_midi(Path(out))) == 24


@row("folders of styles", "`corpus.styles`, `corpus.exclude`")
def test_styles_are_chosen_by_folder(collection: Path, tmp_path: Path) -> None:
    """`Irish/*` takes the three Irish songs, and `exclude` leaves one of them out."""
    pipeline = tmp_path / "a.toml"
    pipeline.write_text(f'[corpus]\npath = "{collection.as_posix()}"\n[model]\ntype="frequencies"')
    chosen = ['corpus.styles=["Irish/*"]', 'corpus.exclude=["Irish/Happy/1.mid"]', "corpus.valid=0"]
    train = read_dataset(load_pipeline(pipeline, chosen)).parts["train"]
    assert [piece.id for piece in train] == ["Irish/Happy/0.mid", "Irish/Happy/2.mid"]


@row("notes 24 to 103, thirty-seconds", "`encoder.lowest`, `encoder.highest`, `encoder.step`")
def test_the_state_matrix_has_80_notes_and_thirty_seconds(
    one_command: tuple[Path, CommandResult],
) -> None:
    """A beat is 8 steps of 80 notes and two bits; 103 is the last note that fits."""
    encoder = create("encoder", **_encoder(one_command[0]))
    encoded = encoder.encode(score_of([(0, 4, 24), (4, 4, 103), (8, 4, 104)]))
    assert encoded.steps.shape == (24, 80, 2)
    assert dict(encoded.dropped) == {"notes out of range": 1}
    assert encoded.steps[8, 79].tolist() == [1, 1]


def _encoder(run_dir: Path) -> dict[str, object]:
    table = tables(run_dir)["encoder"]
    return {"name": table.pop("type"), **table}


@row("numerators 2, 3, 4 and 6", "`encoder.numerators`, `encoder.meters`")
def test_meters_of_other_numerators_are_cut(one_command: tuple[Path, CommandResult]) -> None:
    """The song in 5/4 is left out and named; those in 4/4 and 3/4 are learned from."""
    run_dir, done = one_command
    assert parts(run_dir)["train"] == sorted(
        [f"Irish/Happy/{k}.mid" for k in range(3)] + [f"jazz/{k}.mid" for k in range(3)]
    )
    assert "jazz/five.mid: meter 5/4" in done.err


@row(
    "batches of 10 segments of 64 steps",
    "`training.batch_size`, `training.sequence_length`, `training.align`",
)
def test_segments_start_at_multiples_of_64(one_command: tuple[Path, CommandResult]) -> None:
    """Ten segments of 64 steps, each from a multiple of 64."""
    training = tables(one_command[0])["training"]
    keys = ("batch_size", "sequence_length", "align", "batching")
    wanted = {key: training[key] for key in keys}
    assert (wanted["batch_size"], wanted["sequence_length"], wanted["align"]) == (10, 64, 64)
    batching = wanted.pop("batching")
    batch = batches_of([np.zeros((400, 80, 2), np.uint8)] * 3, batching, **wanted)[0]
    assert batch.mask.shape == (10, 64)
    assert set(batch.position.tolist()) <= {0, 64, 128, 192, 256, 320}


@row("10,000 iterations", "`training.steps`")
def test_so_many_iterations(one_command: tuple[Path, CommandResult]) -> None:
    """As many updates as are set; the preset has 10,000."""
    assert load_checkpoint(one_command[0]).meta["state"]["step"] == 3
    assert ready("musicguru").training.steps == 10_000


@row("log file: iteration, seconds, error", "the run's `metrics.jsonl`; `training.log_every`")
def test_the_log_has_iterations_and_errors(one_command: tuple[Path, CommandResult]) -> None:
    """A line for each update with its number, the seconds so far, and the error, which is summed
    over a batch as there."""
    found = records(one_command[0], "loss")
    assert [record["step"] for record in found] == [1, 2, 3]
    seconds = [record["seconds"] for record in found]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2]
    # 640 steps of 80 notes: a step of an untrained net costs some tens of nats.
    assert all(640 * 10 < record["loss"] < 640 * 200 for record in found)


@row("similarity to the training data", "`musengine similarity PIECES --against RUN`")
def test_similarity_of_a_piece_to_what_was_learned(
    collection: Path, one_command: tuple[Path, CommandResult]
) -> None:
    """A piece out of the training data is 100 % similar to it, the generated one less; the run's
    own figure is the command's."""
    run_dir, _ = one_command
    flat = write_midi(flattened(collection / "jazz/0.mid"), collection.parent / "flat.mid")
    own = run_dir / "samples" / "piece-001.mid"
    done = run_command("similarity", str(flat), str(own), "--against", str(run_dir), "--json")
    assert done.status == 0, done.err
    copied, made = (entry["similarity"] for entry in json.loads(done.out))
    assert copied == pytest.approx(100.0, abs=1e-3)
    figures = json.loads((run_dir / "evaluation.json").read_text())["generated"]
    assert made == pytest.approx(figures["similarity"], abs=1e-6)


@row("windows of 64 steps, a random subset", "`--window`, `--stride`, `--sample`, `--seed`")
def test_the_windows_that_are_compared(collection: Path) -> None:
    """One window of a shifted copy is found by hand; a sample of the windows lies near all."""
    folder = collection.parent / "windows"
    # Two steps: C, D. The corpus has C, C and D, C. The best window of two for C, D shares one of
    # two notes, each with both bits: cosine 1/2.
    step = "1 beat"
    write_midi(score_of([(0, 4, 60), (4, 4, 62)]), folder / "piece.mid")
    write_midi(score_of([(0, 4, 60), (4, 4, 60)]), folder / "corpus" / "a.mid")
    write_midi(score_of([(0, 4, 62), (4, 4, 60)]), folder / "corpus" / "b.mid")
    words = ("similarity", str(folder / "piece.mid"), "--against", str(folder / "corpus"))
    more = ("--window", "2", "--step", step, "--json")
    done = run_command(*words, *more)
    assert json.loads(done.out)[0]["similarity"] == pytest.approx(50.0)
    sampled = run_command(*words, *more, "--sample", "1", "--seed", "3", "--stride", "1")
    assert json.loads(sampled.out)[0]["similarity"] == pytest.approx(50.0)


@row("a window without notes: NaN", '`[[metric]]` with `type = "similarity"`')
def test_windows_without_notes_are_defined(tmp_path: Path) -> None:
    """A silent window is like a silent one and unlike any other: no NaN."""
    # Four steps with a note in the first: of the windows of two steps the last two are silent.
    write_midi(score_of([(0, 4, 60)], length=16), tmp_path / "piece.mid")
    write_midi(score_of([(0, 4, 60), (4, 4, 60)]), tmp_path / "sounding" / "a.mid")
    write_midi(score_of([(0, 4, 60)], length=16), tmp_path / "resting" / "a.mid")
    found = []
    for corpus in ("sounding", "resting"):
        words = ("similarity", str(tmp_path / "piece.mid"), "--against", str(tmp_path / corpus))
        done = run_command(*words, "--window", "2", "--step", "1 beat", "--json")
        found.append(json.loads(done.out)[0]["similarity"])
    # Note and rest against note and note: 1 / sqrt(2); then two windows with nothing like them.
    assert found == pytest.approx([100 / np.sqrt(2) / 3, 100.0])
