"""TUN devices with offloads and UDP in batches, in two namespaces.

    left                                     right
      plait0 10.95.0.1, fd95::1 ~~~~~~~~~~~~ plait0 10.95.0.2, fd95::2    tunnel_io
      veth   10.96.0.1, fd96::1 ============ veth   10.96.0.2, fd96::2
"""
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading

import pytest

from iokit import TUNNEL_IO, Net, kit
from netns import ip, remove_stale
from support import namespaced, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
MB = 1000 * 1000


@pytest.fixture
def net():
    remove_stale()
    made = Net()
    yield made
    made.remove()


@pytest.fixture
def pair(net):
    net.left, net.right = net.add("l"), net.add("r")
    net.join(net.left, "veth", "10.96.0.1/24 fd96::1/64", net.right, "veth", "10.96.0.2/24 fd96::2/64")
    return net


class Tunnel:
    """Both ends of it, with tunnel_io's options."""

    def __init__(self, net, *options, outer=4, inner=4, mtu=1400):
        own = {4: "10.96.0.%d:4040", 6: "[fd96::%d]:4040"}[outer]
        address = {4: "10.95.0.%d/24", 6: "fd95::%d/64"}[inner]
        self.net, self.address = net, {4: "10.95.0.2", 6: "fd95::2"}[inner]
        self.ends = [net.start([TUNNEL_IO, "plait0", address % a, mtu, own % a, own % b, *options], ns)
                     for ns, a, b in ((net.left, 1, 2), (net.right, 2, 1))]
        self.ready = [end.line() for end in self.ends]
        assert all(self.ready)

    def stop(self):
        counters = []
        for end in self.ends:
            end.process.send_signal(signal.SIGTERM)
            counters.append(end.line())
            assert end.process.wait(timeout=5) == 0
        return counters


def enter(ns):
    """The calling thread's namespace."""
    handle = os.open("/run/netns/" + ns, os.O_RDONLY)
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    try:
        assert libc.setns(handle, 0) == 0
    finally:
        os.close(handle)


def socket_in(ns, family, kind):
    """A socket keeps the namespace it was made in."""
    made = []

    def make():
        enter(ns)
        made.append(socket.socket(family, kind))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    made[0].settimeout(10)
    return made[0]


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def carry_tcp(tunnel, net, size):
    """Sends random bytes through a TCP connection; they have to be the same over there."""
    family = family_of(tunnel.address)
    listener, client = socket_in(net.right, family, socket.SOCK_STREAM), socket_in(net.left, family, socket.SOCK_STREAM)
    data, got = random.Random(size).randbytes(size), hashlib.sha256()
    with listener, client:
        listener.bind((tunnel.address, 7000))
        listener.listen()
        sender = threading.Thread(target=lambda: (client.connect((tunnel.address, 7000)), client.sendall(data), client.close()))
        sender.start()
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        with accepted:
            while chunk := accepted.recv(1 << 20):
                got.update(chunk)
        sender.join()
    assert got.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_tcp(pair, inner, outer):
    """Super-packets are taken apart, carried in runs, and put together again."""
    tunnel = Tunnel(pair, inner=inner, outer=outer)
    carry_tcp(tunnel, pair, 20 * MB)
    left, right = tunnel.stop()
    assert left["packets_out"] > 3 * left["frames"]
    assert right["packets_in"] > 3 * right["writes"]
    assert right["dropped"] == 0


@pytest.mark.parametrize("options", [["partial"], ["tun-plain"], ["udp-plain"], ["no-coalesce"]])
def test_each_part_by_itself(pair, options):
    tunnel = Tunnel(pair, *options)
    carry_tcp(tunnel, pair, 5 * MB)
    left, right = tunnel.stop()
    if "tun-plain" in options:
        assert left["packets_out"] == left["frames"]
    if "no-coalesce" in options:
        assert right["writes"] == right["packets_in"]


