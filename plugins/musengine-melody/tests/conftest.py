"""One thread: two on matrices this small spend their time waiting for each other."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
