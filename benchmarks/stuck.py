"""How many of a hundred pieces come out empty or stuck: templates, and chains that the pages show.

`pipelines/quickstart.toml` and each template of `musengine init`, in a small size, learn music of
the kind that they are for: the Nottingham tunes, every fifth song of MusicGuru's collection, or
piece of Piano-midi.de. Each is trained for some minutes and makes a hundred pieces with each chain
of samplers. Told are the shares whose first draw has a fault, and whose kept draw has one still.
Chains that nobody had the time to measure say so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, data_folder, musengine, stored_figures, write_result

from musengine.testing import unpack

PIECES = 100
OWN = "its own chain"
MISSING = "not measured"
COOLER = {OWN: "", "temperature 0.8": '[{type="temperature", temperature=0.8}]'}
CHORDS = (
    '[{{type="threshold", threshold={}}}, {{type="smallest-interval", semitones=3}}, '
    '{{type="notes-at-once", at_least=4, at_most=5}}]'
)
RESTLESS = '[{type="temperature", temperature=0.9}, {type="longest-rest", length="1 beat"}]'
TOKENS = {
    **COOLER,
    "nucleus 0.95": '[{type="nucleus", p=0.95}]',
    "min-p 0.05": '[{type="min-p", p=0.05}]',
}
MIN_P = '{type="min-p", p=0.05}, {type="temperature", temperature=1.1}'
ENDS = '{type="longest-note", length="2 bars"}, {type="longest-rest", length="4 bars"}'
CHAINS = {
    "quickstart": {**COOLER, "greedy": '[{type="greedy"}]'},
    "lstm3": {
        **COOLER,
        "threshold, smallest-interval, notes-at-once": CHORDS.format(0.07),
        "temperature, longest-rest": RESTLESS,
    },
    "biaxial": {
        OWN: "",
        "threshold, smallest-interval, notes-at-once": CHORDS.format(0.15),
    },
    "melody": {
        **TOKENS,
        "longest-note": '[{type="longest-note", length="4 bars"}]',
        "categorical, longest-note, longest-rest": f'[{{type="categorical"}}, {ENDS}]',
        "min-p, temperature, longest-note": (f'[{MIN_P}, {{type="longest-note", length="1 bar"}}]'),
    },
    "charrnn": {
        OWN: "",
        "tempered": '[{type="tempered", mu=1.1, sigma=0.1}]',
    },
    "charrnn-abc": {**TOKENS, "nucleus 0.9": '[{type="nucleus", p=0.9}]'},
    "notes-band": {OWN: ""},
    "notes-chorales": {OWN: ""},
    "notes-piano": {OWN: ""},
    "remi": {OWN: ""},
}
"""Of each template its own chain, and those that the pages show for its kind of music."""
NOTES = ["model.width=192"]
SMALLER = {
    "lstm3": ["model.layers=[64, 64]", "training.learning_rate=0.005"],
    "charrnn-abc": ["model.layers=1", "model.units=128"],
    "charrnn": ["model.layers=2", "model.units=128", "training.batch_size=32"],
    "biaxial": ["model.time_layers=[64, 64]", "model.note_layers=[32, 16]"],
    "notes-band": NOTES,
    "notes-chorales": NOTES,
    "notes-piano": NOTES,
    "remi": ["model.layers=2", "model.units=128"],
}
"""What is made smaller of a template, so that it learns something in minutes."""
ARCHIVES = {
    "notes-band": "musicguru/musicguru-collection.tar.gz",
    "remi": "musicguru/musicguru-collection.tar.gz",
    "notes-piano": "piano-midi-de/piano-midi-de.tar.gz",
}
"""What a template is for, where that is not a tune with chords; every fifth file of it."""


def corpus(template: str, folder: Path) -> Path:
    """Return the music that a template learns, such as tunes in ABC notation, or with chords."""
    if template == "charrnn-abc":
        return data_folder() / "nottingham" / "ABC_cleaned"
    if template in ARCHIVES:
        with tempfile.TemporaryDirectory() as place:
            (folder / "music").mkdir()
            files = unpack(data_folder() / ARCHIVES[template], Path(place))
            for number, path in enumerate(sorted(files)[::5]):
                shutil.copy(path, folder / "music" / f"{number:03}-{path.name}")
        return folder / "music"
    with tarfile.open(data_folder() / "nottingham" / "nottingham-midi.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    if template == "melody":
        return folder / "nottingham-midi" / "melody"
    tunes = folder / "tunes"
    tunes.mkdir()
    for path in sorted((folder / "nottingham-midi").glob("*.mid"))[::3]:
        path.rename(tunes / path.name)
    return tunes


def trained(template: str, minutes: float, folder: Path) -> Path:
    """Return a run of a template; one that is there is taken as it is, and so are its pieces."""
    run, file = folder / "run", folder / f"{template}.toml"
    limits = [f"training.minutes={minutes}", *SMALLER.get(template, [])]
    if not run.is_dir() and template == "quickstart":
        file = ROOT / "pipelines" / "quickstart.toml"
        musengine("train", str(file), "--run-dir", str(run), settings=limits)
    elif not run.is_dir():
        music = corpus(template, folder)
        musengine("init", template, "--corpus", str(music), "--out", str(file))
        musengine("train", str(file), "--run-dir", str(run), settings=limits)
    return run


def measured(template: str, name: str, run: Path, minutes: float) -> dict[str, Any]:
    """Make the pieces of a chain and return the shares of those with faults."""
    chain, out = CHAINS[template][name], run.parent / name.replace(" ", "-")
    length = [] if template == "charrnn-abc" else ["--length", "16 bars"]
    words = ["--count", str(PIECES), "--seed", "0", "--format", "midi", *length]
    settings = [f"sampler={chain}"] if chain else []
    origins = out / "generated.jsonl"
    if not origins.is_file():
        musengine("generate", str(run), "--out", str(out), *words, settings=settings)
    records = [json.loads(line) for line in origins.read_text(encoding="utf-8").splitlines()]
    return {
        "first draw": round(sum(each["attempts"] > 1 for each in records) / PIECES, 3),
        "kept draw": round(sum(bool(each["faults"]) for each in records) / PIECES, 3),
        "minutes of training": minutes,
    }


def with_all(row: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of all chains, those that are not measured too, with a new one."""
    known = {**stored_figures("stuck"), row: found}
    rows = [f"{template}: {name}" for template, chains in CHAINS.items() for name in chains]
    return {each: known.get(each, dict.fromkeys(found, MISSING)) for each in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, each template")
    parser.add_argument("--templates", nargs="+", default=[*CHAINS], choices=[*CHAINS])
    parser.add_argument("--chains", nargs="+", help="these alone")
    parser.add_argument("--work", type=Path, help="a folder in which runs stay")
    parsed = parser.parse_args()
    command = f"python benchmarks/stuck.py --minutes {parsed.minutes:g}"
    with tempfile.TemporaryDirectory() as temporary:
        for template in parsed.templates:
            folder = (parsed.work or Path(temporary)).resolve() / template
            folder.mkdir(parents=True, exist_ok=True)
            run = trained(template, parsed.minutes, folder)
            for name in CHAINS[template]:
                if parsed.chains is None or name in parsed.chains:
                    found = measured(template, name, run, parsed.minutes)
                    write_result("stuck", command, with_all(f"{template}: {name}", found))


if __name__ == "__main__":
    main()
