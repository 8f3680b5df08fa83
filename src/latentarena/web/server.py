"""The HTTP server: granian, set up so that slow and oversized requests harm nobody.

Plain uvicorn waits for headers without end; granian (hyper) closes such connections and refuses huge headers with 431.
"""

from __future__ import annotations

from collections.abc import Callable

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from starlette.types import ASGIApp

HEADER_SECONDS = 6  # until the headers of a request must have arrived; also how long an idle connection is kept
HEADER_BYTES = 1 << 16


def serve_app(make_app: Callable[[], ASGIApp], host: str, port: int, on_stop: Callable[[], None] | None = None) -> None:
    """Serve until interrupted.

    Args:
        make_app: called in the serving process, which is started from this one; must be picklable.
        on_stop: called when the server was told to stop.
    """
    server = Granian(
        "latentarena",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=2048,
        backpressure=1024,
        http1_settings=HTTP1Settings(header_read_timeout=1000 * HEADER_SECONDS, max_buffer_size=HEADER_BYTES),
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    )
    if on_stop is not None:
        server.on_shutdown(on_stop)
    server.serve(target_loader=make_app, wrap_loader=False)