def reach(sender, receiver, address):
    """A link that has just come up may lose what is sent at once."""
    receiver.settimeout(0.05)

    def arrives():
        sender.sendto(b"hello", address)
        try:
            return receiver.recv(10) == b"hello"
        except TimeoutError:
            return False

    wait_for(arrives, "a first datagram")
    receiver.settimeout(0.3)
    try:
        while receiver.recv(10) == b"hello":
            pass
    except TimeoutError:
        receiver.settimeout(10)


@pytest.mark.parametrize("inner", [4, 6])
def test_udp_super_packets(pair, inner):
    """An application's UDP_SEGMENT stays one packet on the way into the tunnel, and each datagram arrives."""
    tunnel = Tunnel(pair, inner=inner)
    if not tunnel.ready[0]["uso"]:
        pytest.skip("this kernel has no USO for TUN")
    family = family_of(tunnel.address)
    with socket_in(pair.right, family, socket.SOCK_DGRAM) as receiver, socket_in(pair.left, family, socket.SOCK_DGRAM) as sender:
        receiver.bind((tunnel.address, 7001))
        reach(sender, receiver, (tunnel.address, 7001))
        sender.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
        data = random.Random(1).randbytes(20500)
        sender.sendto(data, (tunnel.address, 7001))
        got = [receiver.recv(65535) for _ in range(21)]
    assert b"".join(got) == data and [len(g) for g in got] == [1000] * 20 + [500]
    left, right = tunnel.stop()
    assert left["packets_out"] >= left["frames"] + 20


def test_no_device_twice(pair):
    Tunnel(pair)
    second = subprocess.run(namespaced(pair.left, [TUNNEL_IO, "plait0", "10.95.0.9/24", "1400", "10.96.0.1:4041", "10.96.0.2:4041"]),
                            capture_output=True)
    assert second.returncode == 1


def test_device_goes_with_the_process(pair):
    tunnel = Tunnel(pair)
    tunnel.ends[0].process.kill()
    tunnel.ends[0].process.wait()
    wait_for(lambda: "plait0" not in ip("-n", pair.left, "link"), "the device to go")


