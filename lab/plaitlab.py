"""Labs for tests and benchmarks: a thin Python face of plait-lab.

    with Lab(topology_text) as lab:
        sock = lab.socket("client", socket.AF_INET, socket.SOCK_DGRAM)
        lab.mark()
        lab.run("client", ["curl", "http://10.1.1.1/"])
        print(lab.stats().link("dsl")["down"]["out_bytes"])

A lab ends with the `with` block, or with the process that made it, however that process ends. Needs root.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import socket
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def built(name, variable):
    """A program of the build: where $`variable` says, or else in build/."""
    return os.environ.get(variable, str(ROOT / "build" / name))


def binary():
    return built("lab/plait-lab", "PLAIT_LAB_BIN")


def plait():
    return built("plait", "PLAIT")


class LabError(Exception):
    pass


class Stats(dict):
    """The account of a lab, as plait-lab gives it."""

    def link(self, name):
        return next(link for link in self["links"] if link["name"] == name)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Lab:
    def __init__(self, topology, binary_path=None):
        self.binary = binary_path or binary()
        done = subprocess.run(
            [self.binary, "up", "--owner", str(os.getpid()), "-"],
            input=topology, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise LabError(done.stderr)
        self.environment = dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.M))
        self.id = self.environment["PLAIT_LAB"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def ask(self, request):
        """One request to the running lab, as the command line makes them, but without a process."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            s.connect(self.environment["PLAIT_LAB_CONTROL"])
            s.send(request.encode())
            reply = s.recv(1 << 18).decode()
            if not reply.startswith("ok\n"):
                raise LabError(reply)
            if request == "down":
                s.recv(1)  # the end of the connection: all is cleared away
            return reply[3:]

    def mark(self):
        """The schedule begins anew, now, with the links as they were written (or `set`)."""
        self.ask("mark")

    def set(self, link, words):
        self.ask(f"set {link} {words}")

    def stats(self):
        return Stats(json.loads(self.ask("stats")))

    def down(self):
        """Ends the lab; returns its last account."""
        return Stats(json.loads(self.ask("down")))

    def netns(self, host):
        return self.environment[f"PLAIT_NS_{host}"]

    @contextlib.contextmanager
    def inside(self, host):
        """This thread is in the host's namespace: sockets made here stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.netns(host)}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(there)
            os.close(home)

    def socket(self, host, *args):
        with self.inside(host):
            return socket.socket(*args)

    def command(self, host, argv):
        """The argument vector that runs `argv` in the host (with the same process id)."""
        return [self.binary, "in", "-l", self.id, host, "--", *map(str, argv)]

    def popen(self, host, argv, **options):
        return subprocess.Popen(self.command(host, argv), **options)

    def run(self, host, argv, **options):
        options.setdefault("check", True)
        return subprocess.run(self.command(host, argv), **options)
