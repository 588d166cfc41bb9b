"""A node and a hub in a lab, for tests and benchmarks.

    node ═══ l1, l2, … ═══ hub ─── out ─── beyond
         10.1.i.2      10.1.i.1   10.9.0.1  10.9.0.2
         fd01:i::2    fd01:i::1   fd09::1    fd09::2
"""

import base64
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading
import time

from plaitlab import plait

NETWORK = "10.77.0.0/16, fd77::/64"
HUB4, NODE4 = "10.77.0.1", "10.77.15.1"
HUB6, NODE6 = "fd77::1", "fd77::15"
BEYOND4, BEYOND6 = "10.9.0.2", "fd09::2"


def topology(links, extra=""):
    """`links`: each the words of a link, or "veth"."""
    lines = ["host node", "host hub", "host beyond",
             "veth out hub 10.9.0.1/24,fd09::1/64 beyond 10.9.0.2/24,fd09::2/64"]
    for i, words in enumerate(links, 1):
        kind, words = ("veth", "") if words == "veth" else ("link", words)
        lines.append(f"{kind} l{i} node 10.1.{i}.2/24,fd01:{i}::2/64 hub 10.1.{i}.1/24,fd01:{i}::1/64 {words} default")
    return "\n".join(lines + [extra]) + "\n"


class TunnelError(Exception):
    pass


