"""Devices that are there and not, and batches too large for their memory."""

from __future__ import annotations

import platform

import pytest
import torch

from musengine.errors import UserError
from musengine.interfaces.training import TrainingConfig
from musengine.training.device import choose_device, memory_explained, supports_bfloat16

CPU = torch.device("cpu")


def test_running_out_of_memory_names_the_batch_size() -> None:
    config = TrainingConfig(batch_size=512)
    device = torch.device("cpu")
    # Two to the 60th bytes: more than any machine's address space lets the allocator have.
    with pytest.raises(UserError) as caught, memory_explained(config, device):
        torch.empty(2**60, dtype=torch.uint8)
    assert (caught.value.code, "512" in str(caught.value)) == ("out-of-memory", True)
    with pytest.raises(UserError) as caught, memory_explained(config, device):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")
    assert caught.value.code == "out-of-memory"
    with pytest.raises(RuntimeError, match="must match"), memory_explained(config, device):
        torch.zeros(2) + torch.zeros(3)


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UserError) as caught:
        choose_device("cuda:x")
    assert caught.value.code == "device-unknown"
    if torch.cuda.device_count() < 100:
        with pytest.raises(UserError) as caught:
            choose_device("cuda:99")
        assert caught.value.code == "device-missing"


class Ungraded(torch.autograd.Function):
    """An operation whose gradient the device does not have."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("fault", [None, "forward", "backward"])
def test_a_device_supports_bfloat16_if_it_trains_a_layer_in_it(
    fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = torch.nn.LSTM.forward
    tried = []

    def attempt(layer, x):
        tried.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        if fault == "forward":
            raise RuntimeError("could not create a primitive descriptor for the LSTM")
        with torch.autocast("cpu", enabled=False):
            hidden, state = forward(layer, x)
        return (Ungraded.apply(hidden) if fault == "backward" else hidden), state

    monkeypatch.setattr(torch.nn.LSTM, "forward", attempt)
    assert supports_bfloat16(CPU) is (fault is None)
    # One asked before may not ask for gradients.
    with torch.no_grad():
        assert supports_bfloat16(CPU) is (fault is None)
    assert tried == [(True, torch.bfloat16)] * 2


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="not an x86 processor"
)
def test_the_processor_supports_bfloat16_where_onednn_does() -> None:
    before = torch.get_rng_state()
    assert supports_bfloat16(CPU) is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.equal(torch.get_rng_state(), before)
