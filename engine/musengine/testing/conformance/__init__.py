"""The conformance kit: checks that third parties run on their own components.

Each returns a list of findings, empty where all is well; `check_plugin` runs them all on an
installed plugin, as `musengine check-plugin` does.
"""

from __future__ import annotations

from musengine.testing.conformance.encoders import EncoderCheck
from musengine.testing.conformance.models import ModelCheck
from musengine.testing.conformance.parts import (
    SamplerCheck,
    check_callback,
    check_command,
    check_loss,
    check_metric,
    check_reader,
    check_writer,
)
from musengine.testing.conformance.plugin import check_plugin
from musengine.testing.conformance.report import Finding
from musengine.testing.conformance.trained import check_trained

__all__ = [
    "EncoderCheck",
    "Finding",
    "ModelCheck",
    "SamplerCheck",
    "check_callback",
    "check_command",
    "check_loss",
    "check_metric",
    "check_plugin",
    "check_reader",
    "check_trained",
    "check_writer",
]
