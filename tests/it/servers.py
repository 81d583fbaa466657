"""The servers that run in the test containers: one program, and the client's first words say what it does.

A connection carries lines, each a command and answered by a line, until one side ends it:

    echo TEXT     TEXT
    who           "ID N ADDRESS": which start of this container answers, its how manieth connection this is, where
    ends          how each earlier connection ended: "1:clean 2:reset"
    silent S      works for S seconds without a byte, then "done"
    burn S        "burning", then works for S seconds on one core, whoever stays or leaves, and logs "rests"
    until-eof     reads to the end of the stream, then "LENGTH SHA256", then closes
    source N      N bytes and their SHA-256 in hex, then closes
    sink          throws away all that comes, as fast as the kernel can
    half          "half" and an end of its own stream at once, then reads to the other end
    half-reset    "half" and an end of its own stream at once, then a reset at the next byte
    await-reset   reads to the end of the stream, then waits for a reset without a byte
    urgent        "before", one urgent byte, "after"
    eat MIB       takes so much memory, and "full" once it has it
    close, reset  ends the connection cleanly, with a reset
    crash         ends the server at once, with status 7
    GET /ready    200 once --ready-after seconds have passed, 503 before; GET /status/N answers N, 204 without a body

With --announce-after it logs "open for business" so many seconds after its start.
"""

import argparse
import hashlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

STARTED = time.monotonic()
IDENTITY = os.urandom(6).hex()
RESET = struct.pack("ii", 1, 0)


def say(text):
    print(text, flush=True)


class Server:
    def __init__(self, options):
        self.options = options
        self.accepted = 0
        self.ends = []

    def run(self):
        listener = self.listen()
        say("listening")
        while True:
            conn, _ = listener.accept()
            self.accepted += 1
            threading.Thread(target=self.serve, args=(conn, self.accepted), daemon=True).start()

    def listen(self):
        if self.options.unix:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if os.path.exists(self.options.unix):
                os.unlink(self.options.unix)
            listener.bind(self.options.unix)
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", self.options.port))
        listener.listen(4096)
        return listener

    def serve(self, conn, number):
        try:
            if self.options.greet:
                conn.sendall(b"hello\n")
            self.answer_lines(conn, number)
            end = "clean"
        except (ConnectionResetError, BrokenPipeError):
            end = "reset"
        except OSError as error:
            end = f"error-{error.errno}"
        conn.close()
        self.ends.append(f"{number}:{end}")
        say(f"connection {number} ended: {end}")

    def answer_lines(self, conn, number):
        buffer = b""
        while True:
            while b"\n" not in buffer:
                piece = conn.recv(65536)
                if not piece:
                    return
                buffer += piece
            line, buffer = buffer.split(b"\n", 1)
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            if word == "echo":
                conn.sendall(rest.encode() + b"\n")
            elif word == "who":
                where = conn.getsockname()
                conn.sendall(f"{IDENTITY} {number} {where if isinstance(where, str) else where[0]}\n".encode())
            elif word == "ends":
                conn.sendall(" ".join(self.ends).encode() + b"\n")
            elif word == "silent":
                time.sleep(float(rest))
                conn.sendall(b"done\n")
            elif word == "burn":
                threading.Thread(target=burn, args=(float(rest),), daemon=True).start()
                conn.sendall(b"burning\n")
            elif word == "until-eof":
                return read_to_end(conn, buffer)
            elif word == "source":
                return send_bytes(conn, int(rest))
            elif word == "half":
                conn.sendall(b"half\n")
                conn.shutdown(socket.SHUT_WR)
                length = len(buffer) + sum(len(piece) for piece in pieces(conn))
                return say(f"half-closed connection {number} received {length} bytes")
            elif word == "half-reset":
                conn.sendall(b"half\n")
                conn.shutdown(socket.SHUT_WR)
                conn.recv(65536)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return None
            elif word == "await-reset":
                return await_reset(conn, number)
            elif word == "sink":
                return throw_away(conn)
            elif word == "urgent":
                conn.sendall(b"before\n")
                conn.send(b"!", socket.MSG_OOB)
                conn.sendall(b"after\n")
            elif word == "eat":
                self.eaten = os.urandom(1 << 20) * int(rest)
                conn.sendall(b"full\n")
            elif word == "close":
                return None
            elif word == "crash":
                os._exit(7)
            elif word == "reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return None
            elif word == "GET":
                return self.answer_http(conn, buffer, rest.split(" ")[0])
            else:
                conn.sendall(f"what is {word!r}?\n".encode())

    def answer_http(self, conn, buffer, path):
        while b"\r\n\r\n" not in b"\r\n" + buffer:
            piece = conn.recv(65536)
            if not piece:
                return
            buffer += piece
        status = 200
        if path.startswith("/status/"):
            status = int(path.removeprefix("/status/"))
        elif path == "/ready" and time.monotonic() - STARTED < self.options.ready_after:
            status = 503
        say(f"GET {path} -> {status}")
        body = "" if status == 204 else f"{status} {IDENTITY}\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"HTTP/1.1 {status} Text\r\n{length}Connection: close\r\n\r\n"
        conn.sendall((head + body).encode())


def pieces(conn):
    while piece := conn.recv(1 << 18):
        yield piece


def throw_away(conn):
    buffer = bytearray(1 << 20)
    while conn.recv_into(buffer, 0, socket.MSG_TRUNC):
        pass


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    say("rests")


def await_reset(conn, number):
    for _ in pieces(conn):
        pass
    say(f"connection {number} is half-closed")
    poller = select.poll()
    poller.register(conn, 0)  # errors are told unasked, and no read would tell them any more
    poller.poll()
    raise BrokenPipeError


def read_to_end(conn, buffer):
    digest = hashlib.sha256(buffer)
    length = len(buffer)
    for piece in pieces(conn):
        digest.update(piece)
        length += len(piece)
    conn.sendall(f"{length} {digest.hexdigest()}\n".encode())


def send_bytes(conn, length):
    block = bytearray(os.urandom(1 << 20))
    digest = hashlib.sha256()
    sent = 0
    while sent < length:
        block[:8] = struct.pack(">Q", sent)  # no two blocks are alike, so none can be lost or doubled unseen
        piece = memoryview(block)[: min(len(block), length - sent)]
        digest.update(piece)
        conn.sendall(piece)
        sent += len(piece)
    conn.sendall(digest.hexdigest().encode())


def end_slowly(seconds):
    say(f"asked to end, which takes {seconds} s")

    def end():
        time.sleep(seconds)
        os._exit(0)

    threading.Thread(target=end).start()


def announce(options):
    time.sleep(options.announce_after)
    print("open for business", file=getattr(sys, options.announce_on), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--unix")
    parser.add_argument("--listen-after", type=float, default=0)
    parser.add_argument("--ready-after", type=float, default=0)
    parser.add_argument("--announce-after", type=float)
    parser.add_argument("--announce-on", choices=["stdout", "stderr"], default="stdout")
    parser.add_argument("--die-after", type=float)
    parser.add_argument("--term-takes", type=float, default=0)
    parser.add_argument("--greet", action="store_true")
    options = parser.parse_args()
    if options.term_takes:
        signal.signal(signal.SIGTERM, lambda *_: end_slowly(options.term_takes))
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    say(f"start {IDENTITY}")
    if options.die_after is not None:
        time.sleep(options.die_after)
        say("cannot open the model file")
        sys.exit(3)
    if options.announce_after is not None:
        threading.Thread(target=announce, args=(options,), daemon=True).start()
    time.sleep(options.listen_after)
    Server(options).run()


main()
