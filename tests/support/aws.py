"""An AWS account that is the fake's."""

from __future__ import annotations

from typing import Any

from fakes.aws import FakeAws

from optiinfra.accounts import Account


def account(fake: FakeAws, **options: Any) -> Account:
    """One region and nothing else, changed where the test says so."""
    return Account(
        "acme",
        "prod",
        "aws",
        options={"regions": ["us-east-1"], **options},
        credentials={"anonymous": True},
        endpoints={"default": fake.url},
    )
