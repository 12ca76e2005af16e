"""What encoded steps stand for: the score of them, where they hold one."""

from __future__ import annotations

from typing import Any

from musengine.errors import UnreadableError
from musengine.interfaces.contracts.values import check_music
from musengine.interfaces.encoder import DecodeSettings, Encoder
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.utils.arrays import Array


def as_score(steps: Array, encoder: Encoder[Any]) -> Score | None:
    """Return the score that encoded steps stand for; None for a text that holds no music."""
    settings = DecodeSettings()
    content = check_music(encoder, "decode", encoder.decode(steps, settings))
    if not isinstance(content, Text):
        return content
    try:
        return encoder.score_of(content, settings)
    except (UnreadableError, NotImplementedError):
        return None
