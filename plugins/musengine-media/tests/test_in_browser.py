"""Pages in a real browser, from the disk and without a network; the session `browser` has one.

The browser is the one that `MUSENGINE_BROWSER` names, else Chromium where Debian puts it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from musengine.api import Score, Track, midi_bytes, read_scores
from musengine.testing import run_command
from musengine_media.notebook import score_player

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = os.environ.get("MUSENGINE_BROWSER") or shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not Path(BROWSER).is_file(), reason="no browser is installed")

HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=options)
        yield opened
        opened.close()


class Opened:
    """A page from the disk, with what it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def clock(self) -> float:
        """The position in seconds, by the slider."""
        return float(self.page.locator(".seek input").first.input_value())

    def saved(self, name: str) -> bytes:
        """What a link or button saves."""
        with self.page.expect_download() as caught:
            self.page.locator("a, button").filter(has_text=name).first.click()
        return Path(caught.value.path()).read_bytes()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    pages = []

    def open_page(path: Path, **options: Any) -> Opened:
        pages.append(Opened(browser, path, **options))
        return pages[-1]

    yield open_page
    for each in pages:
        each.context.close()


@pytest.fixture
def tune(workplace: Path) -> Path:
    """A page of 12 seconds: an A, a rest, an E of another part, two bars of 4 seconds more."""
    tracks = (Track(HOSTILE, program=73), Track("Bass", program=32), Track("", is_drum=True))
    score = Score.from_notes(
        onset=[0, 4, 8],
        duration=[2, 2, 1],
        pitch=[69, 40, 38],
        track=[0, 1, 2],
        ticks_per_beat=1,
        tracks=tracks,
        tempos=[(0, 60.0)],
        length=12,
    )
    (workplace / "tune.mid").write_bytes(midi_bytes(score))
    assert run_command("listen", "tune.mid", "--quiet").status == 0
    return workplace / "listen.html"


def spectrum(sound_T: npt.NDArray[np.float64], rate: int) -> float:
    """Return the frequency at which a sound is loudest."""
    power = np.abs(np.fft.rfft(sound_T * np.hanning(len(sound_T))))
    return float(power.argmax() * rate / len(sound_T))


def sound_of(data: bytes) -> tuple[npt.NDArray[np.float64], int]:
    with wave.open(io.BytesIO(data)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return frames.reshape(-1, 2).mean(axis=1) / 32768, file.getframerate()


def loudness(sound_T: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(sound_T).mean()))


class TestLoading:
    def test_it_asks_for_nothing_complains_of_nothing_and_runs_no_name(
        self, tune: Path, opened: Any
    ) -> None:
        page = opened(tune)
        page.page.get_by_role("button", name="Play tune.mid").wait_for()
        assert page.faults == []
        assert page.requests == [tune.as_uri()]
        assert page.page.title() == "1 piece to listen to"
        assert HOSTILE in page.page.locator(".parts li").first.inner_text()

    def test_without_scripts_the_picture_is_there(self, tune: Path, opened: Any) -> None:
        page = opened(tune, java_script_enabled=False)
        box = page.page.locator(".roll svg").bounding_box()
        assert box["width"] > 600
        assert box["height"] > 100
        assert page.page.locator("button").count() == 0

    def test_nothing_is_wider_than_a_phone(self, tune: Path, opened: Any) -> None:
        page = opened(tune, viewport={"width": 360, "height": 740})
        page.page.locator(".roll canvas").wait_for()
        assert page.page.evaluate("document.documentElement.scrollWidth") == 360


