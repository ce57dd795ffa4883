"""The side door through which the test harness asks and tells what AWS has no API for.

Only the harness's proxy knows this server's port, and it does not pass these paths on, so nothing under test can use it.
"""

import json
import traceback
from typing import Any, Callable, Iterable

from . import images, instance_refresh, snapshots

PREFIX = "/local-aws/"


class Application:
    """A WSGI application: our own paths here, everything else is moto's.

    Where moto (or the overlay) raises an exception, the header `x-local-aws-failure` of the HTTP 500 says which.
    """

    def __init__(self, moto: Callable[..., Iterable[bytes]]):
        self._moto = moto

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._forward(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = json.loads(environ["wsgi.input"].read(length) or b"{}")
        handler = HANDLERS.get((environ["REQUEST_METHOD"], path.removeprefix(PREFIX)))
        status, reply = ("404 Not Found", None) if handler is None else ("200 OK", handler(**request))
        body = json.dumps(reply).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _forward(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return self._moto(environ, start_response)
        except Exception as failure:  # whatever it is, the harness must hear of it
            traceback.print_exc()
            what = repr(failure).encode("ascii", "replace").decode().replace("\n", " ")
            start_response("500 Internal Server Error", [("x-local-aws-failure", what), ("Content-Length", "0")])
            return []


HANDLERS = {
    ("POST", "image-cooldown-over"): images.end_cooldown,
    ("POST", "image-dates"): images.set_dates,
    ("POST", "image-launched"): images.set_launched,
    ("POST", "image-state"): images.set_state,
    ("POST", "snapshot"): snapshots.look_up,
    ("POST", "snapshot-outcome"): snapshots.set_outcome,
    ("POST", "refresh-outcome"): instance_refresh.set_outcome,
    ("POST", "group-refresh-outcome"): instance_refresh.set_group_outcome,
    ("POST", "parameter"): images.put_parameter,
}
