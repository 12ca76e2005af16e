"""What the melody model learns of midi-rnn-lakh in 10 epochs, beside the simplest predictions.

With 130 classes (a note struck again is one) and with the original's 129 (it is held).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import ROOT, data_folder, musengine, write_result

from musengine.builtin.midi.reader import MidiReader
from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.encoding.layouts import Tokens
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.reader import Item
from musengine.music.score import Score
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins.configs import NoSettings
from musengine.plugins.manager import load as load_plugins

PIPELINE = ROOT / "pipelines" / "melody.toml"
TICKS = 120  # a sixteenth in what is written, at 480 ticks a beat
COMMAND = "python benchmarks/melody_quality.py"
Melodies = Sequence[npt.NDArray[np.int64]]


def prepared(settings: list[str]) -> tuple[Dataset, Encoder[Any]]:
    """Return the corpus as a run reads, divides and encodes it."""
    pipeline = load_pipeline(PIPELINE, load_plugins().registry, settings)
    encoder = pipeline.encoder.create()
    manifest = read_corpus(pipeline, load_plugins().registry)
    return prepare(pipeline, manifest, encoder), encoder


def scored(shares: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the figures of probabilities (T, size) of what came (T,)."""
    nll = float(-np.log(shares[np.arange(len(truth)), truth]).mean())
    accuracy = float((shares.argmax(axis=1) == truth).mean())
    return row(accuracy, nll)


def row(accuracy: float, nll: float) -> dict[str, float]:
    return {
        "accuracy": round(accuracy, 4),
        "perplexity": round(float(np.exp(nll)), 3),
        "NLL": round(nll, 4),
    }


def repeat_last(train: Melodies, valid: Melodies, size: int) -> dict[str, float]:
    """Return the figures of: the last class again as often as in training, else any other."""
    again = np.concatenate([steps[1:] == steps[:-1] for steps in train]).mean()
    shares = []
    for steps in valid:
        share = np.full((len(steps), size), (1 - again) / (size - 1))
        share[np.arange(1, len(steps)), steps[:-1]] = again
        share[0] = 1 / size
        shares.append(share)
    return scored(np.concatenate(shares), np.concatenate(valid))


def three_gram(train: Melodies, valid: Melodies, size: int) -> dict[str, float]:
    """Return the figures of counts given the two classes before, interpolated after Witten-Bell.

    Each order is mixed with the one below, down to all classes being equally likely, by how many
    different classes have followed.
    """
    # The class `size` stands for what is before the beginning.
    padded = [np.concatenate([[size, size], steps]) for steps in train]
    one, two = np.zeros(size), np.zeros((size + 1, size))
    three = np.zeros(((size + 1) ** 2, size))
    for steps in padded:
        before, last, now = steps[:-2], steps[1:-1], steps[2:]
        np.add.at(one, now, 1)
        np.add.at(two, (last, now), 1)
        np.add.at(three, (before * (size + 1) + last, now), 1)

    def mixed(counts: npt.NDArray[np.float64], below: Any) -> npt.NDArray[np.float64]:
        total = counts.sum(axis=-1, keepdims=True)
        kinds = (counts > 0).sum(axis=-1, keepdims=True)
        result = np.where(total > 0, (counts + kinds * below) / np.maximum(total + kinds, 1), below)
        return np.asarray(result, dtype=np.float64)

    pairs = mixed(two, mixed(one, np.full(size, 1 / size)))
    shares = []
    for steps in valid:
        padded_steps = np.concatenate([[size, size], steps])
        before, last = padded_steps[:-2], padded_steps[1:-1]
        shares.append(mixed(three[before * (size + 1) + last], pairs[last]))
    return scored(np.concatenate(shares), np.concatenate(valid))


def trained(settings: list[str], target: Path) -> dict[str, float]:
    """Train and generate as the pipeline says; returns the figures of the held-out part."""
    musengine("run", str(PIPELINE), "--run-dir", str(target), settings=settings)
    valid = json.loads((target / "evaluation.json").read_text())["valid"]
    return row(valid["accuracy"], valid["nll"])


