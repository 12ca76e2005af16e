"""Two machines learn what one process does, and go on when a process of one of them is lost.

They are two agents of `torchrun` on this one, with nothing in common but the music, the run folder
and an address.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machines, by_address, by_number, free_port
from same_training import EXACT, assert_same_training, weights, write_tunes
from torch.distributed import HashStore

from helpers import refused
from musengine.distributed.meeting import _life
from musengine.distributed.ranks import Ranks
from musengine.runs.processes.ranks import SharedCorpus, wait_for_readers

Options = Callable[[int, int], list[str]]


@pytest.fixture
def sites(folder: Path) -> list[Path]:
    """The folders of two machines; the music is in a third, under one path."""
    write_tunes(folder)
    places = [folder / "first", folder / "second"]
    cache, music = 'cache = "cache"\n', f'"{folder}/tunes.json"'
    for place in places:
        place.mkdir()
    # The first one alone needs the pipeline: the others get all settings from it.
    own = EXACT.replace(cache, "").replace('"tunes.json"', music)
    (places[0] / "pipe.toml").write_text(own)
    (folder / "pipe.toml").write_text(EXACT)
    return places


@pytest.mark.slow
def test_two_machines_do_what_one_process_does(folder: Path, sites: list[Path], musengine) -> None:
    assert musengine("run", "pipe.toml", "--run-dir", "one", "-q").returncode == 0
    made = ["generate", "../one", "--out", "../made", "-q", "--set", "generate.seed=3"]
    lines = [["run", "pipe.toml", "--run-dir", "../two", "-q"], made]
    port = free_port()
    with Machines(port, lines) as machines:
        for number, site in enumerate(sites):
            machines.start(site, by_number(port, number))
        assert [status for status, _ in machines.ended()] == [0, 0]
    assert_same_training(folder / "one", folder / "two")
    assert list(weights(folder / "one")) == list(weights(folder / "two"))
    made = ["generate", "one", "--out", "made-alone", "-q", "--set", "generate.seed=3"]
    assert musengine(*made).returncode == 0
    names = {path.name for path in (folder / "made-alone").iterdir()}
    assert names == {path.name for path in (folder / "made").iterdir()} != set()
    for name in names:
        alone = (folder / "made-alone" / name).read_bytes()
        assert (folder / "made" / name).read_bytes() == alone, name
    # Each read the music itself, and nothing else of the run is on the second one.
    assert [any((site / "cache").rglob("*.safetensors")) for site in sites] == [True, True]
    assert [path.name for path in sites[1].iterdir()] == ["cache"]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "late"), [(by_number, 0), (by_address, 1)])
def test_a_process_that_dies_is_started_again_on_every_machine(
    folder: Path, sites: list[Path], musengine, options: Options, late: int
) -> None:
    """Whoever comes back first finds nobody at the address that the store still has."""
    assert musengine("train", "pipe.toml", "--run-dir", "one", "-q").returncode == 0
    # A folder of before: what is started again goes on with the new one.
    (folder / "two").mkdir()
    port = free_port()
    line = ["train", "pipe.toml", "--run-dir", "../two", "--new"]
    with Machines(port, [line], died=(1, 23, late)) as machines:
        for number, site in enumerate(sites):
            machines.start(site, [*options(port, number), "--max-restarts", "1"])
        (status, said), (other, _) = machines.ended()
    assert [status, other] == [0, 0], said
    assert "going on after step 23" in said
    assert_same_training(folder / "one", folder / "two-2")
    assert not (folder / "two-3").exists()


def test_other_music_on_one_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = SharedCorpus(None, frozenset(), None, "a")  # type: ignore[arg-type]
    ranks = Ranks(0, 3)
    monkeypatch.setattr(ranks, "gathered", lambda value: [value, value, "b" if value else ""])
    with refused("music-differs", "process 2 of 3"):
        wait_for_readers(corpus, ranks)
    monkeypatch.setattr(ranks, "gathered", lambda value: [value] * 3)
    wait_for_readers(corpus, ranks)


def meet(store: HashStore, rank: int, names: dict[int, str]) -> threading.Thread:
    """Let the process of a rank, of two, look for the other; what it finds is in `names`."""

    def look() -> None:
        names[rank] = _life(store, rank, 2)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("first", [0, 1])
def test_those_that_are_gone_are_met_by_nobody(first: int) -> None:
    store, names = HashStore(), {}
    gone = [meet(store, rank, names) for rank in (0, 1)]
    assert [thread.join(10) for thread in gone] == [None, None]
    assert names[0] == names[1]
    before, names = names, {}
    early = meet(store, first, names)
    early.join(0.3)
    # The word of before is in the store, and is not taken for that of somebody who is there.
    assert (early.is_alive(), names) == (True, {})
    late = meet(store, 1 - first, names)
    assert [thread.join(10) for thread in (early, late)] == [None, None]
    assert names[0] == names[1] != before[0]


def test_one_that_ends_while_they_meet_is_replaced() -> None:
    store, names = HashStore(), {}
    store.set("word/1", "of one that ended before it confirmed it")
    first = meet(store, 0, names)
    first.join(0.3)
    assert first.is_alive()
    second = meet(store, 1, names)
    assert [thread.join(10) for thread in (first, second)] == [None, None]
    assert names[0] == names[1]
