"""How like a reference set a set of pieces is, figure by figure (Yang and Lerch 2020).

The distances between the pieces of the reference set say how much such pieces differ anyway; the
distances from the other set's pieces to them are compared with that, as densities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from musengine.api import FloatArray

GRID = 2**14
"""Points at which two densities are compared."""

SHARPEST = 500
"""A density's bandwidth is at least the range of all distances divided by this."""

LEAST_SHARE = 1e-12
"""What a point of the grid holds at least in the divisor of the divergence, which stays finite."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How like a reference set a generated set is in one figure.

    Attributes:
        reference: (R (R - 1) / 2,) distances between the pieces of the reference set.
        generated: (G (G - 1) / 2,) distances between the pieces of the generated set.
        between: (G R,) distances from each generated piece to each of the reference set.
        overlap: the area under both densities of `reference` and `between`, 0 to 1; NaN where
            there are fewer than two reference pieces or no generated one.
        divergence: Kullback-Leibler, of `reference` from `between`, in nats; NaN likewise.
    """

    reference: FloatArray
    generated: FloatArray
    between: FloatArray
    overlap: float
    divergence: float

    def figures(self) -> dict[str, float]:
        """Return overlap, divergence, and mean and standard deviation of the three distances."""
        found = {"overlap": self.overlap, "divergence": self.divergence}
        for name in ("reference", "generated", "between"):
            distance = getattr(self, name)
            some = len(distance) > 0
            found[f"{name}_mean"] = float(distance.mean()) if some else math.nan
            found[f"{name}_std"] = float(distance.std()) if some else math.nan
        return found


def compare_tables(
    generated: Mapping[str, FloatArray], reference: Mapping[str, FloatArray]
) -> dict[str, Comparison]:
    """Compare two sets in every figure that both tables have; see `summary.table`."""
    return {
        name: compare(rows_GD, reference[name])
        for name, rows_GD in generated.items()
        if name in reference
    }


def compare(generated_GD: FloatArray, reference_RD: FloatArray) -> Comparison:
    """Compare two sets of pieces in one figure.

    Args:
        generated_GD: (G, D) the figure of each piece of one set; pieces with NaN are left out.
        reference_RD: (R, D) of each piece of the reference set, likewise.
    """
    generated_GD, reference_RD = _defined(generated_GD), _defined(reference_RD)
    within = _distances_within(reference_RD)
    between = distances(generated_GD, reference_RD).ravel()
    overlap = divergence = math.nan
    if len(within) and len(between):
        overlap, divergence = overlap_and_divergence(within, between)
    return Comparison(within, _distances_within(generated_GD), between, overlap, divergence)


def distances(first_AD: FloatArray, second_BD: FloatArray) -> FloatArray:
    """Return (A, B): the Euclidean distance of each row of one table to each of the other."""
    # Row by row: all differences at once would take A times B times D numbers.
    rows = [np.sqrt(np.square(second_BD - row_D).sum(axis=1)) for row_D in first_AD]
    return np.array(rows, dtype=np.float64).reshape(len(first_AD), len(second_BD))


def overlap_and_divergence(first_A: FloatArray, second_B: FloatArray) -> tuple[float, float]:
    """Return the area under the densities of both sets of numbers, and the divergence in nats.

    The area is 0 to 1; the divergence is Kullback-Leibler's of the first from the second, at
    least 0 and, since no point counts as less probable than `LEAST_SHARE`, at most 27.6.
    """
    _, first_K, second_K = densities(first_A, second_B)
    share_K, other_K = first_K / first_K.sum(), second_K / second_K.sum()
    present = share_K > 0
    ratio = share_K[present] / np.maximum(other_K[present], LEAST_SHARE)
    divergence = float(np.sum(share_K[present] * np.log(ratio)))
    return float(np.minimum(share_K, other_K).sum()), max(divergence, 0.0)


def densities(
    first_A: FloatArray, second_B: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return one grid (K,) and on it the Gaussian kernel densities (K,) of two sets of numbers.

    Bandwidths follow Scott's rule, standard deviation times n^(-1/5). Where a set has no spread,
    the bandwidth is the smallest that the grid resolves; where all numbers of both are equal, it
    is the same for both, so that the densities are equal. The grid reaches four bandwidths beyond
    the smallest and the largest number, below zero too: all of both densities lies on it.
    """
    low = float(min(first_A.min(), second_B.min()))
    high = float(max(first_A.max(), second_B.max()))
    # A range of rounding errors is none.
    spread = high - low if high - low > 1e-9 * abs(high) else 0.0
    least = spread / SHARPEST or abs(high) or 1.0
    first_width, second_width = (max(_scott(values), least) for values in (first_A, second_B))
    margin = 4 * max(first_width, second_width)
    grid_K = np.linspace(low - margin, high + margin, GRID)
    return (
        grid_K,
        kernel_density(first_A, grid_K, first_width),
        kernel_density(second_B, grid_K, second_width),
    )


def kernel_density(values_N: FloatArray, grid_K: FloatArray, bandwidth: float) -> FloatArray:
    """Return (K,) the mean of normal densities around each value, on an evenly spaced grid.

    Each value is shared out between the two points beside it, then all are smoothed at once by a
    Fourier transform. With a bandwidth of five spacings the error is at most 0.5 % of the highest
    density; it falls with the square of that ratio.

    scipy.stats.gaussian_kde takes memory and time of N times K here, tens of millions of kernel
    values for a hundred pieces, and refuses numbers without spread, which occur.

    Args:
        values_N: within the grid, at least one.
        grid_K: ascending and evenly spaced.
        bandwidth: standard deviation of the normal densities, above 0.
    """
    count = len(grid_K)
    spacing = (grid_K[-1] - grid_K[0]) / (count - 1)
    place_N = (values_N - grid_K[0]) / spacing
    below_N = np.minimum(place_N.astype(np.int64), count - 2)
    part_N = place_N - below_N
    weight_K = np.bincount(below_N, 1.0 - part_N, count) + np.bincount(below_N + 1, part_N, count)
    # The kernel lies around point 0 of a circle twice as long, so that no end meets the other.
    away = np.minimum(np.arange(2 * count), 2 * count - np.arange(2 * count)) * spacing / bandwidth
    kernel = np.exp(-0.5 * np.square(away)) / (bandwidth * math.sqrt(2 * math.pi))
    spectrum = np.fft.rfft(weight_K / len(values_N), 2 * count) * np.fft.rfft(kernel)
    smooth_K: FloatArray = np.fft.irfft(spectrum, 2 * count)[:count]
    return np.maximum(smooth_K, 0.0)


def _scott(values_N: FloatArray) -> float:
    """Return the bandwidth by Scott's rule; 0 for one value, whose spread is unknown."""
    count = len(values_N)
    return float(values_N.std(ddof=1)) * count**-0.2 if count > 1 else 0.0


def _defined(rows_PD: FloatArray) -> FloatArray:
    result: FloatArray = rows_PD[~np.isnan(rows_PD).any(axis=1)]
    return result


def _distances_within(rows_PD: FloatArray) -> FloatArray:
    """Return the distances between all pairs of rows, each pair once."""
    parts = [distances(rows_PD[i : i + 1], rows_PD[i + 1 :])[0] for i in range(len(rows_PD) - 1)]
    return np.concatenate(parts) if parts else np.zeros(0)
