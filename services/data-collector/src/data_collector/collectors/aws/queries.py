"""From what there is to what CloudWatch is asked, in the fewest requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

from data_collector.collectors.aws.inventory import Listing
from data_collector.collectors.aws.metrics import (
    AGENT_CANONICAL,
    CLUSTER_CANONICAL,
    CLUSTER_RECIPES,
    RECIPES,
    Dimensions,
    Recipe,
    Target,
)
from data_collector.collectors.aws.options import AwsOptions
from optiinfra.domain import Gap, GapReason, Window

#: AWS's limits of one GetMetricData.
MOST_QUERIES = 500
MOST_POINTS = 100_800
#: It refuses bodies above 614,400 bytes; sizes are reckoned for its most talkative protocol.
MOST_BYTES = 600_000


@dataclass(frozen=True, slots=True)
class Measure:
    """The queries that one recipe takes for one resource: (metric name, dimensions) each.

    `period` is the bucket in seconds, `settling` how long after its end it may still change.
    """

    recipe: Recipe
    target: Target
    parts: tuple[tuple[str, Dimensions], ...]
    period: int
    settling: timedelta

    @property
    def metrics(self) -> tuple[str, ...]:
        """The canonical metrics that it becomes."""
        return tuple(output.canonical for output in self.recipe.outputs)


@dataclass(frozen=True, slots=True)
class Query:
    """One part of a measure, one entry of a request."""

    measure: Measure
    part: int

    @property
    def name(self) -> str:
        return self.measure.parts[self.part][0]

    @property
    def dimensions(self) -> Dimensions:
        return self.measure.parts[self.part][1]

    def native(self, identifier: str) -> Mapping[str, object]:
        """The entry as AWS takes it."""
        return {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": self.measure.recipe.namespace,
                    "MetricName": self.name,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in self.dimensions],
                },
                "Period": self.measure.period,
                "Stat": self.measure.recipe.statistic,
            },
            "ReturnData": True,
        }

    def size(self) -> int:
        """Bytes in a form-encoded body, at most."""
        names = len(quote(self.measure.recipe.namespace, "")) + len(quote(self.name, ""))
        values = sum(180 + len(quote(k, "")) + len(quote(v, "")) for k, v in self.dimensions)
        return 450 + names + values


#: What the agent publishes about an instance, by its id.
AgentFinds = Mapping[str, Sequence[tuple[Recipe, str, Dimensions]]]


def plan(
    target: Target, options: AwsOptions, agent: AgentFinds, *, floor: int
) -> Iterator[Measure | Gap]:
    """Everything to ask about a target, and why the rest is not asked.

    `floor` is the finest bucket in seconds that AWS still has for the window.
    """
    finest, settling = max(options.period, floor), options.settling_minutes
    for recipe in _recipes(target, options):
        if not _names(recipe, target):
            yield from _unsupported(recipe, target)
        elif parts := _parts(recipe, target):
            period = max(finest, target.period, recipe.floor)
            settles = settling.of(recipe.settles_as(target))
            yield Measure(recipe, target, parts, period, settles)
    for recipe, name, dimensions in agent.get(target.resource_id, ()):
        settles = settling.of(recipe.settles_as(target))
        yield Measure(recipe, target, ((name, dimensions),), finest, settles)
    yield from _without_agent(target, options, agent)


def selected(listings: Mapping[str, Listing], window: Window) -> Iterator[Target | Gap]:
    """The targets to ask about, and those that AWS says nothing of in the whole window.

    What is quiet or gone is asked about until the window begins after that was noticed, since
    it had points before.
    """
    instances = listings.get("ec2")
    quiet = instances.quiet_since if instances else {}
    for listing in listings.values():
        for target in listing.targets:
            since = listing.quiet_since.get(target.resource_id)
            attached = target
            if target.attached_to and all(one in quiet for one in target.attached_to):
                # A volume is measured only while an instance uses it.
                since = max(quiet[one] for one in target.attached_to)
                attached = replace(target, quiet="attached to a stopped instance")
            if since is not None:
                yield Gap(GapReason.STOPPED, f"no metrics: {attached.quiet}", target.resource_id)
            if since is None or since > window.start:
                yield attached
        for target, noticed in listing.departed.values():
            if noticed > window.start:
                yield replace(target, quiet=target.quiet or "gone")


def batches(queries: Iterable[Query], window: Window) -> Iterator[list[Query]]:
    """The queries in requests filled up to AWS's limits, whatever they ask about."""
    batch: list[Query] = []
    points = size = 0
    for query in queries:
        more_points = -(-int(window.duration.total_seconds()) // query.measure.period)
        more = query.size()
        if batch and (
            len(batch) == MOST_QUERIES
            or points + more_points > MOST_POINTS
            or size + more > MOST_BYTES
        ):
            yield batch
            batch, points, size = [], 0, 0
        batch.append(query)
        points += more_points
        size += more
    if batch:
        yield batch


def datapoints(batch: Sequence[Query], window: Window) -> int:
    """At most how many points the batch is answered with."""
    seconds = int(window.duration.total_seconds())
    return sum(-(-seconds // query.measure.period) for query in batch)


def _recipes(target: Target, options: AwsOptions) -> Sequence[Recipe]:
    if target.family == "cluster":
        return CLUSTER_RECIPES if options.container_insights else ()
    return RECIPES.get(target.family, ())


def _names(recipe: Recipe, target: Target) -> list[str]:
    return [
        source.name
        for source in recipe.sources
        if source.feature is None or source.feature in target.features
    ]


def _parts(recipe: Recipe, target: Target) -> tuple[tuple[str, Dimensions], ...]:
    sets = target.group_dimensions if recipe.by_group else (target.dimensions,)
    return tuple((name, dimensions) for name in _names(recipe, target) for dimensions in sets)


def _unsupported(recipe: Recipe, target: Target) -> Iterator[Gap]:
    needs = " or ".join(source.feature for source in recipe.sources if source.feature)
    for output in recipe.outputs:
        yield Gap(
            GapReason.UNSUPPORTED,
            f"AWS measures it with {needs}",
            target.resource_id,
            output.canonical,
        )


def _without_agent(target: Target, options: AwsOptions, agent: AgentFinds) -> Iterator[Gap]:
    """What is missing for want of an agent, where one was said to be there."""
    if target.family == "cluster" and not options.container_insights:
        for metric in CLUSTER_CANONICAL:
            yield Gap(
                GapReason.NO_AGENT,
                "needs Container Insights and the option container_insights",
                target.resource_id,
                metric,
            )
    if target.family == "instance" and options.agent_metrics:
        found = {
            output.canonical
            for recipe, _, _ in agent.get(target.resource_id, ())
            for output in recipe.outputs
        }
        for metric in AGENT_CANONICAL:
            if metric not in found:
                yield Gap(
                    GapReason.NO_AGENT,
                    "the CloudWatch agent has published none in the last three hours",
                    target.resource_id,
                    metric,
                )
    if target.family == "gateway":
        yield Gap(
            GapReason.UNSUPPORTED, "gateway load balancers are not measured", target.resource_id
        )
