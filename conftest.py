"""What the tests of every distribution here share; settings of pytest are in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

pytest_plugins = ["musengine.testing.fixtures"]

# Two threads on matrices this small spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUSENGINE_DATA", str(Path(__file__).resolve().parents[1] / "shared/data"))

# Reports of runs are silent, by naming a SoundFont that is not there: most of the time of a run as
# small as those of the tests goes into playing its instruments. What is about sound takes it away.
os.environ["MUSENGINE_SOUNDFONT"] = "no-sounds-in-tests.sf2"

# A quarter of the examples that tests ask for; the slow session draws all of them.
share = float(os.environ.setdefault("MUSENGINE_EXAMPLES", "0.25"))

# How long an example takes says something about the machine, not about the code.
settings.register_profile("musengine", deadline=None, max_examples=round(100 * share))
settings.load_profile("musengine")
