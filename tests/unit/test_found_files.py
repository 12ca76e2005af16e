from __future__ import annotations

from pathlib import Path

from musengine.data.files.found import FoundFiles
from musengine.interfaces.reader import Item
from musengine.plugins.declarations import ReaderDeclaration
from musengine.plugins.registry import Component, Distribution, RegistryEntry


def reader(name: str) -> Component:
    declaration = ReaderDeclaration(name=name, summary="", target="nowhere:Reader")
    return Component(RegistryEntry(declaration, Distribution("test", "1")), declaration.config())


def test_files_come_back_as_they_were_found():
    one, other = reader("one"), reader("other")
    items = [
        (one, Item(Path("/music/jigs/a.mid"), "jigs/a.mid", "jigs")),
        # Not named after its path, without an id, in another language, and in none: on disk its
        # name is no UTF-8.
        (other, Item(Path("/lib/bwv1.mxl"), "bach:bwv1", "bach")),
        (one, Item(Path("/music/b.mid"), "", "music")),
        (one, Item(Path("/music/Übung ♪.mid"), "Übung ♪.mid", "music")),
        (one, Item(Path("/music/\udce4.mid"), "\udce4.mid", "music")),
    ]
    found = FoundFiles.of(items)
    assert [found.task(number) for number in range(len(found))] == [
        (number, item) for number, (_, item) in zip([0, 1, 0, 0, 0], items, strict=True)
    ]
    assert found.readers == [one, other]
    assert [*found.ids] == [item.id for _, item in items]
