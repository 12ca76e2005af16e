"""What the settings of a component are made of: the bases that tell what follows from them.

Nothing here imports torch, so that pipelines can be checked and documented without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout
from musengine.plugins.suggestions import CorpusSurvey, Suggestion

Content = Literal["score", "text", "probabilities", "activations", "run"]
"""What a writer writes: a Score, a Text, the probabilities at each step of a piece, what went on
inside it, or a whole run."""

Kept = Literal["program", "velocity"]
"""What an encoder's arrays may hold of notes; drums are among the programs."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NoSettings(Config):
    """A component without settings."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EncoderConfig(Config):
    """Base of an encoder's settings: the layout follows from them."""

    def layout(self) -> Layout:
        """Return the layout of the arrays, as far as it is known before any data is read."""
        raise NotImplementedError

    def accepts(self) -> tuple[Content, ...]:
        """Return what `encode` takes: scores, texts, or both; readers are chosen by it."""
        return ("score",)

    def produces(self) -> tuple[Content, ...]:
        """Return what `decode` gives: a score, a text, or both.

        An encoder of both gives the text, and has `score_of` to give the score it stands for.
        """
        return ("score",)

    def keeps(self) -> tuple[Kept, ...]:
        """Return what of the notes its arrays hold, beside when and how high they are.

        What `decode` returns of it is then written as it is, unless the user sets another. Of the
        rest programs other than 0 and velocities other than 80 are taken for what the arrays say,
        and where there are none those of the prompt or of the corpus are written.
        """
        return ()

    def tells_time(self) -> bool:
        """Return whether `elapsed` gives musical time, so that lengths may be in beats or seconds.

        Where it does not, the wiring check asks for lengths in tokens.
        """
        return True

    def notation(self) -> str:
        """Return the text notation this encoder writes scores in and reads them from, else empty.

        An encoder that names one, such as `text-roll`, has `to_text` and `from_text`, so that
        `musengine convert` turns scores into its texts and back.
        """
        return ""


@dataclass(frozen=True)
class Window:
    """What a model reads of a long piece at once, where it is scored.

    Attributes:
        steps: how many.
        context: how many of them, but in the first window, were scored in the window before and
            are read again, so that every step but the first has at least so many before it. 0 for
            a model that carries its state on instead (`Output.state`).
    """

    steps: int
    context: int = 0

    def __post_init__(self) -> None:
        """Refuse windows that never get on.

        Raises:
            ValueError: the context is not smaller than the window.
        """
        if not 0 <= self.context < self.steps:
            raise ValueError(f"a context of {self.context} is not less than {self.steps} steps")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ModelConfig(Config):
    """Base of a model's settings."""

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Return what the model proposes for some music, or None where it is not made for it.

        Asked by `musengine run FOLDER`, which chooses among what all installed models propose:
        the fittest size that there is time to train.
        """
        return None

    def window(self) -> Window | None:
        """Return what it reads of a long piece at once, where it is scored; None for all of it."""
        return None

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield what keeps this model from working on that layout, beyond the layout's name."""
        return ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SamplerConfig(Config):
    """Base of the settings of a sampler that asks more of a layout than its name."""

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield what keeps this sampler from drawing for that layout, beyond the layout's name.

        The size of a tokens layout is 0, and its meanings are not known, where they are learned
        from the training part.
        """
        return ()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class WriterConfig(Config):
    """Base of the settings of a writer that may lack something on this system."""

    def lacks(self) -> str:
        """Return what it lacks to write at all, a line that says what to do; empty for nothing.

        It is reported before a run begins; the run then goes on without this writer's files.
        """
        return ""
