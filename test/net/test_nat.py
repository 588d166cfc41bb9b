"""A hub's firewall: masquerade, published ports, MSS, dedicated ports.

    inner                        hub                          world
      in 10.77.15.1  =========== plaitn0 10.77.0.1
      in fd77::15                plaitn0 fd77::1
                                 out 192.0.2.1  ============= out 192.0.2.2, 2001:db8::2
                                 out 2001:db8::1

plaitn0 stands for the tunnel. The world knows no way to the inner addresses.
"""
import os
import socket
import subprocess
import threading

import pytest

from iokit import Net, kit
from netns import ip, remove_stale
from support import namespaced, wait_for
from test_tunnel_io import socket_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
NETWORKS = "10.77.0.0/16,fd77::/64"


@pytest.fixture
def net():
    remove_stale()
    made = Net()
    made.inner, made.hub, made.world = made.add("i"), made.add("h"), made.add("w")
    made.join(made.inner, "in", "10.77.15.1/16 fd77::15/64", made.hub, "plaitn0", "10.77.0.1/16 fd77::1/64", mtu=1400)
    made.join(made.hub, "out", "192.0.2.1/24 2001:db8::1/64", made.world, "out", "192.0.2.2/24 2001:db8::2/64")
    for via in ("10.77.0.1", "fd77::1"):
        ip("-n", made.inner, "route", "add", "default", "via", via)
    yield made
    made.remove()


def nat(net, *publish):
    program = net.kit("nat", "plaitn0", "out", NETWORKS, *publish, ns=net.hub)
    said = program.line()
    assert said == {"set": 0}, said
    return program


def tables(ns):
    done = subprocess.run(namespaced(ns, ["nft", "list", "tables"]), capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


def echo(net, ns, address, port, kind=socket.SOCK_DGRAM):
    """Answers with the address from which it was asked."""
    server = socket_in(ns, socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    server.bind((address, port))

    def serve():
        with server:
            if kind == socket.SOCK_DGRAM:
                _, peer = server.recvfrom(100)
                server.sendto(("%s %d" % peer[:2]).encode(), peer)
                return
            server.listen()
            connection, peer = server.accept()
            with connection:
                connection.sendall(("%s %d %d" % (*peer[:2], connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))).encode())

    thread = threading.Thread(target=serve, daemon=True)
    if kind == socket.SOCK_STREAM:
        server.listen()
    thread.start()
    return thread


def ask(ns, address, port, kind=socket.SOCK_DGRAM):
    client = socket_in(ns, socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    client.settimeout(5)
    with client:
        client.connect((address, port))
        if kind == socket.SOCK_STREAM:
            return client.recv(100).decode().split(), client.getsockname()[1]

        def answer():
            client.settimeout(0.3)
            try:
                client.send(b"?")
                return client.recv(100).decode().split()
            except (TimeoutError, ConnectionRefusedError):
                return None

        return wait_for(answer, "an answer"), client.getsockname()[1]


def ports(net, *more):
    lines, status = kit("ports", NETWORKS, *more, ns=net.hub)
    assert status == 0, lines
    return lines


@pytest.mark.parametrize("address,seen", [("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")])
def test_masquerade_and_dedicated_ports(net, address, seen):
    program = nat(net)
    server = echo(net, net.world, address, 53)
    (from_address, from_port), inner_port = ask(net.inner, address, 53)
    server.join(timeout=5)
    assert from_address == seen
    found = [p for p in ports(net, "300") if p["remote"] == address and p["protocol"] == 17]
    assert len(found) == 1
    port = found[0]
    assert port["port"] == int(from_port) and port["inner_port"] == inner_port and port["remote_port"] == 53
    assert port["inner"] == ("fd77::15" if ":" in address else "10.77.15.1") and not port["published"]
    # Five minutes, though the system's own time would be less.
    assert 290 <= port["left"] <= 300 and port["idle"] <= 10
    program.end()


def test_tcp_ports_and_mss(net):
    """Neither end is told of the small MTU between them by anything but the MSS."""
    program = nat(net)
    server = echo(net, net.world, "192.0.2.2", 80, socket.SOCK_STREAM)
    (_, from_port, mss), _ = ask(net.inner, "192.0.2.2", 80, socket.SOCK_STREAM)
    server.join(timeout=5)
    assert int(mss) <= 1360
    found = [p for p in ports(net) if p["protocol"] == 6]
    assert [p["port"] for p in found] == [int(from_port)]
    program.end()


@pytest.mark.parametrize("asked,kind", [("192.0.2.1", socket.SOCK_STREAM), ("192.0.2.1", socket.SOCK_DGRAM),
                                        ("2001:db8::1", socket.SOCK_STREAM)])
def test_publish(net, asked, kind):
    word = "tcp" if kind == socket.SOCK_STREAM else "udp"
    inner = "[fd77::15]" if ":" in asked else "10.77.15.1"
    program = nat(net, "%s/8080 -> %s:80" % (word, inner))
    server = echo(net, net.inner, inner.strip("[]"), 80, kind)
    (from_address, *_), _ = ask(net.world, asked, 8080, kind)
    server.join(timeout=5)
    assert from_address == ("2001:db8::2" if ":" in asked else "192.0.2.2")
    found = [p for p in ports(net) if p["published"]]
    assert len(found) == 1 and found[0]["port"] == 8080 and found[0]["inner_port"] == 80
    program.end()
    assert tables(net.hub) == []


def test_crash_leaves_what_the_next_start_replaces(net):
    subprocess.run(namespaced(net.hub, ["nft", "add", "table", "inet", "others"]), check=True)
    nat(net, "tcp/8080 -> 10.77.15.1:80").kill()
    assert sorted(tables(net.hub)) == ["table inet others", "table inet plait_plaitn0"]
    again = nat(net, "tcp/9090 -> 10.77.15.1:90")
    rules = subprocess.run(namespaced(net.hub, ["nft", "list", "table", "inet", "plait_plaitn0"]), capture_output=True, text=True).stdout
    assert "9090" in rules and "8080" not in rules
    again.kill()
    assert kit("unnat", "plaitn0", ns=net.hub)[0] == [{"removed": 1}]
    assert kit("unnat", "plaitn0", ns=net.hub)[0] == [{"removed": 0}]
    assert tables(net.hub) == ["table inet others"]


def test_forwarding_is_switched_on(net):
    for name in ("plaitn0", "out"):
        subprocess.run(namespaced(net.hub, ["sysctl", "-q", "-w", "net.ipv4.conf.%s.forwarding=0" % name]), check=True)
    read = lambda name: subprocess.run(namespaced(net.hub, ["sysctl", "-n", name]), capture_output=True, text=True, check=True).stdout.strip()
    assert read("net.ipv6.conf.out.accept_ra") == "1"
    program = nat(net)
    # A router that still learns its own routes from routers.
    assert read("net.ipv6.conf.all.forwarding") == "1" and read("net.ipv6.conf.out.accept_ra") == "2"
    echo(net, net.world, "192.0.2.2", 53)
    assert ask(net.inner, "192.0.2.2", 53)[0][0] == "192.0.2.1"
    program.end()
