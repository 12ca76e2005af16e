"""What the plugin declares."""

from __future__ import annotations

from musengine.declarations import ModelDeclaration
from musengine.hookspecs import hookimpl
from musengine_lstm3.config import Lstm3Config


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the model `lstm3`."""
    return [
        ModelDeclaration(
            name="lstm3",
            summary="Three LSTM layers on a piano-roll, with skip connections and peepholes",
            target="musengine_lstm3.model:Lstm3",
            config=Lstm3Config,
            layouts=("grid",),
            stateful=True,
            defaults={
                "training": {"optimizer": "adam", "learning_rate": 0.002, "clip_norm": 1.0},
            },
        )
    ]
