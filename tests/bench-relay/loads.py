"""What is measured: each load drives one proxy for a while and gives back its figures."""

import json
import os
import random
import socket
import statistics
import subprocess
import time

from machine import wait_for

SMALL = b"GET /small HTTP/1.1\r\nHost: bench\r\n\r\n"
IDLE = 9000


def run(command, seconds):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def wrk(proxy, path, connections, seconds, *options):
    host, port = proxy.address("web")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk.lua")
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=10s",
               f"--script={script}", *options, f"http://{host}:{port}{path}"]
    seen = json.loads(run(command, seconds).splitlines()[-1])
    if seen["errors"]:
        raise RuntimeError(f"{proxy.name}: {seen['errors']} errors of {seen['requests']} requests")
    return seen


def requests(proxy, seconds, connections, *options):
    before = proxy.cpu()
    seen = wrk(proxy, "/small", connections, seconds, *options)
    return {"value": seen["requests"] / seen["us"] * 1e3, "cpu": (proxy.cpu() - before) / seen["requests"] * 1e5,
            "p99_us": seen["p99_us"]}


def keep_alive(proxy, seconds):
    return requests(proxy, seconds, 64)


def connection_per_request(proxy, seconds):
    return requests(proxy, seconds, 32, "--header=Connection: close")


def large_responses(proxy, seconds):
    before = proxy.cpu()
    seen = wrk(proxy, "/large", 8, seconds)
    return {"value": seen["bytes"] / seen["us"] / 1e3, "cpu": (proxy.cpu() - before) / seen["bytes"] * 1e9}


def stream(proxy, seconds, *options):
    host, port = proxy.address("stream")
    before = proxy.cpu()
    seen = json.loads(run(["iperf3", f"--client={host}", f"--port={port}", f"--time={seconds}", "--json", *options], seconds))
    received = seen["end"]["sum_received"]
    return {"value": received["bits_per_second"] / 1e9, "cpu": (proxy.cpu() - before) / received["bytes"] * 1e9}


def stream_up(proxy, seconds):
    return stream(proxy, seconds)


def stream_down(proxy, seconds):
    return stream(proxy, seconds, "--reverse")


# Loads of their own rounds: name, what the value is, and how it is got.
ROUNDS = {
    "stream up": ("Gb/s", "GB", stream_up),
    "stream down": ("Gb/s", "GB", stream_down),
    "64 keep-alive": ("k requests/s", "100 k requests", keep_alive),
    "a connection per request": ("k requests/s", "100 k requests", connection_per_request),
    "1 MiB responses": ("GB/s", "GB", large_responses),
}


def latencies(proxies, samples):
    """Microseconds of a request over one connection, asked of all in any order with an interval between."""
    clients = {}
    for proxy in proxies:
        clients[proxy.name] = client = socket.create_connection(proxy.address("web"))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = {name: [] for name in clients}
    for sample in range(samples + 100):
        # Whoever comes after the same one each time finds the same processor warm, which moves it by a third.
        for name, client in random.sample(list(clients.items()), len(clients)):
            time.sleep(0.001)
            begun = time.perf_counter_ns()
            client.send(SMALL)
            client.recv(4096)
            if sample >= 100:
                taken[name].append((time.perf_counter_ns() - begun) / 1e3)
    for client in clients.values():
        client.close()
    return {name: {"p50_us": statistics.median(values), "p99_us": statistics.quantiles(values, n=100)[98]}
            for name, values in taken.items()}


def idle(proxy, seconds):
    """What open connections cost that do nothing, and what they cost those that do."""
    alone = keep_alive(proxy, seconds)["value"]
    settle(proxy)
    rss, fds = proxy.rss(), proxy.fds()
    clients = []
    try:
        for _ in range(IDLE):
            clients.append(socket.create_connection(proxy.address("web")))
        wait_for(lambda: proxy.fds() - fds >= 2 * IDLE, f"{proxy.name} has {IDLE} connections")
        time.sleep(0.5)  # what connecting has cost belongs to no idle second
        figures = {"rss": (proxy.rss() - rss) / IDLE, "fds": (proxy.fds() - fds) / IDLE}
        before = proxy.cpu()
        time.sleep(seconds)
        figures["cpu"] = (proxy.cpu() - before) / seconds
        figures["beside"] = keep_alive(proxy, seconds)["value"] / alone
        # All of them still work.
        for client in clients[::100]:
            client.settimeout(10)
            client.sendall(SMALL)
            assert client.recv(4096).startswith(b"HTTP/1.1 200"), f"{proxy.name}: an idle connection is dead"
    finally:
        for client in clients:
            client.close()
    settle(proxy)
    return figures


def settle(proxy):
    """Waits until it has closed the connections of the load before."""
    last = None
    while last != (last := proxy.fds()):
        time.sleep(0.2)


def fairness(proxy, seconds):
    """The slow ones of 64 small requests without and with a bulk stream beside."""
    alone = keep_alive(proxy, seconds)["p99_us"]
    # Through the same sidecar: each has a helper of its own.
    host, port = proxy.address("web")
    bulk = subprocess.Popen(["wrk", "--threads=1", "--connections=1", f"--duration={seconds + 1}s",
                             f"http://{host}:{port}/large"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)  # wrk begins
        beside = keep_alive(proxy, seconds)["p99_us"]
    finally:
        bulk.wait(timeout=30)
    return {"alone_p99_us": alone, "beside_p99_us": beside, "ratio": beside / alone}


def warm_up(proxy):
    """The first connection to each server is made: those that are started by one are up after it."""
    with socket.create_connection(proxy.address("web"), timeout=30) as client:
        client.sendall(SMALL)
        assert client.recv(4096).startswith(b"HTTP/1.1 200"), proxy.name
    stream(proxy, 1)
