"""The keys of an `aws` account in the accounts file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.accounts import Account

Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d{1,2}$")]
Rate = Annotated[float, Field(gt=0)]
Minutes = Annotated[int, Field(ge=0, le=24 * 60)]


class RequestRates(BaseModel):
    """Requests per second that AWS allows one account in one region, by API.

    CloudWatch's and EC2's defaults are what AWS documents; it publishes none for the others,
    so theirs are careful guesses. Throttling slows all of them further.
    """

    model_config = ConfigDict(extra="forbid")

    get_metric_data: Rate = 50.0
    list_metrics: Rate = 25.0
    ec2: Rate = 20.0
    rds: Rate = 10.0
    elbv2: Rate = 10.0
    eks: Rate = 5.0
    sts: Rate = 50.0


class Settling(BaseModel):
    """Minutes after its end until a bucket no longer changes, by what AWS publishes alike.

    AWS states none of them. Metrics of five minutes have been seen to come within ten, those
    of one minute to go on being added up for ten; what an agent sends comes when it comes.
    """

    model_config = ConfigDict(extra="forbid")

    ec2: Minutes = 10
    ec2_basic: Minutes = 15
    ebs: Minutes = 10
    rds: Minutes = 10
    elb: Minutes = 10
    container_insights: Minutes = 15
    agent: Minutes = 15

    def of(self, name: str) -> timedelta:
        """The field of that name as a span."""
        return timedelta(minutes=getattr(self, name))

    @property
    def longest(self) -> timedelta:
        """The last of them."""
        return max(map(self.of, type(self).model_fields))


class AwsOptions(BaseModel):
    """What an account may set.

    `regions`: those to collect; none means every region that the account has enabled.
    `period`: seconds of a bucket. With 60, instances with basic monitoring are still asked in
    buckets of 300, because AWS publishes no finer ones for them. `agent_metrics`: ask for what
    the CloudWatch agent publishes about memory and filesystems. `container_insights`: ask for
    what Container Insights publishes about EKS nodes. `settling_minutes`: when a point counts
    as settled; one that settles later than others widens what is read again.
    """

    model_config = ConfigDict(extra="forbid")

    regions: list[Region] = []
    period: Literal[60, 300] = 300
    agent_metrics: bool = False
    container_insights: bool = False
    requests_per_second: RequestRates = RequestRates()
    settling_minutes: Settling = Settling()


def options_of(account: Account) -> AwsOptions:
    """The account's options."""
    return AwsOptions.model_validate(account.options)
