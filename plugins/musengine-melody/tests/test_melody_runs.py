"""Melodies in whole runs: several in a file, prompts from anywhere, real music."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import tomli
from miditoolkit import Instrument, MidiFile, Note

from musengine.api import Piece, Pipeline, load_pipeline, read_dataset, read_scores
from musengine.errors import UnreadableError
from musengine.testing import CommandResult, create, run_command, unpack

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = """
[corpus]
path = "music"
valid = 0.3
jobs = 1

[model]
type = "melody"
layers = [12]

[training]
epochs = 2
batch_size = 4
sequence_length = 16
threads = 1

[generate]
count = 3
length = "40 steps"
prompt_length = "4 beats"
"""


def instrument(pitches: list[int], *, drums: bool = False, chord: bool = False) -> Instrument:
    """A note of an eighth on every beat, of 100 ticks; with `chord` a fifth above each."""
    track = Instrument(program=0, is_drum=drums, name="drums" if drums else "line")
    for beat, pitch in enumerate(pitches):
        for note in (pitch, pitch + 7)[: 1 + chord]:
            track.notes.append(Note(velocity=80, pitch=note, start=beat * 200, end=beat * 200 + 90))
    return track


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A folder with songs of a tune, chords and drums; every second one has a bass of its own."""
    (workplace / "music").mkdir()
    random = np.random.default_rng(5)
    for number in range(8):
        file = MidiFile(ticks_per_beat=200)
        tune = [int(pitch) for pitch in 60 + random.integers(0, 12, 40)]
        file.instruments.append(instrument([48] * 40, chord=True))
        file.instruments.append(instrument(tune))
        file.instruments.append(instrument([36] * 40, drums=True))
        if number % 2:
            file.instruments.append(instrument([pitch - 24 for pitch in tune[::-1]]))
        file.dump(str(workplace / "music" / f"{number}.mid"))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def run(*settings: str, pipeline: str = "pipe.toml") -> CommandResult:
    return run_command("run", pipeline, "--quiet", settings=settings)


def parts_of(run_folder: Path) -> dict[str, list[str]]:
    parts = json.loads((run_folder / "split.json").read_text())["parts"]
    return {part: list(pieces) for part, pieces in parts.items()}


def test_from_a_folder_of_songs_to_melodies(folder: Path) -> None:
    assert run().status == 0
    parts = parts_of(folder / "runs/pipe")
    # The tune is the second track, the bass the fourth; chords and drums are none.
    everything = [f"{n}.mid#{k}" for n in range(8) for k in ((2, 4) if n % 2 else (2,))]
    assert sorted(parts["train"] + parts["valid"]) == sorted(everything)
    files = {part: {name.partition("#")[0] for name in parts[part]} for part in parts}
    assert files["train"]
    assert files["valid"]
    assert not files["train"] & files["valid"]
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text())["valid"]
    assert figures["perplexity"] == pytest.approx(np.exp(figures["nll"]))
    assert 0 <= figures["accuracy"] <= 1
    for number in (1, 2, 3):
        made = MidiFile(str(folder / f"runs/pipe/samples/piece-00{number}.mid"))
        notes = [note for track in made.instruments for note in track.notes]
        ends = [note.end for note in notes]
        assert all(end <= note.start for end, note in zip(ends, notes[1:], strict=False))


def test_the_top_line_and_the_tolerance_are_settings(folder: Path) -> None:
    assert run("encoder.skyline=true", "training.steps=1", "generate.count=0").status == 0
    parts = parts_of(folder / "runs/pipe")
    assert len(parts["train"] + parts["valid"]) == 20


