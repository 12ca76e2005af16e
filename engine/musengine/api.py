"""Every name that an author of plugins needs; nothing else of the core is public.

Nothing is imported before it is asked for: a plugin's declarations and settings stay free of
PyTorch and NumPy. Errors are in `musengine.errors`, help for tests in `musengine.testing`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from musengine.utils.deprecation import Renamed, warn_of

if TYPE_CHECKING:
    from musengine.builtin.midi.writer import midi_bytes as midi_bytes
    from musengine.cli.options import add_jobs as add_jobs
    from musengine.cli.options import add_settings as add_settings
    from musengine.cli.options import tempo as tempo
    from musengine.cli.options import value_of as value_of
    from musengine.config.fields import Config as Config
    from musengine.config.fields import build_config as build_config
    from musengine.config.fields import setting as setting
    from musengine.config.fields import to_table as to_table
    from musengine.config.general_midi import GENERAL_MIDI as GENERAL_MIDI
    from musengine.config.quantities import GridStep as GridStep
    from musengine.config.quantities import Instrument as Instrument
    from musengine.config.quantities import Key as Key
    from musengine.config.quantities import Length as Length
    from musengine.config.quantities import Meter as Meter
    from musengine.config.quantities import Period as Period
    from musengine.config.setting_types import Quantity as Quantity
    from musengine.config.toml import parse_value as parse_value
    from musengine.config.toml import read_tables as read_tables
    from musengine.data.dataset import Dataset as Dataset
    from musengine.data.discovery import DiscoveryNotes as DiscoveryNotes
    from musengine.data.discovery import find_items as find_items
    from musengine.data.filters import Patterns as Patterns
    from musengine.data.manifest import Skipped as Skipped
    from musengine.data.manifest import told_skipped as told_skipped
    from musengine.data.reading import MusicFile as MusicFile
    from musengine.data.reading import ReadResult as ReadResult
    from musengine.data.reading import open_file as open_file
    from musengine.data.reading import process_files as process_files
    from musengine.data.reading import read_sources as read_sources
    from musengine.data.reading import shown_name as shown_name
    from musengine.data.scores import read_scores as read_scores
    from musengine.encoding.grammar import Grammar as Grammar
    from musengine.encoding.layouts import Grid as Grid
    from musengine.encoding.layouts import Layout as Layout
    from musengine.encoding.layouts import Tokens as Tokens
    from musengine.encoding.left_out import LeftOut as LeftOut
    from musengine.encoding.left_out import left_out_of_grid as left_out_of_grid
    from musengine.encoding.left_out import left_out_of_performance as left_out_of_performance
    from musengine.encoding.left_out import told_left_out as told_left_out
    from musengine.encoding.pianoroll import MAX_GRID_STEPS as MAX_GRID_STEPS
    from musengine.encoding.pianoroll import decode_piano_roll as decode_piano_roll
    from musengine.encoding.pianoroll import encode_piano_roll as encode_piano_roll
    from musengine.encoding.pianoroll import grid_times as grid_times
    from musengine.encoding.pianoroll import pitched_notes as pitched_notes
    from musengine.encoding.vocabulary import Vocabulary as Vocabulary
    from musengine.evaluation.likelihood import Predictions as Predictions
    from musengine.evaluation.likelihood import predictions as predictions
    from musengine.interfaces.batching import IDLE_ROW as IDLE_ROW
    from musengine.interfaces.batching import BatchingStrategy as BatchingStrategy
    from musengine.interfaces.batching import EpochPlan as EpochPlan
    from musengine.interfaces.batching import Row as Row
    from musengine.interfaces.callback import Callback as Callback
    from musengine.interfaces.callback import Progress as Progress
    from musengine.interfaces.command import CommandContext as CommandContext
    from musengine.interfaces.command import ExitStatus as ExitStatus
    from musengine.interfaces.encoder import DecodeSettings as DecodeSettings
    from musengine.interfaces.encoder import Encoded as Encoded
    from musengine.interfaces.encoder import EncodedPiece as EncodedPiece
    from musengine.interfaces.encoder import Encoder as Encoder
    from musengine.interfaces.loss import Loss as Loss
    from musengine.interfaces.loss import negative_log_likelihood as negative_log_likelihood
    from musengine.interfaces.metric import Evidence as Evidence
    from musengine.interfaces.metric import Metric as Metric
    from musengine.interfaces.metric import Reference as Reference
    from musengine.interfaces.model import Batch as Batch
    from musengine.interfaces.model import Model as Model
    from musengine.interfaces.model import Output as Output
    from musengine.interfaces.model import Proposal as Proposal
    from musengine.interfaces.model import Recorded as Recorded
    from musengine.interfaces.model import Request as Request
    from musengine.interfaces.model import State as State
    from musengine.interfaces.model import onset_weights as onset_weights
    from musengine.interfaces.optimizer import OptimizerFactory as OptimizerFactory
    from musengine.interfaces.prediction import predict as predict
    from musengine.interfaces.reader import Item as Item
    from musengine.interfaces.reader import Reader as Reader
    from musengine.interfaces.sampler import Draw as Draw
    from musengine.interfaces.sampler import GridDraw as GridDraw
    from musengine.interfaces.sampler import GridSampler as GridSampler
    from musengine.interfaces.sampler import History as History
    from musengine.interfaces.sampler import LayoutSampler as LayoutSampler
    from musengine.interfaces.sampler import Limits as Limits
    from musengine.interfaces.sampler import PieceRandom as PieceRandom
    from musengine.interfaces.sampler import Sampler as Sampler
    from musengine.interfaces.sampler import TokensAhead as TokensAhead
    from musengine.interfaces.sampler import TokenSampler as TokenSampler
    from musengine.interfaces.schedule import Schedule as Schedule
    from musengine.interfaces.short_forms.decorators import callback as callback
    from musengine.interfaces.short_forms.decorators import metric as metric
    from musengine.interfaces.short_forms.decorators import sampler as sampler
    from musengine.interfaces.short_forms.sequence_model import SequenceModel as SequenceModel
    from musengine.interfaces.steering import Guide as Guide
    from musengine.interfaces.steering import Infill as Infill
    from musengine.interfaces.steering import Passage as Passage
    from musengine.interfaces.steering import Steering as Steering
    from musengine.interfaces.training import TrainingConfig as TrainingConfig
    from musengine.interfaces.writer import Activations as Activations
    from musengine.interfaces.writer import Probabilities as Probabilities
    from musengine.interfaces.writer import RunContent as RunContent
    from musengine.interfaces.writer import Writable as Writable
    from musengine.interfaces.writer import Writer as Writer
    from musengine.music.miditoolkit_objects import from_miditoolkit as from_miditoolkit
    from musengine.music.miditoolkit_objects import to_miditoolkit as to_miditoolkit
    from musengine.music.note_tables import BEND as BEND
    from musengine.music.note_tables import LAST_TICK as LAST_TICK
    from musengine.music.notebook import shown_pitches as shown_pitches
    from musengine.music.piece import Piece as Piece
    from musengine.music.piece import Text as Text
    from musengine.music.pitch_names import parse_pitches as parse_pitches
    from musengine.music.pitch_names import pitch_name as pitch_name
    from musengine.music.score import Score as Score
    from musengine.music.score import Track as Track
    from musengine.music.texts import ChordSymbol as ChordSymbol
    from musengine.music.texts import TextEvent as TextEvent
    from musengine.music.texts import chord_symbol as chord_symbol
    from musengine.music.texts import text_at as text_at
    from musengine.music.texts import transpose_chord as transpose_chord
    from musengine.music.timing import DEFAULT_BPM as DEFAULT_BPM
    from musengine.music.timing import key_map as key_map
    from musengine.music.timing import meter_map as meter_map
    from musengine.music.timing import steps_to_ticks as steps_to_ticks
    from musengine.music.timing import tempo_map as tempo_map
    from musengine.music.transforms import excerpt as excerpt
    from musengine.music.transforms import keep_tracks as keep_tracks
    from musengine.music.transforms import mute_tracks as mute_tracks
    from musengine.music.transforms import one_note_per_key as one_note_per_key
    from musengine.music.transforms import overlap as overlap
    from musengine.music.transforms import snap as snap
    from musengine.music.transforms import tracks_on as tracks_on
    from musengine.nn import CopiedRuns as CopiedRuns
    from musengine.nn import LayerTrace as LayerTrace
    from musengine.nn import LibraryLSTM as LibraryLSTM
    from musengine.nn import LSTMGates as LSTMGates
    from musengine.nn import LSTMLayer as LSTMLayer
    from musengine.nn import LSTMStack as LSTMStack
    from musengine.nn import NoteBars as NoteBars
    from musengine.nn import NoteDraws as NoteDraws
    from musengine.nn import NoteLoop as NoteLoop
    from musengine.nn import NotePast as NotePast
    from musengine.nn import NoteRules as NoteRules
    from musengine.nn import NoteWeights as NoteWeights
    from musengine.nn import StackOutput as StackOutput
    from musengine.nn import StackState as StackState
    from musengine.nn import TokenLoop as TokenLoop
    from musengine.nn import TokenWeights as TokenWeights
    from musengine.nn import drawn_bits as drawn_bits
    from musengine.nn import layer_states as layer_states
    from musengine.nn import step_in_place as step_in_place
    from musengine.pipeline.resolve import Pipeline as Pipeline
    from musengine.pipeline.values import Source as Source
    from musengine.plugins.api_version import API_VERSION as API_VERSION
    from musengine.plugins.configs import Content as Content
    from musengine.plugins.configs import EncoderConfig as EncoderConfig
    from musengine.plugins.configs import Kept as Kept
    from musengine.plugins.configs import ModelConfig as ModelConfig
    from musengine.plugins.configs import NoSettings as NoSettings
    from musengine.plugins.configs import SamplerConfig as SamplerConfig
    from musengine.plugins.configs import Window as Window
    from musengine.plugins.configs import WriterConfig as WriterConfig
    from musengine.plugins.declarations import BatchingDeclaration as BatchingDeclaration
    from musengine.plugins.declarations import CallbackDeclaration as CallbackDeclaration
    from musengine.plugins.declarations import CommandDeclaration as CommandDeclaration
    from musengine.plugins.declarations import Declaration as Declaration
    from musengine.plugins.declarations import EncoderDeclaration as EncoderDeclaration
    from musengine.plugins.declarations import Follows as Follows
    from musengine.plugins.declarations import LossDeclaration as LossDeclaration
    from musengine.plugins.declarations import MetricDeclaration as MetricDeclaration
    from musengine.plugins.declarations import ModelDeclaration as ModelDeclaration
    from musengine.plugins.declarations import OptimizerDeclaration as OptimizerDeclaration
    from musengine.plugins.declarations import ReaderDeclaration as ReaderDeclaration
    from musengine.plugins.declarations import Requirement as Requirement
    from musengine.plugins.declarations import SamplerDeclaration as SamplerDeclaration
    from musengine.plugins.declarations import ScheduleDeclaration as ScheduleDeclaration
    from musengine.plugins.declarations import TrainedDeclaration as TrainedDeclaration
    from musengine.plugins.declarations import WriterDeclaration as WriterDeclaration
    from musengine.plugins.hookspecs import hookimpl as hookimpl
    from musengine.plugins.manager import load_registry as load_registry
    from musengine.plugins.registry import Component as Component
    from musengine.plugins.registry import Registry as Registry
    from musengine.plugins.registry import RegistryEntry as RegistryEntry
    from musengine.plugins.suggestions import CorpusSurvey as CorpusSurvey
    from musengine.plugins.suggestions import SuggestedSize as SuggestedSize
    from musengine.plugins.suggestions import Suggestion as Suggestion
    from musengine.runs.evaluate import music_of_run as music_of_run
    from musengine.runs.folder import is_run_folder as is_run_folder
    from musengine.runs.named import NamedRun as NamedRun
    from musengine.runs.named import find_run as find_run
    from musengine.runs.pipelines import build_pipeline as build_pipeline
    from musengine.runs.pipelines import load_pipeline as load_pipeline
    from musengine.runs.run import Run as Run
    from musengine.runs.run import read_dataset as read_dataset
    from musengine.runs.run import run_pipeline as run_pipeline
    from musengine.runs.trained import Trained as Trained
    from musengine.training.device import mixed_precision as mixed_precision
    from musengine.training.device import supports_bfloat16 as supports_bfloat16
    from musengine.utils.arrays import Array as Array
    from musengine.utils.arrays import FloatArray as FloatArray
    from musengine.utils.arrays import IntArray as IntArray
    from musengine.utils.files import read_json as read_json
    from musengine.utils.files import whole_file as whole_file
    from musengine.utils.format import counted as counted
    from musengine.utils.format import duration as duration
    from musengine.utils.format import shown_number as shown_number
    from musengine.utils.parallel import Failure as Failure
    from musengine.utils.progress import SILENT as SILENT
    from musengine.utils.progress import ProgressBar as ProgressBar
    from musengine.utils.progress import ProgressReporter as ProgressReporter

_NAMES = {
    "builtin.midi.writer": "midi_bytes",
    "cli.options": "add_jobs add_settings tempo value_of",
    "config.fields": "Config build_config setting to_table",
    "config.general_midi": "GENERAL_MIDI",
    "config.quantities": "GridStep Instrument Key Length Meter Period",
    "config.setting_types": "Quantity",
    "config.toml": "parse_value read_tables",
    "data.dataset": "Dataset",
    "data.discovery": "DiscoveryNotes find_items",
    "data.filters": "Patterns",
    "data.manifest": "Skipped told_skipped",
    "data.reading": "MusicFile ReadResult open_file process_files read_sources shown_name",
    "data.scores": "read_scores",
    "encoding.grammar": "Grammar",
    "encoding.layouts": "Grid Layout Tokens",
    "encoding.left_out": "LeftOut left_out_of_grid left_out_of_performance told_left_out",
    "encoding.pianoroll": (
        "MAX_GRID_STEPS decode_piano_roll encode_piano_roll grid_times pitched_notes"
    ),
    "encoding.vocabulary": "Vocabulary",
    "evaluation.likelihood": "Predictions predictions",
    "interfaces.batching": "BatchingStrategy EpochPlan IDLE_ROW Row",
    "interfaces.callback": "Callback Progress",
    "interfaces.command": "CommandContext ExitStatus",
    "interfaces.encoder": "DecodeSettings Encoded EncodedPiece Encoder",
    "interfaces.loss": "Loss negative_log_likelihood",
    "interfaces.metric": "Evidence Metric Reference",
    "interfaces.model": "Batch Model Output Proposal Recorded Request State onset_weights",
    "interfaces.optimizer": "OptimizerFactory",
    "interfaces.prediction": "predict",
    "interfaces.reader": "Item Reader",
    "interfaces.sampler": (
        "Draw GridDraw GridSampler History LayoutSampler Limits PieceRandom Sampler TokenSampler "
        "TokensAhead"
    ),
    "interfaces.schedule": "Schedule",
    "interfaces.short_forms.sequence_model": "SequenceModel",
    "interfaces.short_forms.decorators": "callback metric sampler",
    "interfaces.steering": "Guide Infill Passage Steering",
    "interfaces.training": "TrainingConfig",
    "interfaces.writer": "Activations Probabilities RunContent Writable Writer",
    "music.miditoolkit_objects": "from_miditoolkit to_miditoolkit",
    "music.note_tables": "BEND LAST_TICK",
    "music.notebook": "shown_pitches",
    "music.pitch_names": "parse_pitches pitch_name",
    "music.texts": "ChordSymbol TextEvent chord_symbol text_at transpose_chord",
    "music.piece": "Piece Text",
    "music.score": "Score Track",
    "music.timing": "DEFAULT_BPM key_map meter_map steps_to_ticks tempo_map",
    "music.transforms": "excerpt keep_tracks mute_tracks one_note_per_key overlap snap tracks_on",
    "nn": (
        "CopiedRuns LSTMGates LSTMLayer LSTMStack LayerTrace LibraryLSTM NoteBars NoteDraws "
        "NoteLoop NotePast NoteRules NoteWeights StackOutput StackState TokenLoop TokenWeights "
        "drawn_bits layer_states step_in_place"
    ),
    "pipeline.resolve": "Pipeline",
    "pipeline.values": "Source",
    "plugins.configs": (
        "Content EncoderConfig Kept ModelConfig NoSettings SamplerConfig Window WriterConfig"
    ),
    "plugins.declarations": (
        "BatchingDeclaration CallbackDeclaration CommandDeclaration Declaration "
        "EncoderDeclaration Follows LossDeclaration MetricDeclaration ModelDeclaration "
        "OptimizerDeclaration ReaderDeclaration Requirement SamplerDeclaration "
        "ScheduleDeclaration TrainedDeclaration WriterDeclaration"
    ),
    "plugins.api_version": "API_VERSION",
    "plugins.hookspecs": "hookimpl",
    "plugins.manager": "load_registry",
    "plugins.registry": "Component Registry RegistryEntry",
    "plugins.suggestions": "CorpusSurvey SuggestedSize Suggestion",
    "runs.evaluate": "music_of_run",
    "runs.folder": "is_run_folder",
    "runs.named": "NamedRun find_run",
    "runs.pipelines": "build_pipeline load_pipeline",
    "runs.run": "Run read_dataset run_pipeline",
    "runs.trained": "Trained",
    "training.device": "mixed_precision supports_bfloat16",
    "utils.arrays": "Array FloatArray IntArray",
    "utils.files": "read_json whole_file",
    "utils.format": "counted duration shown_number",
    "utils.parallel": "Failure",
    "utils.progress": "ProgressBar ProgressReporter SILENT",
}
"""Each module of the core that holds public names, and these names."""

_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOME)


_RENAMED: dict[str, Renamed] = {}
"""Former names, which are taken with a warning until the version that each of them goes in."""


def __getattr__(name: str) -> Any:
    if (renamed := _RENAMED.get(name)) is not None:
        warn_of(f"musengine.api.{name}", renamed, level=2)
        return getattr(sys.modules[__name__], renamed.now)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"musengine.{_HOME[name]}"), name)
    # Kept, so that the next use does not come here again.
    globals()[name] = value
    if "IPython" in sys.modules:
        from musengine.runs.presentation.notebook import prepare

        prepare()
    return value


def __dir__() -> list[str]:
    return __all__
