"""The encoder `text-roll`: texts worked out by hand, and stable both ways on all kinds of music."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from miditoolkit import Instrument, MidiFile, Note
from torch import Tensor
from torch.nn import functional

from musengine.api import (
    DecodeSettings,
    GridStep,
    Meter,
    Model,
    ModelConfig,
    Score,
    Text,
    Tokens,
    Track,
)
from musengine.errors import UnreadableError
from musengine.testing import (
    create,
    generate_steps,
    problem,
    read_midi,
    rows_of,
    score_of,
    unpack,
    write_midi,
)
from musengine.testing.strategies import few, scores
from musengine_charrnn.config import ALPHABET, TextRollConfig
from musengine_charrnn.textroll import TextRoll

# Pitch 21 is the first character, so C4 (60) is number 39, `4`; E4 (64) is `^`, G4 (67) is `/`.
C, E, G = "4^/"
BEATS, SECONDS = GridStep(Fraction(1, 16), "beat"), GridStep(Fraction(1, 32), "seconds")


def text_roll(**options) -> TextRoll:
    return TextRoll(TextRollConfig(**options))


def text_of(score: Score, **options) -> str:
    return text_roll(**options).to_text(score).text


def in_steps(*notes: tuple[int, ...], **more) -> Score:
    """Notes whose onset and duration are in sixteenths of a beat: the encoder's steps."""
    return score_of(notes, ticks_per_beat=16, **more)


def test_the_text_of_a_small_midi_file(tmp_path: Path) -> None:
    file = MidiFile(ticks_per_beat=480)  # so a step of 1/16 beat is 30 ticks
    first, second = Instrument(program=0, name="first"), Instrument(program=1, name="second")

    def add(track: Instrument, start: int, length: int, pitch: int) -> None:
        track.notes.append(
            Note(velocity=80, pitch=pitch, start=30 * start, end=30 * (start + length))
        )

    add(first, 2, 3, 60)  # a chord, C and E in steps 2, 3, 4
    add(first, 2, 3, 64)
    add(second, 4, 2, 60)  # the other track strikes C again in step 4: silent in step 3
    # A rest in step 6. Then both tracks strike G together in step 7, one holds it to step 9.
    add(first, 7, 2, 67)
    add(second, 7, 3, 67)
    add(first, 10, 2, 67)  # struck again as it ends: silent in step 9
    add(second, 20, 4, 20)  # below the lowest key, and no part of the text
    file.instruments += [first, second]
    file.dump(str(tmp_path / "small.mid"))
    encoded = text_roll().encode(read_midi(tmp_path / "small.mid"))
    text = text_roll().decode(encoded.steps, DecodeSettings())
    steps = [C + E, E, C + E, C, "", G, G, "", G, G]  # 2 to 11; empty ones before and after go
    assert text == Text("_" + "".join(f"{step}_" for step in steps), "text-roll")
    assert text.text == "_4^_^_4^_4__/_/__/_/_"
    assert encoded.dropped == {"notes out of range": 1}


def test_a_text_as_notes() -> None:
    # After the mark of the beginning: C and E in step 0, E alone in 1, nothing in 2, C in 3 and 4.
    score = text_roll().from_text(Text(f"_{E}{C}_{E}__{C}_{C}{C}_"))
    assert score.ticks_per_beat == 480
    assert rows_of(score) == [(0, 30, 60, 80, 0), (0, 60, 64, 80, 0), (90, 60, 60, 80, 0)]
    assert score.length == 150
    assert score.tempo_bpm.tolist() == [120.0]
    # Without the mark, and with a last step that is not closed: no step is lost or added.
    assert rows_of(text_roll().from_text(Text(f"{E}{C}_{E}__{C}_{C}"))) == rows_of(score)


def test_notes_of_a_single_step_struck_in_a_row_are_one() -> None:
    assert text_of(in_steps((0, 1, 60), (1, 1, 60), (2, 1, 60), (5, 1, 67))) == "_4_4_4___/_"


def test_times_go_to_the_nearest_step() -> None:
    # In 1/480 beat a step is 30: 14 is nearer to step 0, 16 to 1; a note has at least one step.
    score = score_of([(0, 30, 60), (44, 2, 64), (46, 15, 67)], ticks_per_beat=480)
    assert text_of(score) == "_4_^_/_"