def test_prompts_from_anywhere_in_a_folder(folder: Path) -> None:
    assert run("training.steps=1", "generate.count=0").status == 0
    settings = ["generate.prompt=music", "generate.prompt_offset=random", "generate.count=13"]
    settings += ["generate.include_prompt=true", "generate.length=1 steps", "generate.seed=3"]
    assert run_command("generate", "--quiet", "--out", "made", settings=settings).status == 0
    prompts = []
    for number in range(13):
        path = folder / f"made/piece-{number + 1:03}.mid"
        made = MidiFile(str(path))
        prompts.append([note.pitch for track in made.instruments for note in track.notes][:4])
    # Twelve melodies in turn, then the first one again, from another place.
    tune = MidiFile(str(folder / "music/0.mid")).instruments[1]
    pitches = [note.pitch for note in tune.notes]
    places = [
        [at for at in range(36) if pitches[at + 1 : at + 4] == prompts[index][1:4]]
        for index in (0, 12)
    ]
    assert all(places)
    assert places[0] != places[1]


def test_the_classic_preset_has_the_originals_constants(folder: Path) -> None:
    text = '[corpus]\npath = "music"\n[model]\ntype = "melody"\npreset = "classic"\n'
    (folder / "classic.toml").write_text(text)
    small = ("model.layers=[6]", "training.epochs=1", "generate.count=0", "training.batch_size=512")
    assert run(*small, pipeline="classic.toml").status == 0
    tables = tomli.loads((folder / "runs/classic/pipeline.toml").read_text())
    training, encoder = tables["training"], tables["encoder"]
    assert (training["batching"], training["sequence_length"]) == ("windows", 20)
    assert (training["optimizer"], training["learning_rate"]) == ("adam", 0.001)
    assert (training["clip_value"], training["clip_norm"]) == (5.0, 0.0)
    assert (training["schedule"], training["plateau_patience"]) == ("plateau", 3)
    assert training["plateau_factor"] == 0.5
    assert (encoder["step"], encoder["hold"], encoder["tolerance"]) == ("0.25 seconds", False, 0.0)
    # Tracks with no more notes than a window has steps are left out.
    assert encoder["fewest_notes"] == 21
    wider = load_pipeline(folder / "classic.toml", ["training.sequence_length=30"])
    assert wider.encoder.table()["fewest_notes"] == 31
    assert tables["corpus"]["valid"] == 0.2
    assert tables["generate"]["length"] == "1000 steps"
    assert tables["generate"]["velocity"] == 127


def test_the_template(folder: Path) -> None:
    made = run_command("init", "melody", "--corpus", "music", "--out", "mine.toml")
    assert made.status == 0
    assert run_command("check", "mine.toml").status == 0
    assert run("training.steps=2", "generate.count=1", pipeline="mine.toml").status == 0
    made = MidiFile(str(folder / "runs/mine/samples/piece-001.mid"))
    last = max(note.end for track in made.instruments for note in track.notes)
    # 32 bars of 4/4 at 480 ticks a beat, less what may be silent at the end.
    assert 16 * 4 * 480 < last <= 32 * 4 * 480


def unpack_flat(archive: Path, folder: Path, *names: str) -> None:
    """Unpack the MIDI files of an archive, or those whose names end so, all into one folder."""
    folder.mkdir(exist_ok=True)
    for path in unpack(archive, folder.with_name("unpacked"), endings=names or (".mid",)):
        path.rename(folder / path.name)


def pipeline_of(*settings: str) -> Pipeline:
    changes = ("corpus.path=real", "corpus.jobs=1", *settings)
    return load_pipeline(ROOT / "pipelines" / "melody.toml", changes)


def test_tracks_of_real_songs_checked_by_hand(folder: Path, data_folder: Path) -> None:
    """POP909: `MELODY` is one voice, `BRIDGE` sometimes, `PIANO` plays chords."""
    names = ("001.mid", "002.mid", "324.mid")
    unpack_flat(data_folder / "pop909" / "pop909-main-001-808.tar.gz", folder / "real", *names)

    def taken(*settings: str) -> list[str]:
        dataset = read_dataset(pipeline_of("corpus.valid=0.0", *settings))
        return sorted(piece.id for piece in dataset.parts["train"])

    assert taken() == ["001.mid#1", "002.mid#1", "324.mid#1"]
    # The bridges overlap in 2.8, 31 and 1.9 percent of their time; that of 324 has 50 notes.
    bridges = ["001.mid#1", "001.mid#2", "002.mid#1", "324.mid#1", "324.mid#2"]
    assert taken("encoder.tolerance=3") == bridges
    assert taken("encoder.tolerance=3", "encoder.fewest_notes=51") == bridges[:-1]


