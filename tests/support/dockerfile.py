"""Reads a Dockerfile as far as tests need it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One FROM and what follows it, as (instruction, rest) pairs."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]


def read_dockerfile(path: Path) -> tuple[dict[str, str], dict[str, Stage]]:
    """The ARGs before the first stage, and the stages by name."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        rest = re.sub(r"\s+", " ", rest)
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = Stage(name, base)
        elif current is not None and instruction:
            current.instructions.append((instruction, rest))
        elif instruction == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
    return arguments, stages


def ancestry(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those it is built on, itself first."""
    found = [stages[name]]
    while found[-1].base in stages:
        found.append(stages[found[-1].base])
    return found
