"""Neighbours pool their links: terminals on a LAN, their WAN links, a hub and a server beyond it (lab/plaitcommunity.py).

    t1 ─┐              ┌═ w1 ═┐
    t2 ─┼─ LAN bridge  ├═ w2 ═┼═ hub ── beyond
    t3 ─┘              └═ w3 ═┘
"""
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
from plaitcommunity import BEYOND4, Village, topology  # noqa: E402  (found through the line above)
from plaitlab import Lab  # noqa: E402
from plaittunnel import ping, pour, wait_for  # noqa: E402
from support import SLOW_BUILD  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

LINK = "rate 10mbit rtt 20ms queue 100ms"
ETH_ALL = 3
SO_RCVBUFFORCE = 33


@pytest.fixture
def village(exe, place):
    """village(links, …): a lab and its configurations, not started."""
    made = []

    def make(links, **more):
        lab = Lab(topology(links, **more))
        made.append((lab, None))
        made[-1] = (lab, Village(lab, links, place, exe))
        return made[-1][1]

    yield make
    problems = []
    for lab, v in made:
        if v:
            problems += [f"ended with {status}" for status in v.stop() if status]
            problems += [line for line in v.said().splitlines() if "ERROR: " in line or "runtime error" in line]
        lab.down()
    assert not problems, "\n".join(problems)


