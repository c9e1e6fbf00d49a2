"""Listing a service of a region page by page, and remembering what performance needs of it.

CloudWatch answers only who names the resource, so performance needs the inventory. It is
listed once per cycle: a listing made for either kind is kept for a while. The resources run
always lists anew, since its listing is evidence.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import structlog

from data_collector.collectors.aws import resources
from data_collector.collectors.aws.faults import RefusedError
from data_collector.collectors.aws.metrics import AGENT_METRICS, AGENT_NAMESPACE, Target
from data_collector.collectors.aws.session import Api, Session, home_region
from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Resource
from optiinfra.errors import ContractError, DeniedError

log = structlog.get_logger()

Native = Mapping[str, Any]

#: How long a listing serves performance.
KEPT = timedelta(minutes=15)
#: How long a resource that has gone is still asked about: its last points come late.
MOURNED = timedelta(hours=3)
#: Listings kept; a region of an account has up to six.
_LISTINGS = 8192
_TYPES = 2048

REGIONS = Api("ec2", "DescribeRegions", "Regions", "ec2")
INSTANCES = Api("ec2", "DescribeInstances", "Reservations", "ec2")
TYPES = Api("ec2", "DescribeInstanceTypes", "InstanceTypes", "ec2")
VOLUMES = Api("ec2", "DescribeVolumes", "Volumes", "ec2")
VPCS = Api("ec2", "DescribeVpcs", "Vpcs", "ec2")
DATABASES = Api("rds", "DescribeDBInstances", "DBInstances", "rds")
DATABASE_CLUSTERS = Api("rds", "DescribeDBClusters", "DBClusters", "rds")
BALANCERS = Api("elbv2", "DescribeLoadBalancers", "LoadBalancers", "elbv2")
BALANCER_TAGS = Api("elbv2", "DescribeTags", "TagDescriptions", "elbv2")
TARGET_GROUPS = Api("elbv2", "DescribeTargetGroups", "TargetGroups", "elbv2")
CLUSTERS = Api("eks", "ListClusters", "clusters", "eks")
CLUSTER = Api("eks", "DescribeCluster", "cluster", "eks")
METRICS = Api("cloudwatch", "ListMetrics", "Metrics", "list_metrics")

_MARKER = ("Marker", "Marker")
_NEXT_MARKER = ("Marker", "NextMarker")
_SMALL_TOKEN = ("nextToken", "nextToken")


@dataclass(frozen=True, slots=True)
class Listing:
    """What performance needs of one complete listing.

    `quiet_since` says when a quiet resource was first seen so; `departed` holds what earlier
    listings had and this one lacks, with the moment that was noticed.
    """

    listed_at: datetime
    targets: tuple[Target, ...] = ()
    quiet_since: Mapping[str, datetime] = field(default_factory=dict)
    departed: Mapping[str, tuple[Target, datetime]] = field(default_factory=dict)

    def followed_by(self, targets: Iterable[Target], listed_at: datetime) -> Listing:
        """The next listing, with what can be learnt from comparing them."""
        now = {target.resource_id: target for target in targets}
        before = {target.resource_id: (target, listed_at) for target in self.targets}
        departed = {
            resource_id: entry
            for resource_id, entry in {**before, **self.departed}.items()
            if resource_id not in now and listed_at - entry[1] < MOURNED
        }
        quiet = {
            resource_id: self.quiet_since.get(resource_id, listed_at)
            for resource_id, target in now.items()
            if target.quiet
        }
        return Listing(listed_at, tuple(now.values()), quiet, departed)


class Inventory:
    """Lists services; safe to share between threads."""

    def __init__(self, session: Session, now: Callable[[], datetime]) -> None:
        self._session = session
        self._now = now
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], Listing] = OrderedDict()
        self._types: OrderedDict[str, Native] = OrderedDict()
        self._regions: OrderedDict[tuple[str, ...], tuple[datetime, tuple[str, ...]]] = (
            OrderedDict()
        )

    def regions(self, account: Account) -> Sequence[str]:
        """The regions that the account has enabled."""
        key = _account_key(account)
        with self._lock:
            known = self._regions.get(key)
        if known is None or self._now() - known[0] >= KEPT:
            asked_at = self._now()
            try:
                answer = self._session.call(
                    account, home_region(account), REGIONS, {"AllRegions": False}
                )
            except DeniedError as error:
                raise DeniedError(
                    f"{error}; grant ec2:DescribeRegions or name the account's regions"
                ) from error
            names = tuple(sorted(entry["RegionName"] for entry in answer["Regions"]))
            known = asked_at, names
            with self._lock:
                self._regions[key] = known
                while len(self._regions) > _LISTINGS:
                    self._regions.popitem(last=False)
        return known[1]

    def listed(self, account: Account, region: str, service: str) -> Iterator[Resource | Gap]:
        """Everything the service has in the region, asked now. Complete if it ends."""
        listed_at = self._now()
        targets: list[Target] = []
        try:
            for item in _LISTERS[service](self, account, region):
                if isinstance(item, Resource) and (target := resources.target(item)):
                    targets.append(target)
                yield item
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{service} in {region}: an answer has another shape") from error
        self._keep(account, region, service, targets, listed_at)

    def known(self, account: Account, region: str, service: str) -> Listing:
        """The service's last listing if it is young enough, else a new one."""
        key = (*_account_key(account), region, service)
        with self._lock:
            listing = self._kept.get(key)
        if listing is None or self._now() - listing.listed_at >= KEPT:
            for _ in self.listed(account, region, service):
                pass
            with self._lock:
                listing = self._kept[key]
        return listing

    def agent_metrics(self, account: Account, region: str) -> Iterator[Native]:
        """What the CloudWatch agent has published lately of what we know."""
        for name in dict.fromkeys(one.recipe.sources[0].name for one in AGENT_METRICS):
            params = {
                "Namespace": AGENT_NAMESPACE,
                "MetricName": name,
                "RecentlyActive": "PT3H",
            }
            for page in self._session.pages(account, region, METRICS, params):
                yield from page["Metrics"]

    def _keep(
        self,
        account: Account,
        region: str,
        service: str,
        targets: Iterable[Target],
        listed_at: datetime,
    ) -> None:
        key = (*_account_key(account), region, service)
        with self._lock:
            before = self._kept.get(key) or Listing(listed_at)
            if before.listed_at <= listed_at:
                self._kept[key] = before.followed_by(targets, listed_at)
            self._kept.move_to_end(key)
            while len(self._kept) > _LISTINGS:
                self._kept.popitem(last=False)

    def _pages(
        self,
        account: Account,
        region: str,
        api: Api,
        params: Mapping[str, Any],
        token: tuple[str, str] = ("NextToken", "NextToken"),
    ) -> Iterator[list[Any]]:
        for page in self._session.pages(account, region, api, params, token):
            yield page[api.result]

    def _instances(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        refused = False
        for page in self._pages(account, region, INSTANCES, {"MaxResults": 1000}):
            instances = [one for reservation in page for one in reservation["Instances"]]
            wanted = {one["InstanceType"] for one in instances}
            types: Mapping[str, Native] = {}
            try:
                types = {} if refused else self._types_of(account, region, wanted)
            except DeniedError as error:
                refused = True  # sizes are unknown then; what there is, is not
                log.warning("sizes_unknown", account=account.account_id, error=str(error))
            for native in instances:
                yield resources.instance(native, region, types)

    def _types_of(self, account: Account, region: str, wanted: set[str]) -> Mapping[str, Native]:
        with self._lock:
            known = {name: self._types[name] for name in wanted if name in self._types}
        for names in _chunks(sorted(wanted - set(known)), 100):
            answer = self._session.call(account, region, TYPES, {"InstanceTypes": names})
            known.update((native["InstanceType"], native) for native in answer[TYPES.result])
        with self._lock:
            for name, native in known.items():
                self._types[name] = {key: native[key] for key in _TYPE_KEYS if key in native}
                self._types.move_to_end(name)
            while len(self._types) > _TYPES:
                self._types.popitem(last=False)
        return known

    def _volumes(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        for page in self._pages(account, region, VOLUMES, {"MaxResults": 1000}):
            yield from (resources.volume(native, region) for native in page)

    def _vpcs(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        for page in self._pages(account, region, VPCS, {"MaxResults": 1000}):
            yield from (resources.vpc(native, region) for native in page)

    def _databases(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        params = {"MaxRecords": 100}
        for page in self._pages(account, region, DATABASES, params, _MARKER):
            yield from (resources.database(native, region) for native in page)
        for page in self._pages(account, region, DATABASE_CLUSTERS, params, _MARKER):
            for native in page:
                if found := resources.database_cluster(native, region):
                    yield found

    def _balancers(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        pages = self._pages(account, region, BALANCERS, {"PageSize": 400}, _NEXT_MARKER)
        natives = chain.from_iterable(pages)
        groups: dict[str, list[str]] | None = None
        for some in _chunks(natives, 20):  # DescribeTags takes no more
            if groups is None:
                try:
                    groups = self._groups(account, region)
                except DeniedError as error:
                    groups = {}
                    yield Gap(GapReason.DENIED, str(error), metric_name="lb_healthy_hosts")
            arns = [native["LoadBalancerArn"] for native in some]
            answer = self._session.call(account, region, BALANCER_TAGS, {"ResourceArns": arns})
            tags = {
                entry["ResourceArn"]: {tag["Key"]: tag.get("Value", "") for tag in entry["Tags"]}
                for entry in answer[BALANCER_TAGS.result]
            }
            for native, arn in zip(some, arns, strict=True):
                yield resources.balancer(native, region, tags.get(arn, {}), groups.get(arn, []))

    def _groups(self, account: Account, region: str) -> dict[str, list[str]]:
        """The ARNs of target groups, by that of their load balancer."""
        found: dict[str, list[str]] = {}
        for page in self._pages(account, region, TARGET_GROUPS, {"PageSize": 400}, _NEXT_MARKER):
            for native in page:
                for arn in native.get("LoadBalancerArns", ()):
                    found.setdefault(arn, []).append(native["TargetGroupArn"])
        return found

    def _clusters(self, account: Account, region: str) -> Iterator[Resource | Gap]:
        for page in self._pages(account, region, CLUSTERS, {"maxResults": 100}, _SMALL_TOKEN):
            for name in page:
                try:
                    answer = self._session.call(account, region, CLUSTER, {"name": name})
                except RefusedError as error:
                    if error.code == "ResourceNotFoundException":
                        continue  # deleted since the list was made
                    raise
                yield resources.cluster(answer[CLUSTER.result], region)


_TYPE_KEYS = (
    "Hypervisor",
    "InstanceStorageInfo",
    "InstanceStorageSupported",
    "InstanceType",
    "MemoryInfo",
    "VCpuInfo",
)

_Lister = Callable[[Inventory, Account, str], Iterator[Resource | Gap]]
_LISTERS: Mapping[str, _Lister] = {
    "ec2": Inventory._instances,
    "ebs": Inventory._volumes,
    "vpc": Inventory._vpcs,
    "rds": Inventory._databases,
    "elb": Inventory._balancers,
    "eks": Inventory._clusters,
}

#: What is listed as one, each a scope of its own in every region.
SERVICES: tuple[str, ...] = tuple(_LISTERS)


def _account_key(account: Account) -> tuple[str, ...]:
    """Whose inventory it is: an account that gets other credentials is another one."""
    return (
        account.customer_id,
        account.account_id,
        *(f"{key}={value}" for key, value in sorted(account.credentials.items())),
        *(f"{key}={value}" for key, value in sorted(account.endpoints.items())),
    )


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