def wait_for(condition, what, timeout=15.0, every=0.02):
    """The condition's first true value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise TunnelError(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(every)
    return value


def pour(connection):
    """Sends for as long as the other end takes it."""
    try:
        while True:
            connection.sendall(bytes(1 << 16))
    except OSError:
        connection.close()


class Process:
    """A plait in a host of the lab; its standard error goes to a file."""

    def __init__(self, lab, host, argv, log):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as err:
            self.start = err.tell()
            self.process = lab.popen(host, argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)

    pid = property(lambda self: self.process.pid)

    @property
    def said(self):
        """What this one has said, not those before it."""
        return self.log.read_bytes()[self.start:].decode(errors="replace")

    def running(self):
        return self.process.poll() is None

    def wait_said(self, words, timeout=15.0):
        def check():
            if words in self.said:
                return True
            if not self.running():
                raise TunnelError(f"ended before it said «{words}»: {self.said}")
            return False
        wait_for(check, f"«{words}»; it said: {self.said}", timeout)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, timeout=10.0):
        """SIGTERM; the exit status."""
        if self.running():
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise TunnelError(f"did not end: {self.said}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()


class Commands:
    """The commands of the program `exe`."""

    def command(self, *argv):
        return self.told(*argv)[0]

    def told(self, *argv):
        """What a command says: on standard output, and on standard error."""
        done = subprocess.run([self.exe, *map(str, argv)], capture_output=True, text=True, timeout=10, check=False)
        if done.returncode:
            raise TunnelError(f"plait {' '.join(map(str, argv))}: {done.stderr}")
        return done.stdout, done.stderr


class Tunnel(Commands):
    """Writes the configurations into `folder`, with keys as `plait hub add` and `plait node join` make them."""

    def __init__(self, lab, links, folder, exe=None, family=4):
        self.lab, self.count, self.folder, self.family = lab, links, pathlib.Path(folder), family
        self.exe = exe or plait()
        self.hub = self.node = None
        secret = self.folder / "hub.key"
        secret.touch(0o600)
        secret.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
        self.write_hub(nodes="")
        self.keys = self.join("farm", self.folder / "join")
        self.write_hub()
        self.write_node()

    def join(self, name, folder):
        """What the new node's block and node.conf say: public key, hub-key, key (file)."""
        said, token = self.told("hub", "add", name, "-c", self.folder / "hub.conf", "--hub", "10.1.1.1:4040")
        token = re.search(r"plait1\.\S+", token)[0]
        self.command("node", "join", token, "--folder", folder)
        conf = (pathlib.Path(folder) / "node.conf").read_text()
        values = dict(re.findall(r"^([a-z-]+) = (.*)$", conf, re.M))
        return {"public": re.search(r"^key = (.*)$", said, re.M)[1], **values}

    # configurations

    def block(self, name="farm", more="lan = 15", addresses=f"{NODE4}, {NODE6}", public=None):
        return f'[node "{name}"]\nkey = {public or self.keys["public"]}\naddress = {addresses}\n{more}\n'

    def write_hub(self, more="", nodes=None, listen="*:4040"):
        (self.folder / "hub.conf").write_text(
            f"[hub]\nlisten = {listen}\nkey = {self.folder}/hub.key\nnetwork = {NETWORK}\ninterface = plait0\n"
            f"control = {self.folder}/hub.sock\n{more}\n{self.block() if nodes is None else nodes}")

    def hub_at(self, i):
        return f"[fd01:{i}::1]:4040" if self.family == 6 else f"10.1.{i}.1:4040"

    def uplink(self, i, more=""):
        return f'[uplink "l{i}"]\ninterface = l{i}\nhub = {self.hub_at(i)}\n{more}\n'

    def write_node(self, more="", uplinks=None, route="none"):
        if uplinks is None:
            uplinks = [self.uplink(i) for i in range(1, self.count + 1)]
        (self.folder / "node.conf").write_text(
            f"[node]\nname = farm\nkey = {self.keys['key']}\nhub = {self.hub_at(1)}\nhub-key = {self.keys['hub-key']}\n"
            f"interface = plait0\nroute = {route}\nstate = {self.folder}/node.state\n"
            f"control = {self.folder}/node.sock\n{more}\n" + "\n".join(uplinks))

    # running

    def start_hub(self):
        self.hub = Process(self.lab, "hub", [self.exe, "hub", "-c", self.folder / "hub.conf"], self.folder / "hub.log")
        self.hub.wait_said(" up: ")
        return self.hub

    def start_node(self, wait=True):
        self.node = Process(self.lab, "node", [self.exe, "node", "-c", self.folder / "node.conf"],
                            self.folder / "node.log")
        if wait:
            self.node.wait_said("logged on: ")
        return self.node

    def start(self):
        self.start_hub()
        self.start_node()
        self.wait_up(self.count)
        return self

    def stop(self):
        """Both, and returns their exit statuses."""
        return [p.end() if p else None for p in (self.node, self.hub)]

    def status(self, who="node"):
        return json.loads(self.command("status", "--json", "--control", self.folder / f"{who}.sock"))[0]

    def up(self, who="node"):
        """The numbers of the paths that are up."""
        status = self.status(who)
        if who == "hub":
            status = status["nodes"][0] if status["nodes"] else {"paths": []}
        return {p["path"] for p in status["paths"] if p["state"] == "up"}

    def wait_up(self, count, timeout=15.0):
        for who in ("node", "hub"):
            wait_for(lambda who=who: len(self.up(who)) == count, f"{count} paths to be up at the {who}", timeout, 0.05)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Pinger(threading.Thread):
    """Pings; `rtt_ms` has the round trips by number."""

    def __init__(self, lab, host, address, count=3, every=0.02, timeout=2.0):
        super().__init__(daemon=True)
        self.v6 = ":" in address
        family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if self.v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
        self.socket = lab.socket(host, family, socket.SOCK_RAW, protocol)
        self.address, self.count, self.every, self.timeout = address, count, every, timeout
        self.id = struct.unpack(">H", os.urandom(2))[0]
        self.sent, self.rtt_ms = {}, {}
        self.over = threading.Event()

    def send(self, i):
        head = struct.pack(">BBHHH", 128 if self.v6 else 8, 0, 0, self.id, i)
        data = head + bytes(56)
        if not self.v6:
            data = head[:2] + struct.pack(">H", checksum(data)) + head[4:] + bytes(56)
        self.sent[i] = time.monotonic()
        try:
            self.socket.sendto(data, (self.address, 0))
        except OSError:
            pass  # no route just now: one that gets no answer

    def take(self):
        try:
            data = self.socket.recv(2048)
        except TimeoutError:
            return
        if not self.v6:
            data = data[(data[0] & 15) * 4:]
        kind, _, _, ident, i = struct.unpack(">BBHHH", data[:8])
        if kind == (129 if self.v6 else 0) and ident == self.id and i in self.sent:
            self.rtt_ms.setdefault(i, (time.monotonic() - self.sent[i]) * 1000)

    def run(self):
        start = time.monotonic()
        for i in range(self.count):
            self.send(i)
            while (left := start + (i + 1) * self.every - time.monotonic()) > 0 and not self.over.is_set():
                self.socket.settimeout(left)
                self.take()
            if self.over.is_set():
                break
        end = time.monotonic() + self.timeout
        while len(self.rtt_ms) < len(self.sent) and (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            self.take()
        self.socket.close()


def ping(lab, host, address, count=3, every=0.02, timeout=2.0):
    """The round trips in ms of those that were answered, in order."""
    p = Pinger(lab, host, address, count, every, timeout)
    p.start()
    p.join()
    return [p.rtt_ms[i] for i in sorted(p.rtt_ms)]
