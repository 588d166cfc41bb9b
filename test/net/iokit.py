"""Runs io_kit and tunnel_io (the I/O of tunnels), in namespaces that a test lays as it needs them."""
import json
import os
import select
import subprocess
from pathlib import Path

from netns import ip
from support import namespaced

REPOSITORY = Path(__file__).resolve().parents[2]
IO_KIT = os.environ.get("PLAIT_IO_KIT", str(REPOSITORY / "build/test/net/io_kit"))
TUNNEL_IO = os.environ.get("PLAIT_TUNNEL_IO", str(REPOSITORY / "build/test/net/tunnel_io"))


class Program:
    """A program that tells JSON lines until its standard input ends."""

    def __init__(self, command, ns=None):
        self.process = subprocess.Popen(namespaced(ns, [str(c) for c in command]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.rest = b""

    def line(self, timeout=5.0):
        """The next line; None where none comes."""
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return None
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def until(self, holds, what, timeout=5.0):
        """The first line for which it holds."""
        while (line := self.line(timeout)) is not None:
            if holds(line):
                return line
        raise AssertionError("no line tells: %s" % what)

    def end(self):
        """Lets it end; the lines that it had still to tell."""
        self.process.stdin.close()
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        assert self.process.wait(timeout=10) == 0
        return lines

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


class Net:
    """Namespaces and veth pairs, one step after the other; all of it goes with the test."""

    def __init__(self):
        self.made, self.programs = [], []

    def add(self, letter, *settings):
        name = "plait-%d-%s" % (os.getpid(), letter)
        ip("netns", "add", name)
        self.made.append(name)
        ip("-n", name, "link", "set", "lo", "up")
        # Addresses are there at once.
        for setting in ("net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.dad_transmits=0", *settings):
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-q", "-w", setting], check=True)
        return name

    @staticmethod
    def join(a, a_name, a_addresses, b, b_name, b_addresses, mtu=1500):
        ip("-n", a, "link", "add", a_name, "mtu", mtu, "type", "veth", "peer", "name", b_name, "mtu", mtu, "netns", b)
        for ns, name, addresses in ((a, a_name, a_addresses), (b, b_name, b_addresses)):
            for address in addresses.split():
                ip("-n", ns, "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        for ns, name in ((a, a_name), (b, b_name)):
            ip("-n", ns, "link", "set", name, "up")

    def kit(self, *args, ns=None):
        return self.start([IO_KIT, *args], ns)

    def start(self, command, ns=None):
        self.programs.append(Program(command, ns))
        return self.programs[-1]

    def remove(self):
        for program in self.programs:
            program.kill()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def kit(*args, ns=None, timeout=10):
    """Runs a command that ends by itself; its lines and its status."""
    command = namespaced(ns, [IO_KIT, *map(str, args)])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode
