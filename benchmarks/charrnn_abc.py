"""The character model on the Nottingham tunes in ABC notation.

Bits per character of held-out tunes beside those of a 5-gram and of xz, and what 200 generated
tunes are worth: how many can be read, and in how many every inner bar is full.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from common import ROOT, data_folder, musengine, write_result

from musengine.data.reading import read_sources
from musengine.errors import UnreadableError
from musengine.music.piece import Text
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine_notation import abc_bars, abc_to_score

ORDER = 5
TUNES = 200
END = "\0"
"""Ends each tune, for the 5-gram as for the model."""


class KneserNey:
    """An interpolated Kneser-Ney n-gram of characters (Chen and Goodman 1998, section 2.7).

    With counts c of what followed a context h, one discount D for each length of context and N(h)
    the number of different characters that followed it,

        P(x | h) = max(c(hx) - D, 0) / c(h) + D N(h) / c(h) P(x | h without its first character)

    where for all contexts but the longest c(hx) counts the different characters before hx.
    """

    def __init__(self, texts: Iterable[str], order: int, size: int) -> None:
        self.order, self.size = order, size
        counts: list[defaultdict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
        for text in texts:
            padded = END * (order - 1) + text + END
            for place in range(order - 1, len(padded)):
                counts[-1][padded[place - order + 1 : place]][padded[place]] += 1
        for length in range(order - 1, 0, -1):
            for context, following in counts[length].items():
                for character in following:
                    counts[length - 1][context[1:]][character] += 1
        self.counts = counts
        self.totals = [{h: c.total() for h, c in level.items()} for level in counts]
        self.discounts = [self._discount(level.values()) for level in counts]

    @staticmethod
    def _discount(counts: Iterable[Counter[str]]) -> float:
        """Return n1 / (n1 + 2 n2), with n1 and n2 counts of 1 and 2 in all contexts."""
        seen = Counter(count for counter in counts for count in counter.values())
        return seen[1] / max(seen[1] + 2 * seen[2], 1)

    def bits(self, text: str) -> float:
        """Return how many bits a text takes, its end included."""
        padded = END * (self.order - 1) + text + END
        return -sum(
            math.log2(self._probability(padded[place - self.order + 1 : place], padded[place]))
            for place in range(self.order - 1, len(padded))
        )

    def _probability(self, context: str, character: str) -> float:
        probability = 1 / self.size
        for length in range(self.order):
            h = context[self.order - 1 - length :]
            following = self.counts[length].get(h)
            if following is None:
                break
            total, discount = self.totals[length][h], self.discounts[length]
            kept = max(following[character] - discount, 0.0) / total
            probability = kept + discount * len(following) / total * probability
        return probability


def xz_bits(before: str, text: str) -> float:
    """Return how many bits xz adds for a text after another one."""

    def size(content: str) -> int:
        return len(lzma.compress(content.encode(), preset=9 | lzma.PRESET_EXTREME))

    return 8.0 * (size(before + text) - (size(before) if before else 0))


def worth(tunes: Sequence[str]) -> dict[str, float]:
    """Return the share of tunes that can be read, and of those in which all inner bars are full."""
    read, full = 0, 0
    for tune in tunes:
        try:
            abc_to_score(tune)
            inner = [bar for bar in abc_bars(tune) if bar.inner]
        except UnreadableError:
            continue
        read += 1
        full += bool(inner) and all(bar.is_full for bar in inner)
    return {
        "tunes": len(tunes),
        "read": round(read / len(tunes), 3),
        "every inner bar full": round(full / len(tunes), 3),
    }


def run(folder: Path, tunes: Path, minutes: float) -> float:
    """Train, measure and generate by the pipeline; returns the seconds it took."""
    settings = [
        f"corpus.path={tunes}",
        "corpus.valid=0.05",
        "corpus.test=0.1",
        f"training.minutes={minutes}",
        f"generate.count={TUNES}",
    ]
    pipeline = str(ROOT / "pipelines" / "charrnn-abc.toml")
    began = time.perf_counter()
    musengine("run", pipeline, "--run-dir", str(folder), settings=settings)
    return time.perf_counter() - began


def texts_by_part(folder: Path, tunes: Path) -> dict[str, list[str]]:
    """Return the texts of each part of a run's split."""
    reading = read_sources([Source(str(tunes))], manager.load().registry, accepts=("text",))
    by_id = {
        piece.id: piece.content.text for piece in reading.pieces if isinstance(piece.content, Text)
    }
    parts = json.loads((folder / "split.json").read_text())["parts"]
    return {part: [by_id[name] for name in parts[part]] for part in ("train", "valid", "test")}


def compared(folder: Path, parts: dict[str, list[str]]) -> dict[str, float]:
    """Return the bits per character of the test part, each tune's end counted as one."""
    train, test = parts["train"], parts["test"]
    tokens = sum(len(text) + 1 for text in test)
    evaluation = json.loads((folder / "evaluation.json").read_text())["test"]
    assert evaluation["steps"] == tokens
    # Of characters that were not seen in training all together are one, as for the model.
    known = set("".join(train))
    test = ["".join(c if c in known else "\1" for c in text) for text in test]
    ngram = KneserNey(train, ORDER, len(known) + 2)
    together = "\n".join(train) + "\n"
    bits = {
        "charrnn": evaluation["bits_per_token"],
        f"{ORDER}-gram, interpolated Kneser-Ney": sum(map(ngram.bits, test)) / tokens,
        "xz, after the training part": xz_bits(together, "\n".join(test)) / tokens,
        "xz, by itself": xz_bits("", "\n".join(test)) / tokens,
    }
    return {name: round(value, 3) for name, value in bits.items()}


def main() -> None:
    """Train for some minutes, or take a run that is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--run-dir", type=Path, help="a run folder to keep, or to go on with")
    chosen = parser.parse_args()
    tunes = data_folder() / "nottingham" / "ABC_cleaned"
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.run_dir or Path(name) / "run"
        seconds = run(folder, tunes, chosen.minutes)
        parts = texts_by_part(folder, tunes)
        made = [path.read_text("utf-8") for path in sorted((folder / "samples").glob("*.txt"))]
        real = [text for texts in parts.values() for text in texts]
        figures = {
            "minutes of training": chosen.minutes,
            "seconds in all": round(seconds),
            "characters": {part: sum(map(len, texts)) for part, texts in parts.items()},
            "bits per character of the test part": compared(folder, parts),
            "generated tunes": worth(made),
            "real tunes": worth(real),
        }
    command = f"python benchmarks/charrnn_abc.py --minutes {chosen.minutes:g}"
    write_result("charrnn_abc", command, figures)


if __name__ == "__main__":
    main()
