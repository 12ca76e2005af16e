"""The encoder `chars`: what it learns, what is unknown to it, and ABC tunes as scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import DecodeSettings, Meter, Piece, Score, Text, Tokens
from musengine.testing import problem
from musengine.testing.strategies import few
from musengine_charrnn.chars import Chars
from musengine_charrnn.config import CharsConfig

TUNE = """X:1
T:The third of two
M:3/4
L:1/8
Q:1/4=90
K:G
D2|"G"G2 B>d (3efg|[Gg]4 z2|]
"""


def chars(*texts: str, **options) -> Chars:
    """An encoder that has learned from some texts."""
    encoder = Chars(CharsConfig(**options))
    encoder.fit(Piece(str(index), Text(text)) for index, text in enumerate(texts))
    return encoder


def test_characters_are_numbered_after_the_end_and_the_unknown() -> None:
    encoder = chars("abba", "c\n")
    assert encoder.layout == Tokens(size=6, end=0)  # end, unknown, \n, a, b, c
    encoded = encoder.encode(Text("cab\n"))
    assert encoded.steps.tolist() == [5, 3, 4, 2, 0]
    assert encoded.dropped == {}
    assert encoder.decode(encoded.steps, DecodeSettings()) == Text("cab\n", "abc")


def test_what_was_not_learned_is_one_token_and_counted() -> None:
    encoder = chars("ab")
    encoded = encoder.encode(Text("axbya"))
    assert encoded.steps.tolist() == [2, 1, 3, 1, 2, 0]
    assert encoded.dropped == {"unknown characters": 2}
    assert encoder.decode(encoded.steps, DecodeSettings()).text == "aba"


def test_an_prompt_has_no_end() -> None:
    assert chars("ab").encode_prompt("ba").steps.tolist() == [3, 2]


def test_what_it_learned_is_its_state() -> None:
    encoder, other = chars("hé\u2028\n"), Chars(CharsConfig())
    other.load_state(json.loads(json.dumps(encoder.state())))
    assert other.layout == encoder.layout
    assert other.encode(Text("é\n")).steps.tolist() == encoder.encode(Text("é\n")).steps.tolist()


def test_notes_and_empty_texts_are_refused() -> None:
    empty = Score.from_notes([], [], [], ticks_per_beat=1)
    for content, code in ((empty, "score-not-text"), (Text(""), "file-empty")):
        with problem(code):
            chars("ab").encode(content)


@few(50)
@given(st.text(max_size=30), st.text(max_size=30))
def test_every_text_of_known_characters_comes_back(first: str, second: str) -> None:
    encoder = chars(first, second)
    for text in filter(None, (first, second)):
        steps = encoder.encode(Text(text)).steps
        assert steps[-1] == 0
        assert (steps[:-1] >= 2).all()
        assert encoder.decode(steps, DecodeSettings()).text == text


@few(50)
@given(st.lists(st.integers(0, 3), max_size=20))
def test_any_tokens_are_a_text(tokens: list[int]) -> None:
    text = chars("ab").decode(np.array(tokens, dtype=np.int64), DecodeSettings()).text
    assert text == "".join("ab"[token - 2] for token in tokens if token > 1)


def test_plain_text_is_no_music() -> None:
    assert CharsConfig(texts="plain").produces() == ("text",)
    assert CharsConfig().produces() == ("text", "score")
    encoder = chars("ab", texts="plain")
    assert encoder.decode(np.array([2, 3]), DecodeSettings()) == Text("ab", "plain")


def test_a_tune_in_abc_is_given_as_a_score() -> None:
    encoder = chars(TUNE)
    score = encoder.score_of(Text(TUNE, "abc"), DecodeSettings())
    # Of G major in 3/4 the first two notes: a beat of D4 and one of G4.
    assert score.pitch.tolist()[:2] == [62, 67]
    with problem("no-notes"):
        encoder.score_of(Text("X:1\nK:C\n", "abc"), DecodeSettings())


@pytest.mark.parametrize(
    ("head", "body", "own"),
    [
        ("T:Q: and M: at the [Q:1/4=90] fair\n", "GABc|", (72.0, [5, 4])),
        ("", "GABc| % [Q:1/4=90] [M:3/4]", (72.0, [5, 4])),
        ("M:3/4\nQ:1/4=90\n", "GAB|", (90.0, [3, 4])),
        ("", "[M:3/4][Q:1/4=90]GAB|", (90.0, [3, 4])),
    ],
    ids=["in the title", "in a comment", "as fields", "amid the music"],
)
def test_a_tune_has_its_own_tempo_and_meter_or_those_that_are_asked_for(
    head: str, body: str, own: tuple[float, list[int]]
) -> None:
    tune = f"X:1\n{head}L:1/4\nK:C\n{body}\n"
    score = chars(tune).score_of(Text(tune, "abc"), DecodeSettings(72.0, Meter(5, 4)))
    assert (round(float(score.tempo_bpm[0]), 3), score.meter[0].tolist()) == own


@pytest.mark.parametrize("characters", [None, 7, ["a", "b"], "aba"])
def test_a_strangers_vocabulary_is_looked_at(characters: object) -> None:
    with pytest.raises((ValueError, KeyError)):
        Chars(CharsConfig()).load_state({} if characters is None else {"characters": characters})
