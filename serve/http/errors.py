"""One shape for every error: `{"error": {"code", "message", "request_id"}}`. No traceback, no path, no input in it."""

import errno
import json
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from sam3_tool.errors import (
    CheckpointError,
    ConceptError,
    DeadlineError,
    OverloadedError,
    RequestCancelledError,
    UserError,
    mask_passwords,
)
from sam3_tool.network.fetching import FetchError
from sam3_tool.system.file_names import escape_unprintable

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger(__name__)

FETCH_STATUSES = {"urls_off": 403, "url_not_allowed": 403, "too_large": 413}
"""Of what is wrong with a URL; everything else is 422."""

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_FULL_DATABASE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)

CLIENT_LEFT = 499
"""Status of a request whose client has left: nobody reads it, but it is counted."""
_MAX_FIELD_LETTERS = 80
_KIND = re.compile(r"^(constrained|function|tagged|list|dict|tuple)[-\[]|^[A-Z]\w*$")
"""How pydantic names the branches of a union in the place of an error; no field of ours is called so."""


class ApiError(UserError, HTTPException):
    """A request is refused. The message is one sentence for whoever wrote the client."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Say why.

        Args:
            status: Of HTTP.
            code: What programs decide by, e.g. 'image_gone'; it never changes.
            message: One sentence: what was found, what was expected, what to do.
            headers: Of the answer.
        """
        told = mask_passwords(message)
        HTTPException.__init__(self, status, told, dict(headers or {}))
        self.status, self.code, self.message = status, code, told

    def __str__(self) -> str:
        return str(self.message)


def build_error_response(error: ApiError, scope: Scope) -> Response:
    """Return the answer to a request that is refused."""
    body = {"error": {"code": error.code, "message": error.message, "request_id": get_request_id(scope)}}
    return Response(json.dumps(body), error.status, error.headers, media_type="application/json")


def get_request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def to_api_error(error: Exception, request_id: str) -> ApiError:
    """Return what a client is told of an error. What it is not told goes to the log, under the request's number.

    What a `UserError` says is for whoever started the server: it may name a path.
    """
    match error:
        case ApiError():
            return error
        case FetchError():
            return ApiError(FETCH_STATUSES.get(error.code, 422), error.code, str(error))
        case OverloadedError():
            return ApiError(429, "busy", "the server is busy; try again in a moment", {"retry-after": "1"})
        case DeadlineError():
            return ApiError(504, "deadline", "the request waited too long and was given up; try again later")
        case RequestCancelledError() | ClientDisconnect():
            return ApiError(CLIENT_LEFT, "client_left", "the client left before the answer")
        case ConceptError():
            return ApiError(
                422,
                "other_weights",
                "the concept was made with other weights than this server has; describe the examples with those",
            )
        case CheckpointError():
            return ApiError(501, "not_supported", "the weights that this server has loaded cannot do that")
    if is_storage_failure(error):
        log.error("request %s failed: nothing can be written (%s)", request_id, error)
        return ApiError(
            507,
            "no_storage",
            "the server cannot write to its disk, so nothing of this is kept; its log says why; try again later",
            {"retry-after": "30"},
        )
    log.error("request %s failed", request_id, exc_info=error)
    if isinstance(error, UserError):
        return ApiError(503, "model_failed", "SAM 3 failed at this request; the server's log says why")
    return ApiError(500, "internal", "the server failed at this request; its log says why, under the request's id")


def is_storage_failure(error: Exception) -> bool:
    """Tell whether an error is that of a disk that is full, cannot be written, or is gone.

    >>> is_storage_failure(OSError(errno.ENOSPC, "No space left on device")), is_storage_failure(OSError("what?"))
    (True, False)
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL_DATABASE
    return isinstance(error, OSError) and error.errno in _FULL_DISK


def describe_validation_error(error: Mapping[str, Any]) -> str:
    """Say which field is wrong and what was expected, never what was found: it may be no JSON, or a secret.

    >>> describe_validation_error({"loc": ("body", "threshold"), "msg": "Input should be less than 1", "input": 2})
    'threshold: Input should be less than 1'
    >>> describe_validation_error({"loc": ("body", "phrase"), "msg": "Extra …", "type": "extra_forbidden"})
    'phrase: there is no such field; /docs lists those of each route'
    """
    message = str(error["msg"]).removeprefix("Value error, ")
    match (error.get("type"), error["loc"]):
        case ("json_invalid", (_, int(position))):
            return f"the body is no JSON: {error['ctx']['error']}, at letter {position + 1}"
        case ("missing", ("body",)):
            return "the body is empty; expected a JSON object"
        case ("model_attributes_type" | "model_type", ("body",)):
            return "the body must be a JSON object"
        case ("extra_forbidden", _):
            message = "there is no such field; /docs lists those of each route"
        case (_, ("body",)):
            return message
    # what pydantic calls the kinds of values that would do is no part of the body
    named = [part for part in error["loc"][1:] if not (isinstance(part, str) and _KIND.search(part))]
    place = [str(part) for part in named or error["loc"]]
    field = escape_unprintable(".".join(place))
    return f"{field[:_MAX_FIELD_LETTERS]}: {message}"


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of the routes and of the framework be answered in one shape."""

    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        # not the framework's own answer, which repeats the input: NaN in it would be no JSON
        first = error.errors()[0]
        refusal = ApiError(422, "invalid", describe_validation_error(first))
        if isinstance(first.get("input"), bytes):  # it was not even tried
            refusal = _build_framework_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return build_error_response(refusal, request.scope)

    async def answer_framework(request: Request, error: HTTPException) -> Response:
        refusal = _build_framework_error(HTTPStatus(error.status_code), error.headers)
        return build_error_response(refusal, request.scope)

    async def answer_error(request: Request, error: Exception) -> Response:
        return build_error_response(to_api_error(error, get_request_id(request.scope)), request.scope)

    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException.__mro__[1], answer_framework)
    for kind in (ApiError, UserError, ClientDisconnect):
        app.add_exception_handler(kind, answer_error)


def _build_framework_error(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> ApiError:
    return ApiError(status, status.name.lower(), _FRAMEWORK_MESSAGES.get(status, status.phrase.lower()), headers)


_FRAMEWORK_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "the body cannot be read: it is not what its content-type says, or it is cut off",
    HTTPStatus.NOT_FOUND: "there is no such route; /openapi.json lists all",
    HTTPStatus.METHOD_NOT_ALLOWED: "this route does not take this method; the header `allow` lists those it takes",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body must be JSON, with the header `content-type: application/json`",
}
