"""A node and a hub: logging on, packets both ways, and what happens to uplinks and to both programs.

    node ═══ l1, l2, l3 ═══ hub ─── out ─── beyond          (lab/plaittunnel.py)
"""
import base64
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
from plaitlab import Lab  # noqa: E402  (found through the line above)
from plaittunnel import (BEYOND4, BEYOND6, HUB4, HUB6, NODE4, NODE6, Process, Tunnel, ping, topology, wait_for)  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FAST = "rate 50mbit rtt 6ms queue 100ms"
THREE = ["rate 8mbit rtt 12ms queue 100ms", "rate 12mbit rtt 20ms queue 100ms", "rate 20mbit rtt 6ms queue 100ms"]
NAT = "nat = out"


@pytest.fixture
def tunnel(exe, place):
    """tunnel(links, …): a lab with so many links and the configurations for it, not started."""
    labs, tunnels = [], []

    def make(links=(FAST,), extra="", **more):
        labs.append(Lab(topology(links, extra)))
        tunnels.append(Tunnel(labs[-1], len(links), place, exe, **more))
        return tunnels[-1]

    yield make
    problems = []
    for t in tunnels:
        for process in (t.node, t.hub):
            if process and process.running() and process.end() != 0:
                problems.append(process.said)
            if process and ("ERROR: " in process.said or "runtime error" in process.said):
                problems.append(process.said)  # a sanitizer's
    for lab in labs:
        lab.down()
    assert not problems, "\n".join(problems)