def test_queues(net):
    """The kernel spreads flows over the queues of a device."""
    ns = net.add("a")
    device = net.kit("queues", "plait0", 4, ns=ns)
    assert device.line() == {"ready": True}
    with socket_in(ns, socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in range(7000, 7064):
            sender.sendto(b"x", ("10.94.0.9", port))
    packets = device.end()[-1]["packets"]
    assert len(packets) == 4 and sum(packets) >= 64 and min(packets) > 0


def receive(net, ns, count, *args, more=()):
    """Ends when so many have come."""
    end = net.kit("udp", *args, 0, count, *more, ns=ns)
    assert end.line() == {"ready": True}
    return end


def know_each_other(pair):
    """What is sent before the neighbour has answered is partly lost."""
    for peer in ("10.96.0.2", "[fd96::2]"):
        sent("0.0.0.0:4042" if "." in peer else "[::]:4042", peer + ":4039", 1, 100, ns=pair.left)
        wait_for(lambda: "lladdr" in ip("-n", pair.left, "neighbour", "show", peer.strip("[]")), "the neighbour")


def sent(*args, ns):
    lines, status = kit("udp", *args, ns=ns)
    assert status == 0
    return lines[-1]


@pytest.mark.parametrize("own,peer", [("10.96.0.1", "10.96.0.2"), ("[fd96::1]", "[fd96::2]")])
def test_udp_batches(pair, own, peer):
    """All arrive, in order, many at a time, and the asked address is told."""
    whole = "0.0.0.0" if "." in own else "[::]"
    end = know_each_other(pair)
    end = receive(pair, pair.right, 1000, whole + ":4040", own + ":4041")
    said = sent(own + ":4041", peer + ":4040", 1000, 1200, ns=pair.left)
    assert said == {"sent": 1000, "trouble": "ok", "segments": True}
    got = end.end()[-1]
    assert got["datagrams"] == 1000 and got["bytes"] == 999 * 1200 + 600 and got["disorder"] == 0
    assert got["calls"] <= 250, "each call was to bring many"
    assert got["own"] == peer.strip("[]") and got["from"] == own.strip("[]")


def test_udp_plain(pair):
    end = receive(pair, pair.right, 300, "10.96.0.2:4040", "10.96.0.1:4041")
    assert sent("10.96.0.1:4041", "10.96.0.2:4040", 300, 1000, "plain", ns=pair.left)["sent"] == 300
    assert end.end()[-1]["datagrams"] == 300


def test_udp_answers_from_the_address_asked(pair):
    ip("-n", pair.left, "address", "add", "10.96.0.77/24", "dev", "veth")
    end = receive(pair, pair.right, 3, "0.0.0.0:4040", "10.96.0.1:4041")
    sent("0.0.0.0:4041", "10.96.0.2:4040", 3, 100, "from=10.96.0.77:1", ns=pair.left)
    assert end.end()[-1]["from"] == "10.96.0.77"


def waiting_bytes(ns, port):
    """In the receive buffer of the socket with that port."""
    shown = subprocess.run(namespaced(ns, ["ss", "-Huan", "sport = :%d" % port]), capture_output=True, text=True, check=True)
    return int(shown.stdout.split()[1])


def test_udp_overflow_is_counted(pair):
    """What the kernel's buffer had no room for."""
    know_each_other(pair)
    end = receive(pair, pair.right, 1, "10.96.0.2:4040", "10.96.0.1:4041", more=["buffer=4096", "plain"])
    end.process.send_signal(signal.SIGSTOP)
    sent("10.96.0.1:4041", "10.96.0.2:4040", 500, 1000, "plain", ns=pair.left)
    end.process.send_signal(signal.SIGCONT)
    wait_for(lambda: waiting_bytes(pair.right, 4040) == 0, "the buffer to be empty")
    sent("10.96.0.1:4041", "10.96.0.2:4040", 1, 1000, "plain", ns=pair.left)  # brings the count
    wait_for(lambda: waiting_bytes(pair.right, 4040) == 0, "the last datagram to be read")
    got = end.end()[-1]
    assert 0 < got["datagrams"] < 400 and got["overflow"] > 100


def test_udp_troubles(pair):
    """What the kernel has against a datagram is told, and is the path's, not the program's end."""
    lines, _ = kit("udp", "10.96.0.1:4041", "10.96.0.2:4040", 10, 1473, ns=pair.left)
    too_long = lines[-1]
    assert too_long["sent"] == 0 and "MTU" in too_long["trouble"]
    assert sent("10.96.0.1:4041", "10.96.0.2:4040", 10, 1472, ns=pair.left)["trouble"] == "ok"
    no_way = sent("10.96.0.1:4041", "203.0.113.1:4040", 3, 100, ns=pair.left)
    assert no_way["sent"] == 0 and "no route" in no_way["trouble"]
    ip("-n", pair.left, "link", "set", "veth", "down")
    down = sent("0.0.0.0:4041", "10.96.0.2:4040", 3, 100, "interface=veth", ns=pair.left)
    assert down["sent"] == 0 and "no route" in down["trouble"]
    lines, status = kit("udp", "0.0.0.0:4041", "10.96.0.2:4040", 3, 100, "interface=nowhere", ns=pair.left)
    assert status == 1 and lines[0]["err"] == "not found"
    lines, status = kit("udp", "10.99.9.9:4041", "10.96.0.2:4040", 3, 100, ns=pair.left)
    assert status == 1 and lines[0]["err"] == "not found"


def test_udp_leaves_by_its_interface(net):
    """Two links with the same network: only the bound one carries."""
    a, b = net.add("a"), net.add("b")
    for i in (1, 2):
        net.join(a, "veth%d" % i, "10.96.%d.1/24" % i, b, "veth%d" % i, "10.96.%d.2/24" % i)
        ip("-n", a, "route", "add", "default", "via", "10.96.%d.2" % i, "metric", str(i))
    ip("-n", b, "address", "add", "10.97.0.1/32", "dev", "lo")
    end = receive(net, b, 100, "10.97.0.1:4040", "10.96.1.1:4041")
    sent("0.0.0.0:4041", "10.97.0.1:4040", 100, 1000, "interface=veth2", "connect", ns=a)
    got = end.end()[-1]
    assert got["from"] == "10.96.2.1" and got["datagrams"] == 100
