"""The components the core ships, declared through the same hooks as any plugin's."""

from __future__ import annotations

from musengine.builtin import configs
from musengine.builtin.commands import COMMANDS
from musengine.plugins.declarations import (
    BatchingDeclaration,
    CallbackDeclaration,
    CommandDeclaration,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    OptimizerDeclaration,
    ReaderDeclaration,
    SamplerDeclaration,
    ScheduleDeclaration,
    WriterDeclaration,
)
from musengine.plugins.hookspecs import hookimpl


@hookimpl
def musengine_readers() -> list[ReaderDeclaration]:
    """Declare the readers of MIDI files, piano-roll collections and texts."""
    return [
        ReaderDeclaration(
            name="midi",
            summary="Standard MIDI files, however damaged",
            target="musengine.builtin.midi.reader:MidiReader",
            suffixes=(".mid", ".midi", ".kar", ".rmi"),
        ),
        ReaderDeclaration(
            name="rolls",
            summary="Piano-roll collections with official splits (.npz, .json)",
            target="musengine.builtin.readers.pianoroll_sets:RollsReader",
            config=configs.RollsReaderConfig,
            suffixes=(".npz", ".json"),
        ),
        ReaderDeclaration(
            name="text",
            summary="Plain text as it is written, UTF-8",
            target="musengine.builtin.readers.text:TextReader",
            suffixes=(".txt",),
            content=("text",),
        ),
    ]


@hookimpl
def musengine_encoders() -> list[EncoderDeclaration]:
    """Declare the piano-roll encoder."""
    return [
        EncoderDeclaration(
            name="piano-roll",
            summary="A grid of time steps and pitches, 1 where a note sounds",
            target="musengine.builtin.encoders.piano_roll:PianoRoll",
            config=configs.PianoRollConfig,
            default_for=("score",),
        )
    ]