class Stream(threading.Thread):
    """Bytes through a TCP connection, from `source` to `sink`, both in hosts of the lab; checked at the end."""

    def __init__(self, lab, source, sink, address, size, port=5000, local=None, connect_to=None):
        super().__init__(daemon=True)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.data = random.Random(size).randbytes(min(size, 1 << 20))
        self.size, self.got, self.error = size, 0, None
        self.want, self.digest = hashlib.sha256(), hashlib.sha256()
        self.listener = lab.socket(sink, family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(1)
        self.listener.settimeout(15)
        self.sender = lab.socket(source, family, socket.SOCK_STREAM)
        self.sender.settimeout(30)
        if local:
            self.sender.bind((local, 0))
        self.sender.connect(connect_to or (address, port))
        self.receiver, self.peer = self.listener.accept()
        self.receiver.settimeout(30)
        self.start()

    def send(self):
        left = self.size
        try:
            while left:
                part = self.data[:left]
                self.sender.sendall(part)
                self.want.update(part)
                left -= len(part)
            self.sender.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.error = self.error or e

    def run(self):
        sending = threading.Thread(target=self.send, daemon=True)
        sending.start()
        try:
            while data := self.receiver.recv(1 << 18):
                self.got += len(data)
                self.digest.update(data)
        except OSError as e:
            self.error = self.error or e
        sending.join(1)
        for s in (self.sender, self.receiver, self.listener):
            s.close()

    def check(self, timeout=30):
        self.join(timeout)
        assert not self.is_alive() and self.error is None, "%d of %d bytes came; %s" % (self.got, self.size, self.error)
        assert self.got == self.size and self.digest.digest() == self.want.digest()


def sent(status, path, direction):
    return next(p for p in status["paths"] if p["path"] == path)[direction]["bytes"]


# log-on


@pytest.mark.parametrize("family", [4, 6])
def test_packets_of_both_families_over_either(tunnel, family):
    t = tunnel(family=family).start()
    for host, address in (("node", HUB4), ("node", HUB6), ("hub", NODE4), ("hub", NODE6)):
        assert len(ping(t.lab, host, address)) == 3, address
    for source, sink, address in (("node", "hub", HUB4), ("hub", "node", NODE6)):
        Stream(t.lab, source, sink, address, 3_000_000).check()
    status = t.status()
    assert status["state"] == "connected" and status["addresses"] == [NODE4, NODE6]
    assert t.stop() == [0, 0]
    links = t.lab.run("node", ["ip", "-br", "link"], capture_output=True, text=True).stdout
    assert "plait0" not in links


def test_who_comes_first_does_not_matter(tunnel):
    t = tunnel()
    t.start_node(wait=False)
    t.node.wait_said("up; ")
    t.start_hub()
    t.node.wait_said("logged on: ")
    assert ping(t.lab, "node", HUB4)


def test_a_key_that_the_hub_does_not_know(tunnel):
    t = tunnel()
    t.write_hub(nodes=t.block("other", addresses="10.77.16.1", public=t.join("other", t.folder / "other")["public"]))
    t.start_hub()
    t.start_node(wait=False)
    wait_for(lambda: sum(w["unknown_keys"] for w in t.status("hub")["workers"]) > 0, "the hub to refuse the node")
    assert t.status("hub")["nodes"] == [] and t.status()["state"] == "connecting"


def test_a_hub_that_is_another(tunnel):
    t = tunnel()
    t.keys["hub-key"] = t.keys["public"]
    t.write_node()
    t.start_hub()
    t.start_node(wait=False)
    t.node.wait_said("no answer from the hub, 10.1.1.1 port 4040")
    assert t.keys["public"] in t.node.said
    assert t.status()["state"] == "connecting"
    said = t.command("status", "--control", t.folder / "node.sock")
    assert ": connecting, up 0:0" in said and "MTU" not in said and "none" not in said, said
    assert all(w["responses"] == 0 for w in t.status("hub")["workers"])


def test_a_name_that_nobody_knows(tunnel):
    t = tunnel([FAST, FAST])
    name = "h" * 64 + ".invalid"  # a label that is too long: nobody is asked
    t.write_node(uplinks=['[uplink "l1"]\ninterface = l1\nhub = %s:4040\n' % name, t.uplink(2)])
    t.start_hub()
    t.start_node()  # over the other one
    t.node.wait_said("no address is known for " + name)
    assert "no address" in next(p["trouble"] for p in t.status()["paths"] if p["name"] == "l1")


def test_an_address_that_is_not_its_own_is_refused(tunnel):
    t = tunnel().start()
    t.lab.run("node", ["ip", "address", "add", "10.77.99.9/32", "dev", "plait0"])
    s = t.lab.socket("node", socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.77.99.9", 0))
    s.sendto(b"x", (HUB4, 9))
    s.close()
    wait_for(lambda: t.status("hub")["nodes"][0]["refused"] > 0, "the packet to be refused")


def test_several_nodes_in_one_hub(tunnel):
    t = tunnel(extra="host mill\nlink m1 mill 10.1.9.2/24 hub 10.1.9.1/24 %s default" % FAST)
    other = t.join("mill", t.folder / "mill")
    t.write_hub(nodes=t.block() + t.block("mill", "lan = 16", "10.77.16.1", other["public"]))
    t.start()
    (t.folder / "mill.conf").write_text((t.folder / "node.conf").read_text()
                                        .replace(t.keys["key"], other["key"]).replace("node.sock", "mill.sock")
                                        .replace("interface = l1", "interface = m1").replace("10.1.1.1", "10.1.9.1"))
    mill = Process(t.lab, "mill", [t.exe, "node", "-c", t.folder / "mill.conf"], t.folder / "mill.log")
    try:
        wait_for(lambda: {n["name"] for n in t.status("hub")["nodes"]} == {"farm", "mill"}, "both to be there")
        assert ping(t.lab, "hub", "10.77.16.1") and ping(t.lab, "hub", NODE4)
        assert ping(t.lab, "mill", NODE4), "from node to node"
        Stream(t.lab, "mill", "node", NODE4, 1_000_000).check()
    finally:
        assert mill.end() == 0, mill.said


def with_two_workers(t):
    """The node's key is one that belongs to the second, which has the next port."""
    t.write_hub(nodes="")
    for i in range(64):
        t.keys = t.join("farm", t.folder / ("key-%d" % i))
        if base64.b64decode(t.keys["public"])[0] % 2 == 1:
            break
    t.write_hub("workers = 2")
    t.write_node()


def shut(t, where):
    t.lab.run("hub", ["nft", "add table inet shut; add chain inet shut in { type filter hook input priority 0; }; "
                      f"add rule inet shut in {where} udp dport 4041 drop"])


@pytest.mark.parametrize("is_shut", [False, True])
def test_the_port_that_a_node_is_told(tunnel, is_shut):
    """Where a firewall does not let it through, nothing is lost but the try."""
    t = tunnel()
    with_two_workers(t)
    if is_shut:
        shut(t, "")
    t.start()
    if is_shut:
        assert len(ping(t.lab, "node", HUB4, 190, 0.02)) == 190, "while the other port is tried"
    else:
        wait_for(lambda: t.status()["paths"][0]["hub"].endswith(":4041"), "the node to move")
        wait_for(lambda: t.status("hub")["nodes"][0]["worker"] == 1, "the hub to have noticed")
        Stream(t.lab, "hub", "node", NODE4, 1_000_000).check()
    assert t.status()["paths"][0]["hub"].endswith(":4040" if is_shut else ":4041")


def test_a_port_that_is_shut_for_one_uplink_alone(tunnel):
    """That one stays at the known port, and what comes there gets to the right worker."""
    t = tunnel([FAST, FAST])
    with_two_workers(t)
    shut(t, "iifname l2")
    t.start_hub()
    t.start_node()
    wait_for(lambda: t.status()["paths"][0]["hub"].endswith(":4041"), "the node to move")
    Stream(t.lab, "node", "hub", HUB4, 500_000).check()  # so that the silence of the other one is noticed
    wait_for(lambda: t.status()["paths"][1]["hub"].endswith(":4040"), "the other one to stay")
    t.wait_up(2)
    before = t.status()
    Stream(t.lab, "hub", "node", NODE4, 1_500_000).check()
    Stream(t.lab, "node", "hub", HUB4, 1_500_000).check()
    for way in ("down", "up"):
        assert min(sent(t.status(), i, way) - sent(before, i, way) for i in range(2)) > 20_000, way
    assert t.status("hub")["nodes"][0]["worker"] == 1


class Resolver(threading.Thread):
    """Knows one name, whatever it is called; notes who asked."""

    def __init__(self, lab, host, address, answer):
        super().__init__(daemon=True)
        self.socket = lab.socket(host, socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.answer, self.asked = answer, []
        self.start()

    def run(self):
        try:
            while True:
                query, source = self.socket.recvfrom(512)
                self.asked.append(source[0])
                end = query.index(0, 12) + 5  # of the question
                is_a = query[end - 4:end - 2] == b"\0\1"
                head = query[:2] + b"\x81\x80\0\1" + bytes([0, is_a]) + bytes(4)
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(self.answer) if is_a else b""
                self.socket.sendto(head + query[12:end] + record, source)
        except OSError:
            pass


def test_a_hub_that_moves_is_looked_up_past_the_tunnel(tunnel):
    """All that the machine sends goes into the tunnel, which is dead; so would its questions to a resolver far away."""
    t = tunnel(extra="addr hub 10.6.0.1/32\naddr hub 10.6.0.53/32")
    resolver = Resolver(t.lab, "hub", "10.6.0.53", "10.1.1.1")
    (t.folder / "resolv.conf").write_text("nameserver 10.6.0.53\n")
    t.write_hub(listen="10.1.1.1:4040")
    t.write_node(route="default", uplinks=['[uplink "l1"]\ninterface = l1\nhub = hub.example:4040\n'])
    t.start_hub()
    t.node = Process(t.lab, "node", ["unshare", "-m", "sh", "-c", f"mount --bind {t.folder}/resolv.conf /etc/resolv.conf && "
                                     f"exec {t.exe} node -c {t.folder}/node.conf"], t.folder / "node.log")
    t.node.wait_said("logged on: ")
    assert ping(t.lab, "node", HUB4)
    t.hub.kill()
    resolver.answer, count = "10.6.0.1", len(resolver.asked)
    t.write_hub(listen="10.6.0.1:4040")
    t.start_hub()
    wait_for(lambda: ping(t.lab, "node", HUB4, 1, timeout=0.2), "the node to find it")
    assert resolver.asked[count] == "10.1.1.2"
    resolver.socket.close()


# configurations


@pytest.mark.parametrize("role, wrong, line, words", [
    ("node", "colour = red", 10, ["colour", "hub-key"]),
    ("node", "mtu = 70000", 10, ["mtu", "9000"]),
    ("node", "[tunnel]", 10, ["tunnel", "uplink"]),
    ("node", '[uplink "x"]\nquota = much', 11, ["quota"]),
    ("node", '[uplink "x"]\nweight = 0/1', 11, ["weight"]),
    ("hub", "netwrok = 10.0.0.0/8", 7, ["netwrok", "network"]),
    ("hub", "publish = tcp/80 -> farm:80", 7, ["publish", "nat"]),
    ("hub", "nat = out\npublish = tcp/80 -> barn:80", 8, ["barn"]),
    ("hub", '[node "x"]\nkey = abc', 8, ["key", "base64"]),
])
def test_what_is_wrong_in_a_configuration_is_named(tunnel, plait, role, wrong, line, words):
    t = tunnel()
    (t.write_node if role == "node" else t.write_hub)(wrong)
    path = t.folder / ("%s.conf" % role)
    for check in ([], ["--check"]):
        result = plait.start(role, "-c", path, *check, ns=t.lab.netns(role)).finish()
        assert result.status == 2, result
        assert "%s:%d:" % (path, line) in result.err, result
        for word in words:
            assert word in result.err, result


def test_a_key_file_that_others_may_read(tunnel, plait):
    t = tunnel()
    Path(t.keys["key"]).chmod(0o644)
    result = plait.start("node", "-c", t.folder / "node.conf", ns=t.lab.netns("node")).finish()
    assert result.status == 1 and "chmod 600" in result.err, result


def test_a_port_that_is_taken(tunnel, plait):
    t = tunnel().start()
    (t.folder / "other.conf").write_text((t.folder / "hub.conf").read_text().replace("plait0", "plait1")
                                         .replace("hub.sock", "other.sock"))
    result = plait.start("hub", "-c", t.folder / "other.conf", ns=t.lab.netns("hub")).finish()
    assert result.status == 1 and "4040 is taken" in result.err, result
    assert ping(t.lab, "node", HUB4)


def test_a_port_that_another_program_has_for_one_family(tunnel, plait):
    t = tunnel()
    with t.lab.socket("hub", socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", 4040))
        result = plait.start("hub", "-c", t.folder / "hub.conf", ns=t.lab.netns("hub")).finish()
    assert result.status == 1 and "4040 is taken" in result.err and "wrong state" not in result.err, result


def test_an_address_to_listen_on_that_is_not_there(tunnel, plait):
    t = tunnel()
    t.write_hub(listen="192.0.2.77:4040")
    result = plait.start("hub", "-c", t.folder / "hub.conf", ns=t.lab.netns("hub")).finish()
    assert result.status == 1 and "listen =" in result.err, result


def test_an_interface_that_is_not_there_is_named(tunnel):
    t = tunnel()
    t.write_node(uplinks=[t.uplink(1), '[uplink "l2"]\ninterface = nosuch7\n'])
    t.start()
    t.node.wait_said("uplink l2: its interface is down or not there; trying on")


def test_what_is_wrong_with_a_new_node_is_said_before_it_is_made(tunnel, plait):
    t = tunnel()
    for option, wrong in (("--lan", "x"), ("--lan", "4294967296"), ("--address", "10.78.0.1"), ("--address", HUB4),
                          ("--address", NODE4), ("--address", "here"), ("--hub", "a:b:c")):
        result = plait.start("hub", "add", "boat", "-c", t.folder / "hub.conf", "--hub", "10.1.1.1", option, wrong).finish()
        assert result.status == 2 and wrong in result.err and result.out == b"", result


@pytest.mark.parametrize("role", ["hub", "node"])
def test_the_examples_are_right(tunnel, plait, role):
    t = tunnel()
    example = Path(__file__).resolve().parents[2] / "packaging" / "examples" / (role + ".conf")
    own = example.read_text().replace("/etc/plait/%s.key" % role, t.keys["key"])
    (t.folder / "example.conf").write_text(own)
    result = plait.start(role, "--check", "-c", t.folder / "example.conf").finish()
    assert result.status == 0, result
    page = (example.parents[2] / "man" / ("plait-%s.8" % role)).read_text().replace("\\-", "-").replace("\\(dq", '"')
    assert example.read_text().split("\n", 1)[1] in page


@pytest.mark.parametrize("role", ["hub", "node"])
def test_no_configuration(plait, place, role):
    """Which file, and what makes one."""
    for more in ([], ["--check"]):
        result = plait.start(role, "-c", place / "none.conf", *more).finish()
        assert result.status == 2 and str(place / "none.conf") + ": there is no such file" in result.err, result
        for word in ("plait hub add", "plait-%s(8)" % role, "plait key new" if role == "hub" else "plait node join"):
            assert word in result.err, result


def test_what_the_manual_says_about_a_new_node(tunnel):
    """Its section is appended and read anew, its token is shown and gets into no file, and it can log on."""
    t = tunnel()
    t.write_hub("public = 10.1.1.1:4040", nodes="")
    t.start_hub()
    conf = t.folder / "hub.conf"
    add = subprocess.run(["sh", "-c", f"{t.exe} hub add boat --lan 17 -c {conf} >>{conf}"], capture_output=True, text=True, check=True)
    assert "plait1." not in conf.read_text() and '[node "boat"]' in conf.read_text()
    t.hub.signal(signal.SIGHUP)
    t.hub.wait_said("read anew")
    command = add.stderr.splitlines()[-1].split()
    assert command[:3] == ["plait", "node", "join"], add.stderr
    t.command(*command[1:], "--folder", t.folder / "boat")
    boat = Process(t.lab, "node", [t.exe, "node", "-c", t.folder / "boat" / "node.conf"], t.folder / "boat.log")
    boat.wait_said("logged on: ")
    assert ping(t.lab, "node", HUB4)
    assert boat.end() == 0


def test_join_overwrites_nothing(tunnel, plait):
    t = tunnel()
    _, said = t.told("hub", "add", "boat", "-c", t.folder / "hub.conf", "--hub", "10.1.1.1:4040")
    token = next(w for w in said.split() if w.startswith("plait1."))
    subprocess.run([t.exe, "node", "join", token, "--folder", "near"], cwd=t.folder, check=True)
    assert "key = %s/near/node.key\n" % t.folder.resolve() in (t.folder / "near" / "node.conf").read_text()
    result = plait.start("node", "join", token, "--folder", t.folder / "join").finish()
    assert result.status == 1 and "already" in result.err, result
    for broken in (token[:-1], token[:20] + ("A" if token[20] != "A" else "B") + token[21:], "nonsense"):
        result = plait.start("node", "join", broken, "--folder", t.folder / "new").finish()
        assert result.status == 2, result
        assert not (t.folder / "new").exists()


# several uplinks


@pytest.mark.pace
def test_one_connection_over_three_uplinks(tunnel):
    t = tunnel(THREE).start()
    start = time.monotonic()
    Stream(t.lab, "hub", "node", NODE4, 10_000_000).check()
    # The benchmark measures how fast; on a busy machine the shares tell more.
    assert 10_000_000 * 8 / (time.monotonic() - start) > 12e6
    shares = [sent(t.status(), i, "down") for i in range(3)]
    assert min(shares) > 500_000, shares


@pytest.mark.parametrize("gone, back", [("dead", "alive"), ("unplug", "plug")])
def test_an_uplink_vanishes_and_returns(tunnel, gone, back):
    t = tunnel(THREE).start()
    stream = Stream(t.lab, "hub", "node", NODE4, 12_000_000)
    wait_for(lambda: stream.got > 2_000_000, "bytes")
    t.lab.set("l3", gone)
    wait_for(lambda: 2 not in t.up(), "the uplink to be left")
    got = stream.got
    wait_for(lambda: stream.got > got + 500_000, "the stream to go on")
    t.lab.set("l3", back)
    wait_for(lambda: 2 in t.up() and 2 in t.up("hub"), "the uplink to be used again")
    stream.check()


def test_an_uplink_changes_its_address(tunnel):
    t = tunnel([FAST, FAST]).start()
    stream = Stream(t.lab, "hub", "node", NODE4, 8_000_000)
    wait_for(lambda: stream.got > 1_000_000, "bytes")
    t.lab.run("node", ["ip", "address", "del", "10.1.1.2/24", "dev", "l1"])
    t.lab.run("node", ["ip", "address", "add", "10.1.1.7/24", "dev", "l1"])
    t.lab.run("node", ["ip", "route", "replace", "default", "via", "10.1.1.1", "dev", "l1", "metric", "100"])
    stream.check()
    wait_for(lambda: any(p.get("node", "").startswith("10.1.1.7:") for p in t.status("hub")["nodes"][0]["paths"]),
             "the hub to follow")
    t.wait_up(2)


@pytest.mark.parametrize("family", [4, 6])
def test_a_link_with_a_smaller_mtu(tunnel, family):
    """The node's device has the MTU that fits, the hub's route to the node as well; nobody waits for ICMP."""
    t = tunnel([FAST + " mtu 1400", FAST], family=family)
    t.write_hub(NAT)
    t.write_node(route="10.9.0.0/24")
    t.start()
    fits = 1400 - (72 if family == 4 else 92)
    wait_for(lambda: t.status()["mtu"] == fits, "the MTU to fit")

    def route():
        said = t.lab.run("hub", ["ip", "route", "get", NODE4], capture_output=True, text=True).stdout.split()
        return fits - 20 <= int(said[said.index("mtu") + 1]) <= fits if "mtu" in said else False

    wait_for(route, "the hub's route to have the MTU, as far as probes tell")
    Stream(t.lab, "hub", "node", NODE4, 1_000_000).check()
    Stream(t.lab, "node", "beyond", BEYOND4, 1_000_000).check()
    for source, sink, address in (("hub", "node", NODE4), ("node", "hub", HUB4)):  # longer than fits: in fragments
        receiver, sender = (t.lab.socket(host, socket.AF_INET, socket.SOCK_DGRAM) for host in (sink, source))
        receiver.bind((address, 6000))
        receiver.settimeout(5)
        sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: never set DF
        sender.sendto(bytes(2000), (address, 6000))
        assert len(receiver.recv(4000)) == 2000
        sender.close()
        receiver.close()


def test_a_backup_waits_until_it_is_needed(tunnel):
    t = tunnel([FAST, FAST])
    t.write_node(uplinks=[t.uplink(1), t.uplink(2, "backup = yes")])
    t.start()
    trickle = t.lab.socket("hub", socket.AF_INET, socket.SOCK_DGRAM)

    def send(count):
        for _ in range(count):
            trickle.sendto(bytes(1000), (NODE4, 9))
            time.sleep(0.004)  # 2 Mbit/s, far from full

    send(50)  # the first traffic may have the backup's rate guessed once more
    before = [sent(t.status("hub")["nodes"][0], i, "down") for i in range(2)]
    send(300)
    trickle.close()
    first, second = (sent(t.status("hub")["nodes"][0], i, "down") - before[i] for i in range(2))
    assert first > 290_000 and second < 30_000, (first, second)
    t.lab.set("l1", "unplug")
    wait_for(lambda: 0 not in t.up(), "the first to be left")
    Stream(t.lab, "hub", "node", NODE4, 1_000_000, port=5001).check()
    assert sent(t.status(), 1, "down") > 1_000_000


@pytest.mark.pace
def test_a_backup_helps_where_the_others_are_full(tunnel):
    t = tunnel(["rate 4mbit rtt 10ms queue 100ms", FAST])
    t.write_node(uplinks=[t.uplink(1), t.uplink(2, "backup = yes")])
    t.start()
    Stream(t.lab, "hub", "node", NODE4, 3_000_000).check()
    Stream(t.lab, "node", "hub", HUB4, 3_000_000).check()
    for way in ("down", "up"):
        assert min(sent(t.status(), i, way) for i in range(2)) > 300_000, (way, t.status()["paths"])


@pytest.mark.pace
def test_fixed_weights_hold_in_their_direction(tunnel):
    t = tunnel([FAST, FAST])
    t.write_node(uplinks=[t.uplink(1, "weight = 5/1"), t.uplink(2, "weight = 1/5")])
    t.start()
    before = t.status()
    Stream(t.lab, "hub", "node", NODE4, 3_000_000).check()
    Stream(t.lab, "node", "hub", HUB4, 3_000_000).check()
    after = t.status()
    carried = [[sent(after, i, way) - sent(before, i, way) for i in range(2)] for way in ("down", "up")]
    assert carried[0][0] > 2.5 * carried[0][1] and carried[1][1] > 2.5 * carried[1][0], carried


@pytest.mark.pace
def test_limits_hold_in_their_direction(tunnel):
    t = tunnel([FAST])
    t.write_node(uplinks=[t.uplink(1, "limit = 4M/8M")])
    t.start()
    for source, sink, address, limit in (("hub", "node", NODE4, 4e6), ("node", "hub", HUB4, 8e6)):
        start = time.monotonic()
        Stream(t.lab, source, sink, address, 800_000).check()
        rate = 800_000 * 8 / (time.monotonic() - start)
        assert 0.5 * limit < rate < 1.05 * limit, (source, rate)


def test_quotas_are_kept_across_restarts(tunnel):
    t = tunnel([FAST, FAST])
    t.write_node(uplinks=[t.uplink(1, "quota = 2M/month"), t.uplink(2)])
    t.start()
    Stream(t.lab, "hub", "node", NODE4, 6_000_000).check()
    t.node.wait_said("its quota is used up")
    assert t.node.end() == 0
    t.start_node()
    t.node.wait_said("its quota is used up")
    path = next(p for p in t.status()["paths"] if p["name"] == "l1")
    assert path["backup"] and path["quota"]["used"] >= 2_000_000


def test_uplinks_come_and_go_by_hangup(tunnel):
    t = tunnel([FAST, FAST])
    t.write_node(uplinks=[t.uplink(1)])
    t.start_hub()
    t.start_node()
    t.wait_up(1)
    t.write_node()
    t.node.signal(signal.SIGHUP)
    t.wait_up(2)
    t.write_node(uplinks=[t.uplink(2)])
    t.node.signal(signal.SIGHUP)
    wait_for(lambda: t.up() == {1} and t.up("hub") == {1}, "the first to be gone")
    t.write_node("colour = red")
    t.node.signal(signal.SIGHUP)
    t.node.wait_said("all stays as it was")
    assert ping(t.lab, "node", HUB4)


def test_an_uplink_is_changed_by_hangup(tunnel):
    """Its limit, which the hub has to be told, and that it is a backup."""
    t = tunnel([FAST])
    t.write_node(uplinks=[t.uplink(1, "limit = 2M")])
    t.start()
    took = {}
    for limited in (True, False):
        for source, sink, address in (("hub", "node", NODE4), ("node", "hub", HUB4)):
            start = time.monotonic()
            Stream(t.lab, source, sink, address, 250_000).check()
            took[limited, source] = time.monotonic() - start
        t.write_node(uplinks=[t.uplink(1, "backup = yes")])
        t.node.signal(signal.SIGHUP)
        wait_for(lambda: t.status()["paths"][0]["backup"], "the change")
    assert min(took[True, who] for who in ("hub", "node")) > 0.8 > 2 * max(took[False, who] for who in ("hub", "node")), took


def test_nodes_come_and_go_by_hangup(tunnel):
    t = tunnel()
    t.write_hub(nodes="")
    t.start_hub()
    t.start_node(wait=False)
    wait_for(lambda: sum(w["unknown_keys"] for w in t.status("hub")["workers"]) > 0, "the node to be refused")
    t.write_hub()
    t.hub.signal(signal.SIGHUP)
    t.node.wait_said("logged on: ")
    assert ping(t.lab, "node", HUB4)
    t.write_hub(nodes="")
    t.hub.signal(signal.SIGHUP)
    wait_for(lambda: t.status("hub")["nodes"] == [], "the node to be gone")
    assert not ping(t.lab, "node", HUB4, 1, timeout=0.3)


# restarts


@pytest.mark.parametrize("who", ["hub", "node"])
@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_connection_survives_a_restart(tunnel, who, how):
    t = tunnel([FAST, FAST]).start()
    stream = Stream(t.lab, "node", "hub", HUB4, 8_000_000)
    wait_for(lambda: stream.got > 1_000_000, "bytes")
    getattr(getattr(t, who), how)()
    t.start_hub() if who == "hub" else t.start_node()
    stream.check()


@pytest.mark.parametrize("gone, back", [(("hub", "node"), ("node", "hub")), (("node", "hub"), ("hub", "node"))])
def test_a_connection_survives_that_both_are_restarted(tunnel, gone, back):
    t = tunnel([FAST, FAST]).start()
    stream = Stream(t.lab, "hub", "node", NODE4, 6_000_000)
    wait_for(lambda: stream.got > 1_000_000, "bytes")
    for who in gone:
        getattr(t, who).kill()
    for who in back:
        t.start_hub() if who == "hub" else t.start_node(wait=False)
    t.node.wait_said("logged on: ")
    stream.check()


def test_a_masqueraded_connection_survives_the_death_of_the_hub(tunnel):
    t = tunnel()
    t.write_hub(NAT)
    t.write_node(route="10.9.0.0/24")
    t.start()
    stream = Stream(t.lab, "node", "beyond", BEYOND4, 6_000_000)
    wait_for(lambda: stream.got > 1_000_000, "bytes")
    t.hub.kill()
    t.start_hub()
    stream.check()


# what the kernel does


def routes(t):
    out = ""
    for family in ("-4", "-6"):
        out += t.lab.run("node", ["ip", family, "rule"], capture_output=True, text=True).stdout
        out += t.lab.run("node", ["ip", family, "route", "show", "table", "all"], capture_output=True, text=True).stdout
    return out.replace("\n\n", "\n")


def settled(t):
    """What stays when no node runs, neighbours' entries and the like left out."""
    return sorted(line for line in routes(t).splitlines() if "lookup" in line or "plait" in line)


@pytest.mark.parametrize("how", ["end", "kill"])
def test_everything_through_the_tunnel_and_nothing_left_behind(tunnel, how):
    t = tunnel()
    t.write_hub(NAT)
    t.write_node(route="default")
    before = settled(t)
    t.start()
    wait_for(lambda: ping(t.lab, "node", BEYOND4, 1, timeout=0.3), "the way beyond")
    assert ping(t.lab, "node", BEYOND6)
    stream = Stream(t.lab, "node", "beyond", BEYOND4, 100_000)
    stream.check()
    assert stream.peer[0] == "10.9.0.1", "not masqueraded"
    assert ping(t.lab, "node", "10.1.1.1"), "what has a route of its own keeps it"
    getattr(t.node, how)()
    if how == "kill":  # what is left does nothing: the way is the one from before
        way = t.lab.run("node", ["ip", "route", "get", BEYOND4], capture_output=True, text=True).stdout
        assert "dev l1" in way
        t.start_node()
        t.node.wait_said("an earlier node has left")
        t.node.end()
    assert settled(t) == before


def test_the_hub_leaves_no_rules(tunnel):
    t = tunnel()
    t.write_hub(NAT + "\npublish = tcp/8080 -> farm:80")
    t.start_hub()
    rules = t.lab.run("hub", ["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert "masquerade" in rules and "8080" in rules
    t.hub.kill()
    t.start_hub()
    assert t.hub.end() == 0
    assert t.lab.run("hub", ["nft", "list", "ruleset"], capture_output=True, text=True).stdout == ""


def test_published_and_dedicated_ports(tunnel):
    t = tunnel()
    t.write_hub(NAT + "\npublish = tcp/8080 -> farm:80")
    t.write_node(route="10.9.0.0/24")
    t.start()
    Stream(t.lab, "beyond", "node", NODE4, 100_000, port=80, connect_to=("10.9.0.1", 8080)).check()
    inner = t.lab.socket("node", socket.AF_INET, socket.SOCK_DGRAM)
    inner.bind((NODE4, 7777))
    outer = t.lab.socket("beyond", socket.AF_INET, socket.SOCK_DGRAM)
    outer.bind((BEYOND4, 9))
    outer.settimeout(5)
    inner.sendto(b"x", (BEYOND4, 9))
    port = outer.recvfrom(10)[1][1]
    inner.close()
    outer.close()
    listed = json.loads(t.command("hub", "ports", "--json", "--control", t.folder / "hub.sock"))
    mine = [p for p in listed if p["inner"] == NODE4 + ":7777"]
    assert mine and mine[0]["port"] == port and mine[0]["node"] == "farm" and mine[0]["lan"] == 15, listed
    assert mine[0]["idle"] <= 10 and mine[0]["protocol"] == "udp"
    assert NODE4 + ":7777" in t.command("hub", "ports", "--control", t.folder / "hub.sock")


def test_what_is_kept_of_privileges(tunnel):
    t = tunnel().start()
    for process in (t.hub, t.node):
        pid = process.pid
        status = dict(line.split(":\t", 1) for line in Path("/proc/%d/status" % pid).read_text().splitlines())
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 1 << 12, status["CapEff"]  # CAP_NET_ADMIN
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


@pytest.mark.parametrize("who", ["hub", "node"])
def test_the_device_is_taken_away(tunnel, who):
    t = tunnel().start()
    t.lab.run(who, ["ip", "link", "del", "plait0"])
    process = getattr(t, who)
    assert process.process.wait(10) == 1
    assert "plait0 is gone or down" in process.said
    setattr(t, who, None)


def test_status_for_people(tunnel):
    t = tunnel(THREE).start()
    for who in ("node", "hub"):
        said = t.command("status", "--control", t.folder / (who + ".sock"))
        assert said.startswith("node farm on plait0: " if who == "node" else "hub on plait0: ") and "MTU" in said, said
        assert "farm" in said and said.count(": up, ") + said.count(": up <->") >= 3, said
        def paths(who=who):
            return (t.status() if who == "node" else t.status("hub")["nodes"][0])["paths"]

        wait_for(lambda: all("capacity" in path[d] for path in paths() for d in ("up", "down")), "what the other end says", 5)
        for path in paths():
            for direction in ("up", "down"):
                assert path[direction]["capacity"] > 0 and path[direction]["loss"] < 0.5, path