class TestPlaying:
    def test_the_clock_and_the_cursor_move_and_stop(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        before = page.page.locator(".roll canvas").screenshot()
        page.page.get_by_role("button", name="Play tune.mid").click()
        page.page.get_by_text("0:01 of 0:12").wait_for()
        page.page.get_by_role("button", name="Pause tune.mid").click()
        stopped = page.clock()
        assert page.page.locator(".roll canvas").screenshot() != before
        page.page.wait_for_timeout(300)
        assert page.clock() == stopped
        assert page.faults == []

    def test_twice_the_tempo_takes_half_the_time(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        page.page.get_by_label("Tempo 100 %").fill("200")
        page.page.get_by_role("button", name="Play tune.mid").click()
        page.page.wait_for_timeout(500)
        begun = page.page.evaluate("performance.now()"), page.clock()
        page.page.wait_for_timeout(1000)
        ended = page.page.evaluate("performance.now()"), page.clock()
        rate = (ended[1] - begun[1]) / (ended[0] - begun[0]) * 1000
        assert rate == pytest.approx(2, rel=0.15)

    def test_a_click_into_the_roll_goes_there(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        roll = page.page.locator(".roll")
        box = roll.bounding_box()
        # The names of the octaves take the first 34 pixels.
        middle = 34 + (box["width"] - 40) / 2
        roll.click(position={"x": middle, "y": 60})
        assert page.clock() == pytest.approx(6, abs=0.1)

    def test_the_keys_go_by_bars_to_the_ends_and_play(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        page.page.locator(".roll").focus()
        places = []
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"):
            page.page.keyboard.press(key)
            places.append(page.clock())
        assert places == [4, 8, 4, 12, 0]
        page.page.keyboard.press(" ")
        assert page.page.get_by_role("button", name="Pause tune.mid").is_visible()

    def test_zooming_makes_it_wider_and_fitting_all_narrow_again(
        self, tune: Path, opened: Any
    ) -> None:
        page = opened(tune)
        width = "document.querySelector('.roll').scrollWidth"
        before = page.page.evaluate(width)
        page.page.get_by_role("button", name="Zoom into").click()
        assert page.page.evaluate(width) > before * 1.3
        page.page.get_by_role("button", name="Show all").click()
        assert page.page.evaluate(width) == before


class TestSound:
    def test_notes_sound_at_their_pitch_and_rests_are_silent(self, tune: Path, opened: Any) -> None:
        sound_T, rate = sound_of(opened(tune).saved("Save as sound"))
        assert spectrum(sound_T[rate // 4 : rate * 7 // 4], rate) == pytest.approx(440, rel=0.01)
        bass = spectrum(sound_T[rate * 17 // 4 : rate * 23 // 4], rate)
        assert bass == pytest.approx(82.41, rel=0.02)
        assert loudness(sound_T[: 2 * rate]) > 0.02
        assert loudness(sound_T[8 * rate : 8 * rate + rate // 10]) > 0.01
        assert loudness(sound_T[rate * 3 : rate * 4]) < 1e-3
        assert loudness(sound_T[rate * 10 :]) < 1e-3

    def test_a_part_alone_and_a_part_muted(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        page.page.get_by_role("button", name="Solo Bass").click()
        alone_T, rate = sound_of(page.saved("Save as sound"))
        assert loudness(alone_T[: 2 * rate]) < 1e-4
        assert loudness(alone_T[4 * rate : 6 * rate]) > 0.01
        page.page.get_by_role("button", name="Solo Bass").click()
        page.page.get_by_role("button", name="Mute Bass").click()
        rest_T, rate = sound_of(page.saved("Save as sound"))
        assert loudness(rest_T[: 2 * rate]) > 0.01
        assert loudness(rest_T[4 * rate : 6 * rate]) < 1e-4

    def test_another_tempo_leaves_the_pitch(self, tune: Path, opened: Any) -> None:
        page = opened(tune)
        page.page.get_by_label("Tempo 100 %").fill("50")
        sound_T, rate = sound_of(page.saved("Save as sound"))
        assert spectrum(sound_T[rate : 3 * rate], rate) == pytest.approx(440, rel=0.01)
        assert loudness(sound_T[rate * 6 : rate * 8]) < 1e-3
        assert loudness(sound_T[rate * 8 : rate * 12]) > 0.01

    def test_the_download_is_the_file(self, tune: Path, opened: Any) -> None:
        saved = opened(tune).saved("Download as MIDI")
        assert saved == (tune.parent / "tune.mid").read_bytes()


@pytest.fixture
def report(workplace: Path) -> Path:
    """The report of a run with curves and a prompt."""
    pytest.importorskip("torch")
    scale = [[60 + step % 12] for step in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [scale] * 3, "valid": [scale]}))
    (workplace / "pipe.toml").write_text(
        '[corpus]\npath = "tunes.json"\n[encoder]\nstep = "1 beat"\n[model]\n'
        'type = "frequencies"\n[generate]\ncount = 2\nlength = "16 steps"\ninclude_prompt = true\n'
    )
    assert run_command("run", "pipe.toml", "--quiet").status == 0
    run = workplace / "runs/pipe"
    lines = [{"step": 10 * n, "loss": 8 / n, "seconds": 1.5 * n} for n in range(1, 9)]
    lines.append({"step": 80, "valid": {"loss": 1.5}})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_command("report", str(run), "--quiet").status == 0
    return run / "report.html"


class TestReport:
    def test_the_curves_tell_their_values(self, report: Path, opened: Any) -> None:
        page = opened(report)
        chart = page.page.locator(".chart").first
        chart.focus()
        page.page.keyboard.press("Home")
        told = page.page.locator(".told").first
        assert told.inner_text() == "step 10: training 8, validation 1.5, minutes 0.025"
        box = chart.bounding_box()
        chart.hover(position={"x": box["width"] - 20, "y": 50})
        assert told.inner_text().startswith("step 80: training 1, ")
        assert page.faults == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [360, 1280])
    def test_axe_finds_nothing_serious(
        self, report: Path, opened: Any, scheme: str, width: int
    ) -> None:
        axe = pytest.importorskip("axe_core_python.sync_playwright").Axe()
        page = opened(report, color_scheme=scheme, viewport={"width": width, "height": 900})
        for details in page.page.locator("summary").all():
            details.click()
        page.page.locator(".roll canvas").first.wait_for()
        found = axe.run(page.page)["violations"]
        faults = [(each["id"], each["nodes"][0]["html"][:200]) for each in found]
        assert faults == []


def test_votes_of_a_listening_test_are_saved_and_counted(tune: Path, opened: Any) -> None:
    (tune.parent / "other.mid").write_bytes((tune.parent / "tune.mid").read_bytes())
    made = run_command("listen", "--blind", "tune.mid", "other.mid", "--out", "test.html")
    assert made.status == 0, made.err
    page = opened(tune.parent / "test.html")
    page.page.get_by_label("The second").check()
    page.page.get_by_text("1 of 1 pairs are decided").wait_for()
    (tune.parent / "votes.json").write_bytes(page.saved("Save your votes"))
    counted = run_command("votes", "test.key.json", "votes.json", "--json")
    key = json.loads((tune.parent / "test.key.json").read_text())
    expected = [0, 1] if key["pairs"][0]["first"] == 0 else [1, 0]
    assert json.loads(counted.out)["votes"] == expected
    assert page.faults == []


def test_a_score_plays_within_a_notebook(tune: Path, opened: Any) -> None:
    (score,) = read_scores(tune.parent / "tune.mid").values()
    notebook = tune.parent / "notebook.html"
    notebook.write_text(f"<!DOCTYPE html>{score_player(score)}", encoding="utf-8")
    page = opened(notebook)
    frame = page.page.frame_locator("iframe")
    frame.get_by_role("button", name="Play Score").click()
    frame.get_by_text("0:01 of 0:12").wait_for()
    assert page.faults == []


def test_twenty_pieces_can_be_played_within_a_second(workplace: Path, opened: Any) -> None:
    generator = np.random.default_rng(0)
    for number in range(20):
        onset = np.sort(generator.integers(0, 4000, 1000))
        pitch = generator.integers(40, 90, 1000)
        score = Score.from_notes(onset, 4, pitch, ticks_per_beat=8)
        (workplace / f"{number}.mid").write_bytes(midi_bytes(score))
    names = [f"{number}.mid" for number in range(20)]
    assert run_command("listen", *names, "--quiet").status == 0
    assert (workplace / "listen.html").stat().st_size < 2_000_000
    page = opened(workplace / "listen.html")
    timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    assert page.page.locator("article").count() == 20
    assert page.page.evaluate(timing) < 1000
