"""Numbers that the fakes make up: the same for the same name, whatever was asked before."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def uniform(name: str, numbers: NDArray[np.int64]) -> Floats:
    """A number in [0, 1) for each number, by hashing it with a name (splitmix64)."""
    with np.errstate(over="ignore"):
        z = numbers.astype(np.uint64) + np.uint64(zlib.crc32(name.encode()) << 20)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def shape(curve: NDArray[Any]) -> Floats:
    """The curve between 0 and 1; the hundredth part at either end is cut off, since a single
    peak would press the rest of it flat."""
    low, high = np.percentile(curve, (1, 99))
    share = (np.asarray(curve, dtype=np.float64) - low) / ((high - low) or 1.0)
    clipped: Floats = np.clip(share, 0.0, 1.0)
    return clipped
