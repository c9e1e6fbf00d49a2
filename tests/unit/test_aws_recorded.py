"""Recorded AWS answers go through the provider's own normalisers; what they leave is listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_collector.collectors.aws import resources
from data_collector.collectors.aws.performance import merged
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Resource
from optiinfra.testing.replay import Watched, recorded_answers, unread


def instances(answer: Mapping[str, Any]) -> list[Any]:
    return [one for entry in answer.get("Reservations", []) for one in entry["Instances"]]


def balancers(answer: Mapping[str, Any]) -> list[Any]:
    """None of a classic one, which has another key. Some have their time as text."""
    found: list[Any] = answer.get("LoadBalancers", [])
    for one in found:
        if isinstance(one["CreatedTime"], str):
            one["CreatedTime"] = datetime.fromisoformat(one["CreatedTime"])
    return found


OPERATIONS: Mapping[
    str, tuple[Callable[[Mapping[str, Any]], list[Any]], Callable[[Any], Resource | None]]
] = {
    "ec2.DescribeInstances": (instances, lambda one: resources.instance(one, "r", {})),
    "ec2.DescribeVolumes": (
        lambda answer: answer.get("Volumes", []),
        lambda one: resources.volume(one, "r"),
    ),
    "ec2.DescribeVpcs": (
        lambda answer: answer.get("Vpcs", []),
        lambda one: resources.vpc(one, "r"),
    ),
    "rds.DescribeDBInstances": (
        lambda answer: answer.get("DBInstances", []),
        lambda one: resources.database(one, "r"),
    ),
    "rds.DescribeDBClusters": (
        lambda answer: answer.get("DBClusters", []),
        lambda one: resources.database_cluster(one, "r"),
    ),
    "elasticloadbalancing.DescribeLoadBalancers": (
        balancers,
        lambda one: resources.balancer(one, "r", {}, []),
    ),
    "eks.DescribeCluster": (
        lambda answer: [answer["cluster"]] if "cluster" in answer else [],
        lambda one: resources.cluster(one, "r"),
    ),
}

#: Fields that AWS sends and that the inventory leaves out, on purpose.
UNMAPPED: Mapping[str, set[str]] = {
    "ec2.DescribeInstances": {
        "AmiLaunchIndex",
        "BlockDeviceMappings",
        "BootMode",
        "CapacityReservationSpecification",
        "ClientToken",
        "CurrentInstanceBootMode",
        "EbsOptimized",
        "EnaSupport",
        "EnclaveOptions",
        "HibernationOptions",
        "Hypervisor",
        "KernelId",
        "KeyName",
        "MaintenanceOptions",
        "MetadataOptions",
        "NetworkPerformanceOptions",
        "Operator",
        "PrivateDnsName",
        "PrivateDnsNameOptions",
        "ProductCodes",
        "PublicDnsName",
        "RootDeviceName",
        "RootDeviceType",
        "SecurityGroups",
        "SourceDestCheck",
        "StateTransitionReason",
        "UsageOperation",
        "UsageOperationUpdateTime",
        "VirtualizationType",
    },
    "ec2.DescribeVolumes": {
        "AvailabilityZoneId",
        "KmsKeyId",
        "MultiAttachEnabled",
        "Operator",
    },
    "ec2.DescribeVpcs": {"DhcpOptionsId", "Ipv6CidrBlockAssociationSet", "OwnerId"},
    "rds.DescribeDBInstances": {
        "ActivityStreamEngineNativeAuditFieldsIncluded",
        "ActivityStreamKinesisStreamName",
        "ActivityStreamKmsKeyId",
        "ActivityStreamMode",
        "ActivityStreamStatus",
        "AssociatedRoles",
        "AutoMinorVersionUpgrade",
        "AutomaticRestartTime",
        "AutomationMode",
        "AwsBackupRecoveryPointArn",
        "BackupRetentionPeriod",
        "BackupTarget",
        "CACertificateIdentifier",
        "CertificateDetails",
        "CharacterSetName",
        "CopyTagsToSnapshot",
        "CustomIamInstanceProfile",
        "CustomerOwnedIpEnabled",
        "DBInstanceAutomatedBackupsReplications",
        "DBName",
        "DBParameterGroups",
        "DBSecurityGroups",
        "DatabaseInsightsMode",
        "DbInstancePort",
        "DbiResourceId",
        "DedicatedLogVolume",
        "DeletionProtection",
        "DomainMemberships",
        "EnabledCloudwatchLogsExports",
        "EngineLifecycleSupport",
        "EnhancedMonitoringResourceArn",
        "IAMDatabaseAuthenticationEnabled",
        "IsStorageConfigUpgradeAvailable",
        "KmsKeyId",
        "LatestRestorableTime",
        "LicenseModel",
        "ListenerEndpoint",
        "MasterUsername",
        "MaxAllocatedStorage",
        "MonitoringInterval",
        "MonitoringRoleArn",
        "NcharCharacterSetName",
        "NetworkType",
        "OptionGroupMemberships",
        "PendingModifiedValues",
        "PerformanceInsightsEnabled",
        "PerformanceInsightsKMSKeyId",
        "PerformanceInsightsRetentionPeriod",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        "ProcessorFeatures",
        "PromotionTier",
        "ReadReplicaDBClusterIdentifiers",
        "ReadReplicaDBInstanceIdentifiers",
        "ReplicaMode",
        "ResumeFullAutomationModeTime",
        "SecondaryAvailabilityZone",
        "StatusInfos",
        "StorageThroughput",
        "TdeCredentialArn",
        "Timezone",
        "VpcSecurityGroups",
    },
    "rds.DescribeDBClusters": {
        "ActivityStreamStatus",
        "AllocatedStorage",
        "AssociatedRoles",
        "AvailabilityZones",
        "BackupRetentionPeriod",
        "Capacity",
        "CopyTagsToSnapshot",
        "CrossAccountClone",
        "DBClusterParameterGroup",
        "DBSubnetGroup",
        "DatabaseName",
        "DbClusterResourceId",
        "DeletionProtection",
        "DomainMemberships",
        "EarliestRestorableTime",
        "HostedZoneId",
        "HttpEndpointEnabled",
        "IAMDatabaseAuthenticationEnabled",
        "KmsKeyId",
        "LatestRestorableTime",
        "MasterUsername",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        "ReadReplicaIdentifiers",
        "ScalingConfigurationInfo",
        "VpcSecurityGroups",
    },
    "elasticloadbalancing.DescribeLoadBalancers": {"CanonicalHostedZoneId", "SecurityGroups"},
    "eks.DescribeCluster": {
        "certificateAuthority",
        "encryptionConfig",
        "identity",
        "kubernetesNetworkConfig",
        "logging",
    },
}

#: What AWS always sends; recordings that somebody trimmed or made by hand may lack it.
ALWAYS_SENT = {
    "ec2.DescribeInstances": "InstanceType",
    "rds.DescribeDBInstances": "DBInstanceStatus",
    "rds.DescribeDBClusters": "DBClusterArn",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_recorded_descriptions(shared_data: Path, operation: str) -> None:
    entries, normalise = OPERATIONS[operation]
    seen = 0
    unmapped: set[str] = set()
    for answer in recorded_answers(shared_data / "custodian-aws", f"{operation}_*.json"):
        for native in map(Watched, entries(answer)):
            if ALWAYS_SENT.get(operation, "") not in {*native, ""}:
                continue
            found = normalise(native)
            if found is None:
                continue
            seen += 1
            unmapped |= unread([native])
            assert found.resource_type in set(ResourceType)
            assert found.resource_id
            assert found.resource_name
            assert found.status is not ResourceStatus.UNKNOWN, found.metadata["native_status"]
            assert None not in found.metadata.values()
            text = json.dumps(dict(found.metadata))
            assert "Password" not in text
            assert "Secret" not in text
            if target := resources.target(found):
                assert target.resource_id == found.resource_id
                assert all(value for _, value in target.dimensions)
    assert seen
    assert unmapped == UNMAPPED[operation]


def test_recorded_metric_data(shared_data: Path) -> None:
    first = next(recorded_answers(shared_data / "custodian-aws", "monitoring.GetMetricData_*"))
    first["MetricDataResults"][0]["Id"] = "m0"
    (result,) = merged([first], 1)
    assert result.reason is None
    assert result.values.tolist() == [15.0]
    assert result.times.tolist() == [int(datetime(2026, 7, 21, 14, 13, tzinfo=UTC).timestamp())]


def test_what_the_real_service_answered_to_localstacks_tests(shared_data: Path) -> None:
    """Times are replaced by a word there, so each stands for one point's."""
    path = (
        shared_data / "localstack/share/tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json"
    )
    recorded = json.loads(path.read_text())
    answers = [
        answer
        for name, entry in recorded.items()
        if "[query]" not in name
        for answer in entry["recorded-content"].values()
        if isinstance(answer, dict) and "MetricDataResults" in answer
    ]
    assert len(answers) > 10
    for answer in answers:
        natives = answer["MetricDataResults"]
        for number, native in enumerate(natives):
            native["Id"] = f"m{number}"
            native["Timestamps"] = [datetime.now(UTC)] * len(native["Values"])
        results = merged([answer], len(natives))
        assert [result.values.tolist() for result in results] == [
            native["Values"] for native in natives
        ]
        assert {result.reason for result in results} == {None}
