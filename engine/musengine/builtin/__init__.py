"""The components the core ships, declared through the same hooks as any plugin's."""

from __future__ import annotations

from musengine.builtin import configs
from musengine.declarations import (
    CallbackDeclaration,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    ReaderDeclaration,
    Requirement,
    SamplerDeclaration,
    WriterDeclaration,
)
from musengine.hookspecs import hookimpl

_MUSIC21 = Requirement(module="music21", install='pip install "musengine[music21]"')


@hookimpl
def musengine_readers() -> list[ReaderDeclaration]:
    """Declare the readers of MIDI files, piano-roll collections and music21's corpora."""
    return [
        ReaderDeclaration(
            name="midi",
            summary="Standard MIDI files, through miditoolkit",
            target="musengine.builtin.midi.reader:MidiReader",
            suffixes=(".mid", ".midi"),
        ),
        ReaderDeclaration(
            name="rolls",
            summary="Piano-roll collections with official splits (.npz, .json)",
            target="musengine.builtin.rolls:RollsReader",
            config=configs.RollsReaderConfig,
            suffixes=(".npz", ".json"),
        ),
        ReaderDeclaration(
            name="music21",
            summary="The corpora inside the music21 package, such as music21:bach-chorales",
            target="musengine.builtin.music21_corpus:Music21CorpusReader",
            scheme="music21",
            requires=(_MUSIC21,),
        ),
    ]


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the piano-roll encoder."""
    return [
        EncoderDeclaration(
            name="piano-roll",
            summary="A grid of time steps and pitches, 1 where a note sounds",
            target="musengine.builtin.piano_roll:PianoRoll",
            config=configs.PianoRollConfig,
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the baseline that counts."""
    return [
        ModelDeclaration(
            name="frequencies",
            summary="Counts how often each note sounds: the yardstick for other models",
            target="musengine.builtin.frequencies:Frequencies",
            config=configs.FrequenciesConfig,
            layouts=("grid",),
            training="fit",
            defaults={"training": {"feed": "pieces"}},
        )
    ]


@hookimpl
def musengine_losses() -> list[LossDeclaration]:
    """Declare cross-entropy and squared error."""
    return [
        LossDeclaration(
            name="cross-entropy",
            summary="Negative log-likelihood, nats per step",
            target="musengine.builtin.losses:CrossEntropy",
            layouts=("grid", "tokens"),
        ),
        LossDeclaration(
            name="squared-error",
            summary="Squared error of the probabilities, summed over a step",
            target="musengine.builtin.losses:SquaredError",
            layouts=("grid", "tokens"),
        ),
    ]


@hookimpl
def musengine_samplers() -> list[SamplerDeclaration]:
    """Declare plain draws and the most probable choice."""
    return [
        SamplerDeclaration(
            name="bernoulli",
            summary="Every note drawn with its probability",
            target="musengine.builtin.samplers:Bernoulli",
            layouts=("grid",),
        ),
        SamplerDeclaration(
            name="categorical",
            summary="Every token drawn with its probability",
            target="musengine.builtin.samplers:Categorical",
            layouts=("tokens",),
        ),
        SamplerDeclaration(
            name="greedy",
            summary="The most probable choice, without chance",
            target="musengine.builtin.samplers:Greedy",
            layouts=("grid", "tokens"),
        ),
    ]


@hookimpl
def musengine_metrics() -> list[MetricDeclaration]:
    """Declare the negative log-likelihood."""
    return [
        MetricDeclaration(
            name="nll",
            summary="Exact negative log-likelihood per step, in nats",
            target="musengine.builtin.nll:NegativeLogLikelihood",
        )
    ]


@hookimpl
def musengine_writers() -> list[WriterDeclaration]:
    """Declare the writers of MIDI files, text and pictures."""
    return [
        WriterDeclaration(
            name="midi",
            summary="Standard MIDI files",
            target="musengine.builtin.midi.writer:MidiWriter",
        ),
        WriterDeclaration(
            name="picture",
            summary="A piano-roll picture, SVG or PNG",
            target="musengine.builtin.pictures:PictureWriter",
            config=configs.PictureConfig,
        ),
        WriterDeclaration(
            name="probabilities",
            summary="The probabilities of every step, with the opening and the result (.npz)",
            target="musengine.builtin.probabilities:ProbabilitiesWriter",
            content=("probabilities",),
        ),
        WriterDeclaration(
            name="heatmap",
            summary="A heat-map of the probabilities between opening and result (PNG)",
            target="musengine.builtin.probabilities:HeatmapWriter",
            config=configs.HeatmapConfig,
            content=("probabilities",),
            requires=(Requirement(module="PIL", install='pip install "musengine[pictures]"'),),
        ),
        WriterDeclaration(
            name="text",
            summary="The text itself, UTF-8",
            target="musengine.builtin.text:TextWriter",
            content=("text",),
        ),
    ]


@hookimpl
def musengine_callbacks() -> list[CallbackDeclaration]:
    """Declare the console and the TensorBoard callback."""
    return [
        CallbackDeclaration(
            name="console",
            summary="Progress of the training on the terminal",
            target="musengine.builtin.console_callback:ConsoleCallback",
            config=configs.ConsoleConfig,
        ),
        CallbackDeclaration(
            name="tensorboard",
            summary="Curves of the training for TensorBoard",
            target="musengine.builtin.tensorboard_callback:TensorBoardCallback",
            config=configs.TensorBoardConfig,
            requires=(
                Requirement(module="tensorboard", install='pip install "musengine[tensorboard]"'),
            ),
        ),
    ]
