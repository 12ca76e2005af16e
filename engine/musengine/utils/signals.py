"""Ctrl-C and the like: in training the first asks it to stop after its step, the second leaves."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a process from outside: a shutdown, or the end of its terminal."""


class StopRequest:
    """Whether the user asked training to stop.

    Attributes:
        requested: set once, from a signal handler, and looked at after every step.
    """

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stop_on_interrupt(say: Callable[[str], None], *, once: bool = True) -> Iterator[StopRequest]:
    """Catch the first Ctrl-C, SIGTERM or SIGHUP inside; the second raises KeyboardInterrupt.

    Args:
        say: called with a line for the user at the first one.
        once: that is so. Otherwise all are caught: what starts several processes sends its own
            beside that of the terminal, and ends by itself what takes too long.
    """
    stop = StopRequest()
    # Python lets no other thread set a signal's handler.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.requested:
            again = "; press Ctrl-C again to leave at once" if once else ""
            # Only a flag is set in the handler: it may run amid any operation.
            say(f"stopping after this step and saving{again}")
        elif once:
            raise KeyboardInterrupt
        stop.requested = True

    with _handled((signal.SIGINT, *_ENDING), handle):
        yield stop


@contextlib.contextmanager
def ended_by_signals() -> Iterator[Callable[[], None]]:
    """Have a signal that ends the process end the block as Ctrl-C does, so that it is tidied up.

    The KeyboardInterrupt has the signal's number. Yields a function after whose call such signals
    do nothing inside the block any more: the last words of a process are not cut off, as they
    would be where `torchrun` ends it while it says why.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    words = False

    def handle(number: int, frame: FrameType | None) -> None:
        if not words:
            raise KeyboardInterrupt(number)

    def last_words() -> None:
        nonlocal words
        words = True

    with _handled((signal.SIGINT, *_ENDING), handle):
        yield last_words


@contextlib.contextmanager
def interrupts_noticed() -> Iterator[StopRequest]:
    """Note whether a KeyboardInterrupt inside comes of a signal, or code has raised it by itself.

    What a signal does stays as it is.
    """
    noticed = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        noticed.requested = True  # nothing can be told
        yield noticed
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
    raising = [number for number, handler in before.items() if callable(handler)]

    def handle(number: int, frame: FrameType | None) -> None:
        noticed.requested = True
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    with _handled(raising, handle):
        yield noticed


@contextlib.contextmanager
def _handled(
    numbers: Sequence[signal.Signals], handle: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle some signals inside the block; one that is ignored, as under `nohup`, stays so."""
    previous = {
        number: signal.signal(number, handle)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
