"""Small inputs of every kind that notations are read wrong in, each with what is right."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One input, and the music in it.

    Attributes:
        name: what it is about.
        file: the name of the file.
        data: its content.
        notes: `pitch@onset`, `:length` where that is not one quarter note; as MIDI numbers.
        tempos: quarter notes per minute, each at a quarter note.
        meters: numerator/denominator, each at a quarter note; 4/4@0 by default.
        tracks: how many; None for not looked at.
        drums: pitches of the notes that are drums.
    """

    name: str
    file: str
    data: str | bytes
    notes: str
    tempos: str = "120@0"
    meters: str = "4/4@0"
    tracks: int | None = None
    drums: tuple[int, ...] = field(default=())


def tune(music: str, *more: str, key: str = "C", meter: str = "4/4", unit: str = "1/4") -> str:
    """A tune in ABC; the fields of its header come before the key."""
    head = ["X:1", "T:A case", f"M:{meter}", f"L:{unit}", *more, f"K:{key}"]
    return "\n".join([*head, music, ""])


def abc(name: str, text: str, notes: str, **more: object) -> Case:
    """A case in ABC."""
    return Case(name, "case.abc", text, notes, **more)


ABC = [
    abc(
        "voices, each line with its name in brackets",
        tune("[V:A]e f g a|\n[V:B]A,4|\n[V:A]b4|\n[V:B]E,2 D,2|", "V:A", "V:B"),
        "76@0 77@1 79@2 81@3 57@0:4 83@4:4 52@4:2 50@6:2",
        tracks=2,
    ),
    abc(
        "voices, each after a line with its name",
        tune("V:A\ne f g a|\nV:B\nA,4|\nV:A\nb4|\nV:B\nE,2 D,2|", "V:A", "V:B"),
        "76@0 77@1 79@2 81@3 57@0:4 83@4:4 52@4:2 50@6:2",
        tracks=2,
    ),
    abc("one voice on two lines", tune("V:1\nD E F G|\nV:1\nA4|"), "62@0 64@1 65@2 67@3 69@4:4"),
    abc(
        "a voice that begins with its first line",
        tune("D E F G|\nV:low\nD,4|"),
        "62@0 64@1 65@2 67@3 50@0:4",
        tracks=2,
    ),
    abc(
        "voices in the header with names",
        tune("V:S\nD4|\nV:T\nF4|", 'V:S name="High"', 'V:T name="Low"'),
        "62@0:4 65@0:4",
        tracks=2,
    ),
    abc("an overlay", tune("g a b c' & D2 E2|F4|"), "79@0 81@1 83@2 84@3 62@0:2 64@2:2 65@4:4"),
    abc(
        "a duplet in compound meter",
        tune("A3 (2AB c3|", meter="9/8", unit="1/8"),
        "69@0:1.5 69@1.5:0.75 71@2.25:0.75 72@3:1.5",
        meters="9/8@0",
    ),
    abc("two endings for three passes", tune("|:D4|[1,3 E4:|[2 F4:|]"), "62@0:4 64@4:4 65@8:4"),
    abc("endings as a range", tune("|:D4|[1-2 E4:|[3 F4|]"), "62@0:4 64@4:4 65@8:4"),
    abc("three endings", tune("|:D4|[1 E4:|[2 F4:|[3 G4|]"), "62@0:4 64@4:4 65@8:4 67@12:4"),
    abc(
        "decorations of all forms",
        tune("!fermata!D .E ~F Tu.G|+accent+A !p!B v^c !<(!d!<)!|"),
        "62@0 64@1 65@2 67@3 69@4 71@5 73@6 74@7",
    ),
    abc("a decoration between plus signs", tune("+trill+E F +coda+G A|"), "64@0 65@1 67@2 69@3"),
    abc("the letters of decorations", tune("HE LF MG OA|"), "64@0 65@1 67@2 69@3"),
    abc(
        "an annotation with a place",
        tune('"@-5,12 solo"E "^dolce"F "<(" G A|'),
        "64@0 65@1 67@2 69@3",
    ),
    abc(
        "a meter in parts",
        tune("CD EFG|A5|", meter="(2+3)/8", unit="1/8"),
        "60@0:0.5 62@0.5:0.5 64@1:0.5 65@1.5:0.5 67@2:0.5 69@2.5:2.5",
        meters="5/8@0",
    ),
    abc(
        "a tempo with words, and a change on a line",
        tune("D4|\nQ:1/4=44\nE4|", 'Q:"Slowly" 1/4=88'),
        "62@0:4 64@4:4",
        tempos="88@0 44@4",
    ),
    abc(
        "a tempo in brackets",
        tune("D4|[Q:1/2=45]E4|", "Q:1/4=70"),
        "62@0:4 64@4:4",
        tempos="70@0 90@4",
    ),
    abc("a tempo of unit lengths", tune("D4|", "Q:C=76"), "62@0:4", tempos="76@0"),
    abc("rests of several bars", tune("D3|Z3|E3|", meter="3/4"), "62@0:3 64@12:3", meters="3/4@0"),
    abc("a rest of a bar", tune("D4|Z|E4|"), "62@0:4 64@8:4"),
    abc("a rest of bars that is not printed", tune("D4|X2|E4|"), "62@0:4 64@12:4"),
    abc("a rest that is not printed", tune("D x2 E|F4|"), "62@0 64@3 65@4:4"),
    abc("space that takes no time", tune("D y2 E y F G|"), "62@0 64@1 65@2 67@3"),
    abc("a tied chord with lengths inside", tune("[D2-F2-A2-][D2F2A2]|"), "62@0:4 65@0:4 69@0:4"),
    abc("a tie behind a chord", tune("[DF]2-[DF]2|"), "62@0:4 65@0:4"),
    abc("a tie that carries its accidental", tune("D3 ^F-|F3 F|F4|"), "62@0:3 66@3:4 65@7 65@8:4"),
    abc("a key in brackets", tune("C4|[K:A]C4|"), "60@0:4 61@4:4"),
    abc(
        "a unit length in brackets",
        tune("D E [L:1/8]F G A2|"),
        "62@0 64@1 65@2:0.5 67@2.5:0.5 69@3",
    ),
    abc(
        "a meter in brackets",
        tune("D4|[M:2/4]E2|F2|"),
        "62@0:4 64@4:2 65@6:2",
        meters="4/4@0 2/4@4",
    ),
    abc("a remark", tune("D E [r:see A and B]F G|"), "62@0 64@1 65@2 67@3"),
    abc("grace notes in a triplet", tune("(3D{gf}EF G2|"), "62@0:2/3 64@2/3:2/3 65@4/3:2/3 67@2:2"),
    abc(
        "a grace note before a triplet",
        tune("{g}(3DEF G2|"),
        "62@0:2/3 64@2/3:2/3 65@4/3:2/3 67@2:2",
    ),
    abc("a grace note in a broken rhythm", tune("D<{e}E F2|"), "62@0:0.5 64@0.5:1.5 65@2:2"),
    abc("explicit accidentals of a key", tune("F B c2|", key="G Dor ^c"), "65@0 70@1 73@2:2"),
    abc("a clef of the lower octave", tune("C E G c|", key="C treble-8"), "48@0 52@1 55@2 60@3"),
    abc("a bass clef", tune("C, E, G,2|", key="C clef=bass"), "48@0 52@1 55@2:2"),
    abc("a transposition", tune("C E G2|", key="C transpose=-3"), "57@0 61@1 64@2:2"),
    abc(
        "typeset text",
        tune("D2 E2|\n%%begintext\nG A B c\n%%endtext\nF2 G2|"),
        "62@0:2 64@2:2 65@4:2 67@6:2",
    ),
]


