"""Reads a compose file as far as tests need it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml


def read_compose(path: Path) -> dict[str, Any]:
    """The file with the defaults of its variables filled in."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text())
    document: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return document


def compose_command() -> list[str]:
    """Docker's own compose, which needs no engine to check a file; skips where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            answer = subprocess.run([*command, "version"], capture_output=True, check=False)
            if answer.returncode == 0:
                return command
    pytest.skip("docker compose is not installed")
