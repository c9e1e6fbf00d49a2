"""Which resources a question is about, as SQL conditions over bound parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optiinfra.catalog import ResourceStatus, ResourceType

# Tags are compared whole, as "key:value": keys hold colons too, and both sides may.
_TAGS = (
    "arrayMap(pair -> concat(pair.1, ':', pair.2), "
    "JSONExtractKeysAndValues(metadata, 'tags', 'String'))"
)
# One id or a list of them; a volume of AWS that several machines share names the first alone
# in `attached_to`.
_ATTACHED_TO = (
    "arrayConcat([JSONExtractString(metadata, 'attached_to')], "
    "JSONExtract(metadata, 'attached_to', 'Array(String)'), "
    "JSONExtract(metadata, 'attached_to_all', 'Array(String)'))"
)
_TEXT = (
    "(positionCaseInsensitiveUTF8(resource_name, {text:String}) > 0 "
    "OR positionCaseInsensitiveUTF8(resource_id, {text:String}) > 0)"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose resources: one customer's, on some of its providers."""

    customer_id: str
    providers: Sequence[str]

    def condition(self) -> tuple[str, dict[str, Any]]:
        """The SQL condition and its parameters."""
        customer = "customer_id = {customer:String} AND "
        if len(self.providers) == 1:  # lets the engine read in the order of the key
            only = {"customer": self.customer_id, "provider": self.providers[0]}
            return customer + "provider = {provider:String}", only
        every = {"customer": self.customer_id, "providers": list(self.providers)}
        return customer + "provider IN {providers:Array(String)}", every


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a list: an empty filter takes everything, several values are
    alternatives, but a resource must have every one of the `tags` (`key:value`)."""

    resource_types: Sequence[ResourceType] = ()
    statuses: Sequence[ResourceStatus] = ()
    regions: Sequence[str] = ()
    tags: Sequence[str] = ()
    attached_to: Sequence[str] = ()
    text: str | None = None

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """The SQL conditions and their parameters."""
        asked: list[tuple[str, str, Any]] = [
            ("resource_type IN {types:Array(String)}", "types", list(self.resource_types)),
            ("status IN {statuses:Array(String)}", "statuses", list(self.statuses)),
            ("region IN {regions:Array(String)}", "regions", list(self.regions)),
            (f"hasAll({_TAGS}, {{tags:Array(String)}})", "tags", list(self.tags)),
            (f"hasAny({_ATTACHED_TO}, {{hosts:Array(String)}})", "hosts", list(self.attached_to)),
            (_TEXT, "text", self.text),
        ]
        used = [entry for entry in asked if entry[2]]
        return [sql for sql, _, _ in used], {name: value for _, name, value in used}


EVERYTHING = Filters()
