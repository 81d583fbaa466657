"""The relay beside its peers: one nginx and one iperf3 in containers, and every proxy in front of them in turn.

All loads run in rounds, A B C B A C …, so that a slow moment of the machine meets all alike.
"""

import argparse
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time

import chart
import loads
import report
from machine import wait_for
from proxies import FILES, Direct, Haproxy, Nginx, Rouse, SocketProxyd, Socat

HERE = os.path.dirname(os.path.abspath(__file__))


class Servers:
    """The containers behind every proxy."""

    def __init__(self, engine, image):
        self.engine = engine
        self.containers = {name: f"rouse-bench-{name}-{os.getpid()}" for name in ("web", "stream")}
        self.create("web", image, "sh", "-c", "head -c 1048576 /dev/zero > /tmp/large && exec nginx -c /nginx.conf")
        self.create("stream", image, "iperf3", "--server")
        self.ips = {name: self.ip(name) for name in self.containers}
        for address in self.addresses(0).values():
            wait_for(lambda: answers(address), f"{address} answers")

    def addresses(self, number):
        """Each proxy has a port of its own there, or the closed connections of one would leave none for the next."""
        return {"web": (self.ips["web"], 80 + number), "stream": (self.ips["stream"], 5201)}

    def docker(self, *words):
        command = ["docker", "--host", f"unix://{self.engine}", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def create(self, name, image, *command):
        label = f"rouse-test={os.environ.get('ROUSE_TEST_RUN', 'by-hand')}"
        self.docker("run", "--detach", "--name", self.containers[name], "--label", label, "--ulimit", f"nofile={FILES}",
                    "--volume", f"{HERE}/nginx.conf:/nginx.conf:ro", image, *command)

    def ip(self, name):
        return self.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.containers[name])

    def remove(self):
        self.docker("rm", "--force", *self.containers.values())


def answers(address):
    try:
        socket.create_connection(address, timeout=1).close()
        return True
    except OSError:
        return False


def contestants(options, servers):
    yield Direct("direct")
    yield Rouse("rouse", options.binary, options.engine, servers.containers)
    if options.other:
        yield Rouse("other", options.other, options.engine, servers.containers)
    yield SocketProxyd("socket-proxyd")
    yield Haproxy("haproxy")
    yield Nginx("nginx")
    yield Socat("socat")
    yield Haproxy("haproxy, 2 threads", threads=2)
    yield Nginx("nginx, 2 workers", threads=2)


def in_rounds(count, chosen, proxies, seconds):
    """For each load and proxy the figures of all rounds."""
    seen = {name: {proxy.name: [] for proxy in proxies} for name in chosen}
    for number in range(count):
        for name, load in chosen.items():
            # In any order: each leaves the next one warm or cold caches and buffers that have grown.
            for proxy in random.sample(proxies, len(proxies)):
                tell(f"round {number + 1} of {count}: {name}, {proxy.name}")
                seen[name][proxy.name].append(load(proxy, seconds))
    tell("")
    return seen


def tell(progress):
    if sys.stderr.isatty():
        print(f"\r{progress:78}", end="", file=sys.stderr)


def measure(options, proxies):
    chosen = {name: load for name, (_, _, load) in loads.ROUNDS.items() if name in options.only}
    figures = {"rounds": in_rounds(options.rounds, chosen, proxies, options.seconds)}
    single = [proxy for proxy in proxies if proxy.threads == 1]
    if "latency" in options.only:
        figures["latency"] = loads.latencies(single, options.samples)
    # socat makes a process for each connection, socket-proxyd needs six descriptors for each.
    many = [proxy for proxy in single if proxy.name not in ("direct", "socat", "socket-proxyd")]
    if "idle" in options.only:
        figures["idle"] = {proxy.name: loads.idle(proxy, options.seconds) for proxy in many}
    if "fairness" in options.only:
        # With socat the kernel shares out the time among its processes.
        shared = [proxy for proxy in single if proxy.name != "socat"]
        rounds = (options.rounds + 1) // 2
        figures |= in_rounds(rounds, {"fairness": loads.fairness}, shared, options.seconds)
    return figures


def main():
    everything = [*loads.ROUNDS, "latency", "idle", "fairness"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True, help="the engine's socket")
    parser.add_argument("--binary", required=True, help="the release binary")
    parser.add_argument("--other", help="another build of it, to compare")
    parser.add_argument("--image", default="rouse-test:bookworm", help="the servers' image")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="of each load in each round")
    parser.add_argument("--samples", type=int, default=2000, help="of latency")
    parser.add_argument("--only", action="append", help=f"some of: {', '.join(everything)}")
    parser.add_argument("--proxies", help="some of them, between commas")
    parser.add_argument("--json", help="writes all figures there")
    parser.add_argument("--svg", help="writes a chart there")
    options = parser.parse_args()
    options.only = options.only or everything
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rouse-bench-") as folder:
        servers = Servers(options.engine, options.image)
        proxies = [proxy for proxy in contestants(options, servers)
                   if not options.proxies or proxy.name in options.proxies.split(",")]
        try:
            for number, proxy in enumerate(proxies):
                proxy.start(servers.addresses(number), folder)
            for proxy in proxies:
                loads.warm_up(proxy)
            figures = measure(options, proxies)
        except Exception:
            # What they have said goes with their folder.
            subprocess.run(f"tail -n 5 {folder}/*.log >&2", shell=True)
            for proxy in proxies:
                print(proxy.name, proxy.ports, [process.poll() for process in proxy.processes], file=sys.stderr)
            raise
        finally:
            for proxy in proxies:
                proxy.stop()
            servers.remove()
    held = report.table(figures)
    print(f"\n{time.monotonic() - begun:.0f} seconds")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)
    if options.svg:
        with open(options.svg, "w") as file:
            file.write(chart.svg(figures))
    raise SystemExit(not held)


main()
