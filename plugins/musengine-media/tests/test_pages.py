"""Pages as files: what stands in them, that nothing in them runs by its name, what fits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musengine.api import Registry, Score, Track, load_registry, midi_bytes
from musengine.testing import run_command
from musengine_media.page.curves import Charts, Curve, thinned, ticks
from musengine_media.page.engraving import Engraver, on_a_grid
from musengine_media.page.markup import Markup, element, joined
from musengine_media.page.pieces import PagePiece, Shelf
from musengine_media.page.roll import score_data

HOSTILE = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> dict[str, Any]:
        """What the scripts are given."""
        return json.loads(self.texts["script"][0])


def two_parts(name: str = "Organ") -> Score:
    """Return two bars of an organ with drums below, the second bar at half the tempo."""
    return Score.from_notes(
        onset=[0, 4, 0, 6],
        duration=[4, 4, 1, 1],
        pitch=[60, 64, 36, 42],
        track=[0, 0, 1, 1],
        ticks_per_beat=1,
        tracks=(Track(name, program=19), Track("", is_drum=True)),
        tempos=[(0, 60.0), (4, 30.0)],
    )


def listened(folder: Path, *paths: str) -> Page:
    done = run_command("listen", *paths, "--out", str(folder / "page.html"))
    assert done.status == 0, done.err
    return Page((folder / "page.html").read_text(encoding="utf-8"))


class TestMarkup:
    def test_text_and_attributes_are_escaped_and_markup_is_not(self) -> None:
        made = element("p", "a < b", element("b", "&"), title='"<', hidden=True, lang=None)
        assert made == '<p title="&quot;&lt;" hidden>a &lt; b<b>&amp;</b></p>'

    def test_nested_children_are_laid_one_after_another(self) -> None:
        assert joined(["a", [Markup("<br>"), None]], "b") == "a<br>b"


class TestData:
    def test_times_are_milliseconds_through_the_tempo_map(self) -> None:
        data = score_data(two_parts())
        assert data["length"] == 12_000
        assert data["bars"] == [0, 4_000]
        organ, drums = data["parts"]
        assert (organ["on"], organ["len"], organ["pitch"]) == ([0, 4000], [4000, 8000], [60, 64])
        assert (drums["on"], drums["len"], drums["drum"]) == ([0, 8000], [1000, 2000], True)
        assert (organ["name"], drums["name"], organ["program"]) == ("Organ", "Drums", 19)

    def test_a_part_without_a_name_has_that_of_its_instrument(self) -> None:
        assert score_data(two_parts(""))["parts"][0]["name"] == "Church Organ"

    def test_drums_come_last_and_parts_without_notes_not_at_all(self) -> None:
        tracks = (Track(is_drum=True), Track("Nobody"), Track("Flute", program=73))
        score = Score.from_notes([0, 0], 1, [40, 70], track=[0, 2], ticks_per_beat=1, tracks=tracks)
        assert [part["name"] for part in score_data(score)["parts"]] == ["Flute", "Drums"]

    def test_a_pedal_lets_notes_ring_until_it_goes_up(self) -> None:
        pedal = [(0, 0, 64, 127), (6, 0, 64, 0)]
        held = Score.from_notes(
            [0, 7], 2, [60, 62], ticks_per_beat=1, tempos=[(0, 60.0)], controls=pedal
        )
        (part,) = score_data(held)["parts"]
        assert (part["len"], part["ring"]) == ([2000, 2000], [6000, 2000])
        assert "ring" not in score_data(two_parts())["parts"][0]

    def test_an_empty_score_has_a_page(self, tmp_path: Path) -> None:
        empty = Score.from_notes([], [], [], ticks_per_beat=4, length=16)
        (section,) = Shelf().sections([PagePiece("nothing", empty)])
        assert "0 notes" in section


class TestListen:
    def test_the_page_holds_the_music_and_its_midi(self, workplace: Path) -> None:
        (workplace / "tune.mid").write_bytes(midi_bytes(two_parts()))
        page = listened(workplace, "tune.mid")
        (piece,) = page.data["pieces"].values()
        assert piece["parts"][0]["pitch"] == [60, 64]
        (link,) = [each for each in page.all("a") if "download" in each]
        assert link["download"] == "tune.mid"
        saved = base64.b64decode(str(link["href"]).partition("base64,")[2])
        (workplace / "again.mid").write_bytes(saved)
        assert listened(workplace, "again.mid").data["pieces"]["piece-1"]["parts"] == piece["parts"]

    def test_a_picture_is_there_without_the_script(self, workplace: Path) -> None:
        (workplace / "tune.mid").write_bytes(midi_bytes(two_parts()))
        page = listened(workplace, "tune.mid")
        drawn = {each["class"]: each["d"] for each in page.all("path")}
        assert drawn["part-0"] is not None
        # The first note takes a third of the picture, the second the rest.
        assert re.findall(r"M([\d.]+) [\d.]+h([\d.]+)", drawn["part-0"]) == [
            ("0", "332.9"),
            ("333.3", "666.3"),
        ]

    def test_nothing_may_run_but_the_script_of_the_page_and_nothing_is_fetched(
        self, workplace: Path
    ) -> None:
        (workplace / "tune.mid").write_bytes(midi_bytes(two_parts(HOSTILE)))
        page = listened(workplace, "tune.mid")
        (policy,) = [
            str(each["content"])
            for each in page.all("meta")
            if each.get("http-equiv") == "Content-Security-Policy"
        ]
        directives = dict(each.split(" ", 1) for each in policy.split("; "))
        assert directives["default-src"] == "'none'"
        assert "unsafe" not in policy
        told, script = page.texts["script"]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert directives["script-src"] == f"'sha256-{digest}'"
        assert "<" not in told
        scripts = page.all("script")
        assert scripts == [{"type": "application/json", "id": "data"}, {}]
        addresses = [each.get("href") or each.get("src") or "" for _, each in page.elements]
        assert all(address.startswith(("", "data:", "#")) for address in addresses)

    def test_a_hostile_name_is_a_text(self, workplace: Path) -> None:
        (workplace / "tune.mid").write_bytes(midi_bytes(two_parts(HOSTILE)))
        page = listened(workplace, "tune.mid")
        assert page.data["pieces"]["piece-1"]["parts"][0]["name"] == HOSTILE

    def test_no_music_is_one_line(self, workplace: Path) -> None:
        done = run_command("listen", "nowhere.mid")
        assert done.status == 1
        assert "nowhere.mid" in done.err
        assert not (workplace / "listen.html").exists()

    def test_of_a_run_its_pieces_are_meant_by_folder_or_name(self, workplace: Path) -> None:
        run = workplace / "runs" / "mine"
        (run / "samples").mkdir(parents=True)
        (run / "pipeline.toml").touch()
        (run / "other.mid").write_bytes(midi_bytes(two_parts("not a piece")))
        (run / "samples" / "piece-001.mid").write_bytes(midi_bytes(two_parts("a piece")))
        for word in ("mine", "runs/mine"):
            pieces = listened(workplace, word).data["pieces"].values()
            assert [piece["parts"][0]["name"] for piece in pieces] == ["a piece"]

    def test_a_run_without_pieces_is_one_line(self, workplace: Path) -> None:
        (workplace / "mine").mkdir()
        (workplace / "mine" / "pipeline.toml").touch()
        done = run_command("listen", "mine")
        assert (done.status, "mine has no pieces yet" in done.err) == (1, True)


def test_pieces_that_would_make_a_page_too_large_are_counted() -> None:
    generator = np.random.default_rng(0)
    long = Score.from_notes(
        np.arange(20_000), 1, generator.integers(40, 80, 20_000), ticks_per_beat=4
    )
    shelf = Shelf()
    *shown, last = shelf.sections(PagePiece(f"piece {n}", long) for n in range(6))
    assert len(shown) == len(shelf.data) < 6
    assert f"{6 - len(shown)} more pieces" in last


class TestCurves:
    def test_a_long_curve_keeps_its_last_point(self) -> None:
        curve = thinned(Curve("loss", range(10_001), range(10_001)))
        assert len(curve.x) <= 400
        assert curve.x[-1] == curve.y[-1] == 10_000

    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [(0, 10, [0, 2, 4, 6, 8, 10]), (12.3, 22, [12, 14, 16, 18, 20, 22]), (5, 5, None)],
    )
    def test_ticks_are_round_and_span_the_range(
        self, low: float, high: float, expected: list[float] | None
    ) -> None:
        made = ticks(low, high, 5)
        assert made[0] <= low
        assert high <= made[-1]
        if expected is not None:
            assert made == expected

    def test_a_chart_gives_the_script_the_values_it_draws(self) -> None:
        charts = Charts()
        drawn = Curve("training", [10, 20], [3.0, 1.0])
        figure = charts.figure("Loss", [drawn, Curve("minutes", [10, 20], [1, 2], drawn=False)])
        assert figure is not None
        assert figure.count('class="curve') == 1
        assert "at the end: training 1, minutes 2" in figure
        (chart,) = charts.data.values()
        assert [curve["y"] for curve in chart["curves"]] == [[3.0, 1.0], [1, 2]]

    def test_a_single_point_is_no_chart(self) -> None:
        assert Charts().figure("Loss", [Curve("validation", [10], [3.0])]) is None


class TestEngraving:
    @pytest.fixture
    def engraver(self) -> Engraver:
        pytest.importorskip("verovio")
        registry = load_registry()
        if ".musicxml" not in registry.writers_by_suffix("score"):
            pytest.skip("no writer of MusicXML is installed")
        return Engraver(registry)

    def test_the_first_page_is_a_picture_in_which_nothing_runs(self, engraver: Engraver) -> None:
        picture = engraver.picture(two_parts(HOSTILE), HOSTILE)
        assert picture is not None
        (image,) = Page(picture).all("img")
        kind, _, svg = str(image["src"]).partition(";base64,")
        assert kind == "data:image/svg+xml"
        assert base64.b64decode(svg).startswith(b"<svg")
        assert "script" not in [tag for tag, _ in Page(picture).elements]

    def test_music_as_it_was_played_has_none(self, engraver: Engraver) -> None:
        generator = np.random.default_rng(0)
        onset = np.sort(generator.integers(0, 48_000, 200))
        played = Score.from_notes(onset, 400, 60 + onset % 12, ticks_per_beat=480)
        assert not on_a_grid(played)
        assert engraver.picture(played, "played") is None

    @pytest.mark.slow
    def test_a_page_that_is_full_has_no_more(self, engraver: Engraver) -> None:
        many = [PagePiece(f"piece {n}", two_parts()) for n in range(120)]
        pictures = ["<img" in section for section in Shelf(engraver).sections(many)]
        assert pictures[0]
        assert not pictures[-1]

    def test_without_a_writer_of_notated_music_there_is_none(self) -> None:
        assert Engraver(Registry()).picture(two_parts(), "tune") is None


def test_triplets_and_sixteenths_are_on_a_grid() -> None:
    assert on_a_grid(Score.from_notes([0, 160, 320, 480, 600], 100, 60, ticks_per_beat=480))
    assert not on_a_grid(Score.from_notes([0, 155, 330, 505, 613], 100, 60, ticks_per_beat=480))
