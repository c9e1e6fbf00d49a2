"""From CloudWatch's answers to series. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from data_collector.collectors.aws.metrics import (
    AGENT_METRICS,
    Dimensions,
    Output,
    Recipe,
    Target,
    Times,
    Values,
)
from data_collector.collectors.aws.queries import Measure, Query
from optiinfra.domain import Gap, GapReason, Series, epoch_seconds
from optiinfra.errors import ContractError


@dataclass(slots=True)
class Result:
    """What came of one query: its points, AWS's word for it, and whether another try may help."""

    times: Times = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: Values = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    status: str = "Missing"
    reason: GapReason | None = GapReason.FAILED


def merged(pages: Iterable[Mapping[str, Any]], queries: int) -> list[Result]:
    """The results of a request's pages, by the position of their query.

    A series may be spread over pages; its last status counts. A query without any result is
    `Missing`.
    """
    results = {f"m{number}": Result() for number in range(queries)}
    for page in pages:
        for native in page["MetricDataResults"]:
            result = results.get(native["Id"])
            times, values = native["Timestamps"], native["Values"]
            if result is None or len(times) != len(values):
                raise ContractError("GetMetricData: an answer has another shape")
            result.times = np.append(result.times, epoch_seconds(times))
            result.values = np.append(result.values, np.asarray(values, dtype=np.float64))
            result.status = native.get("StatusCode", "Complete")
    for result in results.values():
        result.reason = _reason(result.status)
    return list(results.values())


def _reason(status: str) -> GapReason | None:
    if status == "Complete":
        return None
    return GapReason.DENIED if status == "Forbidden" else GapReason.FAILED


class Assembler:
    """Puts the parts of measures together as results come in, in the order of the queries.

    It holds the parts of one measure at most, and the measures worth asking for again
    (`again`).
    """

    def __init__(self, *, last_try: bool) -> None:
        self.again: list[Measure] = []
        self._last_try = last_try
        self._parts: list[Result] = []

    def take(self, query: Query, result: Result) -> Iterator[Series | Gap]:
        """What the next query's result completes."""
        self._parts.append(result)
        if len(self._parts) < len(query.measure.parts):
            return
        parts, self._parts = self._parts, []
        failed = next((part for part in parts if part.reason), None)
        if failed and failed.reason is GapReason.FAILED and not self._last_try:
            self.again.append(query.measure)
            return
        # A sum that lacks a part would be a wrong value; a lone series that is not complete
        # is right as far as it goes.
        if failed is None or len(parts) == 1:
            yield from normalise(query.measure, parts, complete=failed is None)
        if failed and failed.reason:
            for metric in query.measure.metrics:
                detail = f"CloudWatch answered {failed.status} to {query.name}"
                yield Gap(failed.reason, detail, query.measure.target.resource_id, metric)


def normalise(
    measure: Measure, parts: Sequence[Result], *, complete: bool = True
) -> Iterator[Series | Gap]:
    """The series of one measure. What AWS leaves out stays out."""
    times, values = added(parts)
    target = measure.target
    for output in measure.recipe.outputs:
        converted = output.convert(times, values, target, measure.period)
        if converted is None:
            yield Gap(
                GapReason.UNSUPPORTED,
                f"the size of {target.name} is not known",
                target.resource_id,
                output.canonical,
            )
            continue
        said = ~np.isnan(converted) | np.isnan(values)
        if said.any():
            yield _series(measure, output, times[said], converted[said])
        elif complete and measure.recipe.steady and not target.quiet and not len(times):
            yield Gap(
                GapReason.NOT_YET_PUBLISHED,
                "CloudWatch has no point of the window",
                target.resource_id,
                output.canonical,
            )


def added(parts: Sequence[Result]) -> tuple[Times, Values]:
    """The parts summed up by bucket; a bucket that any of them has counts."""
    if len(parts) == 1:
        return parts[0].times, parts[0].values
    joined = np.concatenate([part.times for part in parts])
    times, where = np.unique(joined, return_inverse=True)
    values = np.bincount(
        where, weights=np.concatenate([part.values for part in parts]), minlength=len(times)
    )
    return times, values.astype(np.float64)


def observed(target: Target, listed_at: datetime, period: int) -> Iterator[Series]:
    """What the status that was listed says about availability, in the bucket it was listed in."""
    if target.working is None:
        return
    bucket = int(listed_at.timestamp()) // period * period
    yield Series(
        metric="availability",
        resource_id=target.resource_id,
        resource_name=target.name,
        resource_type=target.type,
        timestamps=np.array([bucket], dtype=np.int64),
        values=np.array([100.0 if target.working else 0.0], dtype=np.float64),
        metadata={"source": "status"},
        # Seen, not still being added up: settled at once.
        settling=-timedelta(seconds=period),
    )


def agent_finds(
    metrics: Iterable[Mapping[str, Any]],
) -> dict[str, list[tuple[Recipe, str, Dimensions]]]:
    """What ListMetrics shows of the agent's metrics, by instance id, each canonical one once."""
    finds: dict[str, list[tuple[Recipe, str, Dimensions]]] = {}
    for native in metrics:
        dimensions = {entry["Name"]: entry["Value"] for entry in native["Dimensions"]}
        instance = dimensions.get("InstanceId")
        if instance is None:
            continue  # the agent can publish totals of groups, too
        for metric in AGENT_METRICS:
            recipe = metric.recipe
            if native["MetricName"] != recipe.sources[0].name:
                continue
            if any(dimensions.get(name) != value for name, value in metric.picks.items()):
                continue
            mine = finds.setdefault(instance, [])
            canonical = recipe.outputs[0].canonical
            if all(known.outputs[0].canonical != canonical for known, _, _ in mine):
                mine.append((recipe, native["MetricName"], tuple(sorted(dimensions.items()))))
    return finds


@cache
def _metadata(statistic: str, period: int) -> Mapping[str, object]:
    """One object for all series that are made alike: the writer writes it out once."""
    return {"statistic": statistic.lower(), "period_seconds": period}


def _series(measure: Measure, output: Output, times: Times, values: Values) -> Series:
    target = measure.target
    return Series(
        metric=output.canonical,
        resource_id=target.resource_id,
        resource_name=target.name,
        resource_type=target.type,
        timestamps=times,
        values=values,
        metadata=_metadata(measure.recipe.statistic, measure.period),
        settling=measure.settling,
    )
