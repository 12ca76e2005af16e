"""What the biaxial net makes after an hour with the 337 files of piano-midi-de, beside its models.

Trains `pipelines/biaxial.toml` on one thread, or takes a run folder that the same pipeline left;
then makes 32 pieces of 64 beats and counts what they, the training part and the held-out part are
made of.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, data_folder, musengine, write_result

from musengine.builtin.midi.reader import MidiReader
from musengine.interfaces.reader import Item
from musengine.music.score import Score
from musengine.music.transforms import excerpt
from musengine.plugins.configs import NoSettings
from musengine_evaluation.features import pitch as pitches
from musengine_evaluation.features import polyphony, rhythm, structure

COMMAND = "python benchmarks/biaxial_hour.py"
PROMPT, LENGTH, PIECES = 8, 64, 32
"""Beats that pieces go on from, beats that are made, and how many pieces."""
MEDIANS: dict[str, Callable[[Score], float]] = {
    "notes a beat": rhythm.notes_per_beat,
    "notes at once": polyphony.polyphony,
    "entropy of pitch classes, bits": pitches.pitch_class_entropy,
    "share of the best scale": pitches.scale_consistency,
    "bars heard before": structure.repetition_rate,
}


def read(paths: Sequence[Path]) -> list[Score]:
    """Return the scores of files."""
    reader, scores = MidiReader(NoSettings()), []
    for path in paths:
        for piece in reader.read(Item(path, path.name)):
            assert isinstance(piece.content, Score)
            scores.append(piece.content)
    return scores


def music(scores: Sequence[Score]) -> dict[str, Any]:
    """Return what some pieces are made of: the longest of all, and medians over the pieces."""
    notes = np.concatenate([score.duration / score.ticks_per_beat for score in scores])
    silences = [polyphony.longest_silence_beats(score) for score in scores]
    return {
        "pieces": len(scores),
        "longest note, beats": round(float(notes.max()), 2),
        "notes over four beats, in 1,000": round(1000 * float((notes > 4).mean()), 1),
        "longest silence, beats": round(float(max(silences)), 2),
        **{
            name: round(float(np.median([measure(score) for score in scores])), 2)
            for name, measure in MEDIANS.items()
        },
    }


def passages(folder: Path, ids: Sequence[str]) -> list[Score]:
    """Return the same stretch of real pieces: what follows the prompt, where there is enough."""
    whole = read([folder / name for name in ids])
    long = [s for s in whole if s.length >= (PROMPT + LENGTH) * s.ticks_per_beat]
    return [excerpt(score, PROMPT, PROMPT + LENGTH) for score in long]


def main() -> None:
    """Train where no run is named, make pieces, count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(data_folder() / "piano-midi-de" / "piano-midi-de.tar.gz") as tar:
            tar.extractall(folder / "corpus", filter="data")
        (corpus,) = (folder / "corpus").iterdir()
        run = Path(sys.argv[1]) if sys.argv[1:] else folder / "run"
        if not sys.argv[1:]:
            settings = (f"corpus.path={corpus}", "training.threads=1")
            pipeline = str(ROOT / "pipelines" / "biaxial.toml")
            musengine("train", pipeline, "--run-dir", str(run), settings=settings)
        wanted = (f"generate.count={PIECES}", "generate.seed=0", 'output=[{type="midi"}]')
        musengine("generate", str(run), "--out", str(folder / "made"), settings=wanted)
        parts = json.loads((run / "split.json").read_text(encoding="utf-8"))["parts"]
        figures = {
            "training part": music(passages(folder / "corpus", parts["train"])),
            "held-out part": music(passages(folder / "corpus", parts["valid"])),
            "made": music(read(sorted((folder / "made").glob("*.mid")))),
        }
    write_result("biaxial_hour", COMMAND, figures)


if __name__ == "__main__":
    main()
