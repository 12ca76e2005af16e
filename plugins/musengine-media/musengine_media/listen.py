"""The command `listen`: any music files as one page."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from musengine.api import (
    CommandContext,
    ExitStatus,
    Registry,
    Score,
    counted,
    read_scores,
    whole_file,
)
from musengine_media.blind import write_test
from musengine_media.music_named import music_named
from musengine_media.page.document import document
from musengine_media.page.engraving import Engraver
from musengine_media.page.instruments import sounds_for
from musengine_media.page.markup import element, joined
from musengine_media.page.pieces import PagePiece, Shelf

logger = logging.getLogger(__name__)


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine listen`."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="music files and folders; of a run or a trained model, by its name, its pieces",
    )
    default = Path("listen.html")
    parser.add_argument(
        "--out", type=Path, default=default, metavar="FILE", help=f"the page ({default})"
    )
    parser.add_argument(
        "--blind", action="store_true", help="a listening test of two sets, in pairs without names"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="which pieces of both sets are paired (0)"
    )


def listen(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine listen`."""
    if parsed.blind:
        write_test(parsed.paths, parsed.out, parsed.seed, context)
        return ExitStatus.DONE
    music = [music_named(path, context.registry) for path in parsed.paths]
    scores = read_scores(*music, registry=context.registry, reporter=context.reporter)
    with whole_file(parsed.out, "--out") as aside:
        aside.write_text(listening_page(scores, context.registry), encoding="utf-8")
    logger.info(f"page: {parsed.out}")
    return ExitStatus.DONE


def listening_page(scores: Mapping[str, Score], registry: Registry) -> str:
    """Return a page of some scores by their names; the registry has writers of notated music."""
    shelf = Shelf(Engraver(registry))
    pieces = (
        PagePiece(name, score, file_name=f"{PurePosixPath(name).stem}.mid")
        for name, score in scores.items()
    )
    title = counted(len(scores), "piece")
    body = joined(
        element("header", element("h1", title)),
        element("main", shelf.sections(pieces)),
    )
    sounds = sounds_for(shelf.scores)
    footer = element("footer", element("p", sounds.remark, class_="soft"))
    data = {"pieces": shelf.data, "sounds": sounds.data}
    return document(f"{title} to listen to", joined(body, footer), data)
