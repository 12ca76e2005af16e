"""Checkpoints hold nested states without pickle, and damaged ones are refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from musengine.errors import UserError
from musengine.training import checkpoint

LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
NESTED = st.recursive(
    LEAVES | st.lists(st.floats(-1, 1, width=32), max_size=3).map(torch.tensor),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@given(extra=NESTED)
def test_any_nested_state_comes_back(extra: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "a.safetensors"
    stored = checkpoint.Checkpoint({"w": torch.arange(3.0)}, {"step": 3}, {"it": extra})
    checkpoint.save(path, stored)
    loaded = checkpoint.load(path)
    assert same(loaded.extra["it"], extra)
    assert loaded.meta == {"step": 3}
    assert torch.equal(loaded.model["w"], torch.arange(3.0))


def test_an_optimizers_state_comes_back(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    made = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    made.step()
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint({}, {}, {"optimizer": made.state_dict()}))
    again = torch.optim.Adam(layer.parameters())
    again.load_state_dict(checkpoint.load(path).extra["optimizer"])
    first, second = made.state_dict()["state"][0], again.state_dict()["state"][0]
    assert torch.equal(first["exp_avg"], second["exp_avg"])
    assert float(second["step"]) == 1.0


def test_what_cannot_be_stored_plainly_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(TypeError, match="cannot hold a object"):
        checkpoint.save(path, checkpoint.Checkpoint({}, {}, {"it": object()}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "garbage", "pickle", "empty", "missing"])
def test_damaged_files_are_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint({"w": torch.zeros(100)}, {}, {}))
    whole = path.read_bytes()
    contents = {
        "cut": whole[: len(whole) // 2],
        "garbage": b"\xff" * 300,
        "pickle": pickle.dumps({"w": [1, 2, 3]}),
        "empty": b"",
    }
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(contents[damage])
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert caught.value.code == "checkpoint-unreadable"
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("extra", ['{"list": null}', "{}", "[" * 10**5, '{"__tensor__": "no"}'])
def test_a_strangers_checkpoint_is_refused_in_one_line(tmp_path: Path, extra: str) -> None:
    import safetensors.torch

    path = tmp_path / "a.safetensors"
    metadata = {"meta": "{}", "extra": extra}
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(1)}, metadata=metadata))
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert caught.value.code == "checkpoint-unreadable"


def test_weights_of_another_model_name_the_difference() -> None:
    layer = nn.Linear(3, 2)
    path = Path("x.safetensors")
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    less = {"weight": torch.zeros(2, 3)}
    wrong = {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}
    more = {**layer.state_dict(), "extra": torch.zeros(1)}
    for weights, first in ((less, "bias"), (wrong, "(2, 4)"), (more, "extra")):
        with pytest.raises(UserError) as caught:
            checkpoint.load_weights(layer, weights, path)
        assert caught.value.code == "checkpoint-of-another-model"
        assert first in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


class Read(NamedTuple):
    """A state as a model may have it."""

    keys: tuple[torch.Tensor, ...]
    read: torch.Tensor


def test_named_tuples_of_tensors_stay_named() -> None:
    one = torch.ones(2)
    changed = checkpoint.map_tensors(Read((one, one), one), lambda each: each * 3)
    assert isinstance(changed, Read)
    assert changed.read.tolist() == [3, 3]
    assert [each.tolist() for each in changed.keys] == [[3, 3], [3, 3]]
