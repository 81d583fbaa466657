"""Tells each client when this server began to listen and when it accepted, in nanoseconds of CLOCK_MONOTONIC; echoes the rest."""

import os
import signal
import socket
import threading
import time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.create_server(("0.0.0.0", 8000), backlog=128)
listening = time.monotonic_ns()


def echo(conn):
    while piece := conn.recv(4096):
        conn.sendall(piece)
    conn.close()


while True:
    conn, _ = listener.accept()
    accepted = time.monotonic_ns()
    conn.sendall(f"{listening} {accepted}\n".encode())
    threading.Thread(target=echo, args=(conn,), daemon=True).start()
