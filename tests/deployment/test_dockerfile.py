"""The images: what they are built from, who they run as, and what they do without."""

from __future__ import annotations

import re
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.dockerfile import Stage, ancestry, read_dockerfile
from support.golden import REPOSITORY

import data_collector.main
import optiinfra_standalone.server
import performance_agent.main
import resource_agent.main
from optiinfra_standalone import page

ARGUMENTS, STAGES = read_dockerfile(REPOSITORY / "deploy" / "Dockerfile")
PORTS = {
    "data-collector": data_collector.main.PORT,
    "performance-agent": performance_agent.main.PORT,
    "resource-agent": resource_agent.main.PORT,
    "standalone": optiinfra_standalone.server.PORT,
    "dashboard": 8080,
}
TARGETS = list(PORTS)
SDKS = {"azure-core", "boto3", "botocore", "google-api-core", "grpcio"}


def instructions(target: str, instruction: str) -> list[str]:
    return [rest for stage in ancestry(STAGES, target) for rest in stage.all(instruction)]


def installed(target: str) -> set[str]:
    """What the target's stage asks pip for, as requirements of our distributions."""
    (command,) = STAGES[f"build-{target}"].all("RUN")
    folders = re.findall(r"\./(?:services/)?([\w-]+)((?:\[[\w,]+\])?)", command)
    return {f"optiinfra-{name}{extras}" for name, extras in folders}


def closure(wanted: set[str]) -> set[str]:
    """Everything that pip installs for these requirements, by name."""
    found: set[str] = set()
    queue = [Requirement(text) for text in wanted]
    seen = set()
    while queue:
        requirement = queue.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.add(canonicalize_name(requirement.name))
        for text in requires(requirement.name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                queue.append(needed)
    return found


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_base_has_a_version(argument):
    assert re.fullmatch(r"[\w/.-]+:\d+\.\d+\.\d+[\w.-]*", ARGUMENTS[argument])


def test_every_stage_is_built_on_another_or_on_a_pinned_base():
    for stage in STAGES.values():
        assert stage.base in STAGES or stage.base.removeprefix("${").removesuffix("}") in ARGUMENTS


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_somebody_without_rights_and_says_how_it_is(target):
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions(target, "USER")[0])
    assert instructions(target, "EXPOSE") == [str(PORTS[target])]
    (health,) = instructions(target, "HEALTHCHECK")
    assert f"http://127.0.0.1:{PORTS[target]}/health/live" in health
    labels = " ".join(instructions(target, "LABEL"))
    for label in ("title", "vendor", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"standalone", "dashboard"}))
def test_what_an_image_starts_is_there(target):
    (command,) = STAGES[target].all("CMD")
    found = re.fullmatch(r'\["python", "-m", "([\w.]+)"\]', command)
    assert found
    assert find_spec(found[1])


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_what_is_copied_is_in_the_repository_and_in_the_context(stage: Stage):
    allowed = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for rest in stage.all("COPY"):
        if rest.startswith("--from="):
            assert rest.removeprefix("--from=").split()[0] in STAGES
            continue
        for source in rest.split()[:-1]:
            assert (REPOSITORY / source).exists(), source
            assert any(source == one or source.startswith(f"{one}/") for one in allowed), source


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"dashboard"}))
def test_an_image_holds_its_service(target):
    assert any(one.startswith(f"optiinfra-{target}") for one in installed(target))


def test_standalone_finds_the_page_in_its_image():
    module = Path(page.__file__).resolve()
    levels = next(n for n, parent in enumerate(module.parents) if page.PAGE.is_relative_to(parent))
    installed_as = Path("/app/lib/python3.11/site-packages") / module.parent.name / module.name
    looked_for = installed_as.parents[levels] / page.PAGE.relative_to(module.parents[levels])
    assert f"--from=build-dashboard /src/dist {looked_for}" in STAGES["standalone"].all("COPY")


@pytest.mark.parametrize("target", ["performance-agent", "resource-agent"])
def test_a_reader_comes_without_sdks_engine_and_worker(target):
    assert not closure(installed(target)) & (SDKS | {"celery", "chdb", "chdb-core", "redis"})


def test_the_collector_comes_with_every_sdk_and_without_the_engine():
    there = closure(installed("data-collector"))
    assert there >= SDKS | {"celery", "redis"}
    assert not there & {"chdb", "chdb-core"}


def test_everything_that_an_image_installs_has_a_version():
    pinned = {
        canonicalize_name(line.split("==")[0])
        for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    for target in set(TARGETS) - {"dashboard"}:
        own = {name for name in closure(installed(target)) if name.startswith("optiinfra-")}
        assert closure(installed(target)) - own <= pinned
