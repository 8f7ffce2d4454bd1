"""What a monitoring system reads: numbers, whose labels never hold what a client has sent."""

from collections.abc import Callable
from threading import Thread

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from agent.core.usage import Usage
from sam3_tool import BatchReport

REQUEST_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
QUEUE_SECONDS = (0.001, 0.01, 0.1, 1, 10, 60)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        """Begin to count."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("sam3_requests_total", "Answered requests.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "sam3_request_seconds", "Time to answer.", ["route"], buckets=REQUEST_SECONDS, registry=registry
        )
        self.queue_seconds = Histogram(
            "sam3_queue_seconds", "Time before work began.", buckets=QUEUE_SECONDS, registry=registry
        )
        self._batch_size = Histogram(
            "sam3_batch_size", "Prompts that SAM 3 answered together.", buckets=BATCH_SIZES, registry=registry
        )
        self._images = Counter(
            "sam3_images_total", "Images of batches: encoded, or found encoded.", ["source"], registry=registry
        )
        self._model_seconds = Counter("sam3_model_seconds_total", "Seconds that SAM 3 ran.", registry=registry)
        self._failed = Counter("sam3_failed_batches_total", "Batches that SAM 3 failed at.", registry=registry)
        self._prompts_waiting = Gauge("sam3_prompts_waiting", "Prompts that wait for a batch.", registry=registry)
        self._cache_bytes = Gauge("sam3_cache_bytes", "Bytes of the embeddings that are kept.", registry=registry)
        self._tokens = Counter("sam3_planner_tokens_total", "Tokens of planners.", ["kind"], registry=registry)
        self._cost = Counter(
            "sam3_planner_cost_total", "Cost of planners, in the currency of --price.", registry=registry
        )

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: Its pattern, e.g. '/v1/images/{key}'.
            status: Of the answer.
            seconds: From its head to the end of the answer.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def observe_batch(self, report: BatchReport) -> None:
        """Count a batch: `Sam3` calls this."""
        self._batch_size.observe(report.size)
        self._images.labels("encoded").inc(report.encodes)
        self._images.labels("found").inc(report.images - report.encodes)
        self._model_seconds.inc(report.seconds)
        self._failed.inc(report.failed)
        self._prompts_waiting.set(report.waiting)
        self._cache_bytes.set(report.cache_bytes)

    def observe_usage(self, usage: Usage, cost: float) -> None:
        """Count what the planner of an episode has used.

        Args:
            usage: Of the episode.
            cost: In the currency of its price.
        """
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)
        self._cost.inc(cost)

    def watch_number(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read whenever somebody asks for all of them.

        Args:
            name: Of the number.
            text: What it is.
            read: Returns it.
        """
        Gauge(name, text, registry=self.registry).set_function(read)

    def render_text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)

    def serve_alone(self, port: int) -> tuple[object, Thread]:
        """Show the numbers to everybody on this machine, at a port of their own.

        Raises:
            OSError: The port is taken. The message is one sentence.
        """
        try:
            return start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            why = error.strerror or error
            raise OSError(f"cannot show metrics at port {port}: {why}; choose another --metrics-port") from error