PARTS = '<score-part id="P{0}"><part-name>Part {0}</part-name></score-part>'
FOUR = (
    "<attributes><divisions>2</divisions>"
    "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)
QUARTER = (
    "<direction><direction-type><metronome><beat-unit>quarter</beat-unit>{}</metronome>"
    "</direction-type>{}</direction>"
)


def xml_note(pitch: str, duration: int, first: str = "", last: str = "") -> str:
    """A note, or a rest for an empty pitch, with elements before its pitch and at its end."""
    inside = "<rest/>"
    if pitch:
        inside = f"<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch>"
    return f"<note>{first}{inside}<duration>{duration}</duration>{last}</note>"


def xml(name: str, *parts: list[str], listed: str = "", **more: object) -> Case:
    """A case in MusicXML: the content of the measures of each part, and what is right of it."""
    bodies = "".join(
        f'<part id="P{number}">'
        + "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(measures, 1))
        + "</part>"
        for number, measures in enumerate(parts, 1)
    )
    entries = listed or "".join(PARTS.format(number) for number in range(1, len(parts) + 1))
    text = (
        f'<score-partwise version="4.0"><part-list>{entries}</part-list>{bodies}</score-partwise>'
    )
    return Case(name, "case.musicxml", text, **more)


FLUTE_AND_DRUM = (
    '<score-part id="P1"><part-name>Both</part-name>'
    '<score-instrument id="F"><instrument-name>Flute</instrument-name></score-instrument>'
    '<score-instrument id="D"><instrument-name>Drum</instrument-name></score-instrument>'
    '<midi-instrument id="F"><midi-program>74</midi-program></midi-instrument>'
    '<midi-instrument id="D"><midi-channel>10</midi-channel><midi-unpitched>39</midi-unpitched>'
    "</midi-instrument></score-part>"
)
DRUM = (
    "<note><unpitched><display-step>C</display-step><display-octave>5</display-octave></unpitched>"
    '<duration>2</duration><instrument id="D"/></note>'
)
CUE = "<cue/>"
MUSICXML = [
    xml(
        "cue notes",
        [
            FOUR + xml_note("C4", 4) + xml_note("D5", 2, CUE) + xml_note("E5", 2, CUE),
            xml_note("F4", 8),
        ],
        notes="60@0:2 65@4:4",
    ),
    xml(
        "a tempo that is played beside one that is printed",
        [
            FOUR
            + QUARTER.format("<per-minute>60</per-minute>", '<sound tempo="150"/>')
            + xml_note("C4", 8)
        ],
        notes="60@0:4",
        tempos="150@0",
    ),
    xml(
        "a tempo of its own",
        [FOUR + xml_note("C4", 4) + '<sound tempo="100"/>' + xml_note("D4", 4)],
        notes="60@0:2 62@2:2",
        tempos="120@0 100@2",
    ),
    xml(
        "a metric modulation",
        [
            FOUR + '<sound tempo="90"/>' + xml_note("C4", 8),
            QUARTER.format("<beat-unit-dot/><beat-unit>quarter</beat-unit>", "")
            + xml_note("D4", 8),
        ],
        notes="60@0:4 62@4:4",
        tempos="90@0 60@4",
    ),
    xml(
        "two parts at odds about the tempo",
        [FOUR + '<sound tempo="72"/>' + xml_note("C4", 8)],
        [FOUR + '<sound tempo="96"/>' + xml_note("C3", 8)],
        notes="60@0:4 48@0:4",
        tempos="72@0",
        tracks=2,
    ),
    xml(
        "two instruments in one part",
        [FOUR + xml_note("C5", 2, last='<instrument id="F"/>') + DRUM + xml_note("", 4)],
        listed=FLUTE_AND_DRUM,
        notes="72@0 38@1",
        tracks=2,
        drums=(38,),
    ),
]


def midi_file(*tracks: str) -> bytes:
    """A MIDI file of format 1 with 96 ticks to a quarter note, its tracks' bytes as hex digits."""
    chunks = [bytes.fromhex(track) + b"\0\xff\x2f\0" for track in tracks]
    head = b"MThd\0\0\0\6\0\1" + len(chunks).to_bytes(2, "big") + b"\0\x60"
    return head + b"".join(b"MTrk" + len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)


def midi(name: str, *tracks: str, **more: object) -> Case:
    """A case in MIDI."""
    return Case(name, "case.mid", midi_file(*tracks), **more)


XG_ON = "00f00843104c00007e00f7"
GS_ON = "00f00a41104212400 07f0041f7".replace(" ", "")
MIDI = [
    midi(
        "drums by a bank of XG",
        XG_ON + "00b5007f00c501" + "0095264060852640",
        "00903c4060803c40",
        notes="38@0 60@0",
        drums=(38,),
    ),
    midi(
        "drums by a bank, no standard said",
        "00b3007f00c300" + "0093244060832440",
        notes="36@0",
        drums=(36,),
    ),
    midi(
        "drums by a message of GS",
        GS_ON + "00f00a411042124012150217f7",
        "0091244060812440",
        notes="36@0",
        drums=(36,),
    ),
    midi(
        "a bank of GS that is a variation",
        GS_ON + "00b2007f00c200" + "0092304060823040",
        notes="48@0",
    ),
    midi(
        "the mode of a part of XG",
        XG_ON + "00f00843104c08040701f7" + "00942c4060842c40",
        notes="44@0",
        drums=(44,),
    ),
    midi(
        "all notes off",
        "00903e400090454060b07b00608e3e00".replace("8e", "80") + "00804500",
        notes="62@0 69@0",
    ),
    midi("all sound off", "00903e4060b0780060803e00", notes="62@0"),
    midi("all controllers reset", "00903e4060b0790060803e00", notes="62@0:2"),
]
CASES = [*ABC, *MUSICXML, *MIDI]