def music(scores: Sequence[Score]) -> dict[str, Any]:
    """Return what some melodies are made of."""
    silent = [1 - score.duration.sum() / score.length for score in scores]
    return {
        "melodies": len(scores),
        "longest note, sixteenths": max(int(score.duration.max()) for score in scores) // TICKS,
        "notes longer than a bar, in 1,000": round(
            1000 * float(np.mean(np.concatenate([s.duration for s in scores]) > 16 * TICKS)), 1
        ),
        "share of rests": round(float(np.average(silent, weights=[s.length for s in scores])), 3),
        "of one melody, least and most": f"{min(silent):.2f} to {max(silent):.2f}",
        "lowest pitch": min(int(score.pitch.min()) for score in scores),
        "highest pitch": max(int(score.pitch.max()) for score in scores),
    }


def read(folder: Path, sixteenths: int) -> list[Score]:
    """Return the melodies in a folder, all of the length that was asked for."""
    reader, scores = MidiReader(NoSettings()), []
    for path in sorted(folder.glob("*.mid")):
        (piece,) = reader.read(Item(path, path.name))
        assert isinstance(piece.content, Score)
        assert piece.content.ticks_per_beat == 4 * TICKS
        length = max(piece.content.length, sixteenths * TICKS)
        scores.append(Score(**{**vars(piece.content), "length": length}))
    return scores


def generated(run: Path, dataset: Dataset, encoder: Encoder[Any]) -> dict[str, Any]:
    """Return what the training part, the held-out part and made melodies consist of."""
    from musengine.interfaces.encoder import DecodeSettings

    table: dict[str, Any] = {}
    for title, part in (("training part", "train"), ("held-out part", "valid")):
        pieces = dataset.parts[part]  # type: ignore[index]
        scores = [encoder.decode(piece.encoded.steps, DecodeSettings()) for piece in pieces]
        table[title] = music(scores)  # type: ignore[arg-type]
    guard = '{type="longest-note", length="1 bars"}'
    chains = {
        "made, plain draws": '[{type="categorical"}]',
        "made, no note longer than a bar": f'[{{type="categorical"}}, {guard}]',
    }
    for number, (title, chain) in enumerate(chains.items()):
        out = run / f"made-{number}"
        settings = (f"sampler={chain}", "generate.seed=0")
        musengine("generate", str(run), "--out", str(out), settings=settings)
        table[title] = music(read(out, 1000))
    return table


def main() -> None:
    """Measure with both numbers of classes; music is made with the first."""
    figures: dict[str, Any] = {}
    corpus = f"corpus.path={data_folder() / 'midi-rnn-lakh'}"
    with tempfile.TemporaryDirectory() as name:
        if not any((data_folder() / "midi-rnn-lakh").glob("**/*.mid")):
            subprocess.run(
                ["tar", "xzf", str(data_folder() / "midi-rnn-lakh" / "midi-rnn-lakh.tar.gz")],
                cwd=name,
                check=True,
            )
            corpus = f"corpus.path={name}/midi-rnn-lakh"
        for hold in ("true", "false"):
            settings = [corpus, f"encoder.hold={hold}"]
            dataset, encoder = prepared(settings)
            assert isinstance(encoder.layout, Tokens)
            size = encoder.layout.size
            train, valid = (
                [piece.encoded.steps.astype(np.int64) for piece in dataset.parts[part]]
                for part in ("train", "valid")
            )
            run = Path(name) / f"run-{size}"
            figures[f"{size} classes: the last class again"] = repeat_last(train, valid, size)
            figures[f"{size} classes: 3-gram"] = three_gram(train, valid, size)
            figures[f"{size} classes: melody, 10 epochs"] = trained(settings, run)
            if hold == "true":
                write_result("melody_generated", COMMAND, generated(run, dataset, encoder))
    write_result("melody_quality", COMMAND, figures)


if __name__ == "__main__":
    main()
