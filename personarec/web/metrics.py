"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from personarec.web.answers import origin
from personarec.web.served import Served

MEDIA_TYPE = CONTENT_TYPE_LATEST
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "personarec_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "personarec_request_seconds",
            "From a request's first line to the end of its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._errors = Counter(
            "personarec_errors",
            "Requests that ended in a server's error (5xx).",
            ("route",),
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "personarec_requests_in_progress", "Requests not answered yet.", registry=self.registry
        )
        self._model = Gauge(
            "personarec_model",
            "1 for the model that answers.",
            ("dataset", "run", "personas"),
            registry=self.registry,
        )
        self._loads = Counter(
            "personarec_model_loads",
            "Models loaded, the first included.",
            ("outcome",),
            registry=self.registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is its pattern, so that there are few."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 500:
            self._errors.labels(route).inc()

    def model(self, served: Served) -> None:
        """Another model answers."""
        labels = {name: str(value or "") for name, value in origin(served).items()}
        self._model.clear()
        self._model.labels(**labels).set(1)
        self._loads.labels("loaded").inc()

    def load_failed(self) -> None:
        """A newer model could not be loaded."""
        self._loads.labels("failed").inc()

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
