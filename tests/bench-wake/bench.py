"""What rouse adds to a container's start and to its thaw, and what the helper costs.

Per round, behind a new systemd-socket-activate:

    total  from the client's connect to its first byte
    floor  from the beginning of the engine's start call to the container's first accept
    added  total - floor
    slack  from the container's listen to its first accept: part of the floor, shown because a helper could hide in it

Then, per round, of a paused container:

    thaw   the engine's own unpause call, as rouse makes it
    byte   from a client's byte on a connection that was open already to the first byte of the answer
    new    from a new client's connect to its first byte
    added  byte - thaw
"""

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import tempfile
import time

from machine import listens, status, wait_for
from recorder import Recorder

TARGETS = {"added_median_ms": 15, "added_p95_ms": 40, "thaw_added_median_ms": 5, "ready_median_ms": 10, "rss_anon_mb": 2, "binary_mb": 5}
IMAGE = "rouse-test:bookworm"


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.container = f"rouse-bench-{os.getpid()}"
        self.recorder = Recorder(f"{folder}/engine.sock", options.engine)
        self.config = f"{folder}/rouse.toml"
        with open(self.config, "w") as file:
            file.write(f'[helper]\nengine = "unix://{folder}/engine.sock"\n')
            # Paused in the thaw rounds alone: a start and its answer are well within it.
            file.write(f'[sidecar.web]\ncontainer = "{self.container}"\nport = 8000\npause_after = "1s"\nbusy_cpu = 0\n')

    def docker(self, *words):
        command = ["docker", "--host", f"unix://{self.options.engine}", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def create(self):
        server = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
        label = f"rouse-test={os.environ.get('ROUSE_TEST_RUN', 'by-hand')}"
        self.docker("create", "--name", self.container, "--label", label, "--volume", f"{server}:/server.py:ro", IMAGE,
                    "python3", "/server.py")

    def remove(self):
        self.docker("rm", "--force", self.container)

    def activate(self):
        """A socket that starts the helper, and its port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {"STATE_DIRECTORY": self.folder, "PATH": os.environ["PATH"]}
        command = ["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", "--fdname=web",
                   f"--setenv=STATE_DIRECTORY={self.folder}", self.options.binary, "run", "--config", self.config]
        helper = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_for(lambda: listens(port), "systemd-socket-activate listens")
        return helper, port

    def round(self):
        helper, port = self.activate()
        try:
            begun = time.monotonic_ns()
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(60)
                answer = client.recv(1)
                ended = time.monotonic_ns()
                answer += client.makefile("rb").readline()
            listening, accepted = map(int, answer.split())
            time.sleep(0.3)  # what the helper does after an answer belongs to no round, and its memory settles
            rss_anon = status(helper.pid, "RssAnon")
        finally:
            helper.terminate()
            helper.wait()
        self.docker("stop", self.container)
        total, floor = ended - begun, accepted - self.recorder.start_calls[-1]
        figures = {"total": total, "floor": floor, "added": total - floor, "slack": accepted - listening}
        return {name: value / 1e6 for name, value in figures.items()}, rss_anon / 1024

    def ask_engine(self, method, verb):
        """One call by the way that the helper's take; its answer's body."""
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(f"{self.folder}/engine.sock")
            request = f"{method} /containers/{self.container}/{verb} HTTP/1.0\r\nHost: engine\r\nContent-Length: 0\r\n\r\n"
            engine.sendall(request.encode())
            answer = engine.makefile("rb").read()
        assert answer.split()[1].startswith(b"2"), answer
        return answer.split(b"\r\n\r\n", 1)[1]

    def wait_for_pause(self):
        wait_for(lambda: json.loads(self.ask_engine("GET", "json"))["State"]["Paused"], "a pause")
        time.sleep(0.1)  # the helper has heard of it and rests

    def thaws(self, count):
        helper, port = self.activate()
        address = ("127.0.0.1", port)
        rounds = []
        try:
            with socket.create_connection(address) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.makefile("rb", buffering=0).readline()
                for _ in range(count):
                    self.wait_for_pause()
                    thaw = timed(lambda: self.ask_engine("POST", "unpause"))
                    ask(client)  # until it was used, an unpause by hand stands
                    self.wait_for_pause()
                    byte = timed(lambda: ask(client))
                    self.wait_for_pause()
                    new = timed(lambda: first_byte(address))
                    rounds.append({"thaw": thaw, "byte": byte, "new": new, "added": byte - thaw})
        finally:
            helper.terminate()
            helper.wait()
        return rounds

    def ready(self):
        """From just before the helper's exec to its READY=1, with nothing else to do."""
        path = f"{self.folder}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, socket.create_server(("127.0.0.1", 0)) as listener:
            notify.bind(path)
            notify.settimeout(10)
            environment = {
                "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "LISTEN_FDS_FIRST_FD": str(listener.fileno()),
                "NOTIFY_SOCKET": path, "STATE_DIRECTORY": self.folder,
            }
            begun = time.monotonic_ns()
            helper = subprocess.Popen([self.options.binary, "run", "--config", self.config], env=environment,
                                      pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
            while b"READY=1" not in notify.recv(4096):
                pass
            took = time.monotonic_ns() - begun
            helper.terminate()
            helper.wait()
        os.unlink(path)
        return took / 1e6


def timed(act):
    begun = time.monotonic_ns()
    act()
    return (time.monotonic_ns() - begun) / 1e6


def ask(client):
    client.sendall(b"x")
    assert client.recv(1)


def first_byte(address):
    with socket.create_connection(address) as client:
        return client.recv(1)


def p95(values):
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def table(rounds):
    """Prints the rounds; gives their medians and 95th percentiles."""
    print(f"{'round':>8}" + "".join(f"{name:>10}" for name in rounds[0]) + "   ms")
    rows = [(str(number), row) for number, row in enumerate(rounds, 1)]
    for name, of in ("median", statistics.median), ("p95", p95):
        rows.append((name, {key: of([row[key] for row in rounds]) for key in rounds[0]}))
    for name, row in rows:
        print(f"{name:>8}" + "".join(f"{value:10.1f}" for value in row.values()))
    print()
    return rows[-2][1], rows[-1][1]


def report(rounds, thaws, ready, rss_anon, binary):
    median, high = table(rounds)
    thaw_median, _ = table(thaws)
    figures = {
        "added_median_ms": median["added"], "added_p95_ms": high["added"], "thaw_added_median_ms": thaw_median["added"],
        "ready_median_ms": statistics.median(ready), "rss_anon_mb": rss_anon, "binary_mb": binary,
    }
    for name, value in figures.items():
        verdict = "PASS" if value <= TARGETS[name] else "FAIL"
        print(f"{verdict}  {name:20} {value:8.2f}   (at most {TARGETS[name]})")
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True, help="the engine's socket")
    parser.add_argument("--binary", required=True, help="the release binary")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", help="writes all figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rouse-bench-") as folder:
        bench = Bench(options, folder)
        bench.create()
        try:
            bench.round()  # the first start of a container reads its image from the disk
            rounds, rss_anons = zip(*[bench.round() for _ in range(options.rounds)])
            thaws = bench.thaws(options.rounds)
            ready = [bench.ready() for _ in range(20)]
        finally:
            bench.remove()
    figures = report(rounds, thaws, ready, max(rss_anons), os.path.getsize(options.binary) / 1e6)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"rounds": rounds, "thaws": thaws, "ready_ms": ready, "figures": figures, "targets": TARGETS}, file, indent=1)
    raise SystemExit(any(value > TARGETS[name] for name, value in figures.items()))


main()
