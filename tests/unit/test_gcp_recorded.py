"""Recorded answers of Google's through the same normalisers; what they do not map is listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.cloud import monitoring_v3 as monitoring
from google.protobuf.json_format import ParseDict

from data_collector.collectors.gcp import performance, resources
from data_collector.collectors.gcp.metrics import PLAN, Direct
from optiinfra.catalog import ResourceStatus
from optiinfra.domain import Resource, Window
from optiinfra.testing.replay import Watched, recorded_answer, recorded_answers, unread

FLIGHTS = "custodian-gcp/tools/c7n_gcp/tests/data/flights"
LIBCLOUD = "libcloud/libcloud/test/compute/fixtures/gce"

#: Fields that recordings have and the inventory does not take, by kind.
NOT_MAPPED = {
    "instance": {
        "canIpForward",
        "confidentialInstanceConfig",
        "description",
        "displayDevice",
        "fingerprint",
        "keyRevocationActionType",
        "kind",
        "labelFingerprint",
        "lastStopTimestamp",
        "metadata",  # start-up scripts and keys: secrets
        "reservationAffinity",
        "resourceStatus",
        "satisfiesPzi",
        "selfLink",
        "serviceAccounts",
        "shieldedInstanceConfig",
        "shieldedInstanceIntegrityPolicy",
        "startRestricted",
    },
    "disk": {
        "description",
        "guestOsFeatures",
        "kind",
        "labelFingerprint",
        "lastAttachTimestamp",
        "lastDetachTimestamp",
        "licenseCodes",
        "licenses",
        "sourceImageId",
        "sourceSnapshotId",
    },
    "forwarding rule": {
        "description",
        "fingerprint",
        "ipVersion",
        "kind",
        "labelFingerprint",
        "selfLink",
        "selfLinkWithId",
    },
    "network": {
        "kind",
        "networkFirewallPolicyEnforcementOrder",
        "selfLink",
        "selfLinkWithId",
    },
    "database": {
        "backendType",
        "databaseInstalledVersion",
        "etag",
        "kind",
        "maintenanceVersion",
        "selfLink",
        "serverCaCert",  # a certificate
        "serviceAccountEmailAddress",
    },
    "cluster": {
        "addonsConfig",
        "authenticatorGroupsConfig",
        "autoscaling",
        "binaryAuthorization",
        "currentNodeCount",
        "databaseEncryption",
        "defaultMaxPodsConstraint",
        "endpoint",
        "etag",
        "id",
        "initialClusterVersion",
        "initialNodeCount",
        "instanceGroupUrls",
        "ipAllocationPolicy",
        "labelFingerprint",
        "legacyAbac",
        "locations",
        "loggingConfig",
        "loggingService",
        "maintenancePolicy",
        "masterAuth",  # credentials
        "masterAuthorizedNetworksConfig",
        "monitoringConfig",
        "monitoringService",
        "networkConfig",
        "networkPolicy",
        "nodeConfig",
        "nodeIpv4CidrSize",
        "nodePoolAutoConfig",
        "nodePoolDefaults",
        "notificationConfig",
        "privateClusterConfig",
        "securityPostureConfig",
        "selfLink",
        "shieldedNodes",
        "verticalPodAutoscaling",
        "workloadIdentityConfig",
        "zone",
    },
}


def _bodies(folder: Path, pattern: str, key: str) -> Iterator[dict[str, Any]]:
    for answer in recorded_answers(folder, pattern):
        items = answer.get(key) or answer.get("items") or []
        for scoped in items.values() if isinstance(items, dict) else [{key: items}]:
            for body in scoped.get(key, ()):
                # The recorder adds fields of its own.
                yield {name: value for name, value in body.items() if not name.startswith("c7n")}


RECORDED: dict[str, tuple[list[tuple[str, str, str]], Callable[[Any], Resource]]] = {
    "instance": (
        [(FLIGHTS, "*/get-*-aggregated-instances_*.json", "instances")],
        lambda body: resources.normalise_instance(body, {}),
    ),
    "disk": (
        [
            (FLIGHTS, "*/get-*-aggregated-disks_*.json", "disks"),
            (LIBCLOUD, "aggregated_disks.json", "disks"),
        ],
        lambda body: resources.normalise_disk(body, {}),
    ),
    "forwarding rule": (
        [
            (FLIGHTS, "*/get-*-aggregated-forwardingRules_*.json", "forwardingRules"),
            (FLIGHTS, "*/get-*-global-forwardingRules_*.json", "items"),
        ],
        lambda body: resources.normalise_forwarding_rule(body, "cloud-custodian"),
    ),
    "network": (
        [(FLIGHTS, "*/get-*-global-networks_*.json", "items")],
        resources.normalise_network,
    ),
    "database": (
        [
            (FLIGHTS, "sql*/get-sql-v1beta4-projects-cloud-custodian-instances_*.json", "items"),
            ("fixinventory/plugins/gcp/test/files", "database_instance.json", "items"),
        ],
        lambda body: resources.normalise_database(body, "cloud-custodian"),
    ),
    "cluster": (
        [(FLIGHTS, "gke*/get-*-locations---clusters_*.json", "clusters")],
        lambda body: resources.normalise_cluster(body, "cloud-custodian"),
    ),
}


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_recorded_resources_become_inventory(shared_data: Path, kind: str) -> None:
    sources, normalise = RECORDED[kind]
    bodies = [
        Watched(body)
        for folder, pattern, key in sources
        for body in _bodies(shared_data / folder, pattern, key)
    ]
    assert bodies
    found = [normalise(body) for body in bodies]
    for resource in found:
        assert resource.resource_id
        assert resource.resource_name
        assert resource.region
        assert resource.status != ResourceStatus.UNKNOWN, resource.metadata.get("native_status")
        assert "BEGIN CERTIFICATE" not in json.dumps(dict(resource.metadata))
    assert unread(bodies) == NOT_MAPPED[kind]


def test_recorded_machine_types_have_sizes(shared_data: Path) -> None:
    bodies = list(_bodies(shared_data / LIBCLOUD, "aggregated_machineTypes.json", "machineTypes"))
    sizes = resources.machine_sizes(bodies)
    assert sizes["n1-standard-1"] == (1, 3840 * 1024**2)


def _series(path: Path) -> list[Any]:
    page = monitoring.ListTimeSeriesResponse.pb(monitoring.ListTimeSeriesResponse())
    ParseDict(recorded_answer(path), page, ignore_unknown_fields=True)
    return list(page.time_series)


def _reading(start: datetime, end: datetime, period: timedelta) -> performance.Reading:
    return performance.Reading(
        project="p",
        window=Window(start, end),
        period=period,
        names=lambda _: "",
        volume_of=lambda *_: None,
    )


def test_recorded_series_come_newest_first_and_are_labelled_by_their_buckets_start(
    shared_data: Path,
) -> None:
    path = shared_data / "grafana-gcp/pkg/tsdb/stackdriver/test-data/2-series-response-no-agg.json"
    window = Window(datetime(2018, 9, 11, tzinfo=UTC), datetime(2018, 9, 12, tzinfo=UTC))
    rows = list(performance.merged_rows([_series(path)], window, timedelta(minutes=1)))
    assert len(rows) == 3
    first = rows[0]
    assert first.labels["instance_id"] == "1119268429530133111"
    newest = int(datetime(2018, 9, 11, 12, 30, tzinfo=UTC).timestamp())
    assert first.times.tolist() == [newest, newest - 60, newest - 120]
    assert first.values[0] == pytest.approx(9.7730520330369)


def test_a_recorded_ratio_becomes_percent(shared_data: Path) -> None:
    folder = shared_data / FLIGHTS / "filter-metrics-with-metric-key-as-instance-id"
    (path,) = folder.glob("get-v3*")
    cpu = PLAN[0]
    assert isinstance(cpu, Direct)
    reading = _reading(
        datetime(2025, 9, 10, tzinfo=UTC), datetime(2025, 9, 11, tzinfo=UTC), timedelta(minutes=1)
    )
    (series,) = reading.normalise(cpu, [_series(path)])
    assert (series.metric, series.resource_id) == ("cpu_utilization", "127589370984384384")
    assert series.resource_name == "name-123"
    np.testing.assert_allclose(series.values, [1.145088399757294])
    assert series.metadata == {"region": "us-central1", "zone": "us-central1-a"}


def test_a_recorded_series_without_an_id_is_counted_and_drops_nothing_else(
    shared_data: Path,
) -> None:
    flights = shared_data / FLIGHTS
    pages = [
        _series(next((flights / name).glob("get-v3*")))
        for name in ("filter-metrics", "filter-metrics-with-metric-key-as-instance-id")
    ]
    reading = _reading(
        datetime(2021, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
    )
    assert len(list(reading.normalise(PLAN[0], pages))) == 1
    assert reading.unplaced == 1


def test_a_recorded_answer_without_series_is_no_series(shared_data: Path) -> None:
    (path,) = (shared_data / FLIGHTS / "filter-no-metrics").glob("get-v3*")
    assert _series(path) == []
