"""What AWS answers to descriptions and lists, without a socket: for very many small fleets.

Answers are written after the output shapes of botocore's own service models and handed to the
client where it would send its request. Pages are short and their tokens hold, whatever is made
or deleted meanwhile, as AWS's do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from fakes.aws import refusal
from support.fault_schedules import Fault, Weather

from data_collector.collectors.aws.session import Session

Native = dict[str, Any]

REGION = "us-east-1"
_ARN = f"arn:aws:%s:{REGION}:123456789012:%s"
_PAGE = 2

#: Native words and what they mean, by service.
STATUSES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ec2": (("running", "running"), ("stopped", "stopped"), ("terminated", "terminated")),
    "ebs": (("available", "available"), ("in-use", "in_use"), ("error", "error")),
    "vpc": (("available", "available"), ("pending", "pending")),
    "rds": (("available", "running"), ("stopped", "stopped"), ("storage-full", "error")),
    "elb": (("active", "running"), ("active_impaired", "degraded"), ("failed", "error")),
    "eks": (("ACTIVE", "running"), ("UPDATING", "pending"), ("FAILED", "error")),
}
#: Refusals by the names that AWS's own have in `fakes.aws`.
_REFUSALS = {
    Fault.THROTTLE: "throttle",
    Fault.DENIED: "deny",
    Fault.EXPIRED: "expired",
    Fault.BROKEN: "broken",
}


class ListedCloud:
    """Some services of one region. Satisfies `support.fault_schedules.Cloud`."""

    def __init__(self, services: Sequence[str] = tuple(STATUSES)) -> None:
        self.weather = Weather()
        self._services = services
        self._fleet: dict[str, dict[str, int]] = {service: {} for service in STATUSES}
        self._made = 0

    def create(self, pick: int) -> None:
        self._made += 1
        service = self._services[pick % len(self._services)]
        self._fleet[service][_ID[service](f"{self._made:04}")] = 0

    def delete(self, resource_id: str) -> None:
        del self._of(resource_id)[resource_id]

    def change_status(self, resource_id: str) -> None:
        self._of(resource_id)[resource_id] += 1

    def truth(self, scope: str) -> Mapping[str, str]:
        service = scope.rpartition("/")[2]
        return {key: self._word(service, key)[1] for key in self._fleet[service]}

    def _of(self, resource_id: str) -> dict[str, int]:
        return next(fleet for fleet in self._fleet.values() if resource_id in fleet)

    def _word(self, service: str, resource_id: str) -> tuple[str, str]:
        words = STATUSES[service]
        return words[self._fleet[service][resource_id] % len(words)]

    def natives(self, service: str) -> list[Native]:
        """Everything of a service as AWS describes it, by id."""
        return [
            _NATIVE[service](key, self._word(service, key)[0])
            for key in sorted(self._fleet[service])
        ]

    def answer(self, operation: str, params: Mapping[str, Any]) -> Native:
        """The members of one good answer."""
        if operation == "DescribeInstanceTypes":
            return {"InstanceTypes": []}
        if operation == "DescribeTags":
            return {"TagDescriptions": []}
        if operation == "DescribeCluster":
            return {"cluster": next(o for o in self.natives("eks") if o["name"] == params["name"])}
        service, result, token, key = _LISTS[operation]
        kept = [one for one in self.natives(service) if _KEPT[operation](one)]
        names = [one[key] for one in kept]
        first = sum(name <= params.get(token[0], "") for name in names)
        page = kept[first : first + _PAGE]
        answer: Native = {result: _SHOWN.get(operation, list)(page)}
        if first + _PAGE < len(kept):
            answer[token[1]] = names[first + _PAGE - 1]
        return answer


class ListedSession(Session):
    """A session whose clients ask the cloud that is set."""

    def __init__(self, cloud: ListedCloud) -> None:
        super().__init__()
        self.cloud = cloud

    def _made(self, *args: Any) -> Any:
        client = super()._made(*args)
        client.meta.events.register("before-send", _Answerer(self, client))
        return client


class _Answerer:
    """Stands where a client would send."""

    def __init__(self, session: ListedSession, client: Any) -> None:
        self._session = session
        self._model = client.meta.service_model

    def __call__(self, request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

        fault = self._session.cloud.weather.fault()
        if fault is Fault.DROP:
            raise ConnectionClosedError(endpoint_url=request.url)
        if fault is Fault.TIMEOUT:
            raise ReadTimeoutError(endpoint_url=request.url)
        if fault in _REFUSALS:
            status, headers, body = refusal(_REFUSALS[fault], self._model.service_name)
            return AWSResponse(request.url, status, headers, _Raw(body))
        operation, params = _asked(request, self._model)
        members = {} if fault is Fault.EMPTY else self._session.cloud.answer(operation, params)
        body = _written(self._model, operation, members)
        if fault is Fault.HALF:
            body = body[: len(body) // 2]
        return AWSResponse(request.url, 200, {}, _Raw(body))


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _asked(request: Any, model: Any) -> tuple[str, dict[str, str]]:
    """The operation and what it was given."""
    if model.metadata["protocol"] in ("ec2", "query"):
        given = {key: values[0] for key, values in parse_qs(request.body or b"").items()}
        text = {_text(key): _text(value) for key, value in given.items()}
        return text.pop("Action"), text
    parts = urlsplit(request.url)
    name = unquote(parts.path).removeprefix("/clusters").strip("/")
    if name:
        return "DescribeCluster", {"name": name}
    return "ListClusters", {key: values[0] for key, values in parse_qs(parts.query).items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _written(model: Any, operation: str, members: Native) -> bytes:
    """A body in the protocol of the service, after the output shape of the operation."""
    if model.metadata["protocol"] == "rest-json":
        return json.dumps(members).encode()
    shape = model.operation_model(operation).output_shape
    inside = _members(shape, members)
    if wrapper := shape.serialization.get("resultWrapper"):
        inside = f"<{wrapper}>{inside}</{wrapper}>"
    return f"<{operation}Response>{inside}</{operation}Response>".encode()


def _members(shape: Any, members: Native) -> str:
    return "".join(
        _element(shape.members[name].serialization.get("name", name), shape.members[name], value)
        for name, value in members.items()
    )


def _element(tag: str, shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        inside = _members(shape, value)
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        inside = "".join(_element(item, shape.member, one) for one in value)
    else:
        inside = escape(str(value))
    return f"<{tag}>{inside}</{tag}>"


_ID: Mapping[str, Callable[[str], str]] = {
    "ec2": lambda number: f"i-{number}",
    "ebs": lambda number: f"vol-{number}",
    "vpc": lambda number: f"vpc-{number}",
    # Every other database is a cluster without instances.
    "rds": lambda number: _ARN % ("rds", f"{'cluster' if int(number) % 2 else 'db'}:{number}"),
    "elb": lambda number: _ARN % ("elasticloadbalancing", f"loadbalancer/app/{number}/x"),
    "eks": lambda number: _ARN % ("eks", f"cluster/{number}"),
}


def _database(key: str, status: str) -> Native:
    name = key.rpartition(":")[2]
    if ":cluster:" in key:
        return {"DBClusterArn": key, "DBClusterIdentifier": name, "Status": status}
    return {
        "DBInstanceArn": key,
        "DBInstanceIdentifier": name,
        "DBInstanceClass": "db.m5.large",
        "DBInstanceStatus": status,
    }


_NATIVE: Mapping[str, Callable[[str, str], Native]] = {
    "ec2": lambda key, status: {
        "InstanceId": key,
        "InstanceType": "m5.large",
        "State": {"Name": status},
    },
    "ebs": lambda key, status: {"VolumeId": key, "State": status, "Size": 8},
    "vpc": lambda key, status: {"VpcId": key, "State": status},
    "rds": _database,
    "elb": lambda key, status: {
        "LoadBalancerArn": key,
        "LoadBalancerName": key.split("/")[2],
        "Type": "application",
        "State": {"Code": status},
    },
    "eks": lambda key, status: {"arn": key, "name": key.rpartition("/")[2], "status": status},
}

_TOKEN, _MARKER = ("NextToken", "NextToken"), ("Marker", "Marker")
#: Per operation the service, the key of its list, its tokens, and what its pages go by.
_LISTS: Mapping[str, tuple[str, str, tuple[str, str], str]] = {
    "DescribeInstances": ("ec2", "Reservations", _TOKEN, "InstanceId"),
    "DescribeVolumes": ("ebs", "Volumes", _TOKEN, "VolumeId"),
    "DescribeVpcs": ("vpc", "Vpcs", _TOKEN, "VpcId"),
    "DescribeDBInstances": ("rds", "DBInstances", _MARKER, "DBInstanceArn"),
    "DescribeDBClusters": ("rds", "DBClusters", _MARKER, "DBClusterArn"),
    "DescribeLoadBalancers": ("elb", "LoadBalancers", ("Marker", "NextMarker"), "LoadBalancerArn"),
    "DescribeTargetGroups": ("elb", "TargetGroups", ("Marker", "NextMarker"), "TargetGroupArn"),
    "ListClusters": ("eks", "clusters", ("nextToken", "nextToken"), "name"),
}


def _everything(native: Native) -> bool:
    return True


#: What of a service an operation lists.
_KEPT: Mapping[str, Callable[[Native], bool]] = {
    **dict.fromkeys(_LISTS, _everything),
    "DescribeDBInstances": lambda native: "DBInstanceArn" in native,
    "DescribeDBClusters": lambda native: "DBClusterArn" in native,
    "DescribeTargetGroups": lambda native: False,
}
#: How an operation shows them.
_SHOWN: Mapping[str, Callable[[list[Native]], list[Any]]] = {
    "DescribeInstances": lambda page: [{"Instances": [native]} for native in page],
    "ListClusters": lambda page: [native["name"] for native in page],
}
