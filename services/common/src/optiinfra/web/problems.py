"""Errors as `application/problem+json` (RFC 9457), the same from every service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from optiinfra.collector_client import CollectorRefusedError, CollectorUnavailableError
from optiinfra.errors import (
    BrokerUnavailableError,
    QueryTooLargeError,
    StoreError,
    StoreUnavailableError,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"

# Python's own phrases differ between its versions; the OpenAPI document must not.
_DESCRIPTIONS = {
    400: "The cursor is altered or belongs to another question",
    401: "No token, or one that is not valid",
    403: "The token gives no access to this customer, or its role is too low",
    404: "No such customer, provider or object",
    409: "In conflict with what there is",
    413: "The body is too large",
    414: "The address is too long",
    422: "A parameter is wrong; `errors` names it",
    429: "The token has asked for this too often; see Retry-After",
    431: "The headers are too large",
    500: "A fault of the service",
    503: "Something that is needed does not answer; see Retry-After",
}


class Problem(Exception):
    """An answer other than success. `extra` becomes members of the document."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra

    def response(self) -> Response:
        document = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        return Response(
            json.dumps(document), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def invalid_parameter(parameter: str, message: str) -> Problem:
    """A 422 that names one parameter, for checks that a query model cannot make itself."""
    return _unprocessable([{"parameter": parameter, "message": message}])


def unavailable(detail: str) -> Problem:
    """A 503 that asks to come back in a few seconds."""
    return Problem(503, "Service Unavailable", detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def internal_error() -> Problem:
    """A 500 that tells nothing of what is inside; the log has it under the request id."""
    return Problem(
        500,
        "Internal Server Error",
        "This is a fault of the service. Its log names it under this answer's X-Request-ID.",
    )


class ParameterError(BaseModel):
    """What is wrong with one parameter."""

    parameter: str
    message: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Unprocessable Content",
                "status": 422,
                "detail": "limit: Input should be greater than or equal to 1",
                "errors": [
                    {
                        "parameter": "limit",
                        "message": "Input should be greater than or equal to 1",
                    }
                ],
            }
        },
    )

    type: str
    title: str
    status: int
    detail: str
    errors: list[ParameterError] = Field(
        default_factory=list, description="which parameters are wrong, with status 422"
    )


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI documents problem answers of these statuses."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(CollectorRefusedError, _refused)
    app.add_exception_handler(QueryTooLargeError, _too_large)
    app.add_exception_handler(StoreError, _unusable)
    for error in (StoreUnavailableError, BrokerUnavailableError, CollectorUnavailableError):
        app.add_exception_handler(error, _unavailable)


def _unprocessable(errors: list[dict[str, str]]) -> Problem:
    detail = "; ".join(f"{error['parameter']}: {error['message']}" for error in errors)
    return Problem(422, "Unprocessable Content", detail, errors=errors)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  (Starlette dispatches by this class)
    return error.response()


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (the same)
    errors = []
    for problem in error.errors():
        if problem["type"] == "json_invalid":
            location, message = "body", "is not valid JSON"
        elif problem["type"] == "extra_forbidden":
            location, message = _parameter(problem["loc"]), "is no parameter of this endpoint"
        else:
            location = _parameter(problem["loc"])
            message = str(problem["msg"]).removeprefix("Value error, ")
        errors.append({"parameter": location, "message": message})
    return _unprocessable(errors).response()


def _parameter(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location[1:]) or str(location[0])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (the same)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # FastAPI's answer to bytes that are no text; other bodies it cannot use are 422.
        return invalid_parameter("body", "cannot be read").response()
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = "There is no such path; /docs lists those that there are."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not offered here."
    return Problem(error.status_code, phrase, detail, headers=error.headers).response()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, CollectorRefusedError)  # noqa: S101  (the same)
    return Response(error.body, error.status, headers=error.headers, media_type=MEDIA_TYPE)


async def _too_large(_: Request, error: Exception) -> Response:
    log.warning("query_too_large", error=str(error))
    return Problem(
        422,
        "Unprocessable Content",
        "Answering this takes more time, memory or rows than one request may; ask for a shorter "
        "range, or for fewer resources or metrics.",
    ).response()


async def _unusable(_: Request, error: Exception) -> Response:
    log.error("store_unusable", error=str(error))
    return unavailable("The store cannot be used now; the service's log says why.").response()


async def _unavailable(_: Request, error: Exception) -> Response:
    log.warning("unavailable", error=str(error))
    return unavailable(_AWAY[type(error)]).response()


# What a caller may know; the log has the address.
_AWAY: dict[type[Exception], str] = {
    StoreUnavailableError: "The store does not answer now; ask again in a few seconds.",
    BrokerUnavailableError: "The broker does not answer now; ask again in a few seconds.",
    CollectorUnavailableError: "The data collector does not answer now; ask again soon.",
}
