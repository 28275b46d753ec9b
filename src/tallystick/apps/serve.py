"""One process of an HTTP service, on sockets its supervisor opened: `python -m tallystick.apps.serve APP FD[,FD…]`."""

import socket
import sys

import uvicorn

DRAIN_SECONDS = 10


def main(application: str, descriptors: str) -> None:
    """Serves `module:factory` until SIGTERM, then finishes the requests under way."""
    sockets = [socket.socket(fileno=int(number)) for number in descriptors.split(",")]
    config = uvicorn.Config(
        application,
        factory=True,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=30,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(3)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
