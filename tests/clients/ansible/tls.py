"""Ends TLS in front of a server that speaks HTTP in the clear: prints its own port, and passes on until killed.

Arguments: a certificate and the key to it, as files, and the server's host and port.
"""

import contextlib
import socket
import ssl
import sys
import threading

chain, key, server = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)


def copy(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def serve(client):
    host, port = server.rsplit(":", 1)
    with contextlib.suppress(OSError):
        with context.wrap_socket(client, server_side=True) as near:
            with socket.create_connection((host, int(port))) as far:
                back = threading.Thread(target=copy, args=(far, near), daemon=True)
                back.start()
                copy(near, far)
                back.join()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
