"""Train the models `pop`, `chorales` and `tunes`, and write them into `plugins/musengine-models`.

    python pipelines/models/train.py --data DATA [--only NAME...] [--minutes N]

DATA is a folder with `pop909/pop909-main-001-808.tar.gz` and `nottingham/nottingham-midi.tar.gz`;
the chorales come with music21. Every model takes at most three hours of two cores (`--minutes`
gives each so long); a command that was interrupted goes on. The runs are in `runs/models`, and a
model that is trained is not trained again; the distribution is written when all three are. It takes
musengine-notes, -evaluation, -tools and -notation.

What each was trained on, and under which terms, is written into its model card, with what stands in
the Markdown file of its name beside this one. No beginnings of songs come with `pop` and `tunes`;
those with `chorales` are Bach's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

from musengine_tools.export.distribution import ModelToShare, write_models

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "plugins" / "musengine-models" / "musengine_models"
RUNS = Path("runs", "models")
MOST_BYTES, MOST_ALL = 8_000_000, 25_000_000

MODELS = {
    "pop": ModelToShare(
        run=RUNS / "pop",
        name="pop",
        summary="Pop songs for piano: a melody, a second voice and an accompaniment",
        trained_on="POP909 (Wang et al. 2020, MIT), songs 1 to 808 as they were played",
        licence="MIT",
    ),
    "chorales": ModelToShare(
        run=RUNS / "chorales",
        name="chorales",
        summary="Chorales in four voices",
        trained_on="J. S. Bach's chorales, in the public domain, as they come with music21",
        licence="MIT",
        prompts=16,
    ),
    "tunes": ModelToShare(
        run=RUNS / "tunes",
        name="tunes",
        summary="Dance tunes with chords",
        trained_on="the Nottingham tunes as cleaned by Jukedeck (GPL-3.0), melody and chords",
        licence="GPL-3.0-only",
    ),
}
ARCHIVES = {
    "pop": ("pop909", "pop909-main-001-808.tar.gz", "**/*.mid"),
    "tunes": ("nottingham", "nottingham-midi.tar.gz", "*/*.mid"),
}
"""For each the folder in DATA, the archive in it, and which of the files are read."""


def main() -> None:
    """Train what is asked for, and write the models where all of them are there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the collections")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--minutes", type=float, help="of each (as its pipeline says)")
    given = parser.parse_args()
    for name in given.only:
        train(name, given.data, given.minutes)
    if all((RUNS / name / "evaluation.json").is_file() for name in MODELS):
        remarks = {name: (HERE / f"{name}.md").read_text(encoding="utf-8") for name in MODELS}
        models = [replace(model, remarks=remarks[name]) for name, model in MODELS.items()]
        write_models(models, PACKAGE)
        tell_sizes()


def train(name: str, data: Path, minutes: float | None) -> None:
    """Train a model as its pipeline says, or go on with that."""
    path = music_of(name, data)
    settings = [] if path is None else [f"corpus.path={path}"]
    settings += [] if minutes is None else [f"training.minutes={minutes}"]
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "musengine", "run", str(HERE / f"{name}.toml")]
    subprocess.run([*command, "--run-dir", str(RUNS / name), *words], check=True)


def music_of(name: str, data: Path) -> Path | None:
    """Return the folder of a model's music, unpacked; None for what comes with a library."""
    if name not in ARCHIVES:
        return None
    folder, archive, pattern = ARCHIVES[name]
    target = RUNS.parent / "music" / name
    if not target.is_dir():
        with tarfile.open(data / folder / archive) as packed:
            whole = target.with_name(f"{name}-whole")
            packed.extractall(whole, filter="data")
        target.mkdir()
        for path in sorted(whole.glob(pattern)):
            path.rename(target / path.name)
        shutil.rmtree(whole)
    return target.resolve()


def tell_sizes() -> None:
    """Say how large each model is; end with an error where one is too large."""
    sizes = {
        name: sum(path.stat().st_size for path in (PACKAGE / name).rglob("*") if path.is_file())
        for name in MODELS
    }
    for name, size in sizes.items():
        print(f"{name}: {size / 1e6:.2f} MB")
    if max(sizes.values()) > MOST_BYTES or sum(sizes.values()) > MOST_ALL:
        raise SystemExit("too large: 8 MB each and 25 MB in all are the most")


if __name__ == "__main__":
    main()
