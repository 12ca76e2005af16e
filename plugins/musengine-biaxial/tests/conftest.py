"""What the tests share: one thread, since more only wait for each other on so little."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
