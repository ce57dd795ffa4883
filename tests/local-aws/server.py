"""The local AWS's control plane: moto's server, with the overlay's corrections.

Started by `tests/src/local_aws/server.rs`, which holds the other end of standard input. The protocol between them:

* standard output carries one line of JSON, `{"port": N}`, once the server accepts connections;
* standard error carries the log: tracebacks of calls that moto does not implement;
* the end of standard input means that the parent has gone, however it went: this process ends too.
"""

import json
import logging
import os
import signal
import sys
import threading

from werkzeug.serving import make_server

import overlay
from overlay import control


def main() -> None:
    # Ctrl-C in a terminal reaches every process of the foreground group. The parent still needs this server to clean up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    # One line per request is noise; tracebacks come through Flask's own logger.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )

    overlay.apply()
    application = control.Application(DomainDispatcherApplication(create_backend_app))
    # Port 0: the kernel picks a free port and holds it, so nobody else can take it in between.
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(json.dumps({"port": server.port}), flush=True)
    server.serve_forever()


def exit_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
