"""Whose fault something is that went wrong while a plugin was at work, told in one line.

An exception out of a plugin's code is traced back to it. What a component returns against its
contract is refused where the engine takes it, with `broken`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

from musengine.errors import UserError
from musengine.plugins import manager

_LIBRARY = ("config", "encoding", "interfaces", "music", "nn", "utils")
"""Packages of the core whose exceptions are the fault of who calls them wrongly."""

_NOTE = "_musengine_phase"
"""The attribute of an exception that keeps the phase in which it was raised."""

_phase: contextvars.ContextVar[str] = contextvars.ContextVar("phase", default="")


class ContractError(UserError):
    """A plugin's component broke its contract; the message is for the plugin's author."""

    code = "contract-broken"


@contextlib.contextmanager
def phase(words: str) -> Iterator[None]:
    """Let messages say that it was `while WORDS` that something went wrong."""
    token = _phase.set(words)
    try:
        yield
    except Exception as error:
        # It is told where no phase is left.
        if not hasattr(error, _NOTE):
            setattr(error, _NOTE, words)
        raise
    finally:
        _phase.reset(token)


def broken(component: object, method: str, message: str) -> ContractError:
    """Return the error that a component's method did not do what it must.

    Args:
        component: the object, such as a model.
        method: the name of its method.
        message: what it did, and what was expected.
    """
    return ContractError(f"{_named(type(component))}: {method}(){_while()}: {message}")


def explained(error: BaseException) -> str | None:
    """Return a line that blames a plugin for an exception; None where it is the core's own fault.

    The innermost frame of either decides. A frame of the core's in which a plugin's object is at
    work, in a method that it inherits, is the plugin's; what the core offers as a library is
    neither's, so that a wrong call of it is the fault of who called it.
    """
    blamed: TracebackType | None = None
    trace = error.__traceback__
    while trace is not None:
        owner = _owner(trace.tb_frame)
        if owner is not None:
            # The last one stays: the frame nearest to where it was raised.
            blamed = None if owner == "core" else trace
        trace = trace.tb_next
    if blamed is None:
        return None
    frame = blamed.tb_frame
    place = f"{Path(frame.f_code.co_filename).name}, line {blamed.tb_lineno}"
    own = frame.f_locals.get("self")
    method = frame.f_code.co_name
    if _plugin_of(type(own).__module__) is not None:
        who = f"{_named(type(own))}: {method}()"
    else:
        who = f"plugin {_plugin_of(_module(frame))}: {method}()"
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    during = _while(getattr(error, _NOTE, ""))
    return f"{who}{during} ({place}): {reason}; MUSENGINE_STRICT=1 shows the way there"


def _owner(frame: FrameType) -> str | None:
    """Return whose a frame is: a plugin's name, `core`, or None for a library's."""
    module = _module(frame)
    if (plugin := _plugin_of(module)) is not None:
        return plugin.name
    package, _, rest = module.partition(".")
    if package != "musengine":
        return None
    # A method that a plugin's class inherits runs in the core's module.
    own = _plugin_of(type(frame.f_locals.get("self")).__module__)
    if own is not None:
        return own.name
    return None if rest.split(".")[0] in _LIBRARY else "core"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _plugin_of(module: str) -> manager.Plugin | None:
    """Return the plugin that a module belongs to, None for the core and for libraries."""
    plugin = manager.owners().get(module.partition(".")[0])
    return None if plugin is None or plugin.name == "core" else plugin


def _named(kind: type) -> str:
    """Return a component by what pipelines call it and by its distribution."""
    plugin = manager.owners().get(kind.__module__.partition(".")[0])
    if plugin is None:
        return kind.__name__
    for base in kind.__mro__:
        for declaration in plugin.declarations:
            if declaration.target == f"{base.__module__}:{base.__qualname__}":
                return f"{declaration.kind} {declaration.name!r} of {plugin.origin}"
    return f"{kind.__name__} of {plugin.origin}"


def _while(words: str = "") -> str:
    words = words or _phase.get()
    return f", while {words}" if words else ""
