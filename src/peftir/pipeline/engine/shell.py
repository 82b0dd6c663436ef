"""The program that DVC runs as a shell: send the command to ``peftir repro`` and exit with its exit code.

It imports only the standard library, since it starts once for each stage.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Send the command and wait for its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by peftir repro
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["PEFTIR_COMMANDS"])
        request = {"command": sys.argv[-1], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = connection.makefile("rb").readline()
    sys.exit(int(answer) if answer else 1)


if __name__ == "__main__":
    main()
