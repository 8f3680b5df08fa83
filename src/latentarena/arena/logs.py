"""One line of JSON per request on stderr: no query strings, no headers, no bodies, so no secrets."""

from __future__ import annotations

import json
import logging
import sys
import time

LOGGER = logging.getLogger("latentarena.web")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)), "level": record.levelname}
        line |= {"event": record.getMessage(), **getattr(record, "facts", {})}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json() -> None:
    """Send this package's log to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    root = logging.getLogger("latentarena")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