def test_seconds_follow_the_tempo_and_beats_do_not() -> None:
    # One beat at 60 to the minute lasts a second: 32 steps of 1/32 s, 16 of 1/16 beat.
    score = score_of([(0, 1, 60)], ticks_per_beat=1, tempos=[(0, 60.0)])
    assert text_of(score) == "_" + 16 * "4_"
    assert text_of(score, step=SECONDS) == "_" + 32 * "4_"


def test_drums_are_left_out_unless_asked_for() -> None:
    tracks = (Track(), Track(is_drum=True))
    score = in_steps((0, 1, 60, 80, 0), (0, 1, 64, 80, 1), tracks=tracks)
    assert text_of(score) == "_4_"
    assert text_of(score, drums=True) == "_4^_"


def test_alphabet_and_separator_may_be_others() -> None:
    score = in_steps((0, 2, 60), (1, 1, 62), (4, 1, 61))
    options = {"alphabet": "abc", "lowest": 60, "separator": "."}
    assert text_of(score, **options) == ".a.ac...b."
    assert rows_of(text_roll(**options).from_text(Text(".a.ac...b."))) == [
        (0, 60, 60, 80, 0),
        (30, 30, 62, 80, 0),
        (120, 30, 61, 80, 0),
    ]


def test_the_layout_says_what_the_tokens_mean() -> None:
    layout = TextRollConfig().layout()
    assert isinstance(layout, Tokens)
    assert layout.size == 89 == len(set(ALPHABET)) + 1
    assert layout.meanings[0] == ("pitch", 21)
    assert layout.meanings[87] == ("pitch", 108)
    assert layout.meanings[88] == ("step", 1)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"alphabet": "aba"}, "alphabet"),
        ({"alphabet": "a b"}, "alphabet"),
        ({"alphabet": "a\nb"}, "alphabet"),
        ({"alphabet": ""}, "alphabet"),
        ({"lowest": 41}, "alphabet"),
        ({"separator": "a"}, "separator"),
        ({"separator": "__"}, "separator"),
        ({"separator": " "}, "separator"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, object], key: str) -> None:
    assert [problem[0] for problem in TextRollConfig(**options).problems()] == [key]
    assert not list(TextRollConfig(lowest=40).problems())


def test_characters_that_stand_for_nothing_are_counted_and_blanks_are_not() -> None:
    encoded = text_roll().encode(Text(f"_{C} \n_\u00e9{E}_\U0001d11e\r\n"))
    assert text_roll().decode(encoded.steps, DecodeSettings()).text == f"_{C}_{E}_"
    assert encoded.dropped == {"unknown characters": 2}


@pytest.mark.parametrize("text", ["", "  \n", C + E, "\u00e9\u00e9"])
def test_what_is_no_text_roll_is_refused(text: str) -> None:
    with problem("not-a-text-roll"):
        text_roll().encode(Text(text))
    with problem("not-a-text-roll"):
        text_roll().from_text(Text(text))


def test_a_text_without_notes_is_no_score() -> None:
    with problem("no-notes"):
        text_roll().from_text(Text("____"))


def test_an_endless_text_is_refused_before_it_takes_memory() -> None:
    with problem("piece-too-long"):
        text_roll().from_text(Text(C + "_" * (2**20 + 1) + C))


def test_an_prompt_is_read_strictly() -> None:
    assert text_roll().encode_prompt(f"_{C}").steps.tolist() == [88, 39]
    with problem("unknown-characters"):
        text_roll().encode_prompt("_é")


def test_only_separators_move_time_on() -> None:
    encoder = text_roll()
    steps = encoder.encode_prompt(f"_{C}{E}_{C}__{G}").steps
    # The first separator marks the beginning; 1/16 beat at 60 beats a minute is 1/16 s.
    settings = DecodeSettings(tempo=60.0, meter=Meter(4, 4))
    wanted = np.array([0, 0, 0, 1, 1, 2, 3, 3]) / 16
    np.testing.assert_allclose(encoder.elapsed(steps, "beats", settings), wanted)
    np.testing.assert_allclose(encoder.elapsed(steps, "seconds", settings), wanted)
    assert encoder.elapsed(steps[:0], "beats", settings).tolist() == []
    in_seconds = text_roll(step=SECONDS).elapsed(steps, "beats", settings)
    np.testing.assert_allclose(in_seconds, wanted / 2)


