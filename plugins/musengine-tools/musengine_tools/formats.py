"""What music can be converted to and from: writers by name or ending, and text notations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from musengine.api import (
    Component,
    Encoder,
    EncoderConfig,
    EncoderDeclaration,
    LeftOut,
    Registry,
    RegistryEntry,
    Score,
    Text,
    Writer,
    WriterDeclaration,
    parse_value,
)
from musengine.errors import ConfigError, UnreadableError, UserError, did_you_mean


@dataclass(frozen=True)
class TargetFormat:
    """What files are to become.

    Attributes:
        writer: writes them.
        notation: the encoder that makes a text of a score first, None where none is asked for.
        suffix: the ending of the files, with the dot.
    """

    writer: Component
    notation: Component | None
    suffix: str

    @property
    def takes_scores(self) -> bool:
        """Whether a score can be converted to it."""
        content = self.writer.declared(WriterDeclaration).content
        return self.notation is not None or "score" in content

    @property
    def takes_texts(self) -> bool:
        """Whether a text can be converted to it without being read as a score first."""
        return self.notation is None and "text" in self.writer.declared(WriterDeclaration).content


@dataclass(frozen=True)
class SourceFormat:
    """What files are read as.

    Attributes:
        reader: the one for all files, None where each file's ending decides.
        notation: the encoder that reads the texts as scores, None where none is named.
        known: encoders by the notation a text may say that it is in.
    """

    reader: Component | None
    notation: Component | None
    known: Mapping[str, Component]


def find_target(
    registry: Registry, word: str, settings: Sequence[str], ending: str = ""
) -> TargetFormat:
    """Return what a word means: a writer, a text notation, or a file name ending without its dot.

    Args:
        registry: where writers and encoders are found.
        word: such as `midi`, `text-roll`, `png`.
        settings: KEY=VALUE for the writer, or for the encoder of a notation.
        ending: of the file to write, without its dot: a writer of several kinds takes that one.

    Raises:
        UserError: it means nothing, a setting is wrong, or a library is not installed.
    """
    entry = _meaning(registry, word)
    endings = registry.writers_by_suffix("score", "text")
    # "midi" is the name of a writer, not a request for that ending.
    words = (ending,) if entry.name == word.lower() else (word, ending)
    named = [f".{name.lower()}" for name in words]
    suffix = next((name for name in named if name in endings and endings[name][0] is entry), "")
    presets = endings[suffix][1] if suffix else {}
    component = entry.configured({**presets, **_parsed(settings)})
    notation = None
    if isinstance(entry.declaration, EncoderDeclaration):
        notation, component = component, registry.get("writer", "text").configured({})
    writer: Writer[Any] = component.create()
    return TargetFormat(component, notation, suffix or writer.suffix)


def _meaning(registry: Registry, word: str) -> RegistryEntry:
    """Return the component a word means."""
    name = word.strip().lower()
    named = {entry.name: entry for entry in _writers(registry)}
    named = {**_notations(registry), **named}
    music = registry.writers_by_suffix("score", "text")
    endings = {ending[1:]: entry for ending, (entry, _) in music.items()}
    found = named.get(name) or endings.get(name)
    if found is None:
        known = [*named, *endings]
        raise UserError(
            f"nothing writes {word!r}; what --to and OUT's ending may be: "
            f"{', '.join(dict.fromkeys(known))}{did_you_mean(name, known)}",
            code="unknown-format",
        )
    return found


def find_origin(registry: Registry, word: str | None, settings: Sequence[str]) -> SourceFormat:
    """Return what a word means files are read as: a reader, or a text notation.

    Args:
        registry: where readers and encoders are found.
        word: None where each file's ending decides.
        settings: KEY=VALUE for the reader, or for the encoder of the notation.

    Raises:
        UserError: it means neither, or a setting is wrong.
    """
    notations = _notations(registry)
    known = {name: entry.configured({}) for name, entry in notations.items()}
    if word is None:
        if settings:
            raise UserError(
                f"--set from.{settings[0]}: say with --from what it is a setting of",
                code="assignment-malformed",
            )
        return SourceFormat(None, None, known)
    readers = {entry.name: entry for entry in registry.of_kind("reader")}
    values = _parsed(settings)
    if word in readers:
        return SourceFormat(readers[word].configured(values), None, known)
    if word in notations:
        return SourceFormat(None, notations[word].configured(values), known)
    names = [*readers, *notations]
    raise UserError(
        f"no reader and no notation {word!r} is installed; there are: "
        f"{', '.join(dict.fromkeys(names))}{did_you_mean(word, names)}",
        code="unknown-format",
    )


def to_score(content: Score | Text, origin: SourceFormat) -> Score:
    """Return a piece as a score, a text read in the notation it is in.

    That is the notation the user named, else the one the text says it is in, else the only one
    there is.

    Raises:
        UnreadableError: it is not known which, or nothing of that notation is in the text.
    """
    if isinstance(content, Score):
        return content
    notation = origin.notation or origin.known.get(content.notation)
    if notation is None:
        different = {id(component.entry): component for component in origin.known.values()}
        # By the entry: an encoder is in the table under its own name and its notation's.
        if len(different) != 1 or content.notation != "plain":
            names = ", ".join(origin.known) or "none is installed"
            raise UnreadableError(
                f"a text; name its notation with --from ({names})", code="notation-unknown"
            )
        (notation,) = different.values()
    encoder: Encoder[Any] = notation.create()
    return encoder.from_text(content)


def from_score(score: Score, target: TargetFormat) -> tuple[Score | Text, Mapping[str, LeftOut]]:
    """Return what the target's writer is to write of a score, and what that leaves out.

    Raises:
        UnreadableError: nothing of it can be written in the target's notation.
    """
    if target.notation is None:
        return score, {}
    encoder: Encoder[Any] = target.notation.create()
    dropped = {what: LeftOut(n) for what, n in encoder.dropped_in_text(score).items() if n}
    left_out = {
        what: replace(each, keep=_as_option(each.keep))
        for what, each in encoder.left_out(score).items()
    }
    return encoder.to_text(score), {**dropped, **left_out}


def _as_option(keep: str) -> str:
    """Return a key of the table `[encoder]` as `--set` of `convert` has it."""
    return f"--set {keep.replace('encoder.', '').replace(' = ', '=')}" if keep else ""


def _writers(registry: Registry) -> Iterator[RegistryEntry]:
    """Yield the writers of music; what writes a model's probabilities is none."""
    for entry in registry.of_kind("writer"):
        if {"score", "text"} & set(entry.declared(WriterDeclaration).content):
            yield entry


def _notations(registry: Registry) -> dict[str, RegistryEntry]:
    """Return the encoders that are text notations, by their names and by those of the notations."""
    found = {}
    for entry in registry.of_kind("encoder"):
        try:
            config = entry.configured({}).config
        except ConfigError:  # a key without a default: no notation for everybody
            continue
        if isinstance(config, EncoderConfig) and (notation := config.notation()):
            found[notation] = found[entry.name] = entry
    return found


def _parsed(settings: Sequence[str]) -> dict[str, Any]:
    values = {}
    for assignment in settings:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise UserError(
                f"--set {assignment}: expected KEY=VALUE, as width=2000",
                code="assignment-malformed",
            )
        values[key.strip()] = parse_value(assignment, text.strip())
    return values
