"""The types of arrays that annotations name."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A NumPy array of any type of element."""
IntArray = npt.NDArray[np.int64]
"""A NumPy array of whole numbers of 64 bits."""
FloatArray = npt.NDArray[np.float64]
"""A NumPy array of real numbers of 64 bits."""
