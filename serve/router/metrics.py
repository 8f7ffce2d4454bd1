"""The numbers of all processes as one text: each with a label that says which process it is of."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from serve.router.workers import Fleet


def merge_metrics(texts: Mapping[int, str]) -> list[Metric]:
    r"""Return the metrics of several processes, each sample with the label `process`.

    Args:
        texts: What each process shows, by its number.

    >>> texts = {number: f"# TYPE a gauge\na {number}.0\n" for number in (0, 1)}
    >>> [metric] = merge_metrics(texts)
    >>> [(sample.labels, sample.value) for sample in metric.samples]
    [({'process': '0'}, 0.0), ({'process': '1'}, 1.0)]
    """
    merged: dict[str, Metric] = {}
    for number, text in texts.items():
        for found in text_string_to_metric_families(text):
            metric = merged.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                labels = {"process": str(number), **sample.labels}
                metric.add_sample(sample.name, labels, sample.value, sample.timestamp, sample.exemplar)
    return list(merged.values())


class _Merged(Collector):
    def __init__(self, texts: Mapping[int, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        return merge_metrics(self._texts)


def render_metrics(texts: Mapping[int, str], fleet: Fleet) -> bytes:
    """Return the numbers of processes, and how the processes are doing, in Prometheus' text format.

    Args:
        texts: What each process shows, by its number.
        fleet: The processes.
    """
    registry = CollectorRegistry()
    ready = Gauge("sam3_process_ready", "Whether the process can answer.", ["process"], registry=registry)
    restarts = Gauge("sam3_process_restarts", "How often it was started again.", ["process"], registry=registry)
    inflight = Gauge("sam3_process_inflight", "Requests that it works at.", ["process"], registry=registry)
    for worker in fleet.workers:
        number = str(worker.slot.number)
        ready.labels(number).set(worker.is_ready)
        restarts.labels(number).set(worker.restarts)
        inflight.labels(number).set(worker.inflight)
    registry.register(_Merged(texts))
    text: bytes = generate_latest(registry)
    return text