HAND = {
    # 220 ticks to a beat, so 55 to a sixteenth. B4 struck every 91 ticks and held as long: onsets
    # at 0, 1.65, 3.31, 4.96, 6.62, 8.27, 9.93 sixteenths.
    "03af990cb42904fc25f668d22a2f865d.mid_7b435c05-2691-4522-9c1a-c6fe36d61002.mid": [
        *(72, 129, 72, 72, 129, 72, 129, 72, 72, 129, 72)
    ],
    # A bass: A1 at 0 for 124 ticks (2.25 steps), F#1 at 1635 for 139 (29.73 to 32.25), then from
    # 2965 (53.91) C#3, at 3070 (55.82) C3 for 87 (to 57.4), at 3172 (57.67) B2.
    "60ae5427ef0494da2e2752f3fd0e4a91.mid_50d8c71d-1af7-46e8-8698-62913c3a8ba2.mid": [
        *(34, 129, *[0] * 28, 31, 129, *[0] * 22, 50, 129, 49, 0, 48)
    ],
}


def test_real_files_encoded_by_hand(folder: Path, data_folder: Path) -> None:
    archive = data_folder / "midi-rnn-lakh" / "midi-rnn-lakh.tar.gz"
    unpack_flat(archive, folder / "real", *HAND)
    dataset = read_dataset(pipeline_of("corpus.valid=0.0"))
    pieces = {piece.id: piece.encoded.steps for piece in dataset.parts["train"]}
    assert set(pieces) == set(HAND)
    for name, expected in HAND.items():
        assert pieces[name][: len(expected)].tolist() == expected


@pytest.mark.slow
def test_the_files_of_the_original(folder: Path, data_folder: Path) -> None:
    """183 files, 167 of them strictly monophonic, 128 different ones, none on both sides."""
    unpack_flat(data_folder / "midi-rnn-lakh" / "midi-rnn-lakh.tar.gz", folder / "real")

    def parts_with(*settings: str) -> dict[str, list[str]]:
        parts = read_dataset(pipeline_of(*settings)).parts
        return {part: [piece.id for piece in pieces] for part, pieces in parts.items()}

    def count(parts: dict[str, list[str]]) -> int:
        return sum(map(len, parts.values()))

    # One of the strictly monophonic is percussion, by a bank of drums. In three files more all that
    # overlaps is a note struck again before its release; reading ends it there. Two files overlap
    # in more than 5 percent of their time as they stand.
    assert count(parts_with("encoder.tolerance=0", "corpus.duplicates=keep")) == 167 - 1 + 3
    assert count(parts_with("corpus.duplicates=keep")) == 183 - 1 - 2

    encoder = create("encoder", "melody", tolerance=100.0)
    melodies = {}
    for name, score in read_scores("real", jobs=1).items():
        with contextlib.suppress(UnreadableError):
            melodies |= {each.id: each.content for each in encoder.pieces(Piece(name, score))}
    pitches = {name: melody.pitch.tobytes() for name, melody in melodies.items()}
    assert len(pitches) == 183 - 1
    assert len(set(pitches.values())) == 128 - 1
    # Two of them differ in one note struck again: they are kept together too.
    notes = {name: encoder.copy_key(melody) for name, melody in melodies.items()}
    assert len(set(notes.values())) == 127 - 1

    parts = parts_with("encoder.tolerance=100", "corpus.duplicates=keep")
    assert count(parts) == 183 - 1
    for of in (pitches, notes):
        train, valid = ({of[name] for name in parts[part]} for part in ("train", "valid"))
        assert train
        assert valid
        assert not train & valid
    assert count(parts_with("encoder.tolerance=100")) == 127 - 1
