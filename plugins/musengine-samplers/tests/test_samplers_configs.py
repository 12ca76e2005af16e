"""Settings: defaults that work, mistakes found before any data is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import miditoolkit
import pytest
import tomli_w

from musengine.api import load_pipeline
from musengine.errors import ConfigError
from musengine.testing import problem, run_command, score_of, write_midi

MODEL = (
    '[corpus]\npath = "."\n[model]\ntype = "frequencies"\n[encoder]\nlowest = 60\nhighest = 71\n'
)


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong with a pipeline that has these samplers."""
    (folder / "pipe.toml").write_text(MODEL + text)
    try:
        load_pipeline(folder / "pipe.toml")
    except ConfigError as error:
        return [line.partition("pipe.toml: ")[2] for line in error.lines]
    return []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('type = "scale"', []),
        ('type = "longest-note"\nlength = "2 bars"', []),
        ('type = "longest-rest"\nlength = "0 steps"', []),
        ('type = "notes-at-once"\nat_least = 2', []),
        (
            'type = "notes-at-once"',
            ["[sampler.0] at_most: missing; give at_least, at_most or both"],
        ),
        (
            'type = "notes-at-once"\nat_least = 4\nat_most = 3',
            ["[sampler.0] at_most: must be at least at_least (4), got 3"],
        ),
        (
            'type = "notes-at-once"\nat_least = 13',
            ["[sampler.0] type: at_least = 13, but the encoder writes at most 12 notes at once"],
        ),
        ('type = "longest-note"\nlength = "0 beats"', ["[sampler.0] length: must be more than 0"]),
        (
            'type = "longest-rest"\nlength = "3 tokens"',
            ["[sampler.0] length: give it in steps, beats, bars or seconds"],
        ),
        (
            'type = "adaptive"\nleast = 2.0',
            ["[sampler.0] least: must be at most conservativity (1.0), got 2.0"],
        ),
        (
            'type = "nucleus"',
            ["[sampler.0] type: 'nucleus' draws for tokens, not for grid"],
        ),
        (
            'type = "threshold"\nthreshold = 1.0',
            ["[sampler.0] threshold: must be at least 0"],
        ),
        ('type = "tempered"\nmu = 0', ["[sampler.0] mu: must be more than 0, got 0.0"]),
        ('type = "top-k"\nk = 0', ["[sampler.0] k: must be at least 1, got 0"]),
        ('type = "scale"\nkey = "H"', ["[sampler.0] key: expected one of 'C', 'C#', 'Db',"]),
    ],
)
def test_mistakes_are_found_in_the_pipeline(tmp_path: Path, settings: str, expected: list[str]):
    found = problems(tmp_path, f"[[sampler]]\n{settings}\n")
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        assert line.startswith(wanted)


def test_a_scale_without_the_encoders_notes(tmp_path: Path):
    settings = '[[sampler]]\ntype = "scale"\npitch_classes = [0]\n'
    assert problems(tmp_path, settings) == []
    text = MODEL.replace("lowest = 60", "lowest = 61")
    (tmp_path / "pipe.toml").write_text(text + settings)
    with problem("settings-conflict"):
        load_pipeline(tmp_path / "pipe.toml")


def test_the_settings_need_no_torch():
    code = "import sys, musengine_samplers.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_chain_in_a_whole_run(workplace: Path):
    """From tunes of two notes to pieces whose guards hold, through the command line."""
    tune = [[60 + (t // 4) % 3, 67] for t in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [tune] * 3, "valid": [tune]}))
    text = MODEL.replace('path = "."', 'path = "tunes.json"') + 'step = "1 beat"\n'
    text += '[generate]\ncount = 2\nlength = "24 steps"\nprompt = "none"\n'
    text += '[[sampler]]\ntype = "temperature"\ntemperature = 0.8\n'
    text += '[[sampler]]\ntype = "scale"\nkey = "F"\n'
    text += '[[sampler]]\ntype = "longest-note"\nlength = "3 beats"\n'
    (workplace / "pipe.toml").write_text(text)
    assert run_command("run", "pipe.toml").status == 0
    for path in sorted((workplace / "runs/pipe/samples").glob("*.mid")):
        midi = miditoolkit.MidiFile(str(path))
        notes = [note for track in midi.instruments for note in track.notes]
        assert notes
        assert max(note.end - note.start for note in notes) <= 3 * midi.ticks_per_beat
        # F major has no C# and no B; the tunes have C, C#, D and G.
        assert {note.pitch % 12 for note in notes} <= {0, 2, 4, 5, 7, 9, 10}


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        # The first of the run's samplers that has the key gets it, or one is put before them.
        ([{"type": "bernoulli"}], [("temperature", 0.5), ("bernoulli", None)]),
        (
            [{"type": "threshold"}, {"type": "temperature", "temperature": 2.0}],
            [("threshold", None), ("temperature", 0.5)],
        ),
    ],
)
def test_the_option_temperature_is_of_the_first_sampler_that_has_it(
    workplace: Path, chain: list[dict], wanted: list[tuple]
) -> None:
    notes = [(2 * k, 2, 60 + k % 12) for k in range(32)]
    write_midi(score_of(notes, ticks_per_beat=4), workplace / "music" / "a.mid")
    tables = {
        "corpus": {"path": "music", "valid": 0.0},
        "model": {"type": "frequencies"},
        "generate": {"count": 1, "length": "1 beat", "prompt": "none"},
        "sampler": chain,
    }
    (workplace / "pipe.toml").write_text(tomli_w.dumps(tables))
    assert run_command("run", "pipe.toml").status == 0
    assert run_command("generate", "--temperature", "0.5", "--out", "new").status == 0
    record = json.loads((workplace / "new" / "generated.jsonl").read_text())
    found = [(table["type"], table.get("temperature")) for table in record["settings"]["sampler"]]
    assert found == wanted
    # No sampler of notes on a grid has the other one.
    status, _, err = run_command("generate", "--top-p", "0.9")
    assert status == 1
    assert "--top-p" in err
