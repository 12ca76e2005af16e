"""Which reader reads a file of a folder: by ending, by what is wanted, by what is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musengine.data.discovery import DiscoveryNotes, check_sources, find_items
from musengine.data.reading import read_sources
from musengine.errors import UserError
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.configs import Content
from musengine.plugins.declarations import ReaderDeclaration, Requirement
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.testing import score_of, write_midi

TARGET = "musengine.builtin.readers.text:TextReader"
LACKING = (Requirement(module="no_such_module", install="pip install no-such-module"),)
REASON = "reader 'notes' needs a library that is not installed: pip install no-such-module"


def registry_with(*declarations: ReaderDeclaration) -> Registry:
    """The core's components and some more readers."""
    registry = manager.load_from([]).registry
    for declaration in declarations:
        registry.add(RegistryEntry(declaration, Distribution("here", "1")))
    return registry


def reader(name: str, *suffixes: str, content: Content = "score", **more) -> ReaderDeclaration:
    return ReaderDeclaration(
        name=name, summary="", target=TARGET, suffixes=suffixes, content=(content,), **more
    )


def chosen(folder: Path, registry: Registry, *accepts: Content) -> dict[str, str]:
    """Which reader reads which file of a folder."""
    items = find_items(Source(str(folder)), registry, None, DiscoveryNotes(), accepts)
    return {item.id: component.name for component, item in items}


def test_what_is_wanted_decides_which_reader_reads_a_file(tmp_path):
    for name in ("a.TUNE", "b.txt", "c.notes", "d.doc"):
        (tmp_path / name).touch()
    registry = registry_with(
        reader("notes", ".tune", ".notes"), reader("tunes", ".tune", content="text", priority=-1)
    )
    scores, texts = {"a.TUNE": "notes", "c.notes": "notes"}, {"b.txt": "text"}
    assert chosen(tmp_path, registry, "text") == texts | {"a.TUNE": "tunes"}
    assert chosen(tmp_path, registry, "score") == scores
    # Where both are welcome, the higher priority reads.
    assert chosen(tmp_path, registry, "score", "text") == scores | texts


def test_a_reader_whose_library_is_there_goes_before_one_that_lacks_it(tmp_path):
    (tmp_path / "a.tune").touch()
    registry = registry_with(
        reader("notes", ".tune", requires=LACKING), reader("others", ".tune", priority=-1)
    )
    assert chosen(tmp_path, registry, "score") == {"a.tune": "others"}


def test_what_needs_no_library_is_read_and_the_rest_is_told(tmp_path):
    registry = registry_with(reader("notes", ".notes", requires=LACKING))
    write_midi(score_of([(0, 4, 60)]), tmp_path / "a.mid")
    (tmp_path / "b.notes").touch()
    reading = read_sources([Source(str(tmp_path))], registry, accepts=("score",))
    assert [piece.id for piece in reading.pieces] == ["a.mid"]
    skipped = [(entry.path, entry.reason) for entry in reading.skipped]
    assert skipped == [(str(tmp_path / "b.notes"), REASON)]


def test_a_corpus_is_found_by_its_scheme():
    registry = registry_with(
        reader("notes", scheme="songs"),
        reader("verses", scheme="songs", content="text", priority=-1),
        reader("hymns", scheme="hymns", requires=LACKING),
    )
    assert check_sources([Source("songs:all")], registry) == []
    (lacking,) = check_sources([Source("hymns:all")], registry)
    assert lacking.code == "library-missing"
    assert "pip install no-such-module" in str(lacking)
    (unknown,) = check_sources([Source("sogns:all")], registry)
    assert unknown.code == "no-reader"
    assert "'songs'" in str(unknown)


def test_a_corpus_that_nothing_reads_says_where_to_look():
    registry = registry_with()
    (unread,) = check_sources([Source("songs:all")], registry)
    assert unread.code == "no-reader"
    assert "`musengine plugins`" in str(unread)
    registry.absent.append("songs (here 1) failed: no such file")
    (unread,) = check_sources([Source("songs:all")], registry)
    assert unread.code == "no-reader"
    assert str(unread).endswith(registry.absent[0])


def test_a_file_that_nothing_reads_says_where_to_look(tmp_path):
    path = tmp_path / "a.tune"
    path.touch()
    with pytest.raises(UserError) as caught:
        list(find_items(Source(str(path)), registry_with(), None, DiscoveryNotes()))
    assert caught.value.code == "no-reader"
    assert str(path) in str(caught.value)
    assert ".json, .kar, .mid, .midi, .npz, .rmi, .txt" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="links want a right there")
def test_files_come_in_the_order_of_their_paths_and_links_to_folders_are_not_followed(tmp_path):
    names = ["b/c.mid", "b.mid", "b/a.mid", "a/z/y.mid", "B.mid", "a.mid", ".hidden/x.mid"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "c.mid").symlink_to(tmp_path / "b.mid")
    found = [
        item for _, item in find_items(
            Source(str(tmp_path)), registry_with(), None, DiscoveryNotes()
        )
    ]  # fmt: skip
    paths = [item.path for item in found]
    assert paths == sorted(paths)
    assert {item.id for item in found} == {*names, "c.mid"} - {".hidden/x.mid"}
    assert {item.id: item.style for item in found}["a/z/y.mid"] == "a/z"
    assert {item.id: item.style for item in found}["a.mid"] == tmp_path.name
