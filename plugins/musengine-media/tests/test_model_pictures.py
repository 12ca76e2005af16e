"""What a model computed on its way to a piece: as numbers, as a heat-map, layer by layer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musengine.api import Activations, Grid, GridStep, NoSettings, Probabilities, Text, Tokens
from musengine_media.activations import PANEL, ROLL, WIDTH, ActivationsPictureWriter
from musengine_media.config import HeatmapConfig
from musengine_media.heatmap import HeatmapWriter
from musengine_media.probabilities import ProbabilitiesWriter

GRID = Grid(lowest=58, pitches=8, step=GridStep(Fraction(1), "beat"))
WHITE, DARK = (255, 255, 255), (49, 0, 20)


def grid_steps(*pitches: int) -> np.ndarray:
    """(T, 8, 1): one pitch at each step."""
    return np.eye(8, dtype=np.int8)[np.array(pitches, dtype=int) - 58][..., None]


def written(writer, content, folder: Path) -> Image.Image:
    path = folder / f"piece{writer.suffix}"
    writer.write(content, path)
    with Image.open(path) as image:
        image.load()
        return image.convert("RGB")


def thought() -> Probabilities:
    """A prompt of two steps on C4, four steps that were C4 half the time and then D4 for sure."""
    shares = np.zeros((4, 8, 1))
    shares[:2, 60 - 58] = 0.5
    shares[2:, 62 - 58] = 1.0
    return Probabilities(GRID, grid_steps(60, 60), grid_steps(60, 60, 62, 62), shares)


def test_probabilities_are_kept_as_arrays(tmp_path: Path) -> None:
    writer = ProbabilitiesWriter(NoSettings())
    assert writer.suffix == ".npz"
    writer.write(thought(), tmp_path / "piece")
    with np.load(tmp_path / "piece", allow_pickle=False) as kept:
        assert set(kept) == {"probabilities", "steps", "prompt"}
        np.testing.assert_array_equal(kept["probabilities"], thought().probabilities)
        np.testing.assert_array_equal(kept["prompt"], grid_steps(60, 60))
        np.testing.assert_array_equal(kept["steps"], grid_steps(60, 60, 62, 62))


def test_a_heat_map_is_as_dark_as_it_was_probable(tmp_path: Path) -> None:
    writer = HeatmapWriter(HeatmapConfig(width=456, height=300))
    image = written(writer, thought(), tmp_path)
    assert image.size == (456, 300)
    # Three panels of 100 pixels, 18 of each for its title and 10 free below it: 72 for the pitches.
    # Pitches 60 to 62 with two around them, 58 to 64: seven rows. Of 400 pixels of time, 44 to 444,
    # a step of the four takes 100; the prompt's two take 200 each.

    def colour(panel: int, step: float, pitch: int) -> tuple[int, ...]:
        x = 44 + (200 if panel == 0 else 100) * (step + 0.5)
        y = 100 * panel + 18 + 72 * (64 - pitch + 0.5) / 7
        return image.getpixel((int(x), int(y)))

    assert [colour(0, step, 60) for step in (0, 1)] == [DARK, DARK]
    assert colour(0, 0, 62) == WHITE
    # Half-way from paper to nearly black, the third of five colours.
    assert [colour(1, step, 60) for step in range(4)] == [(244, 109, 67)] * 2 + [WHITE] * 2
    assert [colour(1, step, 62) for step in range(4)] == [WHITE] * 2 + [DARK] * 2
    assert [colour(2, step, 60) for step in range(4)] == [DARK] * 2 + [WHITE] * 2


def test_a_heat_map_of_tokens_and_of_nothing(tmp_path: Path) -> None:
    writer = HeatmapWriter(HeatmapConfig(width=456, height=300))
    tokens = Probabilities(Tokens(size=3), np.array([0]), np.array([2, 1]), np.eye(3)[[2, 1]])
    image = written(writer, tokens, tmp_path)
    # Three rows of 24 pixels, the highest token on top; the first of two steps is token 2.
    assert image.getpixel((44 + 100, 200 + 18 + 12)) == DARK
    assert image.getpixel((44 + 300, 200 + 18 + 12)) == WHITE
    empty = Probabilities(GRID, grid_steps()[:0], grid_steps()[:0], np.zeros((0, 8, 1)))
    assert written(writer, empty, tmp_path).size == (456, 300)


def inside(layout=GRID, steps=None) -> Activations:
    """Four steps, and of one layer two units for each note, of another three for each step."""
    by_note = np.zeros((4, 8, 2))
    by_note[0, 60 - 58] = 3, 4  # together 5 / sqrt(2)
    by_note[1, 60 - 58] = -2, 0  # together 2 / sqrt(2), two fifths of it
    by_step = np.array([[0.0, 0.5, -1.0]] * 4)
    steps = grid_steps(60, 60, 62, 62) if steps is None else steps
    arrays = {
        "note.0.cell": (by_note, ("step", "note", "unit")),
        "time.0.cell": (by_step, ("step", "unit")),
    }
    return Activations(layout, steps, 1, arrays)


def test_activations_stand_in_panels_under_the_roll(tmp_path: Path) -> None:
    writer = ActivationsPictureWriter(NoSettings())
    image = written(writer, inside(), tmp_path)
    assert image.size == (WIDTH, ROLL + 2 * PANEL)
    step = (WIDTH - 44 - 12) / 4

    def colour(top: int, height: int, column: int, row: int, rows: int) -> tuple[int, ...]:
        y = top + 18 + (height - 28) * (row + 0.5) / rows
        return image.getpixel((int(44 + step * (column + 0.5)), int(y)))

    # Only 60 to 62 occur: three rows, 62 the uppermost.
    assert [colour(0, ROLL, n, 2, 3) for n in range(4)] == [DARK] * 2 + [WHITE] * 2
    assert [colour(0, ROLL, n, 0, 3) for n in range(4)] == [WHITE] * 2 + [DARK] * 2
    # The strongest place is darkest; two fifths of it lie 3/5 of the way from the second of five
    # colours to the third.
    cells = [colour(ROLL, PANEL, n, 2, 3) for n in range(3)]
    assert cells == [DARK, (248, 155, 97), WHITE]
    # Without notes each unit has a row, the last one uppermost, whatever its sign.
    units = [colour(ROLL + PANEL, PANEL, 1, row, 3) for row in range(3)]
    assert units == [DARK, (244, 109, 67), WHITE]


def test_activations_of_tokens_and_without_notes(tmp_path: Path) -> None:
    writer = ActivationsPictureWriter(NoSettings())
    by_token = inside(Tokens(size=8), np.array([0, 1, 7, 7]))
    assert written(writer, by_token, tmp_path).size == (WIDTH, ROLL + 2 * PANEL)
    silent = inside(steps=np.zeros((4, 8, 1), dtype=np.int8))
    assert written(writer, silent, tmp_path).size == (WIDTH, ROLL + 2 * PANEL)


@pytest.mark.parametrize(
    "writer",
    [
        ProbabilitiesWriter(NoSettings()),
        HeatmapWriter(HeatmapConfig()),
        ActivationsPictureWriter(NoSettings()),
    ],
)
def test_texts_are_none_of_these(writer, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        writer.write(Text("X:1"), tmp_path / "piece")
