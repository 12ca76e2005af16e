"""Options of `musengine generate` that stand for keys of a pipeline, and what they stand for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musengine.cli.options import tempo, value_of
from musengine.errors import UserError, did_you_mean
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.configs import EncoderConfig
from musengine.plugins.declarations import SamplerDeclaration
from musengine.plugins.registry import Registry

_SAMPLERS = ("temperature", "top-p")
"""Options that samplers declare as theirs (`SamplerDeclaration.options`)."""


def add_shorthands(parser: argparse.ArgumentParser) -> None:
    """Add the options that stand for keys, by what they are about."""
    pieces = parser.add_argument_group("the pieces", "each is short for a key, as --set has it")
    _add(pieces, "--count", int, "N", "how many (generate.count)")
    _add(pieces, "--length", _length, "LENGTH", "bars, beats, seconds, minutes (generate.length)")
    _add(pieces, "--tempo", tempo, "BPM", "quarter notes a minute (generate.tempo)")
    _add(pieces, "--key", _key, "KEY", "key signature that is written (generate.key)")
    _add(pieces, "--prompt", str, "FILE", "what they go on from (generate.prompt)")
    _add(pieces, "--prompt-length", _length, "LENGTH", "how much of it (generate.prompt_length)")
    _add(pieces, "--instruments", _names, "A,B", "who plays the new notes (generate.instruments)")
    _add(pieces, "--density", _positive, "N", "new notes in each bar (generate.density)")
    pieces.add_argument(
        "--format",
        dest="formats",
        action="append",
        default=[],
        metavar="NAME",
        help="midi, png, wav ...; may be given again ([[output]])",
    )
    infill = parser.add_argument_group("a passage made anew, for models that declare `infill`")
    _add(infill, "--infill", str, "FILE", "the piece that it is of (generate.infill)")
    _add(infill, "--bars", str, "M-N", "which bars, from 1, both included (generate.bars)")
    _add(infill, "--part", str, "NAME", "which part alone (generate.part)")
    _add(infill, "--add-part", str, "NAME", "an instrument that is added (generate.add_part)")
    drawing = parser.add_argument_group("how they are drawn")
    for option, words in (("temperature", "below 1 safer"), ("top-p", "from the likeliest alone")):
        drawing.add_argument(
            f"--{option}",
            type=_positive,
            metavar="X",
            help=f"{words} (of the first [[sampler]] that has it)",
        )
    _add(drawing, "--seed", int, "N", "the same pieces again (generate.seed)")
    _add(drawing, "--best-of", int, "N", "keep the best of N draws (generate.best_of)")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the option that says whose weights are used."""
    words = "whose weights: best, last, a step, or a file (generate.checkpoint)"
    _add(parser, "--checkpoint", str, "WHICH", words)


def _add(
    group: argparse._ActionsContainer, option: str, kind: Any, metavar: str, words: str
) -> None:
    key = f"generate.{option[2:].replace('-', '_')}"
    group.add_argument(
        option, type=kind, action=_Assign, key=key, metavar=metavar, help=words, default=[]
    )


class _Assign(argparse.Action):
    """Puts `KEY=VALUE` among the settings, in the order of the command line."""

    def __init__(self, option_strings: Sequence[str], dest: str, key: str, **more: Any) -> None:
        super().__init__(option_strings, "settings", **more)
        self.key = key

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        # JSON of a string, a number or a list of them is also TOML. A new list, since the default
        # one is shared by all options.
        namespace.settings = [*(namespace.settings or ()), f"{self.key}={json.dumps(values)}"]


def _length(text: str) -> str:
    # Here, so that `--help` does not import it.
    from musengine.config.quantities import Length

    return value_of(lambda text: Length.from_toml(text, Path()), text).to_toml()


def _key(text: str) -> str:
    from musengine.config.quantities import Key

    return value_of(lambda text: Key.from_toml(text, Path()), text).to_toml()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def settings_of(parsed: argparse.Namespace, pipeline: Pipeline, registry: Registry) -> list[str]:
    """Return what those options stand for that depend on the pipeline and on what is installed.

    Args:
        parsed: the command line.
        pipeline: the run's, with all other settings.
        registry: where samplers and writers are found.

    Raises:
        UserError: no sampler has an option, no writer makes a format.
    """
    chain = [sampler.table() for sampler in pipeline.samplers]
    before = [*chain]
    for option in reversed(_SAMPLERS):
        value = getattr(parsed, option.replace("-", "_"))
        if value is not None:
            chain = _with_option(chain, option, value, pipeline, registry)
    settings = [] if chain == before else [f"sampler={_inline(chain)}"]
    if parsed.formats:
        outputs = [_output(word, pipeline, registry) for word in parsed.formats]
        settings.append(f"output={_inline(outputs)}")
    return settings


def _with_option(
    chain: list[dict[str, Any]], option: str, value: float, pipeline: Pipeline, registry: Registry
) -> list[dict[str, Any]]:
    """Return a chain whose first sampler with an option has it; one is put first if none has."""
    config = pipeline.encoder.config
    assert isinstance(config, EncoderConfig)
    layout = config.layout().name
    having = {
        entry.name: declaration.options[option]
        for entry in registry.of_kind("sampler")
        if isinstance(declaration := entry.declaration, SamplerDeclaration)
        and option in declaration.options
        and layout in declaration.layouts
    }
    if not having:
        raise UserError(
            f"--{option}: no installed sampler for the layout {layout!r} has it",
            code="unknown-component",
        )
    place = next((i for i, table in enumerate(chain) if table["type"] in having), None)
    if place is None:
        name, key = next(iter(having.items()))
        return [{"type": name, key: value}, *chain]
    changed = {**chain[place], having[chain[place]["type"]]: value}
    return [*chain[:place], changed, *chain[place + 1 :]]


def _output(word: str, pipeline: Pipeline, registry: Registry) -> dict[str, Any]:
    """Return the table of the writer that a word names, by its name or by a file ending."""
    config = pipeline.encoder.config
    assert isinstance(config, EncoderConfig)
    endings = registry.writers_by_suffix(*config.produces(), "probabilities")
    name = word.strip().lower().removeprefix(".")
    if ("writer", name) in registry.entries:
        own = next((each.table() for each in pipeline.outputs if each.name == name), None)
        return own or {"type": name}
    if f".{name}" in endings:
        entry, settings = endings[f".{name}"]
        return {"type": entry.name, **settings}
    known = [*(ending[1:] for ending in endings), *registry.names("writer")]
    raise UserError(
        f"--format {word}: nothing writes it; there are: {', '.join(dict.fromkeys(known))}"
        f"{did_you_mean(name, known)}",
        code="unknown-format",
    )


def _inline(value: Any) -> str:
    """Return a value as TOML has it in one line."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value, ensure_ascii=False)
