"""The values of a process's metrics, and their exposition. Cheap to write to: a dictionary under a lock.

prometheus_client is loaded by the first scrape, not at start: it takes a tenth of a second.
"""

from __future__ import annotations

import bisect
import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.observability import metrics
from lakehouse.observability.metrics import Metric

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Distribution:
    """Counts by bucket and a sum. Each bound is the largest value of its bucket; the last bucket has none."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, count: int = 1) -> None:
        """``count`` observations of ``value``."""
        self.counts[bisect.bisect_left(self.bounds, value)] += count
        self.sum += value * count

    def cumulated(self) -> list[tuple[str, float]]:
        """Prometheus's buckets: (upper bound, observations up to it)."""
        names = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, itertools.accumulate(self.counts)), strict=True))


class Meter:
    """What one process counts. Safe to use from any thread.

    A metric without labels has no sample before its first value; a counter without labels begins at 0.
    """

    def __init__(self, process: str) -> None:
        self.process = process
        self._lock = threading.Lock()
        self._known = {metric.name: metric for metric in metrics.of(process)}
        self._values: dict[tuple[str, Labels], float] = {
            (metric.name, ()): 0.0 for metric in self._known.values() if metric.kind == "counter" and not metric.labels
        }
        self._spreads: dict[tuple[str, Labels], Distribution] = {}
        self._refreshers: list[Callable[[], None]] = []

    def add(self, counter: Metric, amount: float = 1, *labels: str) -> None:
        """Count ``amount`` more. ``labels`` in the order of the metric's own."""
        key = self._key(counter, labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """The value as it is now: a gauge's, or a total that is counted elsewhere. None: there is none (any more)."""
        key = self._key(metric, labels)
        with self._lock:
            if value is None or math.isnan(value):
                self._values.pop(key, None)
            else:
                self._values[key] = float(value)

    def observe(self, histogram: Metric, value: float, *labels: str, count: int = 1) -> None:
        """``count`` observations of ``value``."""
        spread = self.spread(histogram, *labels)
        with self._lock:
            spread.add(value, count)

    def spread(self, histogram: Metric, *labels: str) -> Distribution:
        """The histogram itself, for one that adds to it under a lock of its own."""
        key = self._key(histogram, labels)
        with self._lock:
            return self._spreads.setdefault(key, Distribution(histogram.bounds))

    def before_scrape(self, refresh: Callable[[], None]) -> None:
        """Call ``refresh`` before each exposition: for values that are cheap to read and change by themselves."""
        self._refreshers.append(refresh)

    def refresh(self) -> None:
        for refresh in list(self._refreshers):
            refresh()

    def value(self, metric: Metric, *labels: str) -> float | None:
        """The sample with these labels; None when there is none."""
        with self._lock:
            return self._values.get(self._key(metric, labels))

    def values(self, metric: Metric) -> dict[Labels, float]:
        """Every sample of a counter or gauge, by label values."""
        with self._lock:
            return {labels: value for (name, labels), value in self._values.items() if name == metric.name}

    def figures(self) -> dict[str, float]:
        """The few values that ``status`` shows; those without a sample are left out."""
        self.refresh()
        return {
            name: (sum if how == "sum" else max)(values)
            for name, (metric, how) in metrics.FIGURES.get(self.process, {}).items()
            if (values := list(self.values(metric).values()))
        }

    def _key(self, metric: Metric, labels: Labels) -> tuple[str, Labels]:
        if metric.name not in self._known:
            raise KeyError(f"{metric.name} is not a metric of {self.process}")
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} takes the labels {metric.labels}, not {labels}")
        return metric.name, labels

    # --- exposition --------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Any]:
        """prometheus_client's protocol for a collector."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        self.refresh()
        with self._lock:
            values, spreads = dict(self._values), {k: (s.cumulated(), s.sum) for k, s in self._spreads.items()}
        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
        for metric in self._known.values():
            family = kinds[metric.kind](metric.name, metric.help, labels=metric.labels)
            for (name, labels), value in values.items():
                if name == metric.name:
                    family.add_metric(labels, value)
            for (name, labels), (buckets, total) in spreads.items():
                if name == metric.name:
                    family.add_metric(labels, buckets=buckets, sum_value=total)
            yield family


def exposition(meter: Meter) -> tuple[bytes, str]:
    """The text of /metrics with its content type. The process's own CPU, memory and files come with it (Linux)."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

    registry = CollectorRegistry(auto_describe=False)
    collector: Collector = meter
    registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
