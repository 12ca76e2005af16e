"""Which music a word on the command line names: files, a run's pieces, a trained model's."""

from __future__ import annotations

from pathlib import Path

from musengine.api import Registry, find_run, is_run_folder
from musengine.errors import UserError


def music_named(word: str, registry: Registry) -> Path:
    """Return the file or folder to read the music from that a word names.

    Args:
        word: a file, a folder of music, a run folder, a run's name in `runs/`, or the name of a
            trained model that is installed; of a run or a model its generated pieces are meant.
        registry: the trained models.

    Raises:
        UserError: it is a run or a trained model, and has no pieces.
    """
    path = Path(word)
    if path.exists() and not is_run_folder(path):
        return path
    try:
        found = find_run(word, registry)
    except UserError:
        # Whoever reads the path says that it is not there, as of any file.
        return path
    if not found.folder.samples.is_dir():
        raise UserError(
            f"{word} has no pieces yet; `musengine generate {word}` makes some", code="no-music"
        )
    return found.folder.samples
