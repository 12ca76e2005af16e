"""What a person who means harm, or a broken disk, may hand to the engine; the docs have the table.

Each is made in a working folder beside a finished run, `runs/pipe`. The files are small, and what
they ask for is not.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RUN = Path("runs/pipe")
GENERATE = ("generate", str(RUN))
GO_ON = ("run", "pipe.toml", "--set", "training.steps=20")
DEEP = 100_000
"""How deep what is nested goes: beyond any recursion."""


@dataclass(frozen=True)
class Hostile:
    """One thing that was tried.

    Attributes:
        what: in a few words.
        make: makes it in a working folder.
        command: that meets it.
        says: what the one line of the error holds; empty where it does no harm and is passed over.
        needs: a module without which nobody reads such a file.
    """

    what: str
    make: Callable[[Path], None]
    command: tuple[str, ...]
    says: str
    needs: str = "musengine"


class Executed:
    """Unpickled it would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("EXECUTED"), "by pickle")


def written(name: str, data: bytes | str) -> Callable[[Path], None]:
    """Write a file of a working folder."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    return make


def checkpoint_of(data: bytes) -> Callable[[Path], None]:
    """Put this in the place of every checkpoint of the run."""

    def make(folder: Path) -> None:
        for path in (folder / RUN / "checkpoints").iterdir():
            path.write_bytes(data)

    return make


def safetensors_of(header: bytes, length: int | None = None) -> bytes:
    """A safetensors file with such a header, said to be of such a length."""
    return struct.pack("<Q", len(header) if length is None else length) + header


def best_elsewhere(folder: Path) -> None:
    """Let the state of a run name a checkpoint outside of it."""
    newest = max((folder / RUN / "checkpoints").iterdir())
    outside = folder / newest.name
    newest.rename(outside)
    for path in (folder / RUN / "checkpoints").iterdir():
        path.unlink()
    state = json.loads((folder / RUN / "state.json").read_text())
    state["best"]["checkpoint"] = f"../../../{outside.name}"
    (folder / RUN / "state.json").write_text(json.dumps(state))


def pipeline_with(line: str) -> Callable[[Path], None]:
    """Write a pipeline, `other.toml`, that ends with a line."""

    def make(folder: Path) -> None:
        (folder / "other.toml").write_text((folder / "pipe.toml").read_text() + line + "\n")

    return make


def zipped(name: str, member: str, data: bytes) -> Callable[[Path], None]:
    """Write an archive with one member."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, data)

    return make


def object_arrays(folder: Path) -> None:
    """Write a collection of piano-rolls whose arrays have objects of Python in them."""
    (folder / "music").mkdir()
    objects = np.array([Executed()], dtype=object)
    np.savez(folder / "music/a.npz", allow_pickle=True, n_pitches=objects, train=objects)


def midi(track: bytes, *, division: int = 480, length: int | None = None) -> bytes:
    """A MIDI file of one track, which says that it is so long."""
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, division)
    return header + b"MTrk" + struct.pack(">I", len(track) if length is None else length) + track


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"
END = b"\x00\xff\x2f\x00"
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 10}">' for n in range(10))
LEARN = ("run", "pipe.toml", "--run-dir", "fresh", "--set", 'corpus.path="music"')
NOTATION = "musengine_notation"