@hookimpl
def musengine_models() -> list[ModelDeclaration]:
    """Declare the baseline that counts."""
    return [
        ModelDeclaration(
            name="frequencies",
            summary="Counts how often each note sounds: the yardstick for other models",
            target="musengine.builtin.models.frequencies:Frequencies",
            config=configs.FrequenciesConfig,
            layouts=("grid",),
            training="fit",
            defaults={"training": {"batching": "pieces"}},
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
            default_for=("grid", "tokens"),
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
            default_for=("grid",),
        ),
        SamplerDeclaration(
            name="categorical",
            summary="Every token drawn with its probability",
            target="musengine.builtin.samplers:Categorical",
            layouts=("tokens",),
            default_for=("tokens",),
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
    """Declare metrics of models and of generated pieces."""
    return [
        MetricDeclaration(
            name="nll",
            summary="Exact negative log-likelihood per step, in nats",
            target="musengine.builtin.metrics.likelihood:NegativeLogLikelihood",
            needs=("likelihood",),
            better={
                "nll": "lower",
                "nll_skip_first": "lower",
                "bits_per_token": "lower",
                "nats_per_note": "lower",
                "nats_per_beat": "lower",
            },
            comparable=("nats_per_note",),
            default_for=("likelihood",),
        ),
        MetricDeclaration(
            name="accuracy",
            summary="How often the likeliest token is right; of a grid, how well the notes agree",
            target="musengine.builtin.metrics.accuracy:Accuracy",
            better={"accuracy": "higher", "frame_accuracy": "higher"},
        ),
        MetricDeclaration(
            name="perplexity",
            summary="Exponential of the NLL of a token",
            target="musengine.builtin.metrics.accuracy:Perplexity",
            needs=("likelihood",),
            better={"perplexity": "lower"},
        ),
    ]


@hookimpl
def musengine_writers() -> list[WriterDeclaration]:
    """Declare the writers of MIDI files, texts and activations."""
    return [
        WriterDeclaration(
            name="midi",
            summary="Standard MIDI files",
            target="musengine.builtin.midi.writer:MidiWriter",
            suffixes={".mid": {}, ".midi": {}},
            default_for=("score",),
        ),
        WriterDeclaration(
            name="activations",
            summary="What went on inside the model, as arrays (.npz)",
            target="musengine.builtin.writers.activations:ActivationsWriter",
            content=("activations",),
            suffixes={".npz": {}},
        ),
        WriterDeclaration(
            name="text",
            summary="The text itself, UTF-8",
            target="musengine.builtin.writers.text:TextWriter",
            content=("text",),
            suffixes={".txt": {}},
            default_for=("text",),
        ),
    ]


@hookimpl
def musengine_callbacks() -> list[CallbackDeclaration]:
    """Declare what follows a run, and what ends its training early."""
    return [
        CallbackDeclaration(
            name="console",
            summary="Progress of the training on the terminal",
            target="musengine.builtin.callbacks.console:ConsoleCallback",
            config=configs.ConsoleConfig,
            default_for=("run",),
        ),
        CallbackDeclaration(
            name="early-stopping",
            summary="Ends a training whose validation figure has not fallen for a while",
            target="musengine.builtin.callbacks.early_stopping:EarlyStoppingCallback",
            config=configs.EarlyStoppingConfig,
            default_for=("choice",),
        ),
        CallbackDeclaration(
            name="samples",
            summary="Pieces and checkpoints while training goes on",
            target="musengine.builtin.callbacks.samples:SamplesCallback",
            config=configs.SamplesConfig,
        ),
        CallbackDeclaration(
            name="record",
            summary="What goes on inside the model while it reads training batches",
            target="musengine.builtin.callbacks.activations:RecordCallback",
            config=configs.RecordConfig,
        ),
    ]


@hookimpl
def musengine_commands() -> list[CommandDeclaration]:
    """Declare the commands about runs, pipeline files and plugins, as `--help` lists them."""
    return list(COMMANDS)


@hookimpl
def musengine_optimizers() -> list[OptimizerDeclaration]:
    """Declare PyTorch's optimizers, with PyTorch's defaults."""
    module = "musengine.builtin.optimizers"
    return [
        OptimizerDeclaration(
            name="adam",
            summary="Adam (Kingma and Ba 2015)",
            target=f"{module}:AdamFactory",
            defaults={"training": {"learning_rate": 0.001, "epsilon": 1e-8}},
            uses=("epsilon", "weight_decay"),
            default_for=("training",),
        ),
        OptimizerDeclaration(
            name="adamw",
            summary="Adam with decoupled weight decay (Loshchilov and Hutter 2019)",
            target=f"{module}:AdamWFactory",
            defaults={"training": {"learning_rate": 0.001, "epsilon": 1e-8, "weight_decay": 0.01}},
            uses=("epsilon", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="sgd",
            summary="Stochastic gradient descent, with or without momentum",
            target=f"{module}:SgdFactory",
            defaults={"training": {"learning_rate": 0.001}},
            uses=("momentum", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="rmsprop",
            summary="RMSprop (Tieleman and Hinton 2012)",
            target=f"{module}:RMSpropFactory",
            defaults={"training": {"learning_rate": 0.01, "smoothing": 0.99, "epsilon": 1e-8}},
            uses=("momentum", "smoothing", "epsilon", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="adagrad",
            summary="Adagrad (Duchi, Hazan and Singer 2011)",
            target=f"{module}:AdagradFactory",
            defaults={"training": {"learning_rate": 0.01, "epsilon": 1e-10}},
            uses=("epsilon", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="adadelta",
            summary="Adadelta (Zeiler 2012)",
            target=f"{module}:AdadeltaFactory",
            defaults={"training": {"learning_rate": 1.0, "smoothing": 0.9, "epsilon": 1e-6}},
            uses=("smoothing", "epsilon", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="adamax",
            summary="Adamax, Adam with the infinity norm (Kingma and Ba 2015)",
            target=f"{module}:AdamaxFactory",
            defaults={"training": {"learning_rate": 0.002, "epsilon": 1e-8}},
            uses=("epsilon", "weight_decay"),
        ),
        OptimizerDeclaration(
            name="nadam",
            summary="Adam with Nesterov momentum (Dozat 2016)",
            target=f"{module}:NAdamFactory",
            defaults={"training": {"learning_rate": 0.002, "epsilon": 1e-8}},
            uses=("epsilon", "weight_decay"),
        ),
    ]


@hookimpl
def musengine_schedules() -> list[ScheduleDeclaration]:
    """Declare a constant rate, two that fall to zero, and one that follows the validation."""
    module = "musengine.builtin.schedules"
    return [
        ScheduleDeclaration(
            name="constant",
            summary="The same rate all along",
            target=f"{module}:ConstantSchedule",
            default_for=("training",),
        ),
        ScheduleDeclaration(
            name="linear",
            summary="Falls evenly to zero at the end of training",
            target=f"{module}:LinearSchedule",
        ),
        ScheduleDeclaration(
            name="cosine",
            summary="Falls to zero at the end of training along half a cosine",
            target=f"{module}:CosineSchedule",
        ),
        ScheduleDeclaration(
            name="plateau",
            summary="Falls by a factor each time the validation loss has not fallen for a while",
            target=f"{module}:PlateauSchedule",
            uses=("plateau_patience", "plateau_factor", "plateau_min_delta"),
        ),
    ]


@hookimpl
def musengine_batching() -> list[BatchingDeclaration]:
    """Declare segments, whole pieces, stateful chunks and windows."""
    module = "musengine.builtin.batching"
    return [
        BatchingDeclaration(
            name="segments",
            summary="Random segments of pieces, all equally likely",
            target=f"{module}:SegmentBatching",
            uses=("batch_size", "sequence_length", "align"),
            default_for=("training",),
        ),
        BatchingDeclaration(
            name="pieces",
            summary="Whole pieces, padded to the longest of a batch or brought to one length",
            target=f"{module}:WholePieceBatching",
            uses=("batch_size", "sequence_length", "fill"),
        ),
        BatchingDeclaration(
            name="stateful",
            summary="Pieces from beginning to end in chunks, the state carried along",
            target=f"{module}:StatefulBatching",
            uses=("batch_size", "sequence_length", "rate_per_piece"),
            stateful=True,
        ),
        BatchingDeclaration(
            name="windows",
            summary="All windows of a fixed length, each with the one step after it to predict",
            target=f"{module}:WindowBatching",
            uses=("batch_size", "sequence_length", "stride"),
        ),
    ]
