"""Golden files: what a generated text was when somebody last looked at it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fastapi import FastAPI

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def hold_against_golden(name: str, text: str) -> None:
    """Compare with `tests/golden/<name>`; with OPTIINFRA_WRITE_GOLDEN set, write it first."""
    hold_against(REPOSITORY / "tests" / "golden" / name, text)


def hold_against(path: Path, text: str) -> None:
    """The same for a generated file that lies elsewhere."""
    if os.environ.get("OPTIINFRA_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is missing; make golden writes it"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; see make golden"


def openapi_text(app: FastAPI) -> str:
    """An app's OpenAPI document as it is kept."""
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
