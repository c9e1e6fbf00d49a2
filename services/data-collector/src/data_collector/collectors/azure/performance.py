"""From an answer of Azure Monitor to series and gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collector.collectors.azure.metrics import (
    NAMESPACES,
    Aggregation,
    AzureMetric,
    Conversion,
    Query,
)
from data_collector.collectors.azure.options import AzureOptions
from optiinfra.domain import Gap, GapReason, Series, Window, epoch_seconds

Times = NDArray[np.int64]
Values = NDArray[np.float64]

#: What follows the resource's id in the id of its metric.
_METRIC_PART = "/providers/microsoft.insights/"
_NAMESPACES = {namespace.name: namespace for namespace in NAMESPACES}
#: Codes of one metric that another try may help. Any other refusal is final for the window:
#: asking again for ever would hold up everything that comes after it.
_THROTTLED = frozenset({"throttled", "toomanyrequests"})
_PASSING = frozenset(
    {"timeout", "gatewaytimeout", "internalservererror", "serviceunavailable", "serverbusy"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """A resource that has metrics, as the inventory knows it.

    `resource_id`, `namespace` and `region` are in lower case. `idle` says why it has no values
    now, empty where it should have some. `capacity_bytes` is the most that it can store.
    """

    resource_id: str
    name: str
    namespace: str
    region: str
    idle: str = ""
    capacity_bytes: int | None = None


def normalise(
    values: Sequence[Mapping[str, Any]],
    query: Query,
    targets: Sequence[Target],
    window: Window,
    options: AzureOptions,
) -> Iterator[Series | Gap]:
    """The series of one answer, `values` being its list with one entry per resource.

    Points outside the window and buckets without a value are left out. What was asked for and
    has no point at all is a gap.
    """
    answers = dict(_by_resource(values, targets))
    for target in targets:
        answer = answers.get(target.resource_id)
        if answer is None:
            yield Gap(
                GapReason.UNSUPPORTED, "Azure Monitor's answer leaves it out", target.resource_id
            )
            continue
        found = [
            _metric(answer, metric, target, query, window, options) for metric in query.metrics
        ]
        if target.idle and not any(isinstance(item, Series) for item in found):
            yield Gap(GapReason.STOPPED, target.idle, target.resource_id)
        else:
            yield from found


def gaps(
    reason: GapReason, detail: str, targets: Iterable[Target], metrics: Iterable[AzureMetric] = ()
) -> Iterator[Gap]:
    """One gap per target, or per target and metric where metrics are named."""
    names = list(dict.fromkeys(metric.canonical for metric in metrics)) or [""]
    for target in targets:
        for name in names:
            yield Gap(reason, detail, target.resource_id, name)


def _by_resource(
    values: Sequence[Mapping[str, Any]], targets: Sequence[Target]
) -> Iterator[tuple[str, Mapping[str, Mapping[str, Any]]]]:
    """Each resource's id in lower case with its metrics by native name in lower case."""
    for position, value in enumerate(values):
        metrics = [metric for metric in value.get("value") or () if isinstance(metric, Mapping)]
        yield (
            _resource_id(value, metrics, targets, position),
            {str(_named(metric)).lower(): metric for metric in metrics},
        )


def _named(metric: Mapping[str, Any]) -> object:
    name = metric.get("name")
    return name.get("value") if isinstance(name, Mapping) else name


def _resource_id(
    value: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    targets: Sequence[Target],
    position: int,
) -> str:
    """From the entry itself, else from a metric's id, else by the order asked for."""
    if resource_id := value.get("resourceid"):
        return str(resource_id).lower()
    for metric in metrics:
        resource_id, found, _ = str(metric.get("id", "")).lower().partition(_METRIC_PART)
        if found:
            return resource_id
    return targets[position].resource_id if position < len(targets) else ""


@cache
def _metadata(aggregation: Aggregation) -> Mapping[str, object]:
    """One object for all series that are made alike: the writer writes it out once."""
    return {"statistic": aggregation.value}


