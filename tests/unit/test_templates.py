"""Starter pipelines: which there are, whose they are, and that only the music's place changes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from helpers import refused
from musengine.cli.templates import Template, as_lines, choose, start, templates, write_new
from musengine.errors import UserError
from musengine.plugins import manager
from musengine.plugins.configs import ModelConfig
from musengine.plugins.declarations import ModelDeclaration, ReaderDeclaration
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.testing import SitePackages
from musengine.testing.strategies import few

ORIGIN = Distribution("test-plugin", "1.0")
TEXT = """\
# A starter
# path = "not this one"
[[output]]  # a list may come first
type = "midi"
path = "nor this"

[ corpus ]                      # the table
 path =  "here"   # the line
valid = 0.2
[model]
type = "m"
path = 'nor this'
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make packages that hold template files, for one test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(name: str, **files: str | bytes) -> None:
        folder = tmp_path / name / "templates"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        for stem, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / f"{stem}.toml").write_bytes(data)
        made.append(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


def template(name: str) -> Template:
    return Template("first", ORIGIN, f"{name}:templates/first.toml")


class TestTheMusicsPlace:
    def test_nothing_else_changes(self, package: Any) -> None:
        package("one_starter", first=TEXT)
        text = template("one_starter").with_music("~/my music")
        assert text == TEXT.replace('"here"', '"~/my music"')

    @few(60)
    @given(path=st.text(min_size=1, max_size=20))
    def test_any_path_reads_back_as_itself(self, path: str) -> None:
        class Given(Template):
            def text(self) -> str:
                return TEXT

        changed = Given("first", ORIGIN, "a:b").with_music(path)
        assert tomli.loads(changed)["corpus"] == {"path": path, "valid": 0.2}
        # All lines but the one are there unchanged, in their order.
        before, after = TEXT.splitlines(), changed.split("\n")
        assert [line for line in before if "# the line" not in line] == [
            line for line in after[:-1] if "# the line" not in line
        ]

    def test_quotes_of_the_other_kind_and_line_ends_of_windows(self, package: Any) -> None:
        package("two_starter", first="[corpus]\r\npath = 'C:\\music' # here\r\n")
        text = template("two_starter").with_music('a"b')
        assert text == '[corpus]\npath = "a\\"b" # here\n'

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[corpus]\nvalid = 0.1",
            'corpus.path = "x"',
            'corpus = { path = "x" }',
            '[corpus]\npath = ["x", "y"]',
            '[model]\npath = "x"',
        ],
    )
    def test_a_template_without_such_a_line(self, package: Any, text: str) -> None:
        package("no_path", first=text)
        with pytest.raises(UserError) as caught:
            template("no_path").with_music("there")
        assert caught.value.code == "template-broken"
        assert "'first' of test-plugin 1.0" in str(caught.value)


class TestReading:
    def test_the_first_line_says_what_it_is_for(self, package: Any) -> None:
        package("titled", first="#  Chorales, quickly \n[corpus]\n")
        assert template("titled").title() == "Chorales, quickly"

    def test_utf_8_whatever_the_machine(self, package: Any) -> None:
        package("umlauts", first="# Für Elise\n")
        assert template("umlauts").title() == "Für Elise"

    @pytest.mark.parametrize(
        ("resource", "reason"),
        [
            ("no_such_package:a.toml", "ModuleNotFoundError: No module named 'no_such_package'"),
            ("broken_starter:templates/none.toml", "FileNotFoundError: "),
            ("broken_starter:templates/text.toml", "TOMLDecodeError: "),
            ("broken_starter:templates/bytes.toml", "UnicodeDecodeError: "),
            ("just text", "ModuleNotFoundError: "),
        ],
    )
    def test_one_that_is_broken_is_blamed_on_its_plugin(
        self, package: Any, resource: str, reason: str
    ) -> None:
        package("broken_starter", text="no TOML", bytes=b"# \xff\n")
        with pytest.raises(UserError) as caught:
            Template("first", ORIGIN, resource).text()
        (line,) = caught.value.lines
        assert line.startswith(
            f"template 'first' of test-plugin 1.0 cannot be read from {resource!r}: {reason}"
        )
        assert line.endswith("; update or reinstall test-plugin")


def registry_of(**models: dict[str, Any]) -> Registry:
    registry = manager.load_from([]).registry
    for name, more in models.items():
        origin = more.pop("origin", ORIGIN)
        settings = {"summary": "", "target": "a:B", "layouts": ("grid",), **more}
        declaration = ModelDeclaration(name=name, config=ModelConfig, **settings)
        assert registry.add(RegistryEntry(declaration, origin)) is None
    return registry


