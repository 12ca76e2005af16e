"""A stranger's plugin, `markov/`: found without being installed, and installed beside the core."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import miditoolkit
import pytest

from musengine.api import DecodeSettings, Piece, Score
from musengine.testing import SitePackages, batch_of, generate_steps

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "markov"

CHORDS = {"C": (48, 60, 64, 67), "F": (53, 60, 65, 69), "G": (43, 59, 62, 67), "a": (45, 60, 64)}
FOLLOWING = {"C": "FG", "F": "C", "G": "a", "a": "C"}
"""What may follow each chord in every tune of the corpus."""

PIPELINE = """
[corpus]
path = "tunes"
valid = 0.2

[model]
type = "markov"
order = 1
smoothing = 1e-9     # so small that what never happened in the corpus never happens

[generate]
count = 3
length = "24 beats"
"""


def write_tunes(folder: Path, count: int = 10) -> None:
    """Write tunes of one chord on each beat that keep to FOLLOWING, each beginning anywhere."""
    folder.mkdir(parents=True)
    for index in range(count):
        drawn = random.Random(index)
        chord = drawn.choice("CFGa")
        midi = miditoolkit.MidiFile(ticks_per_beat=480)
        piano = miditoolkit.Instrument(0, False, "Piano")
        for beat in range(32 + index):
            notes = (miditoolkit.Note(80, p, beat * 480, beat * 480 + 480) for p in CHORDS[chord])
            piano.notes.extend(notes)
            chord = drawn.choice(FOLLOWING[chord])
        midi.instruments.append(piano)
        midi.dump(str(folder / f"tune-{index:02}.mid"))


def chords_of(path: Path) -> list[str]:
    """Return the chord that begins on each beat of a MIDI file, named by its pitch classes."""
    named = {frozenset(p % 12 for p in pitches): name for name, pitches in CHORDS.items()}
    sounding: dict[int, set[int]] = {}
    for note in miditoolkit.MidiFile(str(path)).instruments[0].notes:
        sounding.setdefault(note.start // 480, set()).add(note.pitch % 12)
    assert sorted(sounding) == list(range(len(sounding)))
    return [named[frozenset(sounding[beat])] for beat in sorted(sounding)]


def musengine(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Run a command that must succeed; returns what it said."""
    done = command(folder, environment, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def command(folder: Path, environment: dict[str, str], *arguments: str, python: str = "") -> Any:
    return subprocess.run(
        [python or sys.executable, "-m", "musengine", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The plugin's folder on the path, with metadata beside it; nothing is installed."""
    site_packages = SitePackages(tmp_path_factory.mktemp("site"))
    site_packages.add("musengine-markov", {"markov": "musengine_markov.plugin"})
    return site_packages.environment(PLUGIN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """A folder in which a run has come to its end, and its corpus is gone."""
    folder = tmp_path_factory.mktemp("work")
    write_tunes(folder / "tunes")
    (folder / "chords.toml").write_text(PIPELINE)
    musengine(folder, environment, "run", "chords.toml")
    musengine(folder, environment, "run", "chords.toml", "--run-dir", "again")
    shutil.rmtree(folder / "tunes")
    return folder


@pytest.mark.slow
class TestFoundOnThePath:
    def test_the_run_leaves_what_every_run_leaves(self, folder: Path) -> None:
        run = folder / "runs" / "chords"
        names = {entry.name for entry in run.iterdir()}
        assert names >= {"pipeline.toml", "versions.json", "split.json", "metrics.jsonl"}
        assert len(list((run / "checkpoints").glob("*.safetensors"))) == 1
        components = json.loads((run / "versions.json").read_text())["components"]
        for name in ("encoder chords", "model markov", "sampler next-chord"):
            assert components[name] == "musengine-markov 1.0"

    def test_it_takes_part_where_a_model_is_chosen_for_a_folder(
        self, tmp_path: Path, environment: dict[str, str]
    ) -> None:
        write_tunes(tmp_path / "songs")
        alone = {**environment, "MUSENGINE_PLUGINS": "markov"}
        said = musengine(tmp_path, alone, "run", "songs", "--minutes", "1")
        assert "it counts which chord follows which" in said
        run = tmp_path / "runs" / "songs"
        assert 'type = "markov"' in (run / "pipeline.toml").read_text()
        assert len(list((run / "samples").glob("*.mid"))) == 4

    def test_its_pieces_keep_to_the_progressions_of_the_corpus(self, folder: Path) -> None:
        pieces = sorted((folder / "runs/chords/samples").glob("*.mid"))
        assert [path.name for path in pieces] == [f"piece-00{number}.mid" for number in (1, 2, 3)]
        seen = set()
        for path in pieces:
            chords = chords_of(path)
            assert len(chords) == 24
            seen |= set(pairwise(chords))
        # Every step that the corpus takes, the fork after C included, and no other.
        assert seen == {(first, then) for first, all_ in FOLLOWING.items() for then in all_}

    def test_the_validation_figure_is_the_chains_likelihood(self, folder: Path) -> None:
        run = folder / "runs" / "chords"
        parts = json.loads((run / "split.json").read_text())["parts"]
        assert len(parts["train"]) + len(parts["valid"]) == 10
        assert parts["valid"]

        def tune(name: str) -> str:
            drawn = random.Random(int(name[5:7]))
            chord, chords = drawn.choice("CFGa"), ""
            for _ in range(32 + int(name[5:7])):
                chords, chord = chords + chord, drawn.choice(FOLLOWING[chord])
            return chords

        # By hand, from the tunes themselves: -log of how often the first chord began a training
        # tune, and -log of how often F or G followed C there; what else happens is certain.
        train, valid = [[tune(name) for name in parts[part]] for part in ("train", "valid")]
        pairs = [pair for chords in train for pair in pairwise(chords)]
        nats, steps = 0.0, 0
        for chords in valid:
            nats -= math.log(sum(other[0] == chords[0] for other in train) / len(train))
            for pair in pairwise(chords):
                begun = sum(first == pair[0] for first, _ in pairs)
                nats -= math.log(pairs.count(pair) / begun)
            steps += len(chords)
        (logged,) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        assert logged["valid"]["nll"] == pytest.approx(nats / steps, abs=1e-6)

    def test_the_same_seed_gives_the_same_bytes(self, folder: Path) -> None:
        first, second = folder / "runs" / "chords", folder / "again"
        for name in ("samples/piece-001.mid", "samples/piece-002.mid", "samples/piece-003.mid"):
            assert (first / name).read_bytes() == (second / name).read_bytes()

    def test_more_pieces_without_the_corpus(
        self, folder: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        told = musengine(
            *(folder, environment, "generate", "--out", str(tmp_path), "runs/chords"),
            *("--set", "generate.count=5", "--set", "generate.seed=0"),
        )
        assert "5 pieces" in told
        # The first three are the run's own: a piece depends on its seed, not on its company.
        for number in (1, 2, 3):
            name = f"piece-00{number}.mid"
            own = folder / "runs/chords/samples" / name
            assert (tmp_path / name).read_bytes() == own.read_bytes()
        assert len(list(tmp_path.glob("*.mid"))) == 5

    def test_without_the_plugin_the_run_says_what_it_needs(self, folder: Path) -> None:
        done = command(folder, {**os.environ, "MUSENGINE_PLUGINS": ""}, "generate", "runs/chords")
        assert done.returncode == 1
        assert "no model 'markov' is installed" in done.stderr
        assert "model markov from musengine-markov 1.0" in done.stderr

    def test_the_wiring_check_knows_the_layout(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "p.toml").write_text(PIPELINE + '[encoder]\ntype = "piano-roll"\n')
        done = command(tmp_path, environment, "check", "p.toml")
        assert done.returncode == 1
        assert (
            "[model] type: 'markov' works on chord-symbols, but encoder 'piano-roll' makes grid; "
            "encoders that fit: chords"
        ) in done.stderr


class TestItsPieces:
    """The plugin's classes by themselves, and what the engine promises to a layout it knows not."""

    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(PLUGIN))

    def score(self, *chords: Sequence[int]) -> Any:
        notes = [(beat, pitch) for beat, chord in enumerate(chords) for pitch in chord]
        onset, pitch = zip(*notes, strict=True)
        return Score.from_notes(onset, 1, pitch, ticks_per_beat=1, length=len(chords))

    def encoder(self, *scores: Any, **settings: Any) -> Any:
        from musengine_markov.config import ChordsConfig
        from musengine_markov.encoder import Chords

        encoder = Chords(ChordsConfig(**settings))
        encoder.fit([Piece(str(index), score) for index, score in enumerate(scores)])
        return encoder

    def test_chords_to_symbols_and_back(self) -> None:
        # C major, its first inversion, the same an octave up, silence, C major twice.
        c_major, inverted = (48, 52, 55), (52, 55, 60)
        score = self.score(c_major, inverted, (60, 64, 67), (), c_major, c_major)
        encoder = self.encoder(score)
        # The most frequent first: C major is there four times, three of them as written.
        assert encoder.vocabulary == [(), (0, 4, 7), (4, 0, 7)]
        encoded = encoder.encode(score)
        assert encoded.steps.tolist() == [1, 2, 1, 0, 1, 1]
        assert encoded.dropped == {}
        again = encoder.decode(encoded.steps, DecodeSettings())
        assert encoder.encode(again).steps.tolist() == encoded.steps.tolist()
        # The two at the end are one held chord.
        assert again.onset.tolist() == [0, 0, 0, 480, 480, 480, 960, 960, 960, 1920, 1920, 1920]
        assert again.duration.tolist()[-3:] == [960, 960, 960]
        assert encoder.elapsed(encoded.steps, "seconds", DecodeSettings(tempo=60.0))[-1] == 6.0
        assert len(encoder.decode(encoder.empty(), DecodeSettings())) == 0

    def test_an_unknown_chord_becomes_the_one_most_like_it(self) -> None:
        encoder = self.encoder(self.score((48, 52, 55), (50, 53, 57)))
        encoded = encoder.encode(self.score((48, 52, 55, 58), (50, 53, 57, 59)))
        assert encoded.steps.tolist() == [1, 2]
        assert encoded.dropped == {"chords replaced by a known one": 2}

    def test_what_it_learned_goes_through_json(self) -> None:
        encoder = self.encoder(self.score((48, 52, 55), (50, 53, 57)))
        restored = self.encoder()
        restored.load_state(json.loads(json.dumps(encoder.state())))
        assert restored.vocabulary == encoder.vocabulary
        assert restored.layout == encoder.layout

    def model(self, size: int, **settings: Any) -> Any:
        from musengine_markov.config import ChordSymbols, MarkovConfig
        from musengine_markov.model import Markov

        return Markov(MarkovConfig(**settings), ChordSymbols(size=size))

    def test_the_counts(self) -> None:
        model = self.model(3, order=2)
        model.fit([batch_of([0, 1, 2, 1], [0, 1])])
        # Row 3 is "before the piece"; one step back: 0 twice at the beginning, 0 1 twice, 1 2
        # and 2 1 once. Two steps back: nothing before 0, 1, 0, 1; then 0 . 2 and 1 . 1.
        assert model.counts[0].tolist() == [[0, 2, 0], [0, 0, 1], [0, 1, 0], [2, 0, 0]]
        assert model.counts[1].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0], [2, 2, 0]]

    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_step_by_step_it_says_what_it_says_of_whole_pieces(self, order: int) -> None:
        import torch

        pieces = [[0, 1, 2, 1, 0, 2, 2], [2, 0, 1]]
        model = self.model(3, order=order)
        batch = batch_of(*pieces)
        model.fit([batch])
        nats = 0.0
        for piece in pieces:
            state, last = model.start(1), None
            for symbol in piece:
                logits, state = model.step(last, state, {})
                assert float(logits.exp().sum()) == pytest.approx(1.0, abs=1e-6)
                nats -= float(logits[0, symbol])
                last = torch.tensor([symbol])
        output = model(batch)
        assert float(output.nll[output.mask].sum()) == pytest.approx(nats, rel=1e-5)

    def generated(self, model: Any, sampler: Any, seeds: Sequence[int], steps: int) -> Any:
        encoder = self.encoder()
        encoder.vocabulary = [(index,) for index in range(model.nothing)]
        length = f"{steps} steps"
        return generate_steps(model, [sampler], encoder=encoder, length=length, seeds=seeds)

    def sampler(self, size: int, **settings: Any) -> Any:
        from musengine_markov.config import ChordSymbols, NextChordConfig
        from musengine_markov.sampler import NextChord

        return NextChord(NextChordConfig(**settings), ChordSymbols(size=size))

    def test_more_symbols_than_a_byte_can_count(self) -> None:
        model = self.model(601)
        model.counts[:, :, 600] = 10**6
        (piece,) = self.generated(model, self.sampler(601), [1], 5)
        assert piece.tolist() == [600] * 5

    def test_a_chord_held_too_long_is_left(self) -> None:
        model = self.model(3)
        model.counts[:, :, 1] = 10**9
        (piece,) = self.generated(model, self.sampler(3, longest=2), [1], 9)
        runs = "".join(map(str, piece.tolist()))
        assert re.fullmatch(r"(11[02])+", runs)

    def test_redrawing_one_piece_takes_nothing_from_another(self) -> None:
        from musengine_markov.sampler import NextChord

        class Picky(NextChord):
            def review(self, proposal: Any, history: Any) -> Any:
                return proposal.choice < 3  # about a third of the draws, each piece's own

        def picky() -> Any:
            plain = self.sampler(9)
            return Picky(plain.config, plain.layout)

        model = self.model(9)
        together = self.generated(model, picky(), [1, 2, 3, 4], 40)
        for seed, piece in zip([1, 2, 3, 4], together, strict=True):
            (alone,) = self.generated(model, picky(), [seed], 40)
            assert alone.tolist() == piece.tolist()


def constrained(folder: Path) -> dict[str, str]:
    """Return an environment in which pip takes the PyTorch that runs here, unless told else."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    constraints = folder / "constraints.txt"
    # The public part alone: 2.13.0 lets pip take 2.13.0+cpu where that is what it finds.
    version = importlib.metadata.version("torch").partition("+")[0]
    constraints.write_text(f"torch=={version}\n")
    environment.setdefault("PIP_CONSTRAINT", str(constraints))
    return environment


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of that environment."""
    folder = tmp_path_factory.mktemp("installed")
    environment = constrained(folder)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        return subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    def must(*arguments: object) -> None:
        done = run(*arguments)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    must(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
    probe = run(*pip, "download", "--no-deps", "--dest", folder / "probe", "pluggy")
    if probe.returncode != 0:
        pytest.skip(f"pip reaches no packages: {probe.stderr.strip().splitlines()[-1]}")
    must(*pip, "wheel", "--no-deps", "--wheel-dir", folder / "wheels", CHECKOUT, PLUGIN)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == 2
    must(*pip, "install", *wheels)
    return python


@pytest.mark.slow
class TestInstalled:
    """Built as wheels and installed in an environment of its own, the core and this plugin only."""

    def test_it_runs_from_another_folder(self, python: Path, tmp_path: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        write_tunes(tmp_path / "tunes")
        (tmp_path / "chords.toml").write_text(PIPELINE)
        done = command(tmp_path, environment, "plugins", "--json", python=str(python))
        listed = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
        assert set(listed) == {"core", "markov"}
        assert listed["markov"]["distribution"] == "musengine-markov"
        done = command(tmp_path, environment, "run", "chords.toml", python=str(python))
        assert done.returncode == 0, done.stderr
        pieces = sorted((tmp_path / "runs/chords/samples").glob("*.mid"))
        assert len(pieces) == 3
        for path in pieces:
            assert all(then in FOLLOWING[first] for first, then in pairwise(chords_of(path)))

    def test_nothing_of_the_checkout_is_used(self, python: Path, tmp_path: Path) -> None:
        program = (
            "import importlib.util as u;"
            "print(*(u.find_spec(name).origin for name in ('musengine', 'musengine_markov')))"
        )
        done = subprocess.run(
            [python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert str(CHECKOUT) not in done.stdout