def _metric(
    answer: Mapping[str, Mapping[str, Any]],
    metric: AzureMetric,
    target: Target,
    query: Query,
    window: Window,
    options: AzureOptions,
) -> Series | Gap:
    def gap(reason: GapReason, detail: str) -> Gap:
        return Gap(reason, detail, target.resource_id, metric.canonical)

    native = answer.get(metric.name.lower())
    if native is None:
        return gap(GapReason.UNSUPPORTED, f"Azure Monitor's answer lacks {metric.name}")
    code = str(native.get("errorCode") or "Success")
    if code.lower() != "success":
        return gap(_reason(code), f"Azure Monitor has no {metric.name}: {_word(code)}")
    if metric.conversion is Conversion.REMAINDER and target.capacity_bytes is None:
        return gap(GapReason.UNSUPPORTED, "the maximum size is not known")
    try:
        times, values = _points(native.get("timeseries") or (), metric)
    except (AttributeError, KeyError, TypeError, ValueError):
        return gap(GapReason.UNSUPPORTED, f"{metric.name} came in an unknown shape")
    inside = (times >= window.start.timestamp()) & (times < window.end.timestamp())
    times, values = times[inside], values[inside]
    if not len(times):
        return gap(GapReason.NOT_YET_PUBLISHED, f"Azure Monitor holds no {metric.name} for it")
    if query.granularity < options.bucket:
        seconds = int(options.bucket.total_seconds())
        times, values = _per_bucket(times // seconds * seconds, values, metric.aggregation)
    return Series(
        metric=metric.canonical,
        resource_id=target.resource_id,
        resource_name=target.name,
        resource_type=_NAMESPACES[target.namespace].resource_type,
        timestamps=times,
        values=_converted(values, metric, target, query.granularity, options),
        metadata=_metadata(metric.aggregation),
        settling=options.settling_minutes.of(_NAMESPACES[target.namespace].settles_as),
    )


def _reason(code: str) -> GapReason:
    if code.lower() in _THROTTLED:
        return GapReason.THROTTLED
    return GapReason.FAILED if code.lower() in _PASSING else GapReason.UNSUPPORTED


def _word(code: str) -> str:
    """The code where it is one word, as all of Azure's are; never somebody's free text."""
    return code if code.isalnum() and len(code) <= 64 else "an unknown code"


def _points(timeseries: Sequence[Mapping[str, Any]], metric: AzureMetric) -> tuple[Times, Values]:
    """The points that have a value; of several series, their sum or mean per bucket."""
    parts = [_series_points(one, metric) for one in timeseries if _wanted(one, metric)]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([one for one, _ in parts])
    values = np.concatenate([one for _, one in parts])
    return _per_bucket(times, values, metric.aggregation)


def _series_points(series: Mapping[str, Any], metric: AzureMetric) -> tuple[Times, Values]:
    key = metric.aggregation.value
    points = [point for point in series.get("data") or () if point.get(key) is not None]
    values = np.array([float(point[key]) for point in points], dtype=np.float64)
    return _epoch([point["timeStamp"] for point in points]), values


def _wanted(series: Mapping[str, Any], metric: AzureMetric) -> bool:
    if metric.dimension is None:
        return True
    return any(
        str(entry["name"]["value"]).lower() == metric.dimension.name.lower()
        and str(entry["value"]).lower() == metric.dimension.value.lower()
        for entry in series.get("metadatavalues") or ()
    )


def _epoch(stamps: Sequence[str]) -> Times:
    if all(stamp.endswith("Z") for stamp in stamps):
        seconds = np.array([stamp[:19] for stamp in stamps], dtype="datetime64[s]")
        return seconds.astype(np.int64)
    return epoch_seconds(datetime.fromisoformat(stamp) for stamp in stamps)


def _per_bucket(times: Times, values: Values, aggregation: Aggregation) -> tuple[Times, Values]:
    """One value per time: the sum of totals, the mean of averages."""
    distinct, owner = np.unique(times, return_inverse=True)
    sums = np.bincount(owner, weights=values)
    counts = np.bincount(owner) if aggregation is Aggregation.AVERAGE else 1
    return distinct, np.asarray(sums / counts, dtype=np.float64)


def _converted(
    values: Values,
    metric: AzureMetric,
    target: Target,
    granularity: timedelta,
    options: AzureOptions,
) -> Values:
    match metric.conversion:
        case Conversion.PER_SECOND:
            return values / granularity.total_seconds()
        case Conversion.PERCENT:
            return values * 100.0
        case Conversion.SCALED:
            return values * options.vm_availability_scale
        case Conversion.REST:
            return 100.0 - values
        case Conversion.REMAINDER if target.capacity_bytes is not None:
            return target.capacity_bytes - values
        case _:
            return values
