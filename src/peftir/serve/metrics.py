"""What the server counts, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServerMetrics:
    """Answers and their seconds by chain, and errors by HTTP status; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()
        self._errors: Counter[int] = Counter()

    def answered(self, chain: str, seconds: float) -> None:
        """Count an answer; a chain is one that the study has, so that there are not ever more of them."""
        with self._lock:
            self._buckets[chain][bisect_left(BUCKETS, seconds)] += 1
            self._seconds[chain] += seconds  # type: ignore[assignment]

    def failed(self, status: int) -> None:
        """Count a request that was answered with an error."""
        with self._lock:
            self._errors[status] += 1

    def text(self) -> str:
        """All metrics, as Prometheus reads them."""
        with self._lock:
            return "".join(f"{line}\n" for line in [*self._requests(), *self._failures(), *self._latencies()])

    def _requests(self) -> list[str]:
        name = "peftir_requests_total"
        counts = [f'{name}{{chain="{chain}"}} {sum(by.values())}' for chain, by in self._buckets.items()]
        return [f"# HELP {name} Queries answered.", f"# TYPE {name} counter", *counts]

    def _failures(self) -> list[str]:
        name = "peftir_errors_total"
        counts = [f'{name}{{status="{status}"}} {count}' for status, count in sorted(self._errors.items())]
        return [f"# HELP {name} Requests answered with an error.", f"# TYPE {name} counter", *counts]

    def _latencies(self) -> list[str]:
        name = "peftir_request_seconds"
        lines = [f"# HELP {name} Seconds from a query to its ranking.", f"# TYPE {name} histogram"]
        for chain, counts in self._buckets.items():
            below = 0
            for place, bound in enumerate((*BUCKETS, "+Inf")):
                below += counts[place]
                lines.append(f'{name}_bucket{{chain="{chain}",le="{bound}"}} {below}')
            lines.append(f'{name}_sum{{chain="{chain}"}} {self._seconds[chain]:.6f}')
            lines.append(f'{name}_count{{chain="{chain}"}} {below}')
        return lines
