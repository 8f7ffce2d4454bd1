"""The file of an upload: the body itself, a form with one file, or JSON with an address."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from serve.http.errors import ApiError
from serve.http.schemas import UrlUpload
from serve.http.services import Services

FILE_BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {"schema": UrlUpload.model_json_schema()},
        },
    }
}
"""What the OpenAPI document says of an upload."""


async def read_content(request: Request, services: Services) -> bytes:
    """Return the bytes of the file. Raises ApiError for a body that holds none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=8, max_fields=8) as form:
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(files) > 1:
                raise ApiError(422, "invalid", f"the form holds {len(files)} files; send each in a request of its own")
            content = await files[0].read() if files else b""
    else:
        content = await request.body()
    if not content:
        raise ApiError(422, "invalid", "the body holds no file; send the file itself, or a form with one file")
    if kind == "application/json":
        return await services.fetch_image(_read_url(content))
    return content


def _read_url(body: bytes) -> str:
    try:
        return UrlUpload.model_validate_json(body).url
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from error