@few(100)
@given(scores(), st.sampled_from([BEATS, SECONDS, GridStep(Fraction(1, 24), "beat")]))
def test_what_was_written_reads_back_as_the_same(score: Score, step: GridStep) -> None:
    encoder = text_roll(step=step)
    try:
        text = encoder.to_text(score)
    except UnreadableError:
        return
    assert encoder.to_text(encoder.from_text(text)) == text
    tokens = encoder.encode(text).steps
    assert encoder.decode(tokens, DecodeSettings()) == text
    np.testing.assert_array_equal(tokens, encoder.encode(score).steps)


@few(100)
@given(st.text(alphabet=st.one_of(st.sampled_from(ALPHABET + "_"), st.characters()), max_size=60))
def test_no_text_whatever_breaks_it(text: str) -> None:
    encoder = text_roll()
    lines = []
    try:
        score = encoder.from_text(Text(text))
    except UnreadableError as error:
        lines = error.lines
    if lines:
        assert len(lines) == 1
        return
    assert len(score) > 0
    again = encoder.to_text(score)
    assert encoder.to_text(encoder.from_text(again)) == again


@few(50)
@given(st.lists(st.integers(0, 88), max_size=40))
def test_any_tokens_are_a_text(tokens: list[int]) -> None:
    text = text_roll().decode(np.array(tokens, dtype=np.int64), DecodeSettings())
    assert len(text.text) == len(tokens)
    if 88 in tokens:
        assert text_roll().encode(text).steps.tolist() == tokens


def check_stable(files: list[Path], folder: Path) -> None:
    """MIDI to text to MIDI to text, by beats and by seconds: both texts are equal."""
    read = 0
    for path in files:
        try:
            score = read_midi(path)
        except UnreadableError:
            continue
        for step in (BEATS, SECONDS):
            encoder = text_roll(step=step)
            text = encoder.to_text(score)
            back = read_midi(write_midi(encoder.from_text(text), folder / "back.mid"))
            assert encoder.to_text(back) == text, path
        read += 1
    assert read >= 0.95 * len(files)


def test_some_real_files_are_stable(data_folder: Path, tmp_path: Path) -> None:
    archive = data_folder / "musicguru" / "musicguru-collection.tar.gz"
    files = sorted(unpack(archive, tmp_path))
    files.sort(key=lambda path: path.stat().st_size)
    check_stable(files[5:200:40], tmp_path)


@pytest.mark.slow
def test_all_real_files_are_stable(data_folder: Path, tmp_path: Path) -> None:
    archive = data_folder / "musicguru" / "musicguru-collection.tar.gz"
    check_stable(sorted(unpack(archive, tmp_path)), tmp_path)


class Dictated(Model[ModelConfig]):
    """Writes one text over and over, whatever it reads."""

    def __init__(self, text: str) -> None:
        encoder = text_roll()
        super().__init__(ModelConfig(), encoder.layout)
        self.tokens = torch.from_numpy(encoder.encode_prompt(text).steps)

    def start(self, pieces: int) -> Tensor:
        return torch.zeros(pieces, dtype=torch.long)

    def step(self, last: object, state: Tensor, conditioning: object) -> tuple[Tensor, Tensor]:
        chosen = functional.one_hot(self.tokens[state % len(self.tokens)], len(ALPHABET) + 1)
        return 1000.0 * chosen, state + 1

    def prefill(self, prompt: Tensor, state: Tensor, conditioning: object) -> Tensor:
        return state


@pytest.mark.parametrize(
    ("prompt", "written"),
    [
        # Four steps are a quarter of a beat. After a whole step a separator ends an empty one ...
        ("_4^_", "_4_/__"),
        ("4_", "_4_/__"),
        # ... after a note it ends that note's step, and where a piece begins it is the mark there.
        ("_4", "_4_/__"),
        ("", "_4_/__^_"),
    ],
)
def test_as_many_steps_are_written_as_are_asked_for(prompt: str, written: str) -> None:
    encoder = text_roll()
    (steps,) = generate_steps(
        Dictated("_4_/__^_"),
        [create("sampler", "categorical", encoder.layout)],
        length="0.25 beats",
        encoder=encoder,
        prompts=[encoder.encode_prompt(prompt).steps],
    )
    assert encoder.decode(steps, DecodeSettings()).text == written
