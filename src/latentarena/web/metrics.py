"""Metrics for Prometheus: requests by route and status, how long they took, and submissions by state."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Meters:
    """The counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("method", "route", "status")
        self._requests = Counter("arena_requests", "Requests answered.", names, registry=self.registry)
        self._seconds = Histogram(
            "arena_request_seconds", "Seconds until answered.", ("route",), buckets=BUCKETS, registry=self.registry
        )
        self._submissions = Gauge("arena_submissions", "Submissions by state.", ("state",), registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the pattern, so there are few of them."""
        known = method if method in ("GET", "HEAD", "POST") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, submissions: dict[str, int]) -> bytes:
        """The exposition format, with the number of submissions by state as of now."""
        for state, count in submissions.items():
            self._submissions.labels(state).set(count)
        return generate_latest(self.registry)
