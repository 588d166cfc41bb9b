"""Two network namespaces joined by veth pairs. The names begin with plait and are always removed."""
import json
import os
import subprocess
from pathlib import Path


def ip(*args):
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, "ip %s: %s" % (" ".join(map(str, args)), done.stderr)
    return done.stdout


class Namespaces:
    """
    client                                     server
      link i: 10.91.i.2/24 on plait-i  ======  10.91.i.1/24 on plait-i
                                               10.99.0.1 on lo, reached over every link

    Every link has a default route in the client, link i with metric 100 + i.
    """

    SERVER = "10.99.0.1"

    def __init__(self, links):
        stem = "plait-%d" % os.getpid()
        self.client, self.server, self.count = stem + "-c", stem + "-s", links
        self.made = []
        try:
            for name in (self.client, self.server):
                ip("netns", "add", name)
                self.made.append(name)
                self.sysctl(name, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
                            "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                            "net.ipv4.conf.all.arp_ignore=1")  # the server's own address is not on the links
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.server, "address", "add", self.SERVER + "/32", "dev", "lo")
            for i in range(1, links + 1):
                self.join(i)
        except BaseException:
            self.remove()
            raise

    @staticmethod
    def sysctl(ns, *settings):
        subprocess.run(["ip", "netns", "exec", ns, "sysctl", "-q", "-w", *settings], check=True)

    @staticmethod
    def link(i):
        return "plait-%d" % i

    @staticmethod
    def address(i):
        return "10.91.%d.2" % i

    def join(self, i):
        name = self.link(i)
        ip("-n", self.client, "link", "add", name, "type", "veth", "peer", "name", name, "netns", self.server)
        self.sysctl(self.client, "net.ipv4.neigh.%s.retrans_time_ms=50" % name)  # who is not there is missed soon
        for ns, last in ((self.client, 2), (self.server, 1)):
            ip("-n", ns, "address", "add", "10.91.%d.%d/24" % (i, last), "dev", name)
            ip("-n", ns, "link", "set", name, "up")
        self.add_route(i)

    def add_route(self, i):
        way = ["via", "10.91.%d.1" % i, "dev", self.link(i), "metric", 100 + i]
        ip("-n", self.client, "route", "add", "default", *way)

    def shape(self, i, rate):
        """Limit what the server sends over a link, e.g. 20mbit."""
        bucket = ["tbf", "rate", rate, "burst", "20kb", "latency", "100ms"]
        command = ["tc", "-n", self.server, "qdisc", "replace", "dev", self.link(i), "root", *bucket]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def mute(self, i):
        """What the server sends over a link is lost from now on, and nobody is told."""
        ip("-n", self.server, "neigh", "replace", self.address(i), "lladdr", "02:00:00:00:00:99", "dev", self.link(i),
           "nud", "permanent")

    def down(self, i):
        ip("-n", self.client, "link", "set", self.link(i), "down")

    def up(self, i):
        """Routes go with a link; they come back as a network manager would bring them."""
        ip("-n", self.client, "link", "set", self.link(i), "up")
        self.add_route(i)

    def received(self, i):
        """Bytes that the client's end of a link has taken in."""
        return self.counters(i)["rx"]["bytes"]

    def sent_packets(self, i):
        return self.counters(i)["tx"]["packets"]

    def counters(self, i):
        return json.loads(ip("-n", self.client, "-j", "-s", "link", "show", self.link(i)))[0]["stats64"]

    def remove(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.made = []


def remove_stale():
    """Namespaces that a killed test run has left."""
    for name in os.listdir("/run/netns") if Path("/run/netns").is_dir() else ():
        parts = name.split("-")
        if len(parts) == 3 and parts[0] == "plait" and parts[1].isdigit() and not Path("/proc/" + parts[1]).exists():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
