"""A socket before the engine's that notes when the start call begins. Everything passes through unchanged."""

import os
import socket
import threading
import time


class Recorder:
    def __init__(self, path, engine):
        self.engine = engine
        self.start_calls = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self.engine)
        threading.Thread(target=pass_on, args=(engine, client), daemon=True).start()
        pass_on(client, engine, self.note)

    def note(self, piece):
        # A request's first line comes in one piece with its method.
        line = piece.split(b"\r\n", 1)[0]
        if line.startswith(b"POST ") and b"/start" in line:
            self.start_calls.append(time.monotonic_ns())


def pass_on(source, target, note=lambda piece: None):
    try:
        while piece := source.recv(1 << 16):
            note(piece)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
