"""Renders with Blender, and answers at once: the picture is fetched later.

GET /health             any time
POST /render?samples=N  202 with the name of the picture to be
GET /NAME               the picture, once it is whole
"""

import os
import secrets
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PICTURES = Path("/pictures")  # a volume


def render(name, samples):
    begun = time.monotonic()
    part = PICTURES / f"part-{name}"
    blender = ["blender", "--background", "--factory-startup", "--python", "/scene.py", "--", str(part), samples]
    subprocess.run(blender, check=True, stdout=subprocess.DEVNULL)
    # Only a whole picture ever has the name that is asked for.
    part.rename(PICTURES / name)
    print(f"{name}: rendered in {time.monotonic() - begun:.1f} s", flush=True)


class Worker(BaseHTTPRequestHandler):
    def do_GET(self):
        path = PICTURES / self.path.removeprefix("/")
        if self.path == "/health":
            self.answer(200, b"fine\n")
        elif path.parent == PICTURES and path.is_file():
            self.answer(200, path.read_bytes())
        else:
            self.answer(404, b"no such picture\n")

    def do_POST(self):
        asked = urlsplit(self.path)
        if asked.path != "/render":
            return self.answer(404, b"POST /render?samples=N\n")
        name = f"{secrets.token_hex(8)}.png"
        samples = str(int(parse_qs(asked.query)["samples"][0]))
        threading.Thread(target=render, args=(name, samples)).start()
        self.answer(202, f"{name}\n".encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    # As PID 1 it would not be ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ThreadingHTTPServer(("", 8810), Worker).serve_forever()
