"""In which order the events of a voice sound: as written, or with repeats and parts played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from musengine.errors import UnreadableError
from musengine_notation.abc.events import BarLine, Event, PartLabel, Sign, Sound

MAX_EVENTS = 500_000
"""Events of a voice that are played, repeats counted."""

Span = tuple[int, int]
"""First event of a run of events, and the one after its last."""


@dataclass
class _Section:
    """A part of the tune that is played once or more.

    Attributes:
        begin: its first event.
        body: the event after those played in every pass.
        endings: passes, and the events played in them.
        plays: how often, where there are no endings.
        closed: whether an ending of it was followed by a repeat sign.
    """

    begin: int
    body: int = -1
    endings: list[tuple[tuple[int, ...], Span]] = field(default_factory=list)
    plays: int = 1
    closed: bool = False

    def spans(self, end: int, *, once: bool = False) -> list[Span]:
        """Return what is played, the section ending before an event.

        Args:
            end: that event.
            once: without repeats, and with the last of the endings.
        """
        if not self.endings:
            return [(self.begin, end)] * (1 if once else self.plays)
        if once:
            return [(self.begin, self.body), self.endings[-1][1]]
        passes = max(max(numbers) for numbers, _ in self.endings)
        # A lone first ending with a repeat sign: the last pass goes by it.
        if self.closed and len(self.endings) == 1:
            passes += 1
        found = []
        for number in range(1, passes + 1):
            found.append((self.begin, self.body))
            found += [span for numbers, span in self.endings if number in numbers]
        return found


def spans_written(events: Sequence[Event]) -> list[Span]:
    """Return the events once, as they are written."""
    return [(0, len(events))]


@dataclass(frozen=True)
class Jump:
    """A way back that a sign such as `!D.S. al coda!` sends players; bars are counted from 0.

    Attributes:
        bar: at the end of which they go back.
        start: to which they go back.
        fine: at the end of which they stop the second time; None for where they went back.
        to_coda: before which they go on to the coda the second time, if there is one.
        coda: with which it begins.
    """

    bar: int
    start: int
    fine: int | None = None
    to_coda: int | None = None
    coda: int | None = None


def jump_of(events: Sequence[Event]) -> Jump | None:
    """Return the first way back that the signs of a voice send players, None for none."""
    bar, struck = 0, False
    # Where signs stand: the bar, and whether something was struck in it before.
    signs: list[tuple[str, int, bool]] = []
    for event in events:
        if isinstance(event, BarLine):
            bar, struck = bar + 1, False
        elif isinstance(event, Sound):
            struck = True
        elif isinstance(event, Sign):
            signs.append((event.what, bar, struck))
    back = [(what, bar) for what, bar, _ in signs if what in ("capo", "segno")]
    if not back:
        return None
    what, bar = back[0]
    segnos = [place for name, place, _ in signs if name == "from" and place <= bar]
    fines = [place for name, place, _ in signs if name == "fine"]
    codas = [(place + late, place) for name, place, late in signs if name == "coda"]
    leave = [place + late for name, place, late in signs if name == "dacoda"]
    # The first of two signs of the coda says where it is gone to.
    leave += [codas[0][0]] if len(codas) > 1 else []
    return Jump(
        bar,
        segnos[0] if what == "segno" and segnos else 0,
        fines[0] if fines else None,
        leave[0] if leave and codas else None,
        codas[-1][1] if leave and codas else None,
    )


def spans_played(events: Sequence[Event], order: str, jump: Jump | None = None) -> list[Span]:
    """Return the events in the order they sound.

    Args:
        events: of one voice.
        order: the parts that the tune's header asks for, in turn; empty for as written.
        jump: the way back that signs of the tune send; of no account where parts are asked for.

    Raises:
        UnreadableError: more events than a voice may have.
    """
    spans: list[Span] = []
    for begin, end in _parts(events, order):
        if jump is None or order:
            spans += _repeated(events, begin, end)
        else:
            spans += _there_and_back(events, jump)
        # Counted, not played: repeats within repeats and parts asked for a thousand times multiply.
        if sum(last - first + 1 for first, last in spans) > MAX_EVENTS:
            raise UnreadableError(f"repeats make more than {MAX_EVENTS} notes of it")
    return spans


def _there_and_back(events: Sequence[Event], jump: Jump) -> list[Span]:
    """Return a voice with its repeats until the way back, then without them to its end."""
    lines = [place for place, event in enumerate(events) if isinstance(event, BarLine)]
    begins = [0, *(place + 1 for place in lines)]

    def begin(bar: int) -> int:
        return begins[bar] if bar < len(begins) else len(events)

    until = begin(jump.bar + 1)
    spans = _repeated(events, 0, until)
    if jump.to_coda is not None and jump.coda is not None and jump.to_coda > jump.start:
        spans += _repeated(events, begin(jump.start), begin(jump.to_coda), once=True)
        return spans + _repeated(events, begin(jump.coda), len(events))
    fine = jump.bar if jump.fine is None else jump.fine
    return spans + _repeated(events, begin(jump.start), begin(fine + 1), once=True)


def _parts(events: Sequence[Event], order: str) -> list[Span]:
    """Return the parts in the order they are asked for; what stands before the first goes first."""
    begins = [(n, event.label) for n, event in enumerate(events) if isinstance(event, PartLabel)]
    if not begins or not order:
        return [(0, len(events))]
    ends = [*(n for n, _ in begins[1:]), len(events)]
    parts: dict[str, Span] = {}
    for (begin, label), end in zip(begins, ends, strict=True):
        parts.setdefault(label, (begin, end))
    return [(0, begins[0][0]), *(parts[label] for label in order if label in parts)]


def _repeated(events: Sequence[Event], begin: int, end: int, *, once: bool = False) -> list[Span]:
    """Return a run of events with its repeats and endings played, or `once` without them.

    Where no sign says where a repeated part begins, it begins after the repeat before it.
    """
    spans: list[Span] = []
    section = _Section(begin)
    opened = -1
    numbers: tuple[int, ...] = ()
    for place in range(begin, end):
        event = events[place]
        if not isinstance(event, BarLine):
            continue
        after = place + 1
        # An ending goes to the next sign of a repeat, the next ending or a double bar.
        if opened >= 0 and (event.repeats or event.begins or event.endings or event.parts):
            section.endings.append((numbers, (opened, after)))
            section.closed = section.closed or bool(event.repeats)
            opened = -1
            # A second ending may stand a bar line further on; until then the section is not over.
            if not event.endings and not _ending_follows(events, after, end):
                spans += section.spans(after, once=once)
                section = _Section(after)
        elif event.repeats and not section.endings:
            section.plays = event.repeats + 1
            if not event.endings and not _ending_follows(events, after, end):
                spans += section.spans(after, once=once)
                section = _Section(after)
        elif event.begins:
            spans += section.spans(after, once=once)
            section = _Section(after)
        if event.endings:
            if section.body < 0:
                section.body = after
            opened, numbers = after, event.endings
    if opened >= 0:
        section.endings.append((numbers, (opened, end)))
    return spans + section.spans(end, once=once)


def _ending_follows(events: Sequence[Event], place: int, end: int) -> bool:
    """Return whether nothing but a bar line parts an event from another ending."""
    while place < end:
        event = events[place]
        if isinstance(event, BarLine):
            return bool(event.endings)
        if isinstance(event, Sound):
            return False
        place += 1
    return False
