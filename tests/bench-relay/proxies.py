"""What is compared: rouse, its peers, and no proxy at all, each before the same two servers."""

import os
import socket
import subprocess

from machine import listens, status, wait_for

HERTZ = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 9500
FILES = 20000


class Proxy:
    """One proxy, as one process or several: `ports` maps each server's name to the port that leads to it."""

    def __init__(self, name, threads=1):
        self.name = name
        self.threads = threads
        self.file = name.replace(", ", "-").replace(" ", "-")
        self.ports = {}
        self.host = "127.0.0.1"
        self.processes = []

    def start(self, servers, folder):
        """Starts listening in front of `servers`, a map from names to addresses."""
        self.ports = {name: free_port() for name in servers}
        for command in self.commands(servers, folder):
            with open(f"{folder}/{self.file}.log", "a") as log:
                # SIGPIPE stays ignored, as under systemd (IgnoreSIGPIPE=): socket-proxyd would die of the first reset.
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, restore_signals=False))
        for port in self.ports.values():
            try:
                wait_for(lambda: listens(port), f"{self.name} listens", 10)
            except TimeoutError:
                with open(f"{folder}/{self.file}.log") as log:
                    raise RuntimeError(f"{self.name} does not listen: {log.read()}") from None

    def commands(self, servers, folder):
        """Each process's command line."""
        raise NotImplementedError

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        self.processes = []

    def address(self, server):
        """Where clients of that server connect to."""
        return self.host, self.ports[server]

    def pids(self):
        """Its processes and all their children."""
        found, parents = [], [process.pid for process in self.processes]
        while parents:
            pid = parents.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as children:
                    parents += map(int, children.read().split())
            except FileNotFoundError:
                pass
        return found

    def cpu(self):
        """Seconds of CPU used so far, those of children that have ended included."""
        ticks = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:15]))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return ticks / HERTZ

    def rss(self):
        """Resident bytes that are its own: pages of its program's file are shared."""
        return sum(status(pid, "RssAnon") * 1024 for pid in self.pids())

    def fds(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())


class Direct(Proxy):
    def start(self, servers, folder):
        self.servers = servers

    def address(self, server):
        return self.servers[server]


class Rouse(Proxy):
    """One helper per sidecar, as its units start it."""

    def __init__(self, name, binary, engine, containers):
        super().__init__(name)
        self.binary, self.engine, self.containers = binary, engine, containers

    def commands(self, servers, folder):
        for name, (_, port) in servers.items():
            config = f"{folder}/{self.file}-{name}.toml"
            with open(config, "w") as file:
                file.write(f'[helper]\nengine = "unix://{self.engine}"\n')
                file.write(f'[sidecar.{name}]\ncontainer = "{self.containers[name]}"\nport = {port}\n')
                file.write(f'idle_timeout = "1h"\nmax_connections = {CONNECTIONS}\n')
            state = f"{folder}/{self.file}-{name}"
            os.makedirs(state, exist_ok=True)
            yield ["systemd-socket-activate", f"--listen={self.host}:{self.ports[name]}", f"--fdname={name}",
                   f"--setenv=STATE_DIRECTORY={state}", self.binary, "run", "--config", config]


class SocketProxyd(Proxy):
    def commands(self, servers, folder):
        for name, (host, port) in servers.items():
            yield ["systemd-socket-activate", f"--listen={self.host}:{self.ports[name]}",
                   "/lib/systemd/systemd-socket-proxyd", f"--connections-max={CONNECTIONS}", f"{host}:{port}"]


class Socat(Proxy):
    def commands(self, servers, folder):
        for name, (host, port) in servers.items():
            yield ["socat", f"TCP-LISTEN:{self.ports[name]},bind={self.host},fork,reuseaddr,nodelay,backlog=4096",
                   f"TCP:{host}:{port},nodelay"]


class Haproxy(Proxy):
    def commands(self, servers, folder):
        config = f"{folder}/{self.file}.cfg"
        with open(config, "w") as file:
            file.write(f"global\n  nbthread {self.threads}\n  maxconn {CONNECTIONS}\n  maxpipes 256\n")
            file.write("defaults\n  mode tcp\n  option splice-auto\n  timeout connect 10s\n")
            file.write("  timeout client 1h\n  timeout server 1h\n")
            for name, (host, port) in servers.items():
                file.write(f"listen {name}\n  bind {self.host}:{self.ports[name]} backlog 4096\n")
                file.write(f"  server {name} {host}:{port}\n")
        yield ["haproxy", "-db", "-f", config]


class Nginx(Proxy):
    def commands(self, servers, folder):
        config = f"{folder}/{self.file}.conf"
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        with open(config, "w") as file:
            file.write(f"load_module {module};\ndaemon off;\nworker_processes {self.threads};\n")
            file.write(f"worker_rlimit_nofile {FILES};\npid {folder}/{self.file}.pid;\nerror_log stderr;\n")
            file.write(f"events {{ worker_connections {FILES - 500}; }}\n")
            file.write("stream {\n  tcp_nodelay on;\n  proxy_timeout 1h;\n")
            for name, (host, port) in servers.items():
                file.write(f"  server {{ listen {self.host}:{self.ports[name]} backlog=4096 reuseport; ")
                file.write(f"proxy_pass {host}:{port}; }}\n")
            file.write("}\n")
        yield ["nginx", "-e", "stderr", "-c", config]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
