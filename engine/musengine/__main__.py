"""`python -m musengine` is the command `musengine`, and what `torchrun` starts."""

from __future__ import annotations

import os

from musengine.cli.main import main

if __name__ == "__main__":
    status = main()
    if status == 0 and "TORCHELASTIC_RUN_ID" in os.environ:
        from musengine.distributed.launch import leave

        leave(status)
    raise SystemExit(status)