HOSTILE: dict[str, tuple[Hostile, ...]] = {
    "run folders": (
        Hostile(
            "`state.json` nested 100,000 deep",
            written("runs/pipe/state.json", "[" * DEEP),
            GENERATE,
            "state.json is damaged",
        ),
        Hostile(
            "`state.json` names as the best a checkpoint outside of the folder",
            best_elsewhere,
            GENERATE,
            "holds no checkpoint yet",
        ),
        Hostile(
            "`pipeline.toml` of 2 MB",
            written("runs/pipe/pipeline.toml", "#" * 2**21),
            GENERATE,
            "2097152 bytes are too many for a pipeline file",
        ),
        Hostile(
            "`prompts.safetensors` that says its header is 2^60 bytes long",
            written("runs/pipe/prompts.safetensors", safetensors_of(b"{}", 2**60)),
            GENERATE,
            "prompts.safetensors are damaged",
        ),
        Hostile(
            "`prompts.safetensors` that is a pickle",
            written("runs/pipe/prompts.safetensors", pickle.dumps(Executed())),
            GENERATE,
            "prompts.safetensors are damaged",
        ),
        Hostile(
            "`metrics.jsonl` of noise",
            written("runs/pipe/metrics.jsonl", bytes(range(256)) * 40),
            GO_ON,
            "",
        ),
        Hostile(
            "`samples/generated.jsonl` of noise",
            written("runs/pipe/samples/generated.jsonl", b"\xff\x00{" * 99),
            GENERATE,
            "",
        ),
    ),
    "checkpoints": (
        Hostile(
            "a pickle that runs a program", checkpoint_of(pickle.dumps(Executed())), GO_ON,
            "cannot be read",
        ),
        Hostile(
            "a header said to be 2^60 bytes long", checkpoint_of(safetensors_of(b"{}", 2**60)),
            GENERATE, "cannot be read",
        ),
        Hostile(
            "a header nested 100,000 deep", checkpoint_of(safetensors_of(b"[" * DEEP)), GENERATE,
            "cannot be read",
        ),
        Hostile(
            "numbers said to lie beyond the end of the file",
            checkpoint_of(
                safetensors_of(
                    b'{"model/x":{"dtype":"F32","shape":[1099511627776],'
                    b'"data_offsets":[0,4398046511104]}}'
                )
            ),
            GENERATE, "cannot be read",
        ),
        Hostile("noise", checkpoint_of(bytes(range(256)) * 16), GO_ON, "cannot be read"),
        Hostile("an empty file", checkpoint_of(b""), GENERATE, "cannot be read"),
    ),
    "pipelines": (
        Hostile(
            "arrays nested 100,000 deep", pipeline_with(f"[x]\ny = {'[' * DEEP}"),
            ("check", "other.toml"), "nested too deeply",
        ),
        Hostile(
            "a file of zeros", written("other.toml", bytes(5000)), ("check", "other.toml"),
            "Invalid statement",
        ),
        Hostile(
            "in UTF-16", written("other.toml", "[model]".encode("utf-16")),
            ("check", "other.toml"), "not UTF-8 text",
        ),
        Hostile(
            "a module of Python in the place of a component",
            pipeline_with('[[callback]]\ntype = "os:system"'), ("check", "other.toml"),
            "no callback 'os:system' is installed",
        ),
        Hostile(
            "an escape sequence in a name", pipeline_with('[[callback]]\ntype = "\\u001b[2J"'),
            ("check", "other.toml"), "\\x1b[2J",
        ),
        Hostile(
            "an integer of 5,000 digits", pipeline_with(f"[evaluate]\nx = {'9' * 5000}"),
            ("check", "other.toml"), "more than 4300 digits",
        ),
    ),
    "archives": (
        Hostile(
            "`.npz` whose arrays are pickles",
            object_arrays, LEARN, "pickle",
        ),
        Hostile(
            "`.mxl` that names a file outside of itself",
            zipped("music/a.mxl", "../../outside.xml", b"<score-partwise/>"), LEARN,
            "no notes", NOTATION,
        ),
        Hostile(
            "`.mxl` that unpacks to 200 MB",
            zipped("music/a.mxl", "a.xml", b"<score-partwise>" + b" " * (200 * 2**20)), LEARN,
            "uncompressed it is larger than the 67108864 bytes it may have", NOTATION,
        ),
        Hostile(
            "`.mxl` cut short", written("music/a.mxl", b"PK\x03\x04" + b"\x00" * 50), LEARN,
            "a damaged compressed file", NOTATION,
        ),
    ),
    "XML": (
        Hostile(
            "entities of entities (a billion laughs)",
            written(
                "music/a.musicxml",
                f"<!DOCTYPE score-partwise [{ENTITIES}]><score-partwise>&e9;</score-partwise>",
            ), LEARN, "it declares entities of its own", NOTATION,
        ),
        Hostile(
            "an entity that is a file of the machine",
            written(
                "music/a.musicxml",
                '<!DOCTYPE score-partwise [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
                "<score-partwise>&a;</score-partwise>",
            ), LEARN, "it declares entities of its own", NOTATION,
        ),
        Hostile(
            "elements nested 100,000 deep",
            written("music/a.musicxml", "<score-partwise>" + "<a>" * DEEP), LEARN,
            "no element found", NOTATION,
        ),
        Hostile(
            "the same, closed again",
            written(
                "music/a.musicxml",
                "<score-partwise>" + "<a>" * DEEP + "</a>" * DEEP + "</score-partwise>",
            ), LEARN, "no notes", NOTATION,
        ),
    ),
    "MIDI": (
        Hostile("no division",
                written("music/a.mid", midi(NOTE + END, division=0)), LEARN,
                "every training piece is too short"),
        Hostile("a track said to be 4 GB long",
                written("music/a.mid", midi(END, length=2**32 - 1)), LEARN, "no notes"),
        Hostile("a message said to be 256 MB long",
                written("music/a.mid", midi(b"\x00\xff\x01\xff\xff\xff\x7f")), LEARN,
                "no notes"),
        Hostile("a note after 15 years",
                written("music/a.mid", midi(b"\xff\xff\xff\x7f\xff\x01\x00" * 1000 + NOTE + END)),
                LEARN, "time steps are more than the 1048576 a piece may have"),
        Hostile("65,535 tracks said to follow, and none does",
                written("music/a.mid", b"MThd" + struct.pack(">IHHH", 6, 1, 65535, 480)), LEARN,
                "no notes"),
        Hostile("a header alone", written("music/a.mid", b"MThd"), LEARN,
                "it ends within its header"),
    ),
}  # fmt: skip
"""By what is foreign."""
