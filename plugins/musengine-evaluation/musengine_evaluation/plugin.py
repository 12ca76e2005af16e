"""What this distribution offers."""

from __future__ import annotations

from musengine.api import CommandDeclaration, MetricDeclaration, hookimpl
from musengine_evaluation.settings import OriginalityConfig, SimilarityConfig

musengine_api = ">=1,<2"


@hookimpl
def musengine_metrics() -> list[MetricDeclaration]:
    """Declare the metrics of generated pieces."""
    return [
        MetricDeclaration(
            name="similarity",
            summary="How like the training music the generated pieces are, in percent",
            target="musengine_evaluation.metrics:Similarity",
            config=SimilarityConfig,
            of="pieces",
        ),
        MetricDeclaration(
            name="originality",
            summary="How much of the generated pieces is in the training music, beside human music",
            target="musengine_evaluation.metrics:Originality",
            config=OriginalityConfig,
            of="pieces",
        ),
        MetricDeclaration(
            name="statistics",
            summary="Musical statistics of the generated pieces beside the training music's",
            target="musengine_evaluation.metrics:Statistics",
            of="pieces",
            better={"overlap_area": "higher", "divergence": "lower"},
        ),
        MetricDeclaration(
            name="form",
            summary="How much comes back in the generated pieces, beside human pieces as long",
            target="musengine_evaluation.metrics:Form",
            of="pieces",
        ),
    ]


@hookimpl
def musengine_commands() -> list[CommandDeclaration]:
    """Declare the commands that hold pieces and runs against others."""
    return [
        CommandDeclaration(
            name="similarity",
            summary="say how like a corpus pieces are, in percent",
            target="musengine_evaluation.similarity_command:similarity",
            arguments="musengine_evaluation.similarity_command:add_similarity_arguments",
        ),
        CommandDeclaration(
            name="originality",
            summary="say how much of pieces is in a corpus already",
            target="musengine_evaluation.originality_command:originality",
            arguments="musengine_evaluation.originality_command:add_originality_arguments",
        ),
        CommandDeclaration(
            name="compare",
            summary="put the figures of runs side by side",
            target="musengine_evaluation.compare_command:compare",
            arguments="musengine_evaluation.compare_command:add_compare_arguments",
        ),
    ]
