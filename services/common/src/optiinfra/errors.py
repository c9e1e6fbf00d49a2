"""Errors, named by what to do about them.

A collector raises one of these and nothing else on purpose; the pipeline decides by the
class alone whether to retry, to skip the scope, to stop the account or to report a fault
of our own. Messages never hold a response body, a secret or SQL.
"""

from __future__ import annotations

from datetime import timedelta


class OptiInfraError(Exception):
    """Base of every error that this product raises on purpose."""


class TransientError(OptiInfraError):
    """Try again: a timeout, a dropped connection, a provider's 5xx."""


class ThrottledError(TransientError):
    """Try again more slowly. `retry_after` is what the provider asked for, where it did."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeniedError(OptiInfraError):
    """Skip the scope: the credentials are good but may not read it."""


class UnsupportedError(OptiInfraError):
    """Skip the scope: the provider does not offer this here."""


class CredentialError(OptiInfraError):
    """Stop the account: its credentials are missing, wrong or expired."""


class ContractError(OptiInfraError):
    """A fault of our own or an answer of unknown shape: report it, do not retry."""


class ConfigError(OptiInfraError):
    """What the operator wrote cannot be used; the message says where and what to write."""


class StoreError(OptiInfraError):
    """The store cannot be used at all; the message says which one and what to do."""


class StoreLockedError(StoreError):
    """Another process has the embedded store open; ask that one, or stop it."""


class StoreUnavailableError(StoreError):
    """The store does not answer now; what was not written is collected again later."""


class QueryTooLargeError(StoreUnavailableError):
    """One query took more time, memory or rows than one may; a smaller one may do."""


class BrokerUnavailableError(OptiInfraError):
    """The broker does not answer now; ask again."""
