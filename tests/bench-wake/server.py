"""Tells each client when this server began to listen and when it accepted, in nanoseconds of CLOCK_MONOTONIC."""

import os
import signal
import socket
import time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.create_server(("0.0.0.0", 8000), backlog=128)
listening = time.monotonic_ns()
while True:
    conn, _ = listener.accept()
    accepted = time.monotonic_ns()
    conn.sendall(f"{listening} {accepted}\n".encode())
    conn.close()