class Wire(threading.Thread):
    """What passes an interface of a host, or all of them: (outgoing, source, destination, payload) of each UDP packet over IPv4."""

    def __init__(self, lab, host, interface=""):
        super().__init__(daemon=True)
        self.socket = lab.socket(host, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        if interface:
            self.socket.bind((interface, ETH_ALL))
        self.seen, self.over = [], False
        self.start()

    def run(self):
        self.socket.settimeout(0.2)
        while not self.over:
            try:
                data, (_, _, kind, _, _) = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            if len(data) < 28 or data[0] >> 4 != 4 or data[9] != socket.IPPROTO_UDP:
                continue
            at = (data[0] & 15) * 4
            ends = [(socket.inet_ntoa(data[12 + 4 * i:16 + 4 * i]), int.from_bytes(data[at + 2 * i:at + 2 * i + 2], "big"))
                    for i in (0, 1)]
            self.seen.append((kind == socket.PACKET_OUTGOING, *ends, data[at + 8:]))
        self.socket.close()

    def end(self):
        self.over = True
        self.join()
        return self.seen


class AddItUp(threading.Thread):
    """The server of the seed's appendices: answers each number with its negative, and the third also with the sum."""

    def __init__(self, lab, address):
        super().__init__(daemon=True)
        self.socket = lab.socket("beyond", socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)
        self.sources = []
        self.start()

    def run(self):
        numbers = []
        while len(numbers) < 3:
            data, source = self.socket.recvfrom(64)
            numbers.append(int(data))
            self.sources.append(source)
            self.socket.sendto(b"%03d" % -numbers[-1], source)
        self.socket.sendto(b"%03d" % sum(numbers), source)
        self.socket.close()


def test_the_seed_s_appendices(village):
    """44, 5 and 18 go out by turns over two neighbours, −44, −5, −18 and 67 come back."""
    v = village([None, LINK, LINK])
    for i in (2, 3):
        v.write_node(i, weight="1")
    v.start()
    server = AddItUp(v.lab, (BEYOND4, 7111))
    lan, out = Wire(v.lab, "t1", "lan1"), Wire(v.lab, "hub", "out")
    with v.lab.socket("t1", socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("0.0.0.0", 8111))
        client.settimeout(5)
        got = []
        for number in (44, 5, 18):
            client.sendto(b"%03d" % number, (BEYOND4, 7111))
            data, source = client.recvfrom(64)
            assert source == (BEYOND4, 7111)  # the address is restored
            got.append(int(data))
        got.append(int(client.recv(64)))
    server.join(5)
    assert got == [-44, -5, -18, 67]
    # One dedicated port at the hub for all of it, and the hub's address before the server.
    assert len(set(server.sources)) == 1 and server.sources[0][0] == "10.9.0.1"
    ports = v.command("hub", "ports", "--control", v.folder / "hub.sock")
    assert re.search(r"\b%d\b.*\bt1\b.*\b15\b.*8111" % server.sources[0][1], ports), ports
    wait_for(lambda: any(p[3] == b"067" and p[2] == server.sources[0] for p in out.seen), "the sum on the server's link")
    # Each of the two neighbours carries in both directions.
    wait_for(lambda: len(by_turns(lan.seen, False)) >= 4, "four answers on the LAN")
    out.end()
    seen = lan.end()
    for outgoing, least in ((True, 3), (False, 4)):
        turns = by_turns(seen, outgoing)
        assert len(turns) >= least and set(turns) == {"10.0.1.2", "10.0.1.3"}, turns


def by_turns(seen, outgoing):
    """The neighbours by which sealed packets with a number of three characters within went, in order."""
    size = SEALED + 28 + 3  # IP, UDP, the number
    return [p[2 if outgoing else 1][0] for p in seen if p[0] == outgoing and p[3][:1] == b"\x04"
            for datagram in apart(p[3]) if len(datagram) == size]


def apart(train):
    """What left at once is seen as one: the datagrams in it, each with the same type, path and session in front."""
    return [train[:FRONT] + rest for rest in train.split(train[:FRONT])[1:]]


FRONT = 6
SEALED = 14 + 14 + 16  # around an inner packet: the clear front, the inner header, the tag


def saturate(sender, to, over, mbit):
    sent, start = 0, time.monotonic()
    while not over.is_set():
        while sent * 8e-3 < mbit * (time.monotonic() - start):
            sender.sendto(bytes(1000), to)
            sent += 1
        over.wait(0.002)


def letters(seen, at):
    """By which of the terminals each full datagram left; `at` is the end of the packet that tells."""
    size = SEALED + 28 + 1000
    return "".join(".ABC"[int(p[2][0].split(".")[at])] for p in seen if p[0] and p[3][:1] == b"\x04" and p[2][0][:4] in ("10.0", "10.1")
                   for datagram in apart(p[3]) if len(datagram) == size)


@pytest.mark.pace
def test_the_weighted_order_of_the_seed(village):
    """A = 2, B = 1, C = 2: a saturated sender's packets go A, B, C, A, C, and so do those that come back."""
    v = village(["rate 3mbit rtt 20ms queue 100ms"] * 3 + [None])
    for i, weight in ((1, 2), (2, 1), (3, 2)):
        v.write_node(i, weight=weight)
    v.start()
    over = threading.Event()
    with (v.lab.socket("beyond", socket.AF_INET, socket.SOCK_DGRAM) as there, v.lab.socket("t4", socket.AF_INET, socket.SOCK_DGRAM) as here):
        there.bind((BEYOND4, 7000))
        here.sendto(b"hello", (BEYOND4, 7000))
        back = there.recvfrom(16)[1]
        senders = [threading.Thread(target=saturate, args=(*each, over, 12)) for each in ((here, (BEYOND4, 7000)), (there, back))]
        for s in senders:
            s.start()
        # Seen where they leave: the links' queues have another order in the end.
        up, down = Wire(v.lab, "t4", "lan4"), Wire(v.lab, "hub")
        wait_for(lambda: len(letters(up.seen, 3)) > 700 and len(letters(down.seen, 2)) > 700, "packets", every=0.2)
        over.set()
        for s in senders:
            s.join()
    for seen, at in ((letters(up.end(), 3), 3), (letters(down.end(), 2), 2)):
        seen = seen[-600:]
        if "BCACA" * 4 not in seen:  # A and C have the same weight; who is first is by the numbers of the paths
            seen = seen.translate(str.maketrans("AC", "CA"))
        in_order = sum(seen[i:i + 5] in "ABCACABCAC" for i in range(len(seen) - 4))
        assert in_order > 0.9 * (len(seen) - 4) and "ABCAC" * 10 in seen, seen
        assert all(abs(seen.count(x) / len(seen) - share) < 0.01 for x, share in (("A", 0.4), ("B", 0.2), ("C", 0.4)))


# who is there, and who is gone


def rate(v, host, seconds, port=5000, up=False):
    """Mbit/s that a host draws from beyond over TCP, or sends there."""
    with v.lab.socket("beyond", socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((BEYOND4, port))
        listener.listen(1)
        with v.lab.socket(host, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect((BEYOND4, port))
            server, _ = listener.accept()
            source, sink = (client, server) if up else (server, client)
            threading.Thread(target=pour, args=(source,), daemon=True).start()
            got, start = 0, time.monotonic()
            while time.monotonic() - start < seconds:
                got += len(sink.recv(1 << 16))
            server.close()
    return got * 8 / 1e6 / seconds


@pytest.mark.pace
def test_one_without_a_link_has_more_than_any_one_link(village):
    v = village([LINK, LINK, None]).start()
    assert ping(v.lab, "t3", BEYOND4)
    assert v.members(3) == {"t1", "t2"} and v.members(1) == {"t2", "t3"}
    assert [(lan["lan"], sorted(lan["active"])) for lan in v.status("hub")["lans"]] == [(15, ["t1", "t2", "t3"])]
    shown = v.command("status", "--control", v.folder / "t3.sock")
    assert re.search(r"^ +t2 +10\.0\.1\.2 +\d+ +0 +auto +auto +[0-9.]+[kMG] up$", shown, re.M), shown
    assert rate(v, "t3", 4) > 11  # one link has 10
    carried = {o["uplink"]: o["down_bytes"] for i in (1, 2) for o in v.community(i)["offers"]}
    assert min(carried.values()) > 500_000, carried


def at_lan(v):
    """Those whom the hub knows to be there."""
    return sorted(name for lan in v.status("hub")["lans"] for name in lan["active"])


def at_once(v, numbers, seconds):
    """Mbit/s of each who downloads at the same time."""
    got = {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: rate(v, f"t{i}", seconds, 5000 + i)})) for i in numbers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return got


@pytest.mark.pace
def test_who_downloads_at_once(village):
    """One with and one without a link share all of them; when all want them, the owners have their own."""
    v = village([LINK, LINK, LINK, None]).start()
    wait_for(lambda: len({n["worker"] for n in v.status("hub")["nodes"]}) == 1, "one worker of the hub for all of them")
    got = at_once(v, (1, 4), 4)
    assert sum(got.values()) > 12 and min(got.values()) > 0.7 * max(got.values()), got
    got = at_once(v, (1, 2, 3, 4), 4)
    assert min(got[i] for i in (1, 2, 3)) > 6 and 0.05 < got[4] < 4, got


def test_who_leaves_and_who_is_killed(village):
    v = village([LINK, LINK, LINK, None]).start()
    assert v.nodes[1].end() == 0
    wait_for(lambda: v.members(4) == {"t2", "t3"} and at_lan(v) == ["t2", "t3", "t4"], "good-bye to be heard", 1)
    v.nodes[2].kill()
    assert len(ping(v.lab, "t4", BEYOND4, count=50, every=0.02)) >= 25  # half a second of outage at most
    wait_for(lambda: v.members(4) == {"t3"}, "the limit of missed announcements", 6)
    v.start_node(2)
    wait_for(lambda: v.members(4) == {"t2", "t3"}, "one that was killed to be back", 5)
    v.wait_up(4, 2)


class Steady(threading.Thread):
    """A datagram from beyond every 5 ms; `silence` is the longest time without one."""

    def __init__(self, lab, host, port):
        super().__init__(daemon=True)
        self.here, self.there = (lab.socket(h, socket.AF_INET, socket.SOCK_DGRAM) for h in (host, "beyond"))
        self.there.bind((BEYOND4, port))
        self.here.sendto(b"hello", (BEYOND4, port))
        self.there.settimeout(5)
        self.to = self.there.recvfrom(16)[1]
        self.here.settimeout(0.005)
        self.over, self.count, self.silence = False, 0, 0.0
        self.start()

    def run(self):
        last = due = time.monotonic()
        while not self.over:
            now = time.monotonic()
            if now >= due:
                self.there.sendto(bytes(200), self.to)
                due += 0.005
            try:
                self.here.recv(1000)
            except TimeoutError:
                continue
            finally:
                self.silence = max(self.silence, time.monotonic() - last)
            last, self.count = time.monotonic(), self.count + 1

    def end(self):
        self.over = True
        self.join()
        self.here.close()
        self.there.close()
        return self.silence


def at_hub(v, name, state=None):
    """What the hub has sent on each path to that terminal; of paths in that state."""
    node = next(n for n in v.status("hub")["nodes"] if n["name"] == name)
    return {p["path"]: p["down"]["bytes"] for p in node["paths"] if state in (None, p["state"])}


def test_a_neighbour_that_drops_or_holds_up_everything(village):
    """It goes on announcing itself; it is found out, left alone, and used again once it behaves."""
    v = village([LINK, LINK.replace("20ms", "30ms"), None]).start()
    drawn = {}
    drawing = threading.Thread(target=lambda: drawn.update(mbit=rate(v, "t3", 3)))
    drawing.start()
    steady = Steady(v.lab, "t3", 5100)
    for trick, undone in (("loss 100%", "loss 0%"), ("rtt 3000ms", None)):
        count = steady.count
        wait_for(lambda: steady.count > count + 60, "a while")
        v.lab.set("w1", trick)
        wait_for(lambda: len(v.up(3)) == 1 and len(at_hub(v, "t3", "up")) == 1, "the bad neighbour to be found out", 2)
        before, count = at_hub(v, "t3"), steady.count
        wait_for(lambda: steady.count > count + 100, "half a second")
        # Probes alone; the line carries 600,000.
        assert min(sent - before[path] for path, sent in at_hub(v, "t3").items()) < 30_000 and v.members(3) == {"t1", "t2"}
        if undone:
            v.lab.set("w1", undone)
            v.wait_up(3, 2)
    drawing.join()
    assert steady.end() < (1.5 if SLOW_BUILD else 0.5) and drawn["mbit"] > 4


def resident(process):
    """Its memory in KiB, and how many files it has open."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{process.pid}/fd"))


def flood(v, recorded, port, count):
    """From the third terminal, by turns: announcements that were heard, with a bit changed, and nonsense, to all ports."""
    sockets = [v.lab.socket("t3", socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    nonsense = [b"\4" + os.urandom(300), b"\5\1\1" + os.urandom(90), b"\1" + os.urandom(200)]
    for i in range(count):
        what = recorded[i % len(recorded)] if i % 4 < 2 else nonsense[i % len(nonsense)]
        if i % 4 == 1:
            at = i % len(what)
            what = what[:at] + bytes([what[at] ^ 1 << i % 8]) + what[at + 1:]
        sockets[i % len(sockets)].sendto(what, ("10.0.1.1", port) if i % 3 == 0 else (f"10.0.1.{1 + i % 2}", 4041))
    for s in sockets:
        s.close()


def test_strangers_and_recordings(village):
    v = village([LINK, None, LINK])
    v.command("community", "new", "other", "-o", v.folder / "other.key")
    v.write_node(3, key=v.folder / "other.key")
    heard = Wire(v.lab, "t2", "lan2")
    v.start_hub()
    for i in v.numbers:
        v.start_node(i)
    v.wait_up(2, 1)
    v.wait_up(1, 1)
    wait_for(lambda: v.community(1)["forged"] >= 2, "the stranger to be heard")
    assert v.members(1) == {"t2"} and v.members(2) == {"t1"} and v.members(3) == set()
    offer = v.community(1)["offers"][0]
    recorded = [p for p in heard.end() if not p[0] and p[1][0] == "10.0.1.1" and p[3][:3] == b"\5\1\1"]
    # What a member has sent for the hub, sent by a stranger to the right port: not carried.
    before = v.community(1)["not_carried"]
    with v.lab.socket("t3", socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(20):
            s.sendto(b"\x04" + bytes(200), ("10.0.1.1", offer["port"]))
    wait_for(lambda: v.community(1)["not_carried"] >= before + 20, "the stranger's datagrams to be counted")
    assert [m["name"] for m in v.community(1)["offers"][0]["members"]] == ["t2"]
    # Neither that nor what is made up or played back by the thousand costs memory.
    for count in (500, 20_000):
        before = [resident(v.nodes[i]) for i in (1, 2)]
        flood(v, [p[3] for p in recorded[-8:]], offer["port"], count)
    wait_for(lambda: v.community(2)["forged"] > 1000, "the flood to be heard")
    after = [resident(v.nodes[i]) for i in (1, 2)]
    assert all(a[0] - b[0] <= 512 and a[1] <= b[1] + 2 for a, b in zip(after, before)), (before, after)
    assert v.members(1) == {"t2"} and v.members(2) == {"t1"}
    # A recording, played back after its maker has gone, brings nobody back.
    v.nodes[1].end()
    wait_for(lambda: not v.members(2), "good-bye to be heard", 1)
    with v.lab.socket("t1", socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("10.0.1.1", recorded[-1][1][1]))
        for p in recorded[-5:]:
            s.sendto(p[3], ("10.0.1.2", 4041))
    wait_for(lambda: v.community(2)["asked"] > 0, "the recording to be heard")
    time_over = time.monotonic() + 0.5
    wait_for(lambda: time.monotonic() > time_over or v.members(2), "half a second")
    assert not v.members(2)


@pytest.mark.parametrize("bound, most_down, most_up", [("limit = 2M/1M", 2, 1), ("share = 30%", 3, 3)])
def test_nobody_gets_more_than_what_was_set(village, bound, most_down, most_up):
    """Nor does a member who does not keep to anything."""
    v = village([LINK, None])
    v.write_node(1, community=f"offer = w1\n{bound}")
    v.start()
    if bound.startswith("share"):  # of what is known of the line
        both = [threading.Thread(target=rate, args=(v, "t1", 1.5, 5001 + up, up)) for up in (False, True)]
        for thread in both:
            thread.start()
        wait_for(lambda: 0.7e6 * most_down < v.community(1)["offers"][0]["down_limit"] * 8, "the line to be known")
        for thread in both:
            thread.join()
    assert most_down / 3 < rate(v, "t2", 1.8) < 1.2 * most_down
    port = next(m["port"] for m in v.community(1)["members"] if m["name"] == "t2")
    offer = v.community(1)["offers"][0]
    v.nodes[2].kill()
    before, start = offer["up_bytes"], time.monotonic()
    with v.lab.socket("t2", socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("10.0.1.2", port))
        while time.monotonic() < start + 0.7:
            for _ in range(20):
                s.sendto(b"\4" + bytes(1000), ("10.0.1.1", offer["port"]))
            time.sleep(0.005)
    carried = (v.community(1)["offers"][0]["up_bytes"] - before) * 8e-6 / (time.monotonic() - start)
    assert most_up / 3 < carried < 1.2 * most_up and v.members(1) == {"t2"}


@pytest.mark.pace
def test_members_share_a_limit(village):
    v = village([LINK, None, None])
    v.write_node(1, community="offer = w1\nlimit = 8M/4M")
    v.start()
    got = at_once(v, (2, 3), 5)
    assert sum(got.values()) > 5 and min(got.values()) > 0.35 * sum(got.values()), got


def test_what_is_on_offer_changes_by_hangup(village):
    v = village([LINK, None])
    v.write_node(1, community="")
    v.start_hub()
    for i in v.numbers:
        v.start_node(i)
    v.wait_up(1, 1)
    wait_for(lambda: v.members(1) == {"t2"}, "the two to know each other")
    metered = "auto\nquota = 50G/month"
    for more, weight, limits in (("offer = w1\nlimit = 2M/1M", "auto", [1e6]), ("offer = all", "auto", [0]), ("offer = all", metered, []),
                                 ("offer = w1", metered, [0]), ("", "auto", [])):
        v.write_node(1, community=more, weight=weight)
        v.nodes[1].signal(signal.SIGHUP)
        wait_for(lambda: [o["up_limit"] * 8 for o in v.community(1)["offers"]] == limits, more)
        v.wait_up(2, len(limits), 5)
    v.write_node(1, community="missed = 9")
    v.nodes[1].signal(signal.SIGHUP)
    v.nodes[1].wait_said("can be changed without a restart; all stays as it was")


def test_a_quota_ends_the_offer(village):
    v = village([LINK, None])
    v.write_node(1, community="offer = w1\nquota = 100k/month")
    v.start()
    ping(v.lab, "t2", BEYOND4, count=1500, every=0.001, timeout=0.5)
    v.nodes[1].wait_said("its quota is used up")
    wait_for(lambda: not v.up(2) and not v.community(1)["offers"], "the offer to be withdrawn")


@pytest.mark.parametrize("family, told, others", [(4, "10.0.1.2:4200", "10.0.1.9, 10.0.1.255:4100"),
                                                  (6, "[fd00:1::2]:4200", "[fd00:1::9]:4100, [fd00:1::1]:4100")])
def test_neighbours_that_are_told_one_by_one(village, family, told, others):
    """By address or by broadcast; what is said to all goes to ports where nobody listens."""
    v = village([LINK, None], family=family)
    v.write_node(1, community=f"offer = w1\nport = 4100\nneighbours = {told}")
    v.write_node(2, community=f"port = 4200\nneighbours = {others}")
    v.start()
    assert v.members(1) == {"t2"} and v.members(2) == {"t1"}


def test_ipv6_lan(village):
    v = village([LINK, None], family=6).start()
    assert len(ping(v.lab, "t2", BEYOND4)) == 3


def test_what_configurations_may_say(village):
    v = village([LINK])
    for line, words in (("offer = cable", "there is no"), ("share = 0%", "from 1%"), ("period = 1ms", "from 100ms"),
                        ("neighbours = printer", "is not an address"), ("missed = 0", "missed")):
        key, _, value = line.partition(" = ")
        v.write_node(1, **({"period": value} if key == "period" else {"community": line}))
        done = v.lab.run("t1", [v.exe, "node", "-c", v.folder / "t1.conf", "--check"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and words in done.stderr, done.stderr
