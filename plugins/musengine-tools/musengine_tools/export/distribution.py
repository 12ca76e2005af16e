"""The distribution that trained models come in: its metadata, its hook, its folders."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from musengine.api import Run
from musengine.errors import UserError
from musengine_tools.export.card import model_card

CARD = "model-card.md"
_AS_MIDI = ('output=[{type="midi"}]',)
"""How the pieces that come with a model are written."""
_DECLARATION = """\
        TrainedDeclaration(
            name={name},
            summary={summary},
            target={target},
            licence={licence},
            size={size},
            trained_on={trained_on},
        ),
"""
_PLUGIN = '''\
"""The trained models in this distribution."""

from __future__ import annotations

from musengine.api import TrainedDeclaration, hookimpl

musengine_api = ">=1,<2"


@hookimpl
def musengine_trained() -> list[TrainedDeclaration]:
    """Declare them."""
    return [
{declarations}    ]
'''
_PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = {name}
version = {version}
description = {summary}
readme = "README.md"
requires-python = ">=3.10"
license = {{ text = {licence} }}
dependencies = {needed}

[project.entry-points.musengine]
{entry} = {module}

[tool.hatch.build.targets.wheel]
packages = [{package}]
"""


@dataclass(frozen=True, kw_only=True)
class ModelToShare:
    """A run to be shared as a trained model.

    Attributes:
        run: its folder.
        name: what the model is called.
        summary: one line about it.
        trained_on: which music, a phrase.
        licence: under which it is passed on.
        prompts: how many beginnings of held-out pieces come with it.
        remarks: Markdown for the model card: what its music is like, to who heard it.
    """

    run: Path
    name: str
    summary: str
    trained_on: str
    licence: str
    prompts: int = 0
    remarks: str = ""


def write_distribution(
    models: Sequence[ModelToShare], name: str, out: Path, number: str = "0.1.0"
) -> None:
    """Write a distribution of some trained models, whole or not at all.

    Args:
        models: one at least.
        name: the distribution's.
        out: its folder, which is made.
        number: the version of the distribution.

    Raises:
        UserError: the folder is there already, or a run cannot be shared.
    """
    if out.exists():
        raise UserError(f"{out} exists already; name another folder with --out", code="file-exists")
    package = re.sub(r"[-.]", "_", name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as aside:
            whole = Path(aside) / out.name
            home = whole / package
            home.mkdir(parents=True)
            write_models(models, home)
            needed = sorted({each for model in models for each in _needed(home / model.name)})
            _text(
                home / "__init__.py",
                f'"""Trained models of {name}."""\n\n__version__ = "{number}"\n',
            )
            (home / "py.typed").touch()
            _text(whole / "pyproject.toml", _project(models, name, package, number, needed))
            cards = [(home / model.name / CARD).read_text(encoding="utf-8") for model in models]
            _text(whole / "README.md", "\n\n".join(cards))
            shutil.move(whole, out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}", code="cannot-write") from error


def write_models(models: Sequence[ModelToShare], home: Path) -> None:
    """Write the folders of some trained models into a package, and the module that declares them.

    Args:
        models: one at least; a folder that is there of one of them is written anew.
        home: the package's folder, whose name is the package's.

    Raises:
        UserError: a run cannot be shared.
    """
    for model in models:
        shutil.rmtree(home / model.name, ignore_errors=True)
    declared = "".join(_model(model, home) for model in models)
    _text(home / "plugin.py", _PLUGIN.format(declarations=declared))


def _model(model: ModelToShare, home: Path) -> str:
    """Write a model's folder; returns its declaration."""
    run, folder = Run(model.run), home / model.name
    run.pack(folder, name=model.name, prompts=model.prompts, settings=_AS_MIDI)
    said = {name: str(value) for name, value in vars(model).items()}
    _text(folder / CARD, model_card(model.run, run.pipeline(), said))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    texts = {
        "name": model.name,
        "summary": model.summary,
        "target": f"{home.name}:{model.name}",
        "licence": model.licence,
        "trained_on": model.trained_on,
    }
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in texts.items()}
    return _DECLARATION.format(**quoted, size=size)


def _project(
    models: Sequence[ModelToShare], name: str, package: str, number: str, needed: Sequence[str]
) -> str:
    summary = "musengine plugin: trained models: " + ", ".join(model.name for model in models)
    licences = dict.fromkeys(model.licence for model in models)
    quoted = {
        "name": name,
        "version": number,
        "summary": models[0].summary if len(models) == 1 else summary,
        "licence": " AND ".join(licences),
        "module": f"{package}.plugin",
        "package": package,
    }
    words = {key: json.dumps(text, ensure_ascii=False) for key, text in quoted.items()}
    return _PROJECT.format(
        **words, needed=json.dumps(needed), entry=name.removeprefix("musengine-")
    )


def _needed(folder: Path) -> Iterator[str]:
    """Yield which distributions its encoder, model and samplers come from, not older than now."""
    pipeline = Run(folder).pipeline()
    yield f"musengine>={version('musengine')}"
    training = (pipeline.batching, pipeline.optimizer, pipeline.schedule)
    for component in (pipeline.encoder, pipeline.model, *pipeline.samplers, *training):
        origin = component.entry.origin
        yield f"{origin.distribution}>={origin.version}"


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
