"""Any sampler for a layout works with any model of that layout, alone and in a chain."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sampler_toys import GRIDS, TOKENS, NoteByNote, Told, make

from musengine.api import (
    Array,
    Config,
    DecodeSettings,
    Encoder,
    Grid,
    Layout,
    Model,
    ModelDeclaration,
    Piece,
    Sampler,
    SamplerConfig,
    SamplerDeclaration,
    Score,
    Text,
    Tokens,
    load_pipeline,
)
from musengine.errors import ConfigError
from musengine.testing import create, declarations, generate_steps

SETTINGS: dict[str, dict[str, Any]] = {
    # Samplers that do nothing, or not enough to see, by their defaults.
    "notes-at-once": {"at_most": 3},
    "longest-note": {"length": "2 steps"},
    "longest-rest": {"length": "1 step"},
    "temperature": {"temperature": 0.7},
}
ENCODERS = (
    (),
    ("encoder.notes=onsets",),
    ("encoder.silence_marker=true",),
)


def fitting(layout: Layout) -> list[str]:
    """The names of all installed samplers that declare a layout."""
    return [
        name
        for name, declaration in declarations("sampler").items()
        if isinstance(declaration, SamplerDeclaration) and layout.name in declaration.layouts
    ]


def made(name: str, layout: Layout) -> Sampler[Any] | None:
    """A sampler with its defaults; None where it says that it does not fit."""
    sampler: Sampler[Any] = create("sampler", name, layout, **SETTINGS.get(name, {}))
    config = sampler.config
    if isinstance(config, SamplerConfig) and list(config.incompatibilities(layout)):
        return None
    return sampler


def chains(layout: Layout) -> list[list[Sampler[Any]]]:
    """Each sampler alone, and all of them in a row."""
    alone = [sampler for name in fitting(layout) if (sampler := made(name, layout)) is not None]
    together = [made(name, layout) for name in fitting(layout)]
    return [*([sampler] for sampler in alone), [sampler for sampler in together if sampler]]


def assert_valid(piece: Array, layout: Layout, steps: int) -> None:
    assert piece.shape == (steps, *layout.step_shape)
    if isinstance(layout, Grid):
        assert set(np.unique(piece)) <= {0, 1}
        if layout.channels == ("sound", "onset"):
            assert (piece[..., 1] <= piece[..., 0]).all()
    if isinstance(layout, Tokens):
        assert piece.min() >= 0
        assert piece.max() < layout.size


def stepping_models() -> list[str]:
    """The names of all installed models that are stepped on a grid or on tokens."""
    return [
        name
        for name, declaration in declarations("model").items()
        if isinstance(declaration, ModelDeclaration)
        and declaration.generation == "stepping"
        and declaration.uses_samplers
        and {"grid", "tokens"} & set(declaration.layouts)
    ]


def small(config: Config) -> Config:
    """The same settings with every width that is a list of numbers made small, where that fits."""
    widths = {
        field.name: tuple(min(width, 8) for width in value)
        for field in dataclasses.fields(config)
        if isinstance(value := getattr(config, field.name), tuple)
        and value
        and all(isinstance(width, int) and width >= 16 for width in value)
    }
    smaller = dataclasses.replace(config, **widths)
    return config if list(smaller.problems()) else smaller


def encoder_and_model(
    name: str, settings: tuple[str, ...], folder: Path
) -> tuple[Encoder[Any], Model[Any]]:
    """An untrained model with the encoder it is used with."""
    (folder / "pipe.toml").write_text(f'[corpus]\npath = "."\n[model]\ntype = "{name}"\n')
    try:
        resolved = load_pipeline(folder / "pipe.toml", settings)
    except ConfigError as error:
        pytest.skip(f"{name} does not go with {settings}: {error}")
    encoder: Encoder[Any] = resolved.encoder.create()
    ladder = np.arange(24)
    score = Score.from_notes(12 * ladder, 12 + ladder % 3, 48 + ladder, ticks_per_beat=24)
    is_text = resolved.encoder.config.produces() == ("text",)  # type: ignore[attr-defined]
    content = Text("X:1\nK:C\nCDEF GABc|\n") if is_text else score
    encoder.fit([Piece("tune", content)])
    torch.manual_seed(0)
    smaller = dataclasses.replace(resolved.model, config=small(resolved.model.config))
    model: Model[Any] = smaller.create(encoder.layout)
    return encoder, model


@pytest.mark.parametrize("settings", ENCODERS, ids=lambda settings: " ".join(settings) or "plain")
@pytest.mark.parametrize("name", stepping_models())
def test_every_sampler_with_every_installed_model(
    name: str, settings: tuple[str, ...], tmp_path: Path
):
    encoder, model = encoder_and_model(name, settings, tmp_path)
    ran = chains(encoder.layout)
    assert len(ran) > 5
    for samplers in ran:
        pieces = generate_steps(model, samplers, encoder=encoder, length="6 tokens", seeds=[0, 1])
        for steps in pieces:
            assert_valid(steps, encoder.layout, 6)
            encoder.decode(steps, DecodeSettings())


def toys() -> dict[str, Told]:
    """Models without a pattern, of every kind of layout and of both kinds of grid models."""
    torch.manual_seed(0)
    tokens = {name: Told(layout, torch.randn(layout.size)) for name, layout in TOKENS.items()}
    grids = {
        f"{name} {kind.__name__}": kind(layout, torch.randn(layout.step_shape) - 1)
        for name, layout in GRIDS.items()
        for kind in (Told, NoteByNote)
    }
    return tokens | grids


@pytest.mark.parametrize("model", toys().values(), ids=list(toys()))
def test_a_piece_is_the_same_alone_and_among_ten(model: Told):
    seeds = range(5, 15)
    for samplers in chains(model.layout):
        among = make(model, samplers, 15, seeds=seeds)
        (alone,) = make(model, samplers, 15, seeds=seeds[7:8])
        assert_valid(alone, model.layout, 15)
        assert np.array_equal(among[7], alone), [type(sampler).__name__ for sampler in samplers]


@pytest.mark.parametrize("model", toys().values(), ids=list(toys()))
def test_a_sampler_used_again_starts_afresh(model: Told):
    for samplers in chains(model.layout):
        first, second = (make(model, samplers, 12, count=3) for _ in range(2))
        assert np.array_equal(first, second)


def test_every_sampler_of_this_plugin_is_in_the_matrix():
    own = declarations("sampler", "musengine-samplers")
    assert len(own) == 12
    used = {
        type(sampler)
        for layout in (*GRIDS.values(), *TOKENS.values())
        for (sampler,) in chains(layout)[:-1]
    }
    targets = {f"{kind.__module__}:{kind.__name__}" for kind in used}
    assert {declaration.target for declaration in own.values()} <= targets
