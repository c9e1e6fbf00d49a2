"""What an RDS instance class has, which no RDS answer says. Pure.

Within a family memory doubles with the size; AWS publishes it per class.
"""

from __future__ import annotations

import re

_GIB = 1 << 30

#: GiB of a family's `large`.
_MEMORY_OF_LARGE: dict[str, float] = {
    **dict.fromkeys(("t2", "t3", "t4g"), 8),
    **dict.fromkeys(("m4", "m5", "m5d", "m6g", "m6gd", "m6i", "m6id", "m6idn", "m6in"), 8),
    **dict.fromkeys(("m7g", "m7i", "m8g"), 8),
    **dict.fromkeys(("c6gd",), 4),
    **dict.fromkeys(("r3", "r4"), 15.25),
    **dict.fromkeys(("r5", "r5b", "r5d", "r6g", "r6gd", "r6i", "r6id", "r6idn", "r6in"), 16),
    **dict.fromkeys(("r7g", "r7i", "r8g", "z1d"), 16),
    "x1": 30.5,
    "x1e": 61,
    "x2g": 32,
    "x2idn": 32,
    "x2iedn": 64,
    "x2iezn": 64,
}
#: Parts of a `large`, where the size is no multiple of xlarge.
_PARTS = {"micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1.0}
_BURSTABLE_VCPUS = {("t2", "micro"): 1, ("t2", "small"): 1}


def class_memory(name: str) -> int | None:
    """Bytes of memory of a class such as `db.m5.large`; None where it is not known."""
    if (parts := _parted(name)) is None:
        return None
    family, size = parts
    large = _MEMORY_OF_LARGE.get(family)
    return int(large * _GIB * size) if large else None


def class_vcpus(name: str) -> int | None:
    """vCPUs of a class; None where they are not known."""
    if (parts := _parted(name)) is None:
        return None
    family, size = parts
    if family not in _MEMORY_OF_LARGE:
        return None
    if size < 1 and family.startswith("t"):
        return _BURSTABLE_VCPUS.get((family, name.rpartition(".")[2]), 2)
    return max(1, int(2 * size))


def _parted(name: str) -> tuple[str, float] | None:
    """The family and how many times a `large` it is."""
    match = re.fullmatch(r"db\.([a-z0-9]+)\.(?:(\d*)xlarge|(micro|small|medium|large))", name)
    if match is None:
        return None
    family, multiple, small = match.groups()
    return family, _PARTS[small] if small else 2.0 * int(multiple or 1)
