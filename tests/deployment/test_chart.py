"""The Helm chart: what it renders, held against the code.

The rendered manifests are golden files, so that they are checked where helm is not installed
too; where it is, they are rendered anew.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from support.dockerfile import read_dockerfile
from support.golden import REPOSITORY, hold_against_golden

from data_collector.celery_app import app
from optiinfra.settings import Settings

CHART = REPOSITORY / "deploy" / "kubernetes"
GIVEN = Path(__file__).with_name("chart-values.yaml")
GOLDEN = {"chart-default.yaml": [], "chart-everything.yaml": ["--values", str(GIVEN)]}
_, STAGES = read_dockerfile(REPOSITORY / "deploy" / "Dockerfile")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def documents(name: str) -> list[dict[str, Any]]:
    text = (REPOSITORY / "tests" / "golden" / name).read_text()
    return [document for document in yaml.safe_load_all(text) if document]


EVERY = [(name, document) for name in GOLDEN for document in documents(name)]


def of_kind(name: str, *kinds: str) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one for of, one in EVERY if of == name and one["kind"] in kinds
    }


PODS = [
    pytest.param(
        document["kind"],
        document["spec"]["template"],
        id=f"{golden[6:-5]}-{document['metadata']['name']}",
    )
    for golden, document in EVERY
    if document["kind"] in ("Deployment", "Job")
]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm")
    if program is None:
        pytest.skip("helm is not installed")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, cwd=CHART
    )


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    release = ["--kube-version", "1.31.0", "--namespace", "monitoring"]
    return helm("template", "optiinfra", str(CHART), *release, *arguments)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_manifests_are_those_that_were_looked_at(name):
    done = template(*GOLDEN[name])
    assert done.returncode == 0, done.stderr
    hold_against_golden(name, done.stdout)


def test_helm_finds_nothing_wrong():
    done = helm("lint", "--strict", str(CHART), "--values", str(GIVEN))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        "retentionDays=0",
        "store.writer=clickhouse://writer:password@ch/optiinfra_metrics",
        "broker=redis://:password@redis:6379",
        "worker.autoscaling.max=3",
        "authentication.jwksUrl=id.example.com",
    ],
)
def test_a_wrong_value_is_refused(wrong):
    path, _, value = wrong.partition("=")
    given: Any = int(value) if value.isdigit() else value
    values = json.loads(json.dumps(VALUES))
    *parents, last = path.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    inner[last] = given
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SCHEMA, values)


def test_the_values_are_as_the_schema_says():
    jsonschema_rs.validate(SCHEMA, VALUES)
    for key, given in yaml.safe_load(GIVEN.read_text()).items():
        merged = VALUES[key] | given if isinstance(given, dict) else given
        jsonschema_rs.validate(SCHEMA, VALUES | {key: merged})
    assert VALUES.keys() == SCHEMA["properties"].keys() - {"global"}


@pytest.mark.parametrize(("kind", "template"), PODS)
def test_a_pod_can_do_little(kind, template):
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize(("kind", "template"), PODS)
def test_a_pod_is_what_the_images_and_settings_are(kind, template):
    known = {f"OPTIINFRA_{field.upper()}" for field in Settings.model_fields}
    (container,) = template["spec"]["containers"]
    image = container["image"].partition(":")[0].removeprefix("optiinfra/")
    assert image in STAGES
    for variable in container["env"]:
        if variable["name"].startswith("OPTIINFRA_"):
            assert variable["name"].removesuffix("_FILE") in known
    for port in container.get("ports", ()):
        assert [str(port["containerPort"])] == STAGES[image].all("EXPOSE")
    if kind == "Deployment":
        assert container["livenessProbe"]
        assert "readinessProbe" in container or "ports" not in container
    if container.get("command", [""])[0] == "celery":
        assert container["command"][1] == f"--app={app.main}.celery_app"


@pytest.mark.parametrize(("kind", "template"), PODS)
def test_what_a_pod_mounts_is_there_and_secrets_stay_in_files(kind, template):
    spec = template["spec"]
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    given = volumes.get("secrets", {}).get("secret", {"items": []})
    paths = {f"/run/secrets/optiinfra/{item['path']}" for item in given["items"]}
    files = {
        variable["value"] for variable in container["env"] if variable["name"].endswith("_FILE")
    }
    assert files <= paths
    assert not any("valueFrom" in variable for variable in container["env"])


@pytest.mark.parametrize("name", GOLDEN)
def test_services_budgets_and_scalers_find_their_pods(name):
    deployments = of_kind(name, "Deployment")
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in deployments.values()]
    for service in of_kind(name, "Service").values():
        assert sum(service["spec"]["selector"].items() <= of.items() for of in labels) == 1
    for budget in of_kind(name, "PodDisruptionBudget").values():
        selector = budget["spec"]["selector"]["matchLabels"]
        assert sum(selector.items() <= of.items() for of in labels) == 1
    scaled = {
        scaler["spec"]["scaleTargetRef"]["name"]
        for scaler in of_kind(name, "HorizontalPodAutoscaler").values()
    }
    assert scaled == {of for of, one in deployments.items() if "replicas" not in one["spec"]}


@pytest.mark.parametrize("name", GOLDEN)
def test_addresses_within_the_release_are_services_of_it(name):
    ports = {
        of: service["spec"]["ports"][0]["port"] for of, service in of_kind(name, "Service").items()
    }
    asked = {
        (host, int(port))
        for one in of_kind(name, "Deployment").values()
        for variable in one["spec"]["template"]["spec"]["containers"][0]["env"]
        for host, port in re.findall(r"(optiinfra-[\w-]+):(\d+)", str(variable["value"]))
    }
    for ingress in of_kind(name, "Ingress").values():
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            service = path["backend"]["service"]
            asked.add((service["name"], service["port"]["number"]))
    assert asked
    for host, port in asked:
        assert ports[host] == port


@pytest.mark.parametrize("service", ["data-collector", "performance-agent", "resource-agent"])
def test_every_api_has_a_way_in(service):
    (ingress,) = of_kind("chart-everything.yaml", "Ingress").values()
    ways = {
        path["path"]: path["backend"]["service"]["name"]
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    }
    document = REPOSITORY / "tests" / "golden" / f"{service}.openapi.json"
    apis = [path for path in json.loads(document.read_text())["paths"] if "/api/" in path]
    assert apis
    for path in apis:
        longest = max((way for way in ways if path.startswith(way)), key=len)
        assert ways[longest] == f"optiinfra-{service}"


@pytest.mark.parametrize("name", GOLDEN)
def test_every_pod_has_a_policy_of_its_own(name):
    policies = of_kind(name, "NetworkPolicy")
    for of, one in of_kind(name, "Deployment", "Job").items():
        labels = one["spec"]["template"]["metadata"]["labels"]
        selector = policies[of]["spec"]["podSelector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert policies[of]["spec"]["policyTypes"] == ["Ingress", "Egress"]
        # Only workers call the clouds.
        assert ({} in policies[of]["spec"]["egress"]) == of.endswith("-worker")


def test_readers_get_the_readers_password_and_no_broker():
    for of, one in of_kind("chart-default.yaml", "Deployment").items():
        if of.endswith("-agent"):
            (secret,) = [
                volume["secret"]
                for volume in one["spec"]["template"]["spec"]["volumes"]
                if "secret" in volume
            ]
            keys = {item["key"] for item in secret["items"]}
            assert keys == {"store-reader-password", "jwt-secret"}


def test_the_migration_comes_before_the_pods_of_its_version():
    for name in GOLDEN:
        (job,) = of_kind(name, "Job").values()
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
