"""What DVC takes for a shell: hands the command to ``peftir repro`` and ends with the command's exit code.

It imports nothing but what Python itself brings, since it starts once a stage.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Hand over and wait."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who waits for this
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["PEFTIR_COMMANDS"])
        request = {"command": sys.argv[-1], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = connection.makefile("rb").readline()
    sys.exit(int(answer) if answer else 1)


if __name__ == "__main__":
    main()
