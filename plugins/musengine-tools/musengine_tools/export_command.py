"""The command `export`: a run as a trained model that others install."""

from __future__ import annotations

import argparse
import logging
import re
from pathlib import Path

from musengine.api import CommandContext, ExitStatus
from musengine.errors import UserError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine export`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder, or its name in runs/")
    parser.add_argument("name", metavar="NAME", help="of the trained model, such as lullabies")
    parser.add_argument(
        "--licence",
        required=True,
        help="under which you pass it on: what the music it was trained on allows, such as MIT",
    )
    parser.add_argument("--trained-on", metavar="TEXT", help="which music (the name of its folder)")
    parser.add_argument("--summary", metavar="TEXT", help="one line about it")
    parser.add_argument(
        "--prompts",
        type=int,
        default=0,
        metavar="N",
        help="beginnings of held-out pieces that come with it, as music (0)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder it is written to (musengine-NAME)"
    )


def export(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine export`."""
    from musengine.api import Run, find_run
    from musengine.testing.conformance import check_trained
    from musengine_tools.export.distribution import ModelToShare, write_distribution

    if not _NAME.fullmatch(parsed.name):
        message = f"the name {parsed.name!r} must be of small letters, digits and hyphens"
        raise UserError(message, code="plugin-name")
    if not 0 <= parsed.prompts <= 4096:
        raise UserError(f"--prompts {parsed.prompts}: expected 0 to 4096", code="out-of-range")
    run = find_run(parsed.run, context.registry).folder.path
    names = (Path(source.name).stem for source in Run(run).pipeline().corpus.path)
    music = parsed.trained_on or ", ".join(names)
    distribution = f"musengine-{parsed.name}"
    model = ModelToShare(
        run=run,
        name=parsed.name,
        summary=parsed.summary or f"Trained on {music}",
        trained_on=music,
        licence=parsed.licence,
        prompts=parsed.prompts,
    )
    for name in ("summary", "trained_on", "licence"):
        if not (text := getattr(model, name)).strip() or "\n" in text:
            option = name.replace("_", "-")
            raise UserError(f"--{option} must be one line, got {text!r}", code="invalid-value")
    out = parsed.out or Path(distribution)
    write_distribution([model], distribution, out)
    folder = out / distribution.replace("-", "_") / parsed.name
    found = check_trained(folder)
    for finding in found:
        logger.error(f"{parsed.name}: {finding}")
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    logger.info(f"wrote {out}, {megabytes:.1f} MB; read its README.md, which is the model card")
    logger.info(f"next: pip install {out}, then musengine generate {parsed.name}")
    return ExitStatus.FAULT if found else ExitStatus.DONE