class TestChoosing:
    def test_models_that_learn_by_gradient_come_first(self) -> None:
        registry = registry_of(
            abacus={"training": "fit", "templates": {"counted": "a:c"}},
            net={"templates": {"slow": "a:s", "fast": "a:f"}},
            plain={},
        )
        assert [one.name for one in templates(registry)] == ["fast", "slow", "counted"]
        with refused("template-not-named", "fast, slow, counted"):
            choose(registry, None)
        assert choose(registry, "counted") == Template("counted", ORIGIN, "a:c")

    def test_the_only_one_needs_no_name(self) -> None:
        assert choose(registry_of(net={"templates": {"fast": "a:f"}}), None).resource == "a:f"

    def test_the_nearest_name_or_all(self) -> None:
        registry = registry_of(net={"templates": {"slow": "a:s", "fast": "a:f"}})
        with refused("unknown-template", "'slwo'", "'slow'"):
            choose(registry, "slwo")
        with refused("unknown-template", "'x'", "fast, slow"):
            choose(registry, "x")

    def test_where_there_is_none(self) -> None:
        registry = registry_of(net={})
        registry.absent = ["grand (musengine-grand 2.0) failed: no"]
        for name in (None, "net"):
            with refused("unknown-template", "grand (musengine-grand 2.0) failed: no"):
                choose(registry, name)

    def test_a_name_that_two_claim(self) -> None:
        registry = registry_of(
            one={"templates": {"same": "a:1", "own": "a:2"}},
            two={"templates": {"same": "b:1"}, "origin": Distribution("other-plugin", "2.0")},
        )
        assert choose(registry, "own").resource == "a:2"
        claimed = "test-plugin 1.0 and other-plugin 2.0"
        with refused("component-contested", "'same'", claimed, "MUSENGINE_PLUGINS"):
            choose(registry, "same")

    def test_the_list(self, package: Any) -> None:
        package("listed", slow="# Large\n", faster="# Small\n")
        places = {name: f"listed:templates/{name}.toml" for name in ("slow", "faster")}
        assert as_lines(registry_of(net={"templates": places})) == [
            "faster  Small (test-plugin 1.0)",
            "slow    Large (test-plugin 1.0)",
        ]

    def test_templates_that_are_no_mapping_are_the_plugins_fault(
        self, site_packages: SitePackages
    ) -> None:
        site_packages.add(
            "musengine-odd",
            {"odd": "odd_plugin"},
            odd_plugin="""
            from musengine.plugins.configs import ModelConfig
            from musengine.plugins.declarations import ModelDeclaration
            from musengine.plugins.hookspecs import hookimpl

            @hookimpl
            def musengine_models():
                model = dict(summary="", target="a:B", config=ModelConfig, layouts=("grid",))
                return [ModelDeclaration(name="odd", templates="odd.toml", **model)]
            """,
        )
        loaded = site_packages.load()
        assert [str(plugin) for plugin in loaded.broken] == [
            "odd (musengine-odd 1.0) failed: templates of model 'odd' must be a mapping, "
            "got 'odd.toml'"
        ]


