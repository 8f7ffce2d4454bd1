"""The OpenAPI document against a real server: whatever it allows is answered as it says, and never by a defect.

`make test-api` asks a thousand times and more; `API_CASES` says how often each operation is asked.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sam3_tool import Sam3
from serve.http.app import create_app
from serve.http.settings import ServeSettings
from tests.support.serving import serve_in_thread

CASES = int(os.environ.get("API_CASES", "1"))


@pytest.fixture(scope="module")
def address(sam3: Sam3) -> Iterator[str]:
    with serve_in_thread(create_app(ServeSettings(drain_seconds=0), sam3)) as address:
        yield address


def test_every_operation_does_what_the_document_says(address: str) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 30
    failed = {operation.label: list_failures(operation) for operation in operations}
    assert {label: failures for label, failures in failed.items() if failures} == {}


def list_failures(operation: Any) -> list[str]:
    """What requests to one operation were answered with, where that is not as the document says."""

    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=CASES < 10,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        # what fits the document may still be no image, or no image that is kept
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    try:
        ask()
    except (AssertionError, BaseExceptionGroup) as error:
        return [f"{type(error).__name__}: {error}", *map(str, getattr(error, "exceptions", ()))]
    return []
