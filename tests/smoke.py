"""Run a small pipeline with whatever is installed, from a folder outside the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import musengine

PIPELINE = """
[corpus]
path = "tunes.json"
[encoder]
step = "1 beat"
[model]
type = "lstm3"
layers = [8]
[training]
steps = 4
sequence_length = 8
[generate]
count = 2
length = "16 steps"
prompt_length = "4 steps"
"""


def main() -> None:
    checkout = Path(__file__).resolve().parents[1]
    assert not Path(musengine.__file__).resolve().is_relative_to(checkout / "engine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tune = [[60 + t % 5, 67] for t in range(32)]
        (folder / "tunes.json").write_text(json.dumps({"train": [tune] * 4, "valid": [tune]}))
        (folder / "small.toml").write_text(PIPELINE)
        for command in (
            *(["plugins"], ["schema", "--out", "schema.json"], ["init", "lstm3"]),
            *(["check", "small.toml"], ["run", "small.toml"]),
        ):
            subprocess.run([sys.executable, "-m", "musengine", *command], cwd=folder, check=True)
        pieces = sorted(path.name for path in (folder / "runs/small/samples").glob("*.mid"))
        assert pieces == ["piece-001.mid", "piece-002.mid"], pieces
    print("the installed wheels run")


if __name__ == "__main__":
    main()
