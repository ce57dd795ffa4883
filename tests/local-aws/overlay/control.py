"""The side door through which the test harness asks and tells what AWS has no API for.

Only the harness's proxy knows this server's port, and it does not pass these paths on, so nothing under test can use it.
"""

import json
from typing import Any, Callable, Iterable

from . import snapshots

PREFIX = "/local-aws/"


class Application:
    """A WSGI application: our own paths here, everything else is moto's."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]):
        self._moto = moto

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._moto(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = json.loads(environ["wsgi.input"].read(length) or b"{}")
        handler = HANDLERS.get((environ["REQUEST_METHOD"], path.removeprefix(PREFIX)))
        status, reply = ("404 Not Found", None) if handler is None else ("200 OK", handler(**request))
        body = json.dumps(reply).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


HANDLERS = {
    ("POST", "snapshot"): snapshots.look_up,
    ("POST", "snapshot-outcome"): snapshots.set_outcome,
}
