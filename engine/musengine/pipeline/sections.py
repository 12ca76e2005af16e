"""The sections of a pipeline file: those of the core, and which hold components."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from musengine.config.fields import Config, setting
from musengine.config.quantities import Instrument, Key, Length, Meter
from musengine.interfaces.steering import Steering
from musengine.interfaces.training import TrainingConfig
from musengine.pipeline.values import BarRange, CheckpointChoice, Offset, Prompt, Source
from musengine.plugins.declarations import SteeringKind

ALL_KEYS = tuple(range(-5, 7))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RunConfig(Config):
    """`[run]`: what a person wants to remember of the run."""

    message: str = setting("", doc="A note, kept with the run and shown wherever it is named.")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CorpusConfig(Config):
    """`[corpus]`: where the music comes from and how it is divided."""

    path: tuple[Source, ...] = setting(
        doc="A file, a folder, a built-in corpus such as `music21:bach-chorales`, or a list.",
        one_or_many=True,
    )
    styles: tuple[str, ...] = setting(
        (),
        doc="Folders that are read, by name or pattern such as `Irish/*`; an empty list: all.",
        one_or_many=True,
    )
    exclude: tuple[str, ...] = setting(
        (), doc="Folders and files that are not read, by name or pattern.", one_or_many=True
    )
    duplicates: Literal["keep", "drop"] = setting(
        "keep", doc="Pieces with the notes of another: `drop` takes one of each."
    )
    split: Literal["shares", "within", "folders"] | Path = setting(
        "shares",
        doc="How pieces are held out: by the keys below; with `within` such shares at the end of "
        "each piece; `folders` called train, valid and test; or a TOML or JSON file that lists "
        "`valid` and `test`, such as a run's split.json.",
    )
    valid: float | tuple[str, ...] = setting(
        0.1,
        doc="Pieces held out to measure training by: a share, or names and patterns.",
        low=0.0,
        below=1.0,
    )
    test: float | tuple[str, ...] = setting(
        0.0,
        doc="Pieces held out to the very end: a share, or names and patterns.",
        low=0.0,
        below=1.0,
    )
    split_seed: int = setting(0, doc="Which pieces are held out; official splits go first.", low=0)
    key: Literal["original", "common"] = setting(
        "original", doc="`common` moves every piece to C major or A minor, whichever it is nearer."
    )
    transpose: tuple[int, ...] | str = setting(
        (),
        doc="Semitones by which every training piece is also used, such as `[-2, -1, 1, 2]`, "
        '`"-3..3"`, or `"all keys"` (-5 to 6).',
        low=-24,
        high=24,
    )
    jobs: int = setting(
        0, doc="Processes that read files; 0 for one on each core.", low=0, changeable=True
    )
    cache: bool | Path = setting(
        True,
        doc="Keep what was read and encoded for the next run; a path says where.",
        changeable=True,
    )

    read_timeout: float = setting(
        120.0,
        doc="Seconds after which a file is left out that is still being read.",
        above=0.0,
        changeable=True,
    )

    @property
    def shifts(self) -> tuple[int, ...]:
        """The semitones of `transpose`, each once, without 0."""
        return tuple(dict.fromkeys(shift for shift in _semitones(self.transpose) if shift))

    def share(self, part: Literal["valid", "test"]) -> float:
        """Return the share of a part that is drawn; 0 where its pieces are named."""
        value = self.valid if part == "valid" else self.test
        return 0.0 if isinstance(value, tuple) else float(value)

    def problems(self) -> Iterable[tuple[str, str] | tuple[str, str, str]]:
        """Yield held-out shares that leave nothing, an empty path, shifts that are none."""
        if self.share("valid") + self.share("test") >= 1:
            yield "valid", "valid and test together must leave a share to train on"
        for key in ("valid", "test"):
            if isinstance(getattr(self, key), tuple) and self.split != "shares":
                yield key, f"names are for split = 'shares', not {str(self.split)!r}"
        if not self.path:
            yield (
                "path",
                "an empty list; name a file, a folder or a built-in corpus",
                "invalid-value",
            )
        try:
            _semitones(self.transpose)
        except ValueError as error:
            yield "transpose", str(error), "invalid-value"


def _semitones(value: tuple[int, ...] | str) -> tuple[int, ...]:
    """Return the semitones a setting stands for; raises ValueError saying what was expected."""
    if not isinstance(value, str):
        return value
    if value == "all keys":
        return ALL_KEYS
    first, between, last = value.partition("..")
    try:
        low, high = int(first), int(last)
    except ValueError:
        between = ""
    if not between or not -24 <= low <= high <= 24:
        raise ValueError(
            'expected a list of semitones, a range from -24 to 24 such as "-3..3", or "all keys", '
            f"got {value!r}"
        )
    return tuple(range(low, high + 1))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class GenerateConfig(Config):
    """`[generate]`: how many pieces, how long, from what."""

    count: int = setting(4, doc="Pieces to make.", low=0, high=100_000)
    length: Length = setting(
        Length(30, "seconds"),
        doc="Length of each piece, the prompt not counted: steps, beats, bars, seconds or tokens.",
    )
    tempo: float | None = setting(
        None,
        doc="Beats (quarter notes) per minute; by default what the encoder gives, the prompt's, "
        "the most frequent of the corpus, or 120.",
        low=4.0,
        high=1000.0,
    )
    meter: Meter | None = setting(
        None,
        doc="Meter of the bars that are counted and written; by default as `tempo`, or 4/4.",
    )
    key: Key | None = setting(
        None,
        doc="Key signature that is written, which moves no note, and of whose scale new notes are "
        "where the model can be asked for it; by default as `tempo`, or none.",
    )
    instrument: Instrument | None = setting(
        None,
        doc="General MIDI instrument, by number (0 to 127) or name; by default as `tempo`, or a "
        "piano.",
    )
    velocity: int | None = setting(
        None,
        doc="How hard notes are struck, as MIDI counts; by default as `tempo`, or 80.",
        low=1,
        high=127,
    )
    prompt: Prompt = setting(
        Prompt("corpus"),
        doc="What pieces start from: `corpus` (stored beginnings of held-out pieces, drawn anew "
        "with every seed), `none`, or a file or folder of music, in its order.",
        formerly="prime",
    )
    prompt_text: str | None = setting(
        None,
        doc="The first characters of every piece, for encoders of texts; they take the place of "
        "`prompt`, and are part of what is written.",
        formerly="prime_text",
    )
    prompt_length: Length = setting(
        Length(8, "beats"), doc="How much of it is read.", formerly="prime_length"
    )
    prompt_offset: Offset = setting(
        Offset(Length(0, "steps")),
        doc="Where in it reading begins; `random` draws a place for each piece.",
        formerly="prime_offset",
    )
    include_prompt: bool = setting(
        False, doc="Write the prompt at the start of the piece.", formerly="include_prime"
    )
    infill: Path | None = setting(
        None,
        doc="A file of music of which a passage is made anew, all else kept note for note: the "
        "notes that begin in `bars`, those of `part`, or those of a part that is added.",
    )
    bars: BarRange | None = setting(
        None,
        doc="The bars of `infill` that are made anew, counted from 1 by its meters, both ends "
        "included; by default all.",
    )
    part: str | None = setting(
        None,
        doc="The part of `infill` that is made anew, by the name of its track, its instrument or "
        "its number; by default all.",
    )
    add_part: str | None = setting(
        None, doc="An instrument that is added to `infill`, by its name; all notes stay."
    )
    passages: int = setting(
        8,
        doc="Passages that are drawn for each piece of `infill`; kept is the one with which the "
        "given notes in it and after it are likeliest.",
        low=1,
        high=64,
    )
    instruments: tuple[str, ...] = setting(
        (),
        doc="Which instruments play the notes that are drawn, by the names that the model has "
        "learned or those of General MIDI; by default any, in `infill` those that the file has.",
        one_or_many=True,
    )
    density: float | None = setting(
        None,
        doc="How many notes are drawn for each bar; by default as many as the model would.",
        above=0.0,
        high=1000.0,
    )
    seed: int | None = setting(
        None,
        doc="Seed of the draws; in a run by default the training's, with `generate` a new one "
        "each time, which is printed.",
        low=0,
        high=2**53,
    )
    redraw: bool = setting(
        True,
        doc="Draw a piece that is empty or stuck again, up to three times; others stay as is.",
    )
    best_of: int = setting(
        1,
        doc="Draws of every piece; kept is the one nearest to the corpus in likelihood and form.",
        low=1,
        high=64,
    )
    checkpoint: CheckpointChoice = setting(
        CheckpointChoice("best"),
        doc="Which weights are used: `best` on the validation part, `last`, those after a step, "
        "or those in a file.",
    )

    def steering(self, heeds: Collection[SteeringKind]) -> Steering:
        """Return what is asked of the notes that are drawn by a model that heeds some of it."""
        return Steering(self.instruments, self.density, self.key if "key" in heeds else None)

    def problems(self) -> Iterable[tuple[str, str] | tuple[str, str, str]]:
        """Yield a piece of no length, two ways to begin, and what is asked of no file."""
        if not self.length.number:
            yield "length", "must be more than nothing", "out-of-range"
        if self.prompt_text and self.prompt.kind == "path":
            yield "prompt_text", "takes the place of prompt; leave one of them out"
        yield from self._problems_of_infill()

    def _problems_of_infill(self) -> Iterable[tuple[str, str] | tuple[str, str, str]]:
        asked = [key for key in ("bars", "part", "add_part") if getattr(self, key) is not None]
        if self.infill is None:
            for key in asked:
                yield key, "is of a file; name it with infill"
            return
        if not asked:
            yield "infill", "say what is made anew of it: bars, part, or add_part"
        if self.part is not None and self.add_part is not None:
            yield "add_part", "a part is made anew or added; leave part or add_part out"
        if self.add_part is not None and self.instruments:
            yield "instruments", "add_part names the instrument; leave one of them out"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EvaluateConfig(Config):
    """`[evaluate]`: of what the metrics in `[[metric]]` are asked."""

    parts: tuple[Literal["train", "valid", "test"], ...] = setting(
        ("valid", "test"),
        doc="Parts of the corpus that are measured at the end of a run, and by `evaluate`.",
        one_or_many=True,
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ReportConfig(Config):
    """`[report]`: what is written of the run as a whole, by installed plugins."""

    enabled: bool = setting(
        True, doc="Write a report at the end, after pieces made on the way, and on failure."
    )


SECTIONS: dict[str, type[Config]] = {
    "run": RunConfig,
    "corpus": CorpusConfig,
    "training": TrainingConfig,
    "generate": GenerateConfig,
    "evaluate": EvaluateConfig,
    "report": ReportConfig,
}
"""Tables with keys of the core's own."""
LAYERED = ("model", "encoder")
"""Kinds of components whose defaults and presets for other tables count."""
SINGLE = {"encoder": "encoder", "model": "model", "loss": "loss"}
"""Tables that hold one component, and its kind."""
LISTS = {"sampler": "sampler", "metric": "metric", "output": "writer", "callback": "callback"}
"""Arrays of tables that hold one component each, and their kind."""
INSIDE = {
    ("corpus", "reader"): "reader",
    ("training", "batching"): "batching",
    ("training", "optimizer"): "optimizer",
    ("training", "schedule"): "schedule",
}
"""(section, key) that holds one component, by its name or as a table, to its kind.

A pipeline has the component under the key's name. Where the section has a setting of that name,
that is the component's name.
"""
ORDER = (
    *("run", "corpus", "encoder", "model", "loss", "training"),
    *("sampler", "generate", "evaluate", "metric", "output", "callback"),
    "report",
)
"""Every table, as a run folder's pipeline has them."""
FORMER_TABLES = {"callbacks": "callback"}
"""Names of tables in earlier versions, refused with those of today."""
