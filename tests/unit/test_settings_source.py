"""The raw tables of a pipeline: what the file says, and `--set` laid over it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import refused
from musengine.config import toml
from musengine.config.toml import MAX_BYTES, SettingsSource, apply, read
from musengine.errors import UserError


def source_of(text: str = "") -> SettingsSource:
    tables = tomli.loads(text)
    return SettingsSource(Path("p.toml"), "p.toml", tables, Path("/music").resolve())


def after(assignment: str, text: str = "") -> dict[str, Any]:
    source = source_of(text)
    apply(source, assignment)
    return source.tables


def check_refused(code: str, assignment: str, text: str = "", *values: str) -> None:
    with refused(code, f"--set {assignment}: ", *values):
        apply(source_of(text), assignment)


class TestTheFile:
    def test_what_it_says(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        path.write_text('[corpus]\npath = "x"\n[[sampler]]\ntype = "a"\n')
        source = read(path, ["training.steps=3"])
        assert source.tables == {
            "corpus": {"path": "x"},
            "sampler": [{"type": "a"}],
            "training": {"steps": 3},
        }
        assert source.folder == tmp_path.resolve()
        assert source.path_shown == str(path)

    def test_a_byte_order_mark_and_windows_line_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        path.write_bytes(b"\xef\xbb\xbf[corpus]\r\npath = 'x'\r\n")
        assert read(path).tables == {"corpus": {"path": "x"}}

    def test_a_path_of_windows_in_double_quotes_gets_a_hint(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        for line, hinted in (
            (r'path = "C:\Users\me"', True),
            (r"path = 'C:\Users\me", False),
            ('path = "music', False),
        ):
            path.write_text(f"[corpus]\n{line}\n")
            with pytest.raises(UserError) as caught:
                read(path)
            assert caught.value.code == "not-toml"
            assert caught.value.lines[0].endswith(f"; {toml.ESCAPES}") == hinted
        check_refused("not-toml", r'corpus.path="C:\Users\me"', "", toml.ESCAPES)

    @pytest.mark.parametrize(
        ("content", "code", "where"),
        [
            (b"[corpus]\npath = \n", "not-toml", "line 2, column 8"),
            (b"[corpus]\npath 'x'\n", "not-toml", "line 2, column 6"),
            (b"[a]\nx = 1\nx = 2\n", "not-toml", "line 3, column 6"),
            (b"x = 'caf\xe9'\n", "not-utf-8", "byte 8"),
            (b"x = " + b"9" * 5000, "not-toml", "4300"),
            (b"x = " + b"[" * 100_000, "not-toml", ""),
            (b"#" * (MAX_BYTES + 1), "too-large", "1048577 bytes"),
        ],
    )
    def test_what_cannot_be_read(
        self, tmp_path: Path, content: bytes, code: str, where: str
    ) -> None:
        path = tmp_path / "p.toml"
        path.write_bytes(content)
        with refused(code, f"{path}: ", where):
            read(path)

    def test_a_file_of_just_the_largest_size(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        path.write_bytes(b"#" * MAX_BYTES)
        assert read(path).tables == {}

    def test_no_such_file(self, tmp_path: Path) -> None:
        with refused("cannot-read", tmp_path / "p.toml"):
            read(tmp_path / "p.toml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with refused("folder-not-file", tmp_path):
            read(tmp_path)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("200", 200),
            ("2_000", 2000),
            ("0.5", 0.5),
            ("true", True),
            ('"a b"', "a b"),
            ("[1, 2]", [1, 2]),
            ("{type = 'x'}", {"type": "x"}),
            # What is no TOML is a string.
            ("adam", "adam"),
            ("16 beats", "16 beats"),
            ("~/tunes", "~/tunes"),
            ("C:\\tunes", "C:\\tunes"),
            ("music21:bach-chorales", "music21:bach-chorales"),
            ("a=b", "a=b"),
            (" adam ", "adam"),
            ("9" * 5000, "9" * 5000),
        ],
    )
    def test_what_a_value_stands_for(self, text: str, value: object) -> None:
        tables = after(f"training.key={text}")
        assert tables == {"training": {"key": value}}
        assert type(tables["training"]["key"]) is type(value)

    @pytest.mark.parametrize("text", ["", "  "])
    def test_no_value_takes_away_what_there_is(self, text: str) -> None:
        table = "[training]\nsteps = 3\nseed = 1\n"
        assert after(f"training.steps={text}", table) == {
            "training": {"seed": 1, "unset": ["steps"]}
        }
        assert after(f"training.schedule.length={text}", table)["training"]["schedule"] == {
            "unset": ["length"]
        }
        # Below a list's entry lies nothing that could come back.
        sampler = "[[sampler]]\ntype = 'a'\nk = 1\n"
        assert after(f"sampler.0.k={text}", sampler) == {"sampler": [{"type": "a"}]}
        check_refused("not-toml", f"sampler={text}")

    def test_several_are_taken_away_and_one_is_given_again(self) -> None:
        source = source_of("[training]\nunset = ['seed']\nsteps = 3")
        for assignment in ("training.steps=", "training.epochs=", "training.steps=4"):
            apply(source, assignment)
        assert source.tables == {"training": {"unset": ["seed", "steps", "epochs"], "steps": 4}}
        assert source.as_read == {"training": {"unset": ["seed"], "steps": 3}}

    @pytest.mark.parametrize("text", ["[1, 2", "{a", '"open', "'"])
    def test_what_was_clearly_meant_as_toml_is_refused(self, text: str) -> None:
        check_refused("not-toml", f"training.key={text}", "", repr(text.strip()))


class TestKeys:
    def test_it_replaces_and_adds(self) -> None:
        text = "[training]\nsteps = 1\nseed = 2"
        assert after("training.steps=5", text) == {"training": {"steps": 5, "seed": 2}}
        assert after("model.type=x", text)["model"] == {"type": "x"}

    @pytest.mark.parametrize(
        "assignment", ["training.steps", "steps=5", "=5", "training.=5", ".a=5"]
    )
    def test_what_is_no_assignment(self, assignment: str) -> None:
        check_refused("assignment-malformed", assignment, "", "TABLE.KEY=VALUE")

    def test_an_entry_of_a_list(self) -> None:
        text = "[[sampler]]\ntype = 'a'\n[[sampler]]\ntype = 'b'"
        assert after("sampler.1.heat=2", text)["sampler"] == [
            {"type": "a"},
            {"type": "b", "heat": 2},
        ]
        assert after("sampler.2.type=c", text)["sampler"][2] == {"type": "c"}
        assert after("sampler.0.type=c")["sampler"] == [{"type": "c"}]
        # A table where the list was meant counts as its first entry.
        assert after("sampler.0.heat=2", "[sampler]\ntype = 'a'")["sampler"] == [
            {"type": "a", "heat": 2}
        ]

    def test_an_entry_beyond_the_end(self) -> None:
        text = "[[sampler]]\ntype = 'a'"
        check_refused("assignment-malformed", "sampler.2.heat=1", text, "'2'", "list of 1")
        check_refused("assignment-malformed", "sampler.1.heat=1", "", "'1'", "list of 0")

    @pytest.mark.parametrize("index", ["x", "-1", "²", "9" * 5000])
    def test_what_is_no_entry(self, index: str) -> None:
        text = "[[sampler]]\ntype = 'a'"
        check_refused("assignment-malformed", f"sampler.{index}.heat=1", text, repr(index))

    def test_an_entry_without_a_key(self) -> None:
        code = "assignment-malformed"
        text = "[[sampler]]\ntype = 'a'"
        check_refused(code, "sampler.0=b", text, "sampler.0.KEY=VALUE", "sampler=[...]")
        text = "[model]\nlayers = [8, 8]"
        check_refused(code, "model.layers.1=5", text, "model.layers.1.KEY=", "model.layers=[...]")

    def test_a_name_alone_opens_into_its_table(self) -> None:
        text = "[corpus]\nreader = 'rolls'"
        assert after("corpus.reader.step=2", text)["corpus"]["reader"] == {
            "type": "rolls",
            "step": 2,
        }
        assert after("sampler.0.heat=2", "sampler = ['a']")["sampler"] == [{"type": "a", "heat": 2}]

    def test_later_ones_win(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        path.write_text("[training]\nsteps = 1\n")
        source = read(path, ["training.steps=2", "training.steps=3"])
        assert source.tables["training"]["steps"] == 3


class TestWhereAKeyComesFrom:
    def test_relative_paths_and_messages(self, tmp_path: Path) -> None:
        source = source_of("[corpus]\npath = 'x'\n[[output]]\ntype = 'a'")
        apply(source, "corpus.cache=y")
        apply(source, "output.0.width=5")
        assert source.base("corpus", "path") == source.folder
        assert source.base("corpus", "cache") == Path.cwd()
        assert source.label("corpus", "path") == "p.toml"
        assert source.label("corpus", "cache") == "--set"
        assert source.label("output.0", "width") == "--set"
        assert source.label("output.0", "type") == "p.toml"

    def test_a_table_that_only_the_command_line_knows(self) -> None:
        source = source_of("[corpus]\npath = 'x'")
        apply(source, "trainning.steps=5")
        assert source.label("", "trainning") == "--set"
        assert source.label("", "corpus") == "p.toml"


@given(
    st.text(max_size=12) | st.from_regex(r"\A[a-c0-2.]{1,8}=[a-c0-2\[\]{}'\". =]{0,8}\Z"),
    st.sampled_from(["", "a = 1", "[a]\nb = [1]", "[[a]]\nb = 1", "a = ['b', ['c']]", "a.b.c = 1"]),
)
def test_whatever_is_set_it_is_taken_or_refused(assignment: str, text: str) -> None:
    with contextlib.suppress(UserError):
        after(assignment, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode()))
def test_whatever_the_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert isinstance(toml.read(path).tables, dict)
