"""The least that a role must be granted, and asking for each permission by its cheapest call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data_collector.collectors.aws import inventory
from data_collector.collectors.aws.cloudwatch import GET_METRIC_DATA
from data_collector.collectors.aws.faults import RefusedError
from data_collector.collectors.aws.options import options_of
from data_collector.collectors.aws.session import (
    WHO_AM_I,
    Api,
    Session,
    home_region,
)
from optiinfra.accounts import Account
from optiinfra.errors import CredentialError, DeniedError, OptiInfraError
from optiinfra.provider import Check


@dataclass(frozen=True, slots=True)
class Permission:
    """An IAM action, and a call that needs it and asks for next to nothing."""

    action: str
    api: Api
    params: Mapping[str, Any]


#: Names of what cannot exist: who may ask is told so, who may not is denied.
_NO_BALANCER = (
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
    "loadbalancer/app/optiinfra-check/0000000000000000"
)
_NO_CLUSTER = "optiinfra-check-no-such-cluster"

PERMISSIONS: tuple[Permission, ...] = (
    Permission("ec2:DescribeRegions", inventory.REGIONS, {}),
    Permission("ec2:DescribeInstances", inventory.INSTANCES, {"MaxResults": 5}),
    Permission("ec2:DescribeInstanceTypes", inventory.TYPES, {"MaxResults": 5}),
    Permission("ec2:DescribeVolumes", inventory.VOLUMES, {"MaxResults": 5}),
    Permission("ec2:DescribeVpcs", inventory.VPCS, {"MaxResults": 5}),
    Permission("rds:DescribeDBInstances", inventory.DATABASES, {"MaxRecords": 20}),
    Permission("rds:DescribeDBClusters", inventory.DATABASE_CLUSTERS, {"MaxRecords": 20}),
    Permission("elasticloadbalancing:DescribeLoadBalancers", inventory.BALANCERS, {"PageSize": 1}),
    Permission(
        "elasticloadbalancing:DescribeTags",
        inventory.BALANCER_TAGS,
        {"ResourceArns": [_NO_BALANCER]},
    ),
    Permission(
        "elasticloadbalancing:DescribeTargetGroups", inventory.TARGET_GROUPS, {"PageSize": 1}
    ),
    Permission("eks:ListClusters", inventory.CLUSTERS, {"maxResults": 1}),
    Permission("eks:DescribeCluster", inventory.CLUSTER, {"name": _NO_CLUSTER}),
    Permission("cloudwatch:GetMetricData", GET_METRIC_DATA, {}),
)
#: Needed only with `agent_metrics`.
AGENT_PERMISSION = Permission(
    "cloudwatch:ListMetrics",
    inventory.METRICS,
    {"Namespace": "CWAgent", "MetricName": "mem_used_percent", "RecentlyActive": "PT3H"},
)

#: Ready for IAM; docs/providers/aws.md shows the same.
POLICY: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "OptiInfraReadOnly",
            "Effect": "Allow",
            "Action": sorted(one.action for one in (*PERMISSIONS, AGENT_PERMISSION)),
            "Resource": "*",
        }
    ],
}


def checks(session: Session, account: Account, now: datetime) -> Iterator[Check]:
    """The credentials, then each permission, in the account's home region; then that every
    other region that the account names takes the credentials."""
    region = home_region(account)
    try:
        session.call(account, region, WHO_AM_I, {})
    except OptiInfraError as error:
        yield Check("credentials", ok=False, advice=str(error))
        return
    yield Check("credentials", ok=True)
    wanted = list(PERMISSIONS)
    if options_of(account).agent_metrics:
        wanted.append(AGENT_PERMISSION)
    for permission in wanted:
        yield _checked(session, account, region, permission, now)
    for other in options_of(account).regions:
        if other != region:
            yield _region_checked(session, account, other)


def _checked(
    session: Session, account: Account, region: str, permission: Permission, now: datetime
) -> Check:
    params = dict(permission.params)
    if permission.api is GET_METRIC_DATA:
        params = _one_metric(now)
    try:
        session.call(account, region, permission.api, params)
    except DeniedError:
        advice = f"grant {permission.action} on * to the role or user"
        return Check(permission.action, ok=False, advice=advice)
    except RefusedError:
        return Check(permission.action, ok=True)  # what was asked for is not there; that is fine
    except CredentialError as error:
        return Check(permission.action, ok=False, advice=str(error))
    except OptiInfraError as error:
        return Check(permission.action, ok=False, advice=f"could not be asked: {error}")
    return Check(permission.action, ok=True)


def _region_checked(session: Session, account: Account, region: str) -> Check:
    what = f"region {region}"
    try:
        session.call(account, region, WHO_AM_I, {})
    except OptiInfraError as error:
        return Check(what, ok=False, advice=f"{error}; or there is no such region")
    return Check(what, ok=True)


def _one_metric(now: datetime) -> dict[str, Any]:
    end = now.replace(minute=0, second=0, microsecond=0)
    return {
        "MetricDataQueries": [
            {
                "Id": "m0",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization"},
                    "Period": 300,
                    "Stat": "Average",
                },
            }
        ],
        "StartTime": end - timedelta(minutes=5),
        "EndTime": end,
    }
