"""Who may be on a LAN, and with what: several uplinks a terminal, instances a machine, communities, providers, LANs with the
same addresses, and what has no plait at all.

             guest ─┐               ┌═ w1, x1, y1 ═┐
    t1 (twice), t1b ┼─ lan 10.0.1.0 ┤              ├═ hub ── beyond
             t2, t3 ┘               ├═ w2 (IPv6) ══┤
            s1, s2 ── far 10.0.1.0 ─┴═ v1 ═════════┘
"""
import hashlib
import os
import random
import re
import socket
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
from plaitcommunity import Town  # noqa: E402  (found through the line above)
from plaitlab import Lab  # noqa: E402
from plaittunnel import BEYOND4, BEYOND6, ping, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

LINK = "rate 10mbit rtt 10ms queue 100ms"
PLACE = f"""
host hub
host beyond
host t1
host t2
host t3
host guest
host s1
host s2
lan lan t1 10.0.1.1/24 t2 10.0.1.2/24 t3 10.0.1.3/24,fd00:1::3/64 guest 10.0.1.9/24,fd00:1::9/64
lan far s1 10.0.1.1/24 s2 10.0.1.2/24
link w1 t1 10.1.1.2/24 hub 10.1.1.1/24 {LINK}
link x1 t1 10.1.2.2/24 hub 10.1.2.1/24 {LINK}
link y1 t1 10.1.3.2/24 hub 10.1.3.1/24 {LINK}
link w2 t2 fd01:4::2/64 hub fd01:4::1/64 {LINK}
link v1 s1 10.1.5.2/24 hub 10.1.5.1/24 {LINK}
veth out hub 10.9.0.1/24,fd09::1/64 beyond 10.9.0.2/24,fd09::2/64
addr beyond 10.9.1.1/32
route hub 10.9.1.0/24 via 10.9.0.2
"""


@pytest.fixture
def town(exe, place):
    lab = Lab(PLACE)
    t = None
    try:
        t = Town(lab, place, exe)
        yield t
        problems = [f"ended with {status}" for status in t.stop() if status]
        problems += [line for line in t.said().splitlines() if "ERROR: " in line or "runtime error" in line]
        assert not problems, "\n".join(problems)
    finally:
        lab.down()


def settle(t):
    """All the terminals of the picture, and how many ways to the hub each of them has then."""
    w1, x1, y1, v1 = (("w1", "10.1.1.1:4040"), ("x1", "10.1.2.1:4040"), ("y1", "10.1.3.1:4040"), ("v1", "10.1.5.1:4040"))
    village, club, hamlet = t.key("village"), t.key("club"), t.key("hamlet")
    t.node("t1", "t1", [w1, x1], [("lan", village, "offer = all"), ("lan", club, "offer = all\nport = 4050")])
    t.node("t1b", "t1", [y1], [("lan", village, "offer = all")], interface="plait1", route="10.9.1.0/24")
    t.node("t2", "t2", [("w2", "[fd01:4::1]:4040")], [("lan", village, "offer = all")])
    t.node("t3", "t3", [], [("lan", club, "port = 4050")], route="10.9.0.0/24, fd09::/64", more="serve-lan = yes")
    t.node("s1", "s1", [v1], [("far", hamlet, "offer = all")], lan=16)
    t.node("s2", "s2", [], [("far", hamlet, "")], lan=16)
    return {"t1": 4, "t1b": 4, "t2": 4, "t3": 2, "s1": 1, "s2": 1}


def dedicated(t):
    return [line.split() for line in t.command("hub", "ports", "--control", t.folder / "hub.sock").splitlines()]


class Echo(threading.Thread):
    """Beyond: over UDP and TCP, what comes goes back."""

    def __init__(self, lab, port):
        super().__init__(daemon=True)
        self.udp, self.tcp = (lab.socket("beyond", socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        for s in (self.udp, self.tcp):
            s.bind((BEYOND4, port))
            s.settimeout(10)
        self.tcp.listen(1)
        self.sources = []
        self.start()

    def run(self):
        data, source = self.udp.recvfrom(2048)
        self.sources.append(source[0])
        self.udp.sendto(data, source)
        connection, source = self.tcp.accept()
        self.sources.append(source[0])
        while data := connection.recv(1 << 16):
            connection.sendall(data)
        for s in (connection, self.tcp, self.udp):
            s.close()


def ask_as_guest(lab, size):
    """A query as for a name, then `size` bytes over TCP there and back."""
    for family, gateway in (("-4", "10.0.1.3"), ("-6", "fd00:1::3")):
        lab.run("guest", ["ip", family, "route", "add", "default", "via", gateway])
    assert len(ping(lab, "guest", BEYOND6)) == 3
    echo = Echo(lab, 5300)
    with lab.socket("guest", socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(b"name?", (BEYOND4, 5300))
        assert s.recvfrom(64) == (b"name?", (BEYOND4, 5300))
    data, got = random.Random(size).randbytes(size), hashlib.sha256()
    with lab.socket("guest", socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect((BEYOND4, 5300))
        sending = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True)
        sending.start()
        while part := s.recv(1 << 16):
            got.update(part)
        sending.join(5)
    echo.join(5)
    assert got.digest() == hashlib.sha256(data).digest()
    return echo.sources


def test_a_street_of_all_kinds(town):
    t = town
    expected = settle(t)
    t.start()
    for name, count in expected.items():
        t.wait_up(name, count)
    # Who knows whom: by community, also where the LAN and the terminal are the same.
    assert t.members("t1") == {"village": {"t1b", "t2"}, "club": {"t3"}}
    assert t.members("t1b") == {"village": {"t1", "t2"}} and t.members("t2") == {"village": {"t1", "t1b"}}
    assert t.members("t3") == {"club": {"t1"}} and t.members("s2") == {"hamlet": {"s1"}}
    # Two LANs with the same addresses, told apart by their numbers.
    lans = {lan["lan"]: sorted(lan["active"]) for lan in t.status("hub")["lans"]}
    assert lans == {15: ["t1", "t1b", "t2", "t3"], 16: ["s1", "s2"]}
    # More than once where need be: what is on its way while the hub moves a node to its port is lost.
    for host, address in (("t1", BEYOND4), ("t1", "10.9.1.1"), ("t2", BEYOND4), ("t3", BEYOND4), ("s1", BEYOND4), ("s2", BEYOND4)):
        wait_for(lambda: len(ping(t.lab, host, address, timeout=0.5)) == 3, f"{address} from {host}", 5)
    # A machine without plait, whose gateway has no line of its own either.
    before = t.carried("t1", "club")
    assert ask_as_guest(t.lab, 300_000) == ["10.9.0.1"] * 2
    after = t.carried("t1", "club")
    assert all(after[link] - before[link] > 50_000 for link in ("w1", "x1")), (before, after)
    ports = dedicated(t)
    assert any("t3" in p and "15" in p for p in ports) and any("s2" in p and "16" in p for p in ports), ports
