"""The transformer: what each place sees, the cache beside the whole, positions, what it may be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musengine.api import ModelDeclaration, Tokens
from musengine.testing import SURVEYS, declarations, suggested_pipelines
from musengine_remi.config import TransformerConfig
from musengine_remi.model import Cache, Transformer, angles, rotated

SIZE = 11


def transformer(**settings: float) -> Transformer:
    torch.manual_seed(1)
    config = TransformerConfig(**({"layers": 2, "units": 16, "heads": 2, "context": 8} | settings))
    model = Transformer(config, Tokens(size=SIZE, begin=0)).eval()
    for weight in model.parameters():  # those it begins with hardly look at what came before
        if weight.dim() == 2:
            weight.data.mul_(10)
    return model


def tokens(rows: int, length: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, SIZE, (rows, length)))


@pytest.mark.parametrize("pieces_of", [(30,), (1,) * 30, (7, 1, 1, 12, 9), (8, 22), (3, 27)])
@torch.no_grad()
def test_in_parts_it_says_what_it_says_at_once(pieces_of: tuple[int, ...]) -> None:
    model, read = transformer(), tokens(2, 30)
    whole, _ = model.read(read, None)
    state, parts = None, []
    for part in read.split(list(pieces_of), dim=1):
        logits, state = model.read(part, state)
        parts.append(logits)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-4)


@torch.no_grad()
def test_rows_that_have_read_more_and_less_go_on_side_by_side() -> None:
    model, read = transformer(), tokens(2, 20)
    long, short = model.read(read[:1, :13], None)[1], model.read(read[1:, :3], None)[1]
    both = Cache(
        tuple(map(torch.cat, zip(long.keys, short.keys, strict=True))),
        tuple(map(torch.cat, zip(long.values, short.values, strict=True))),
        torch.cat([long.read, short.read]),
    )
    new = torch.stack([read[0, 13:17], read[1, 3:7]])
    logits, _ = model.read(new, both)
    assert torch.allclose(logits[0], model.read(read[:1, :17], None)[0][0, 13:], atol=1e-4)
    assert torch.allclose(logits[1], model.read(read[1:, :7], None)[0][0, 3:], atol=1e-4)


@torch.no_grad()
def test_one_layer_sees_the_context_and_no_more() -> None:
    model, read = transformer(layers=1), tokens(1, 20)
    changed = read.clone()
    changed[0, 5] = (changed[0, 5] + 1) % SIZE
    differs = (model.read(read, None)[0] != model.read(changed, None)[0]).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == list(range(5, 13))


def test_what_is_turned_depends_on_the_distance_alone() -> None:
    config = TransformerConfig(units=16, heads=2)
    q, k = torch.randn(2, 1, 1, 1, 8)
    products = []
    for first in (0, 7, 5000):
        at = [rotated(x, angles(torch.tensor([[first + d]]), config)) for x, d in ((q, 3), (k, 0))]
        products.append(float((at[0] * at[1]).sum()))
    assert products == pytest.approx([products[0]] * 3, abs=1e-3)
    assert products[0] != pytest.approx(float((q * k).sum()), abs=1e-3)


def test_the_window_of_scoring_is_the_context() -> None:
    window = TransformerConfig(context=100).window()
    assert (window.steps, window.context) == (100, 50)


def test_heads_share_the_units_in_pairs() -> None:
    assert list(TransformerConfig(units=24, heads=4).problems()) == []
    assert [key for key, _ in TransformerConfig(units=20, heads=4).problems()] == ["units"]


@pytest.mark.parametrize("music", ["drums", "text", "tunes"])
def test_it_is_not_proposed_for_everything(music: str) -> None:
    assert TransformerConfig.suits(SURVEYS[music]) is None


def test_what_is_proposed_is_a_modest_pipeline(tmp_path) -> None:
    suggested = suggested_pipelines(TransformerConfig, SURVEYS["chords"], tmp_path)
    assert len(suggested) == 2
    for size, pipeline in suggested:
        assert (pipeline.model.name, pipeline.encoder.name) == ("token-transformer", "miditok")
        assert size.fit <= 0.4


def test_it_declares_what_it_is() -> None:
    declared = declarations("model", "musengine-remi")["token-transformer"]
    assert isinstance(declared, ModelDeclaration)
    assert declared.likelihood
    assert not declared.stateful
