"""How long a minute of four-part music takes to play and to write down, and how large it is."""

from __future__ import annotations

import os

# Before NumPy is loaded: one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import peak_memory, write_result

from musengine.api import Score, Track
from musengine.testing import create

MINUTE = 120
"""Beats, at 120 a minute."""
PROGRAMS = (0, 40, 56, 73)
RUNS = 5


def four_parts(beats: int, pedal: bool = False) -> Score:
    """Return eighths and quarters in four parts of four instruments, the same each time."""
    rng = np.random.default_rng(1)
    notes = []
    for track, lowest in enumerate((72, 64, 55, 43)):
        tick = 0
        while tick < 4 * beats:
            long = int(rng.choice([2, 4]))
            pitch = lowest + int(rng.choice([0, 2, 4, 5, 7, 9, 11]))
            notes.append((tick, long, pitch, int(rng.integers(50, 110)), track))
            tick += long
    columns = np.array(notes).T
    controls = [
        (16 * bar + after, track, 64, down)
        for bar in range(beats // 4 if pedal else 0)
        for track in range(4)
        for after, down in ((0, 0), (1, 127))
    ]
    tracks = [Track("", 0 if pedal else program) for program in PROGRAMS]
    return Score.from_notes(*columns, ticks_per_beat=4, tracks=tracks, controls=controls)


def figures_of(writer: str, score: Score, folder: Path) -> dict[str, float]:
    """Return the processor's seconds, median, and the size of the file."""
    path = folder / f"piece.{writer}"
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        create("writer", writer).write(score, path)
        times.append(time.process_time() - began)
    size = path.stat().st_size / 2**20
    return {"seconds": round(statistics.median(times), 3), "mebibytes": round(size, 3)}


def memory(minutes: int) -> float:
    """Return the MiB that playing so many minutes takes, in a process of its own."""
    command = [sys.executable, __file__, "--memory", str(minutes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure everything, or the memory of one piece where the arguments ask for that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:2] == ["--memory"]:
            minutes = int(sys.argv[2])
            create("writer", "wav").write(four_parts(minutes * MINUTE), folder / "piece.wav")
            print(round(peak_memory()))
            return
        piece, held = four_parts(MINUTE), four_parts(MINUTE, pedal=True)
        figures = {
            "a minute": {
                "four parts as wav": figures_of("wav", piece, folder),
                "four parts as mp3": figures_of("mp3", piece, folder),
                "four parts as musicxml": figures_of("musicxml", piece, folder),
                "a piano with pedal as wav": figures_of("wav", held, folder),
            },
            "memory": {
                "1 minute as wav": {"mebibytes": memory(1)},
                "14 minutes as wav": {"mebibytes": memory(14)},
            },
            "notes of a minute": len(piece),
        }
    packages = ("musengine", "numpy", "soundfile", "pretty_midi")
    write_result("sound", "python benchmarks/sound.py", figures, packages)


if __name__ == "__main__":
    main()
