"""Every name that an author of plugins needs; nothing else of the core is public.

Nothing is imported before it is asked for: a plugin's declarations and settings stay free of
PyTorch and NumPy. Errors are in `musengine.errors`, help for tests in `musengine.testing`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musengine.builtin.midi.writer import midi_bytes
    from musengine.cli.options import add_jobs, add_settings, tempo, value_of
    from musengine.config.fields import Config, build_config, setting, to_table
    from musengine.config.general_midi import GENERAL_MIDI
    from musengine.config.quantities import GridStep, Instrument, Length, Meter, Period
    from musengine.config.setting_types import Quantity
    from musengine.config.toml import parse_value, read_tables
    from musengine.data.dataset import Dataset
    from musengine.data.discovery import DiscoveryNotes, find_items
    from musengine.data.filters import Patterns
    from musengine.data.manifest import Skipped
    from musengine.data.reading import (
        MusicFile,
        ReadResult,
        open_file,
        process_files,
        read_sources,
        shown_name,
    )
    from musengine.data.scores import read_scores
    from musengine.encoding.layouts import Grid, Layout, Tokens
    from musengine.encoding.pianoroll import (
        MAX_GRID_STEPS,
        decode_piano_roll,
        encode_piano_roll,
        grid_times,
    )
    from musengine.evaluation.likelihood import Predictions, predictions
    from musengine.interfaces.batching import IDLE_ROW, BatchingStrategy, EpochPlan, Row
    from musengine.interfaces.callback import Callback, Progress
    from musengine.interfaces.command import CommandContext, ExitStatus
    from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
    from musengine.interfaces.loss import Loss, negative_log_likelihood
    from musengine.interfaces.metric import Evidence, Metric, Reference
    from musengine.interfaces.model import (
        Batch,
        Model,
        Output,
        Proposal,
        Recorded,
        Request,
        onset_weights,
    )
    from musengine.interfaces.optimizer import OptimizerFactory
    from musengine.interfaces.reader import Item, Reader
    from musengine.interfaces.sampler import (
        Draw,
        GridDraw,
        GridSampler,
        History,
        LayoutSampler,
        Limits,
        PieceRandom,
        Sampler,
        TokenSampler,
    )
    from musengine.interfaces.schedule import Schedule
    from musengine.interfaces.training import TrainingConfig
    from musengine.interfaces.writer import Activations, Probabilities, Writable, Writer
    from musengine.music.miditoolkit_objects import from_miditoolkit, to_miditoolkit
    from musengine.music.pitch_names import parse_pitches, pitch_name
    from musengine.music.score import BEND, LAST_TICK, Piece, Score, Text, Track
    from musengine.music.timing import DEFAULT_BPM, key_map, meter_map, steps_to_ticks, tempo_map
    from musengine.music.transforms import (
        excerpt,
        keep_tracks,
        mute_tracks,
        one_note_per_key,
        overlap,
        snap,
        tracks_on,
    )
    from musengine.nn import LayerTrace, LSTMLayer, LSTMStack, StackOutput, StackState, draw_along
    from musengine.pipeline.resolve import Pipeline
    from musengine.pipeline.values import Source
    from musengine.plugins.declarations import (
        BatchingDeclaration,
        CallbackDeclaration,
        CommandDeclaration,
        Content,
        Declaration,
        EncoderConfig,
        EncoderDeclaration,
        LossDeclaration,
        MetricDeclaration,
        ModelConfig,
        ModelDeclaration,
        NoSettings,
        OptimizerDeclaration,
        ReaderDeclaration,
        Requirement,
        SamplerConfig,
        SamplerDeclaration,
        ScheduleDeclaration,
        WriterConfig,
        WriterDeclaration,
    )
    from musengine.plugins.hookspecs import hookimpl
    from musengine.plugins.manager import load_registry
    from musengine.plugins.registry import Component, Registry, RegistryEntry
    from musengine.runs.folder import is_run_folder
    from musengine.runs.pipelines import build_pipeline, load_pipeline
    from musengine.runs.run import Run, read_dataset, run_pipeline
    from musengine.runs.trained import Trained, music_of_run
    from musengine.training.device import mixed_precision, supports_bfloat16
    from musengine.utils.arrays import Array, FloatArray, IntArray
    from musengine.utils.files import read_json, whole_file
    from musengine.utils.format import counted, duration
    from musengine.utils.parallel import Failure
    from musengine.utils.progress import SILENT, ProgressBar, ProgressReporter

_HOME = {
    # Settings.
    "Config": "config.fields",
    "Quantity": "config.setting_types",
    "setting": "config.fields",
    "GridStep": "config.quantities",
    "Instrument": "config.quantities",
    "Length": "config.quantities",
    "Meter": "config.quantities",
    "Period": "config.quantities",
    # Declarations and hooks.
    "BatchingDeclaration": "plugins.declarations",
    "CommandDeclaration": "plugins.declarations",
    "CallbackDeclaration": "plugins.declarations",
    "Content": "plugins.declarations",
    "Declaration": "plugins.declarations",
    "EncoderConfig": "plugins.declarations",
    "EncoderDeclaration": "plugins.declarations",
    "LossDeclaration": "plugins.declarations",
    "MetricDeclaration": "plugins.declarations",
    "ModelConfig": "plugins.declarations",
    "ModelDeclaration": "plugins.declarations",
    "NoSettings": "plugins.declarations",
    "OptimizerDeclaration": "plugins.declarations",
    "ReaderDeclaration": "plugins.declarations",
    "Requirement": "plugins.declarations",
    "SamplerConfig": "plugins.declarations",
    "SamplerDeclaration": "plugins.declarations",
    "ScheduleDeclaration": "plugins.declarations",
    "WriterConfig": "plugins.declarations",
    "WriterDeclaration": "plugins.declarations",
    "hookimpl": "plugins.hookspecs",
    # Layouts of arrays.
    "Grid": "encoding.layouts",
    "Layout": "encoding.layouts",
    "Tokens": "encoding.layouts",
    "MAX_GRID_STEPS": "encoding.pianoroll",
    "decode_piano_roll": "encoding.pianoroll",
    "encode_piano_roll": "encoding.pianoroll",
    "grid_times": "encoding.pianoroll",
    # Music.
    "midi_bytes": "builtin.midi.writer",
    "BEND": "music.score",
    "LAST_TICK": "music.score",
    "from_miditoolkit": "music.miditoolkit_objects",
    "to_miditoolkit": "music.miditoolkit_objects",
    "key_map": "music.timing",
    "meter_map": "music.timing",
    "IntArray": "utils.arrays",
    "FloatArray": "utils.arrays",
    "DEFAULT_BPM": "music.timing",
    "one_note_per_key": "music.transforms",
    "mute_tracks": "music.transforms",
    "snap": "music.transforms",
    "tracks_on": "music.transforms",
    "tempo_map": "music.timing",
    "parse_pitches": "music.pitch_names",
    "pitch_name": "music.pitch_names",
    "GENERAL_MIDI": "config.general_midi",
    "Piece": "music.score",
    "Score": "music.score",
    "Text": "music.score",
    "Track": "music.score",
    "steps_to_ticks": "music.timing",
    "excerpt": "music.transforms",
    "keep_tracks": "music.transforms",
    "overlap": "music.transforms",
    # Base classes of components.
    "BatchingStrategy": "interfaces.batching",
    "EpochPlan": "interfaces.batching",
    "IDLE_ROW": "interfaces.batching",
    "Row": "interfaces.batching",
    "Callback": "interfaces.callback",
    "Progress": "interfaces.callback",
    "Array": "utils.arrays",
    "DecodeSettings": "interfaces.encoder",
    "Encoded": "interfaces.encoder",
    "EncodedPiece": "interfaces.encoder",
    "Encoder": "interfaces.encoder",
    "Loss": "interfaces.loss",
    "negative_log_likelihood": "interfaces.loss",
    "Evidence": "interfaces.metric",
    "Metric": "interfaces.metric",
    "Reference": "interfaces.metric",
    "Batch": "interfaces.model",
    "Model": "interfaces.model",
    "Output": "interfaces.model",
    "Proposal": "interfaces.model",
    "Recorded": "interfaces.model",
    "Request": "interfaces.model",
    "onset_weights": "interfaces.model",
    "OptimizerFactory": "interfaces.optimizer",
    "Item": "interfaces.reader",
    "Reader": "interfaces.reader",
    "Draw": "interfaces.sampler",
    "GridDraw": "interfaces.sampler",
    "GridSampler": "interfaces.sampler",
    "History": "interfaces.sampler",
    "LayoutSampler": "interfaces.sampler",
    "Limits": "interfaces.sampler",
    "PieceRandom": "interfaces.sampler",
    "Sampler": "interfaces.sampler",
    "TokenSampler": "interfaces.sampler",
    "Activations": "interfaces.writer",
    "Schedule": "interfaces.schedule",
    "TrainingConfig": "interfaces.training",
    "Probabilities": "interfaces.writer",
    "Writable": "interfaces.writer",
    "Writer": "interfaces.writer",
    # Recurrent layers.
    "LSTMLayer": "nn",
    "LSTMStack": "nn",
    "LayerTrace": "nn",
    "StackOutput": "nn",
    "StackState": "nn",
    "draw_along": "nn",
    # Mixed precision.
    "mixed_precision": "training.device",
    "supports_bfloat16": "training.device",
    # Likelihood.
    "predictions": "evaluation.likelihood",
    "Predictions": "evaluation.likelihood",
    # Commands.
    "value_of": "cli.options",
    "tempo": "cli.options",
    "add_settings": "cli.options",
    "add_jobs": "cli.options",
    "duration": "utils.format",
    "counted": "utils.format",
    "SILENT": "utils.progress",
    "ProgressReporter": "utils.progress",
    "ProgressBar": "utils.progress",
    "ExitStatus": "interfaces.command",
    "CommandContext": "interfaces.command",
    # Files of music.
    "to_table": "config.fields",
    "ReadResult": "data.reading",
    "read_tables": "config.toml",
    "read_json": "utils.files",
    "build_config": "config.fields",
    "music_of_run": "runs.trained",
    "Trained": "runs.trained",
    "is_run_folder": "runs.folder",
    "Run": "runs.run",
    "run_pipeline": "runs.run",
    "read_dataset": "runs.run",
    "load_pipeline": "runs.pipelines",
    "build_pipeline": "runs.pipelines",
    "read_sources": "data.reading",
    "parse_value": "config.toml",
    "RegistryEntry": "plugins.registry",
    "Registry": "plugins.registry",
    "Component": "plugins.registry",
    "load_registry": "plugins.manager",
    "whole_file": "utils.files",
    "Failure": "utils.parallel",
    "process_files": "data.reading",
    "MusicFile": "data.reading",
    "Patterns": "data.filters",
    "Skipped": "data.manifest",
    "shown_name": "data.reading",
    "open_file": "data.reading",
    "find_items": "data.discovery",
    "DiscoveryNotes": "data.discovery",
    "read_scores": "data.scores",
    "Dataset": "data.dataset",
    "Source": "pipeline.values",
    "Pipeline": "pipeline.resolve",
}
"""The module inside the core that holds each name."""

__all__ = [
    "BEND",
    "DEFAULT_BPM",
    "GENERAL_MIDI",
    "IDLE_ROW",
    "LAST_TICK",
    "MAX_GRID_STEPS",
    "SILENT",
    "Activations",
    "Array",
    "Batch",
    "BatchingDeclaration",
    "BatchingStrategy",
    "Callback",
    "CallbackDeclaration",
    "CommandContext",
    "CommandDeclaration",
    "Component",
    "Config",
    "Content",
    "Dataset",
    "Declaration",
    "DecodeSettings",
    "DiscoveryNotes",
    "Draw",
    "Encoded",
    "EncodedPiece",
    "Encoder",
    "EncoderConfig",
    "EncoderDeclaration",
    "EpochPlan",
    "Evidence",
    "ExitStatus",
    "Failure",
    "FloatArray",
    "Grid",
    "GridDraw",
    "GridSampler",
    "GridStep",
    "History",
    "Instrument",
    "IntArray",
    "Item",
    "LSTMLayer",
    "LSTMStack",
    "LayerTrace",
    "Layout",
    "LayoutSampler",
    "Length",
    "Limits",
    "Loss",
    "LossDeclaration",
    "Meter",
    "Metric",
    "MetricDeclaration",
    "Model",
    "ModelConfig",
    "ModelDeclaration",
    "MusicFile",
    "NoSettings",
    "OptimizerDeclaration",
    "OptimizerFactory",
    "Output",
    "Patterns",
    "Period",
    "Piece",
    "PieceRandom",
    "Pipeline",
    "Predictions",
    "Probabilities",
    "Progress",
    "ProgressBar",
    "ProgressReporter",
    "Proposal",
    "Quantity",
    "ReadResult",
    "Reader",
    "ReaderDeclaration",
    "Recorded",
    "Reference",
    "Registry",
    "RegistryEntry",
    "Request",
    "Requirement",
    "Row",
    "Run",
    "Sampler",
    "SamplerConfig",
    "SamplerDeclaration",
    "Schedule",
    "ScheduleDeclaration",
    "Score",
    "Skipped",
    "Source",
    "StackOutput",
    "StackState",
    "Text",
    "TokenSampler",
    "Tokens",
    "Track",
    "Trained",
    "TrainingConfig",
    "Writable",
    "Writer",
    "WriterConfig",
    "WriterDeclaration",
    "add_jobs",
    "add_settings",
    "build_config",
    "build_pipeline",
    "counted",
    "decode_piano_roll",
    "draw_along",
    "duration",
    "encode_piano_roll",
    "excerpt",
    "find_items",
    "from_miditoolkit",
    "grid_times",
    "hookimpl",
    "is_run_folder",
    "keep_tracks",
    "key_map",
    "load_pipeline",
    "load_registry",
    "meter_map",
    "midi_bytes",
    "mixed_precision",
    "music_of_run",
    "mute_tracks",
    "negative_log_likelihood",
    "one_note_per_key",
    "onset_weights",
    "open_file",
    "overlap",
    "parse_pitches",
    "parse_value",
    "pitch_name",
    "predictions",
    "process_files",
    "read_dataset",
    "read_json",
    "read_scores",
    "read_sources",
    "read_tables",
    "run_pipeline",
    "setting",
    "shown_name",
    "snap",
    "steps_to_ticks",
    "supports_bfloat16",
    "tempo",
    "tempo_map",
    "to_miditoolkit",
    "to_table",
    "tracks_on",
    "value_of",
    "whole_file",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"musengine.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
