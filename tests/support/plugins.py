"""A provider as a stranger would add it: one folder and one entry point, nothing else."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest


def install_provider(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Put a package and its entry point on the path, as an installed distribution has them."""
    package = folder / f"{name}_provider"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(dedent(source))
    metadata = folder / f"{name}_provider-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}-provider\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        f"[optiinfra.providers]\n{name} = {name}_provider:provider\n"
    )
    monkeypatch.syspath_prepend(str(folder))
