"""Requests to a hosted SAM 3: sent again when that may help, within one deadline."""

import json
import logging
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import Any, Self
from weakref import finalize

import httpx2

from sam3_tool.backends.hosted.answers import AnswerText, HostedAnswerError, read_answer
from sam3_tool.backends.hosted.endpoint import HostedEndpoint
from sam3_tool.backends.hosted.faults import RequestError, classify_error, classify_status, decode_json
from sam3_tool.backends.hosted.settings import HostedSettings
from sam3_tool.costs import CallCost
from sam3_tool.errors import CheckpointError
from sam3_tool.network.http_clients import make_tls_context
from sam3_tool.network.http_environment import describe_http_fault
from sam3_tool.network.retries import RequestSlots, compute_retry_delay
from sam3_tool.system.waiting import CallClock, OutOfTimeError, Patience, wait_for_result

MOST_ANSWER_BYTES = 64 * 2**20
"""Of an answer; a mask of 1536 x 1024 pixels has a few kilobytes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class HostedClient:
    """Asks one server. Threads may share it."""

    http: httpx2.Client = field(repr=False)
    endpoint: HostedEndpoint
    settings: HostedSettings
    slots: RequestSlots = field(repr=False)

    @classmethod
    def connect(cls, endpoint: HostedEndpoint, settings: HostedSettings) -> Self:
        """Make a client. Nothing is sent yet.

        Raises:
            CheckpointError: The environment keeps HTTP clients from working.
        """
        if fault := describe_http_fault(encrypted=endpoint.address.startswith("https:")):
            raise CheckpointError(fault)
        try:
            httpx2.URL(endpoint.address)
            http = httpx2.Client(verify=make_tls_context(), headers=endpoint.headers, follow_redirects=False)
        except Exception as error:  # whatever the HTTP library makes of variables that are not known here
            raise CheckpointError(f"no HTTP client can be made ({type(error).__name__}: {error})") from error
        client = cls(http, endpoint, settings, RequestSlots(settings.workers))
        finalize(client, http.close)
        return client

    def ask(self, body: dict[str, Any], stopped: Event) -> tuple[AnswerText, CallCost]:
        """Ask one question, again where that may help.

        Args:
            body: Of the request.
            stopped: Once it is set, nobody waits any more.

        Returns:
            The text of the answer, and what it cost.

        Raises:
            CheckpointError: There is no answer in time, or none at all. The message holds no key.
            StoppedError: Nobody waits any more.
        """
        content, began = json.dumps(body).encode(), monotonic()
        clock = CallClock(began + self.settings.timeout, stopped=stopped)
        for tries in range(1, self.settings.retries + 2):
            try:
                answer = self._send_when_allowed(content, clock)
            except RequestError as fault:
                delay = max(compute_retry_delay(self.settings.first_delay, tries - 1), fault.wait)
                if fault.retry == "never" or tries > self.settings.retries or delay >= clock.seconds_left:
                    raise CheckpointError(self._format_sentence(fault, tries)) from None
                log.info("%s: trying again", self.endpoint.hide_key(f"{self.endpoint.address} {fault.description}"))
                clock.sleep(delay)
                continue
            cost = CallCost(tries, answer.input_tokens, answer.output_tokens, monotonic() - began)
            log.debug("%s answered in %.1f s: %d letters", self.settings.model, cost.seconds, len(answer.text))
            return answer, cost
        raise AssertionError("the last round returns or raises")

    def describe_answer_fault(self, error: HostedAnswerError) -> str:
        """Say in one line what is wrong with an answer."""
        return self._format_sentence(RequestError(str(error), "never"), 1)

    def _send_when_allowed(self, content: bytes, clock: CallClock) -> AnswerText:
        """Send a request when a slot is free and no pause is left, and pass on a pause that the server names."""
        try:
            with self.slots.wait_for_slot(clock):
                try:
                    patience = Patience(max(0.001, clock.seconds_left), clock)
                    return wait_for_result(lambda: read_answer(decode_json(self._send(content, patience))), patience)
                except RequestError as fault:
                    # the pause must hold before the slot is free for the next request
                    self.slots.update_pause(fault.wait if fault.wait < clock.seconds_left else 0.0)
                    raise
        except (OutOfTimeError, httpx2.TimeoutException):
            seconds = f"{self.settings.timeout:g} seconds"
            raise RequestError(
                f"did not answer within {seconds}", "never", advice="SAM_TIMEOUT=300 waits longer"
            ) from None
        except httpx2.HTTPError as error:
            raise classify_error(error) from None
        except HostedAnswerError as error:
            raise RequestError(str(error), "never") from None

    def _send(self, content: bytes, patience: Patience) -> str:
        """Return the text of an answer with status 200.

        Raises RequestError for any other status, and what the HTTP library raises.
        """
        # a connection that is kept may have been closed at the other end meanwhile: the library opens another one
        with self.http.stream(
            "POST",
            f"{self.endpoint.address}/responses",
            content=content,
            headers={"content-type": "application/json", "accept": "application/json"},
            timeout=max(0.001, patience.seconds_left),
        ) as response:
            text = _read_text(response, patience)
            if response.status_code != 200:
                raise classify_status(response, text, self.settings.model)
            return text

    def _format_sentence(self, fault: RequestError, tries: int) -> str:
        in_tries = f", in {tries} tries" if tries > 1 else ""
        wait = f" and asks to wait {fault.wait:.0f} seconds" if fault.wait else ""
        advice = f"; {fault.advice}" if fault.advice else ""
        sentence = f"the hosted SAM 3 at {self.endpoint.address} {fault.description}{wait}{in_tries}{advice}"
        return self.endpoint.hide_key(" ".join(sentence.split()))


def _read_text(response: httpx2.Response, patience: Patience) -> str:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_ANSWER_BYTES:
            raise RequestError(f"answered with more than {MOST_ANSWER_BYTES >> 20} MiB", "never")
        if patience.is_over:
            raise OutOfTimeError
    return b"".join(parts).decode("utf-8", "replace")
