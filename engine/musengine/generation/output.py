"""Generated arrays to files: decoded, given instrument and velocity, written, noted."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.errors import UnreadableError, UnwritableError, is_strict
from musengine.generation.written import Known, as_written, settings_of
from musengine.interfaces.contracts.values import check_music
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.writer import Probabilities, Writer
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.pipeline import compatibility
from musengine.plugins import blame
from musengine.plugins.blame import broken
from musengine.plugins.configs import Content
from musengine.plugins.declarations import WriterDeclaration
from musengine.plugins.registry import Component
from musengine.utils.arrays import Array
from musengine.utils.files import append_text, explained, read_json_lines, whole_file, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedPiece:
    """A generated piece as writers get it.

    Attributes:
        content: what the encoder made of the steps.
        score: where that is a text, the score it stands for, if any.
        no_score: why there is none, where the encoder tells scores of texts.
        probabilities: only where a writer asks for them.
    """

    content: Score | Text
    score: Score | None = None
    no_score: str = ""
    probabilities: Probabilities | None = None

    def of_kind(self, kinds: Sequence[Content]) -> Score | Text | Probabilities | None:
        """Return what a writer of these kinds writes of it."""
        if self.probabilities is not None and "probabilities" in kinds:
            return self.probabilities
        kind = "text" if isinstance(self.content, Text) else "score"
        if kind in kinds:
            return self.content
        return self.score if "score" in kinds else None


@dataclass(frozen=True)
class WrittenPiece:
    """The files of one generated piece."""

    stem: str
    files: list[Path]
    notes: int
    """How many notes, or characters of a text."""
    no_score: str = ""
    """Why its text alone was written, where a score was wanted too."""


def decode(
    steps: Array, encoder: Encoder[Any], known: Known, before: Array | None = None
) -> DecodedPiece:
    """Turn generated steps into music, with all that it is written with.

    Args:
        steps: of the piece as it is written.
        encoder: what its prompt was made by.
        known: what is known of it.
        before: the prompt it goes on from, where that is not among the steps.
    """
    settings, keeps = settings_of(known), encoder.config.keeps()
    if before is None or not len(before):
        content = encoder.decode(steps, settings)
    else:
        content = encoder.decode_after(before, steps, settings)
    content = check_music(encoder, "decode", content)
    if isinstance(content, Score):
        return DecodedPiece(as_written(content, known, keeps))
    if "score" not in encoder.config.produces():
        return DecodedPiece(content)
    try:
        score = encoder.score_of(content, settings)
        return DecodedPiece(content, score=as_written(score, known, keeps))
    except UnreadableError as error:
        return DecodedPiece(content, no_score=error.lines[0])


def write_pieces(
    pieces: Sequence[DecodedPiece],
    outputs: Sequence[Component],
    folder: Path,
    name: str,
    option: str = "--run-dir",
) -> list[WrittenPiece]:
    """Write every piece with every writer that can; never over an existing file.

    Files are called `NAME-001` and on; numbering goes on after the highest there is. The option
    is the one that chooses the folder, for the message where it cannot be written.
    """
    number = highest_number(folder, name)
    writers = _able(outputs)
    written = []
    for index, piece in enumerate(pieces, number + 1):
        stem = f"{name}-{index:03}"
        files = []
        for writer, declaration in writers:
            content = piece.of_kind(declaration.content)
            if content is None:
                continue
            path = folder / f"{stem}{writer.suffix}"
            try:
                with whole_file(path, option) as aside:
                    writer.write(content, aside)
                    _check_written(writer, content, aside)
                files.append(path)
            # The content does not fit the format, such as a drum part in a notation: no fault of
            # the writer.
            except UnwritableError as error:
                logger.warning(f"{path.name} is not written: {error}")
            except Exception as error:
                # A plugin's fault must not lose what the other writers write.
                blamed = None if is_strict() else blame.explained(error)
                if blamed is None:
                    raise
                logger.warning(f"{path.name} is not written: {blamed}")
        music = piece.content
        size = len(music.text) if isinstance(music, Text) else len(music)
        scores_wanted = any("score" in declaration.content for _, declaration in writers)
        written.append(WrittenPiece(stem, files, size, piece.no_score if scores_wanted else ""))
    return written


def _check_written(writer: Writer[Any], content: object, path: Path) -> None:
    empty = isinstance(content, Text) and not content.text
    if not empty and not (path.is_file() and path.stat().st_size):
        raise UnwritableError(str(broken(writer, "write", "wrote nothing")), code="contract-broken")


def _able(outputs: Sequence[Component]) -> list[tuple[Writer[Any], WriterDeclaration]]:
    """Return the writers that can write on this system, and say what the others lack."""
    lacking = compatibility.lacking(outputs)
    for message in lacking.values():
        logger.warning(message)
    return [
        (output.create(), output.declared(WriterDeclaration))
        for output in outputs
        if output.name not in lacking
    ]


def highest_number(folder: Path, name: str) -> int:
    """Return the highest number of a piece in a folder, 0 where there is none."""
    pattern = re.compile(re.escape(name) + r"-(\d+)\.")
    if not folder.is_dir():
        return 0
    matches = (pattern.match(entry.name) for entry in folder.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)


def take_back(folder: Path, name: str, first: int, count: int, seed: int) -> None:
    """Delete the pieces of a process that was killed before it had written and noted all of them.

    Pieces that came to be otherwise since then, as the notes tell, stay.

    Args:
        folder: where they are.
        name: what they are called.
        first: the number of the first one.
        count: how many they were to be.
        seed: what they were made with.
    """
    stems = {f"{name}-{first + index:03}": index for index in range(count)}
    path = folder / "generated.jsonl"
    noted = read_json_lines(path) if path.is_file() else []
    own = [
        record.get("seed") == seed
        and "index" in record
        and stems.get(str(record.get("piece"))) == record["index"]
        for record in noted
    ]
    others = {record.get("piece") for record, is_own in zip(noted, own, strict=True) if not is_own}
    if any(own):
        kept = [record for record, is_own in zip(noted, own, strict=True) if not is_own]
        write_text(path, "".join(json.dumps(each, sort_keys=True) + "\n" for each in kept))
    if folder.is_dir():
        for entry in list(folder.iterdir()):
            if entry.stem in stems and entry.stem not in others:
                with explained(entry):
                    # By the files' names alone, as a killed process may have written a piece
                    # without noting it.
                    entry.unlink()


def note_origin(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Append to generated.jsonl how each piece came to be, so that it can be made again."""
    if not records:
        return
    lines = (json.dumps(record, sort_keys=True) + "\n" for record in records)
    append_text(folder / "generated.jsonl", "".join(lines))
