"""What a model says of a batch, as all of the engine asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from musengine.encoding.layouts import Tokens
from musengine.interfaces.contracts.tensors import check_output
from musengine.interfaces.model import Batch, Model, Output


def predict(model: Model[Any], batch: Batch) -> Output:
    """Return what a model says of a batch, with no probability for what its layout forbids.

    It is what training, likelihoods and the checks of a model call; `forward` knows no grammar.
    """
    output = check_output(model, batch, model(batch))
    layout, logits, targets = model.layout, output.logits, output.targets
    if not isinstance(layout, Tokens) or not layout.restricted or logits is None or targets is None:
        return output
    states_BT = torch.zeros_like(batch.mask, dtype=torch.long)
    if batch.grammar is not None:
        states_BT = batch.grammar.long()
    # A model may answer for the last steps of each row alone.
    barrier_BTV = model.barrier[states_BT[:, -logits.shape[1] :]].to(logits.dtype)
    # What has come may come: a prompt may begin amid a piece, where the grammar knows no better.
    # In place: indexing by the states has made a new tensor.
    barrier_BTV = barrier_BTV.scatter_(-1, targets[..., None].long(), 0.0)
    return replace(output, logits=logits + barrier_BTV)
