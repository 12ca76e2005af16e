"""Ctrl-C during training: the first one asks it to stop after its step, the second leaves."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class StopRequest:
    """Whether the user asked training to stop.

    Attributes:
        requested: set once, from a signal handler, and looked at after every step.
    """

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Catch the first Ctrl-C (or SIGTERM) inside the block; the second raises KeyboardInterrupt.

    Args:
        say: called with a line for the user at the first one.
    """
    stop = StopRequest()
    # Python lets no other thread set a signal's handler.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        say("stopping after this step and saving; press Ctrl-C again to leave at once")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
