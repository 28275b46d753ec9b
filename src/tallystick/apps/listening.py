"""The sockets of the HTTP service, opened before anything starts: a port in use is one sentence, not a crash in a child."""

import errno
import socket
from collections.abc import Callable, Sequence

from tallystick.kernel.errors import Unavailable


class PortTaken(Unavailable):
    """Another program listens there already."""

    code = "port_taken"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        raise PortTaken(_sentence(host, port, error)) from None
    return opened


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program; stop it, or set TALLYSTICK_SUBSCRIPTION_PORT to a free one"
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has; set TALLYSTICK_SUBSCRIPTION_PORT to one above 1023"
    return f"Cannot listen on {host} port {port} ({error.strerror}); see TALLYSTICK_HOST and TALLYSTICK_SUBSCRIPTION_PORT"


def listen_on_all(
    host: str, port: int, extra: Sequence[int], notice: Callable[[str], None]
) -> list[socket.socket]:
    """The main port, which must be free, and those extra ones that are. The caller closes them."""
    opened = [listen(host, port)]
    for number in extra:
        if number == opened[0].getsockname()[1]:
            continue
        try:
            opened.append(listen(host, number))
        except PortTaken:
            notice(f"Port {number} is taken; going on without it (TALLYSTICK_EXTRA_PORTS chooses)")
    return opened


def url(opened: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = opened.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"
