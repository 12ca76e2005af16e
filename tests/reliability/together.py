"""Command lines, one after the other, in each of the processes that `torchrun` starts.

The arguments are JSON: a list of command lines, and the rank and the step at which a process is
killed in the first life of its job, if any; then the rank of one that is late in its second.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any


def die_at(rank: int, step: int) -> None:
    """Let the process of a rank be killed when it begins a step."""
    from musengine.training.trainer import Trainer

    whole = Trainer.step

    def dying(self: Trainer, *arguments: Any) -> float:
        first_life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if first_life and os.environ["RANK"] == str(rank) and self.state.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *arguments)

    Trainer.step = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    from musengine.cli.main import main
    from musengine.distributed.launch import leave

    if len(sys.argv) > 2:
        rank, step, *late = json.loads(sys.argv[2])
        die_at(rank, step)
        if late == [int(os.environ["RANK"])] and os.environ["TORCHELASTIC_RESTART_COUNT"] != "0":
            time.sleep(6)
    for line in json.loads(sys.argv[1]):
        if status := main(line):
            raise SystemExit(status)
    leave(0)
