"""Processes of Python that reach no other machine."""

NO_NETWORK = """
import socket

def closed(*arguments, **options):
    with open({attempts!r}, "a") as file:
        print(arguments, file=file)
    raise OSError("the network is closed")

class Socket(socket.socket):
    def connect(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            closed(address)
        return super().connect(address)

socket.socket = Socket
socket.getaddrinfo = socket.gethostbyname = closed
"""


def close_network(folder):
    """Have every Python with the folder on its path reach this machine alone.

    Returns
    -------
    Path
        The file in which attempts to reach others are listed; there is none before the first.
    """
    attempts = folder / "attempts"
    # Python imports a module of this name at its start: in papermill as in its kernels.
    (folder / "sitecustomize.py").write_text(NO_NETWORK.format(attempts=str(attempts)))
    return attempts