@pytest.fixture
def starter(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Registry:
    """A registry with one template and one corpus, in an empty working directory."""
    package("plain_starter", first='# Plain\n[corpus]\npath = "music"\n')
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    caplog.set_level("INFO")
    registry = registry_of(net={"templates": {"first": "plain_starter:templates/first.toml"}})
    songs = ReaderDeclaration(name="songs", summary="", target="a:B", scheme="songs")
    registry.add(RegistryEntry(songs, ORIGIN))
    return registry


def path_in(file: Path) -> str:
    tables = tomli.loads(file.read_text("utf-8"))
    return str(tables["corpus"]["path"])


class TestStarting:
    def test_the_template_as_it_is(
        self, starter: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        start(starter, None, None, None)
        assert Path("first.toml").read_text("utf-8") == '# Plain\n[corpus]\npath = "music"\n'
        assert caplog.messages == [
            "wrote first.toml, from the template first of test-plugin 1.0",
            "next: say in first.toml, at [corpus] path, where your music is; then run",
            "  musengine check first.toml",
            "  musengine run first.toml",
        ]

    def test_files_are_counted(self, starter: Registry, caplog: pytest.LogCaptureFixture) -> None:
        for name in ("a.mid", "b.MIDI", "in/side/c.mid", "notes.txt", ".hidden.mid"):
            path = Path("tunes", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        start(starter, "first", "tunes", Path("my tunes.toml"))
        assert path_in(Path("my tunes.toml")) == "tunes"
        lines = caplog.messages
        assert lines[1] == f"music: 3 files in {Path('tunes').resolve()}"
        assert lines[-1] == '  musengine run "my tunes.toml"'

    def test_a_folder_without_music(
        self, starter: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        Path("empty").mkdir()
        Path("songs").mkdir()
        for name in ("a.flac", "b.flac", "c.txt"):
            Path("songs", name).touch()
        for folder, what in (("empty", "empty"), ("songs", "only .flac, .txt")):
            start(starter, None, folder, Path(f"{folder}.toml"))
            warning = caplog.messages[1]
            caplog.clear()
            assert warning.startswith(
                f"{Path(folder).resolve()} holds no music that can be read: {what}; "
                "known endings are "
            )
            assert ".mid" in warning
            assert path_in(Path(f"{folder}.toml")) == folder

    def test_one_file_and_a_corpus_by_its_scheme(self, starter: Registry) -> None:
        Path("roll.json").write_text(json.dumps({"train": []}))
        start(starter, None, "roll.json", Path("one.toml"))
        assert path_in(Path("one.toml")) == "roll.json"
        start(starter, None, "songs:all", Path("two.toml"))
        assert path_in(Path("two.toml")) == "songs:all"

    def test_a_file_elsewhere_finds_the_music(self, starter: Registry, tmp_path: Path) -> None:
        # Relative paths in a pipeline start from its folder, not from where one stands.
        Path("tunes").mkdir()
        Path("deep/er").mkdir(parents=True)
        start(starter, None, "tunes", Path("deep/er/x.toml"))
        assert path_in(Path("deep/er/x.toml")) == "../../tunes"
        start(starter, None, str(Path("tunes").resolve()), Path("deep/y.toml"))
        assert path_in(Path("deep/y.toml")) == str(Path("tunes").resolve())
        start(starter, None, "tunes", tmp_path / "work" / "z.toml")
        assert path_in(Path("z.toml")) == "tunes"

    @pytest.mark.parametrize(
        ("corpus", "code", "named"),
        [
            ("tnues", "path-missing", "'tunes'"),
            ("sogns:all", "no-reader", "'songs'"),
            ("", "invalid-value", "''"),
        ],
    )
    def test_music_that_is_not_there(
        self, starter: Registry, corpus: str, code: str, named: str
    ) -> None:
        Path("tunes").mkdir()
        with refused(code, "--corpus: ", named):
            start(starter, None, corpus, None)
        assert not Path("first.toml").exists()

    def test_a_file_of_no_readers_kind(self, starter: Registry) -> None:
        Path("song.flac").touch()
        with refused("no-reader", "song.flac", ".mid"):
            start(starter, None, "song.flac", None)
        assert not Path("first.toml").exists()


class TestWriting:
    def test_what_is_there_stays(self, starter: Registry) -> None:
        Path("first.toml").write_text("mine")
        Path("folder.toml").mkdir()
        for out in ("first.toml", "folder.toml"):
            with pytest.raises(UserError) as caught:
                start(starter, None, None, Path(out))
            assert caught.value.code == "file-exists"
            assert f"{out} " in str(caught.value)
        assert Path("first.toml").read_text() == "mine"

    def test_no_such_folder(self, starter: Registry) -> None:
        with pytest.raises(UserError) as caught:
            start(starter, None, None, Path("nowhere/x.toml"))
        line = f"cannot write {Path('nowhere/x.toml')}: No such file or directory; name another"
        assert str(caught.value).startswith(line)

    def test_a_path_that_is_no_text(self, tmp_path: Path) -> None:
        # A name that is not UTF-8 on disk comes as a lone surrogate.
        with refused("path-not-text", tmp_path / "x.toml"):
            write_new(tmp_path / "x.toml", 'path = "\udcff"')
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    def test_a_full_disk_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Path.open

        def open_full(self: Path, mode: str = "r", **more: Any) -> Any:
            real(self, mode).close()
            return real(Path("/dev/full"), "wb", buffering=0)

        monkeypatch.setattr(Path, "open", open_full)
        with refused("cannot-write", "x.toml", "No space left on device"):
            write_new(tmp_path / "x.toml", "text")
        assert list(tmp_path.iterdir()) == []
