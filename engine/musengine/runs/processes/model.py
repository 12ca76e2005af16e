"""A trained model at several processes: what it predicts, and pieces, from all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from musengine.data.dataset import Dataset
from musengine.distributed.ranks import Ranks
from musengine.evaluation.likelihood import Predictions, predictions_of
from musengine.generation import engine
from musengine.interfaces.contracts.values import check_state
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.sampler import Sampler
from musengine.music.piece import SplitName
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.declarations import WriterDeclaration
from musengine.runs.pieces.samplers import give_back
from musengine.runs.processes.ranks import (
    Helper,
    SharedCorpus,
    Work,
    announce,
    own_device,
    wait_for_readers,
)
from musengine.runs.trained import Trained, new_model
from musengine.training.device import choose_device
from musengine.utils.arrays import Array


@dataclass(frozen=True)
class SharedModel(Work):
    """A trained model.

    Attributes:
        pipeline: of its run.
        encoder_state: what its encoder has learned.
        weights: by name, on the CPU.
    """

    pipeline: Pipeline
    encoder_state: Any
    weights: Mapping[str, Tensor]

    @classmethod
    def of(cls, pipeline: Pipeline, trained: Trained) -> SharedModel:
        """Return what others need to have a trained model."""
        state = check_state(trained.encoder, trained.encoder.state())
        return cls(pipeline, state, {n: t.cpu() for n, t in trained.model.state_dict().items()})

    def carry_out(self, helper: Helper) -> None:
        """Build the model in the helper process and load the weights and the vocabulary."""
        encoder: Encoder[Any] = self.pipeline.encoder.create()
        encoder.load_state(self.encoder_state)
        device = own_device(choose_device(self.pipeline.training.device), helper.ranks)
        model = new_model(self.pipeline, encoder)
        model.load_state_dict(dict(self.weights))
        helper.trained = Trained(model.to(device).eval(), encoder, device, Path())


@dataclass(frozen=True)
class SharedPrediction(Work):
    """What the model that was announced predicts of a part of some music."""

    corpus: SharedCorpus
    part: SplitName

    def carry_out(self, helper: Helper) -> None:
        """Predict this process's share."""
        dataset = helper.dataset(self.corpus)
        predictions_of(helper.known_model().model, dataset.parts[self.part], ranks=helper.ranks)


@dataclass(frozen=True)
class SharedPieces(Work):
    """Pieces that the model that was announced makes.

    Attributes:
        pipeline: its samplers and writers.
        learned: what each of the samplers has learned.
        plan: what is made.
    """

    pipeline: Pipeline
    learned: Sequence[Mapping[str, Array]]
    plan: engine.GenerationPlan

    def carry_out(self, helper: Helper) -> None:
        """Make this process's share of them."""
        trained = helper.known_model()
        layout = trained.encoder.layout
        chain = [component.create(layout) for component in self.pipeline.samplers]
        give_back(chain, self.learned)
        _share_of_pieces(self.pipeline, trained, chain, self.plan, helper.ranks, None)


def share_model(pipeline: Pipeline, trained: Trained, ranks: Ranks) -> None:
    """Give the other processes, if there are any, a trained model."""
    if not ranks.alone:
        announce(SharedModel.of(pipeline, trained), ranks)


def predict_together(
    pipeline: Pipeline, trained: Trained, dataset: Dataset, part: SplitName, ranks: Ranks
) -> Predictions:
    """Return what a model that was shared predicts of a part, each process of some pieces."""
    corpus = SharedCorpus.of(pipeline, dataset, trained.encoder)
    announce(SharedPrediction(corpus, part), ranks)
    wait_for_readers(corpus, ranks)
    return predictions_of(trained.model, dataset.parts[part], ranks=ranks)


def pieces_together(
    pipeline: Pipeline,
    trained: Trained,
    chain: Sequence[Sampler[Any]],
    plan: engine.GenerationPlan,
    ranks: Ranks,
    beat: Callable[[float], None] | None = None,
) -> list[engine.GeneratedPiece]:
    """Return the steps of new pieces, with the probabilities where a writer asks for them.

    Args:
        pipeline: its samplers and writers.
        trained: what makes them; other processes have it where it was announced to them.
        chain: the samplers, knowing what they learned.
        plan: what is made.
        ranks: the processes that share the work.
        beat: called now and then with the share that is done, 0 to 1.
    """
    if not ranks.alone:
        announce(SharedPieces(pipeline, [each.state() for each in chain], plan), ranks)
    return _share_of_pieces(pipeline, trained, chain, plan, ranks, beat)


def _share_of_pieces(
    pipeline: Pipeline,
    trained: Trained,
    chain: Sequence[Sampler[Any]],
    plan: engine.GenerationPlan,
    ranks: Ranks,
    beat: Callable[[float], None] | None,
) -> list[engine.GeneratedPiece]:
    """Return all pieces, of which every so many-th is made here."""
    wants_probabilities = any(
        "probabilities" in output.declared(WriterDeclaration).content for output in pipeline.outputs
    )
    # In turn, not in blocks: lengths often grow or shrink with the number, which blocks would share
    # unevenly. Piece n is then the (n // size)-th of process n % size.
    numbers = range(ranks.rank, len(plan.prompts), ranks.size)
    made: list[engine.GeneratedPiece] = []
    if numbers:
        made = engine.generate(
            trained.model,
            trained.encoder,
            chain,
            plan.only(numbers),
            device=trained.device,
            own=pipeline.model_declaration.generation == "own",
            keep_logits=wants_probabilities,
            beat=beat,
        )
    # Also a process without pieces takes part: gathering waits for all.
    shares = ranks.gathered(made)
    return [shares[n % ranks.size][n // ranks.size] for n in range(len(plan.prompts))]
