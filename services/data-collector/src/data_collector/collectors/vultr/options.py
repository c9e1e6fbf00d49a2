"""The keys of a `vultr` account in the accounts file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NodeExporterOptions(BaseModel):
    """Which instances run node_exporter, and where it listens.

    `tags`: the instances that bear any of them; without tags, every instance. `address`: which
    of an instance's addresses is asked; `internal_ip` is for a collector inside the VPC.
    """

    model_config = ConfigDict(extra="forbid")

    port: int = Field(default=9100, ge=1, le=65535)
    address: Literal["main_ip", "internal_ip"] = "main_ip"
    tags: list[str] = []


class VultrOptions(BaseModel):
    """What of an account can be chosen; the defaults fit the published API.

    The rest stands for facts that no live account has confirmed:
    `bandwidth_days`: how far back the first question for bandwidth reaches; the API's texts
    name 60 and 180 days as its limit. `bandwidth_delay_hours`: how long after its end a day's
    total is first taken, and `bandwidth_settling_hours`: how long it may still change, since
    the API refreshes totals "periodically". `gigabyte_bytes`: what the API means by a GB.
    """

    model_config = ConfigDict(extra="forbid")

    per_page: int = Field(default=500, ge=1, le=500)
    bandwidth_days: int = Field(default=30, ge=1, le=178)
    bandwidth_delay_hours: int = Field(default=3, ge=0, le=23)
    bandwidth_settling_hours: int = Field(default=24, ge=0, le=24 * 7)
    gigabyte_bytes: Literal[1_000_000_000, 1_073_741_824] = 1_000_000_000
    node_exporter: NodeExporterOptions | None = None
