"""The trained models in this distribution."""

from __future__ import annotations

from musengine.api import TrainedDeclaration, hookimpl

musengine_api = ">=1,<2"


@hookimpl
def musengine_trained() -> list[TrainedDeclaration]:
    """Declare them."""
    return [
        TrainedDeclaration(
            name="pop",
            summary="Pop songs for piano: a melody, a second voice and an accompaniment",
            target="musengine_models:pop",
            licence="MIT",
            size=7669745,
            trained_on="POP909 (Wang et al. 2020, MIT), songs 1 to 808 as they were played",
        ),
        TrainedDeclaration(
            name="chorales",
            summary="Chorales in four voices",
            target="musengine_models:chorales",
            licence="MIT",
            size=6106144,
            trained_on="J. S. Bach's chorales, in the public domain, as they come with music21",
        ),
        TrainedDeclaration(
            name="tunes",
            summary="Dance tunes with chords",
            target="musengine_models:tunes",
            licence="GPL-3.0-only",
            size=5708857,
            trained_on="the Nottingham tunes as cleaned by Jukedeck (GPL-3.0), melody and chords",
        ),
    ]
