"""`%%MIDI` directives that say what sounds, and how."""

from __future__ import annotations

import re

from musengine_notation.abc.voice import Voice

_OTHER_NAMES = """
bassprog bassvol beat beataccents beatmod beatstring bendstring bendvelocity
chordattack chordname chordprog chordvol control controlcombo controlstring deltaloudness drone
droneoff droneon drum drumbars drumoff drumon expand fermatafixed fermataproportional gchord
gchordbars gchordoff gchordon grace gracedivider makechordchannels nobeataccents
noportamento pitchbend portamento ptstress randomchordattack ratio snt stressmodel temperament
temperamentlinear temperamentnormal trim tuningsystem vol volinc gchordattack chordattack
bendoff programbase stress beatmodel
"""
_PLAYED_OTHERWISE = frozenset(_OTHER_NAMES.split())
"""Directives about accompaniment, expression and tuning, which add nothing to the written notes."""


def directive(voice: Voice, text: str, programs: dict[int, int], order: int) -> str:
    """Follow a `%%MIDI` directive in a voice; returns what is not understood of it.

    Args:
        voice: the voice that it holds for.
        text: without `%%MIDI`.
        programs: by channel, 1 to 16, as directives that name a channel have set them.
        order: of the voice, from 1: its channel where none is given.
    """
    name, *words = text.replace("=", " ").split()[:20] or [""]
    numbers = [int(word) for word in words if re.fullmatch(r"[+-]?\d{1,4}", word)]
    name = name.lower()
    wrong = f"%%MIDI {text[:40]} is not understood"
    if name == "drummap":
        return _drum(voice, words, numbers, wrong)
    if name == "program":
        return _program(voice, numbers, programs, order, wrong)
    if name in ("nobarlines", "barlines"):
        # Music without bar lines: an accidental is for the one note behind it.
        voice.propagate = "not" if name == "nobarlines" else "pitch"
        return ""
    if name == "channel":
        if len(numbers) != 1 or not 1 <= numbers[0] <= 16:
            return wrong
        voice.channel = numbers[0]
        voice.program = programs.get(numbers[0], voice.program)
        voice.tell_sound()
        return ""
    if name in ("transpose", "rtranspose"):
        if len(numbers) != 1 or abs(numbers[0]) > 127:
            return wrong
        if name == "transpose":
            voice.midi_transpose = numbers[0]
        voice.midi_more = numbers[0] if name == "rtranspose" else 0
        voice.shift_again()
        return ""
    if name == "voice":
        instrument = re.search(r"instrument\s*=?\s*(\d{1,3})", text)
        if instrument is None or not 1 <= int(instrument[1]) <= 128:
            return wrong
        voice.program = int(instrument[1]) - 1
        voice.tell_sound()
        return ""
    return "" if name in _PLAYED_OTHERWISE else wrong


def _program(
    voice: Voice, numbers: list[int], programs: dict[int, int], order: int, wrong: str
) -> str:
    if len(numbers) not in (1, 2) or not 0 <= numbers[-1] <= 127:
        return wrong
    if len(numbers) == 2:
        if not 1 <= numbers[0] <= 16:
            return wrong
        programs[numbers[0]] = numbers[1]
        # A program of another channel is kept for the voice that takes that channel.
        if numbers[0] != (voice.channel or order):
            return ""
    voice.program = numbers[-1]
    voice.tell_sound()
    return ""


def _drum(voice: Voice, words: list[str], numbers: list[int], wrong: str) -> str:
    if len(words) != 2 or not numbers or not 0 <= numbers[-1] <= 127:
        return wrong
    if len(voice.drums) < 128:
        voice.drums[words[0]] = numbers[-1]
    return ""
