"""What the plugin declares."""

from __future__ import annotations

from musengine.api import (
    CallbackDeclaration,
    CommandDeclaration,
    Requirement,
    WriterDeclaration,
    hookimpl,
)
from musengine_media.config import (
    HeatmapConfig,
    Mp3Config,
    PictureConfig,
    TensorBoardConfig,
    WavConfig,
)

musengine_api = ">=1,<2"


@hookimpl
def musengine_writers() -> list[WriterDeclaration]:
    """Declare the writers of pictures, sound, probabilities and activations."""
    return [
        WriterDeclaration(
            name="picture",
            summary="A piano-roll picture, SVG or PNG",
            target="musengine_media.picture:PictureWriter",
            config=PictureConfig,
            suffixes={".svg": {"format": "svg"}, ".png": {"format": "png"}},
            default_for=("score",),
        ),
        WriterDeclaration(
            name="wav",
            summary="Sound, played with a SoundFont (WAV)",
            target="musengine_media.audio:WavWriter",
            config=WavConfig,
            suffixes={".wav": {}},
        ),
        WriterDeclaration(
            name="mp3",
            summary="Sound, played with a SoundFont (MP3)",
            target="musengine_media.audio:Mp3Writer",
            config=Mp3Config,
            requires=(Requirement(module="soundfile", install="pip install soundfile"),),
            suffixes={".mp3": {}},
        ),
        WriterDeclaration(
            name="probabilities",
            summary="The probabilities of every step, with the prompt and the result (.npz)",
            target="musengine_media.probabilities:ProbabilitiesWriter",
            content=("probabilities",),
        ),
        WriterDeclaration(
            name="heatmap",
            summary="A heat-map of the probabilities between prompt and result (PNG)",
            target="musengine_media.heatmap:HeatmapWriter",
            config=HeatmapConfig,
            content=("probabilities",),
        ),
        WriterDeclaration(
            name="activations-picture",
            summary="Every layer's activity under the piano-roll (PNG)",
            target="musengine_media.activations:ActivationsPictureWriter",
            content=("activations",),
            suffixes={".png": {}},
        ),
        WriterDeclaration(
            name="report",
            summary="A page to listen to: a run's pieces, curves, corpus and pipeline (HTML)",
            target="musengine_media.report:ReportWriter",
            notebook="musengine_media.notebook:register",
            content=("run",),
            default_for=("run",),
        ),
    ]


@hookimpl
def musengine_callbacks() -> list[CallbackDeclaration]:
    """Declare the curves for TensorBoard."""
    return [
        CallbackDeclaration(
            name="tensorboard",
            summary="Curves of the training for TensorBoard",
            target="musengine_media.tensorboard:TensorBoardCallback",
            config=TensorBoardConfig,
            requires=(
                Requirement(
                    module="tensorboard", install='pip install "musengine-media[tensorboard]"'
                ),
            ),
        )
    ]


@hookimpl
def musengine_commands() -> list[CommandDeclaration]:
    """Declare the commands that make pages."""
    return [
        CommandDeclaration(
            name="listen",
            summary="make a page that plays music files",
            target="musengine_media.listen:listen",
            arguments="musengine_media.listen:add_listen_arguments",
        ),
        CommandDeclaration(
            name="report",
            summary="make the page of a run, or of several side by side",
            target="musengine_media.report:report",
            arguments="musengine_media.report:add_report_arguments",
        ),
        CommandDeclaration(
            name="votes",
            summary="count the votes of a listening test",
            target="musengine_media.blind:votes",
            arguments="musengine_media.blind:add_votes_arguments",
        ),
    ]
