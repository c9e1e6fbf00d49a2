"""The keys of an `azure` account in the accounts file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from optiinfra.accounts import Account

Minutes = Annotated[int, Field(ge=0, le=24 * 60)]


class Settling(BaseModel):
    """Minutes after its end until a bucket no longer changes, by type of resource.

    Microsoft states none of them. What Azure's hosts and network count is usually there within
    three; what services report of themselves is given more time.
    """

    model_config = ConfigDict(extra="forbid")

    virtual_machines: Minutes = 15
    disks: Minutes = 15
    load_balancers: Minutes = 15
    application_gateways: Minutes = 15
    sql_databases: Minutes = 30
    postgresql_servers: Minutes = 30
    kubernetes_clusters: Minutes = 30

    def of(self, name: str) -> timedelta:
        """The field of that name as a span."""
        return timedelta(minutes=getattr(self, name))

    @property
    def longest(self) -> timedelta:
        """The last of them."""
        return max(map(self.of, type(self).model_fields))


class AzureOptions(BaseModel):
    """The keys of an `azure` account in the accounts file.

    What Microsoft does not publish is a setting here: `batch_size` and `metric_names_per_call`
    are the limits of a metrics call, `vm_availability_scale` makes a percentage of
    `VmAvailabilityMetric` (1 if Azure gives a percentage already), and the rates are those of
    the published or observed limits. `granularity` is the width of the buckets to store.
    `settling_minutes` says when a point counts as settled; one that settles later than others
    widens what is read again.
    """

    model_config = ConfigDict(extra="forbid")

    subscription_id: str = Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
    granularity: str = Field(default="PT5M", pattern="^PT[15]M$")
    batch_size: int = Field(default=50, ge=1, le=50)
    metric_names_per_call: int = Field(default=20, ge=1)
    vm_availability_scale: float = Field(default=100.0, gt=0)
    metric_calls_per_second: float = Field(default=100.0, gt=0)
    graph_calls_per_second: float = Field(default=3.0, gt=0)
    management_calls_per_second: float = Field(default=25.0, gt=0)
    settling_minutes: Settling = Settling()

    @field_validator("subscription_id")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @property
    def bucket(self) -> timedelta:
        """The granularity as a span."""
        return timedelta(minutes=int(self.granularity[2]))


def options_of(account: Account) -> AzureOptions:
    """The account's options."""
    return AzureOptions.model_validate(account.options)
