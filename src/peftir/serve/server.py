"""``peftir serve``: the web application on a port of this machine."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import uvicorn

from peftir.serve.app import create_app
from peftir.serve.engine import Engine
from peftir.serve.page import chains_of, default_selection
from peftir.study.params import Params
from peftir.system.errors import PeftirError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE = 4  # seconds that requests have to be answered in when the server is to end


def serve(root: Path, params: Params, host: str, port: int) -> None:
    """Serve the study in ``root`` until Ctrl-C or SIGTERM; requests that run are then answered.

    The models of the page's first columns are loaded meanwhile: BM25 answers before they are.

    Args:
        host: the address to listen at; at another than the loopback's, others on the network can search.
        port: 0 takes one that is free.

    Raises:
        PeftirError: the address cannot be listened at, or an artefact of the study is missing.
    """
    with _listening(host, port) as listener:
        engine = Engine(root, params)
        chains = chains_of(default_selection(params, engine.chains), engine.chains)
        Thread(target=engine.load_models, args=[chains], name="loading", daemon=True).start()
        name = f"[{host}]" if ":" in host else host
        print(f"http://{name}:{listener.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        config = uvicorn.Config(
            create_app(engine, LOOPBACK if host in LOOPBACK else ["*"]),
            log_level="warning",
            access_log=False,  # it would have the queries
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    # A search that was given up, after GRACE, may still run in a thread that Python would wait for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PeftirError(
            f"--host {host} --port {port}: cannot listen there ({reason}); expected an address of this "
            "machine and a port that is free"
        ) from error
