"""plait-lab measured from outside: does the emulation do what the topology says, and does it leave nothing behind?

      client ──── link(s) under test ──── server        (and a small LAN behind a router, for the routes)

Run as root: /usr/bin/python3 -m pytest lab/test_lab.py. Both ends of a measurement are sockets of this process in two
namespaces, so one clock serves both and one-way delays can be read off; a datagram's arrival is stamped by the kernel,
so that it does not matter when this process comes round to reading it.
"""

import os
import pathlib
import pty
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time

import pytest

from plaitlab import Lab, LabError, binary

HEADERS = 28  # IPv4 and UDP
SO_RCVBUFFORCE = 33  # not in the socket module
SO_TIMESTAMPNS = 35
STATE = pathlib.Path("/run/plait-lab")
NETNS = pathlib.Path("/run/netns")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

TWO_HOSTS = "host client\nhost server\n"


def wait_for(condition, seconds=5.0):
    """Waits until the condition holds; its value, or a failure."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def udp(lab, host, address):
    """A UDP socket in a host, bound to the address, that can hold seconds of traffic."""
    sock = lab.socket(host, socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((address, 5000))
    sock.setblocking(False)
    return sock


class Arrival:
    """A datagram that came: its number, and when it was sent and received (seconds)."""

    def __init__(self, sock):
        data, control, _, _ = sock.recvmsg(2048, 64)
        self.number, self.sent = struct.unpack("!Qd", data[:16])
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        self.received = seconds + nanoseconds / 1e9
        self.delay_ms = (self.received - self.sent) * 1e3


def blast(sender, receiver, address, rate_bps, seconds, size=1500, settle=0.5):
    """Sends IP packets of `size` bytes at `rate_bps` for `seconds`; returns how many, and the arrivals.

    Arrivals are gathered until nothing has come for `settle` seconds after the last was sent.
    """
    pad = bytes(size - HEADERS - 16)
    gap = size * 8 / rate_bps
    arrivals, sent = [], 0
    start = time.monotonic()
    last = start
    while True:
        now = time.monotonic()
        while now - start < seconds and sent * gap <= now - start:
            sender.sendto(struct.pack("!Qd", sent, time.time()) + pad, (address, 5000))
            sent += 1
            last = now
        wait = max(0.0, start + sent * gap - now) if now - start < seconds else settle
        if select.select([receiver], [], [], wait)[0]:
            arrivals.append(Arrival(receiver))
            last = time.monotonic()
        elif now - start >= seconds and time.monotonic() - last >= settle:
            return sent, arrivals


def ping_ms(a, b, address, count=20):
    """Round trips of small packets, one after the other, in ms; `b` answers."""
    trips = []
    for i in range(count):
        start = time.monotonic()
        a.sendto(struct.pack("!Qd", i, 0), (address, 5000))
        assert select.select([b], [], [], 2)[0]
        data, peer = b.recvfrom(2048)
        b.sendto(data, peer)
        assert select.select([a], [], [], 2)[0]
        a.recv(2048)
        trips.append((time.monotonic() - start) * 1e3)
    return trips


def assert_conserved(way):
    assert way["in_packets"] == sum(
        way[k] for k in ("out_packets", "dropped_packets", "lost_packets", "swallowed_packets", "held_packets"))


# the file


@pytest.mark.parametrize("text, complaint", [
    ("host a b\n", r":1: expected a name"),
    ("host a\nhost a\n", r":2: 'a' is a host already"),
    ("host a\nhost b\nlink l a 10.0.0.1/24 c 10.0.0.2/24\n", r":3: no host 'c'"),
    ("host a\nhost b\nlink l a 10.0.0.1 b 10.0.0.2/24\n", r":3: '10.0.0.1' is no address"),
    ("host a\nhost b\nlink l a 10.0.0.1/24 b 10.0.0.2/24 rate 5\n", r":3: rate 5: expected a rate"),
    ("host a\nhost b\nlink l a 10.0.0.1/24 b 10.0.0.2/24 rtt 5ms/6ms\n", r":3: rtt 5ms/6ms: expected"),
    ("host a\nhost b\nlink l a 10.0.0.1/24 b 10.0.0.2/24 loss 101%\n", r":3: loss 101%: expected"),
    ("host a\nhost b\nlink l a 10.0.0.1/24 b 10.0.0.2/24 fast\n", r":3: unknown word 'fast'"),
    ("host a\nhost b\nveth l a 10.0.0.1/24 b 10.0.0.2/24 rate 5mbit\n", r":3: 'rate': a veth has no shape"),
    ("host a\n\n# comment\nat 2s l dead\n", r":4: no link 'l'"),
    ("host waytoolongforaninterface\n", r":1: .* is no name"),
    ("host a\nsysctl a kernel.panic 1\n", r":2: expected a host, a name under net."),
    ("garden a\n", r":1: unknown word 'garden'"),
    ("# nothing\n", r": no host"),
])
def test_errors_name_file_and_line(tmp_path, text, complaint):
    path = tmp_path / "wrong.lab"
    path.write_text(text)
    done = subprocess.run([binary(), "check", path], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert re.search(re.escape(str(path)) + complaint, done.stderr), done.stderr


# the emulation


def test_rate_delay_and_queue():
    """Idle round trip, rate each way, and the standing queue of a link that gets more than it can carry."""
    topology = TWO_HOSTS + "link l client 10.1.1.2/24 server 10.1.1.1/24 rate 20mbit/5mbit rtt 30ms queue 60ms\n"
    with Lab(topology) as lab:
        a, b = udp(lab, "client", "10.1.1.2"), udp(lab, "server", "10.1.1.1")
        assert 30 <= min(ping_ms(a, b, "10.1.1.1")) <= 31.5
        for sender, receiver, address, rate in ((b, a, "10.1.1.2", 20e6), (a, b, "10.1.1.1", 5e6)):
            _, arrivals = blast(sender, receiver, address, 1.4 * rate, 1.2)
            late = arrivals[len(arrivals) // 2:]
            span = late[-1].received - late[0].received
            assert (len(late) - 1) * 1500 * 8 / span == pytest.approx(rate, rel=0.03)
            # one way + queue + the packet itself, when the queue stands
            full = 15 + 60 + 1500 * 8 / rate * 1e3
            assert statistics.median(p.delay_ms for p in late) == pytest.approx(full, abs=3)
        link = lab.stats().link("l")
        for way in ("down", "up"):
            assert_conserved(link[way])
            assert link[way]["dropped_packets"] > 0
            assert 54 <= link[way]["wait_ms_peak"] <= 66


def send_tcp(listener, seconds):
    conn, _ = listener.accept()
    end = time.monotonic() + seconds
    data = bytes(1 << 16)
    try:
        while time.monotonic() < end:
            conn.send(data)
    finally:
        conn.close()


def receive_tcp(sock, settled, seconds, result):
    """Bytes per second between `settled` and `seconds` after the start."""
    start, points = time.monotonic(), []
    total = 0
    while data := sock.recv(1 << 18):
        total += len(data)
        now = time.monotonic() - start
        if settled < now < seconds:
            points.append((now, total))
    (t0, n0), (t1, n1) = points[0], points[-1]
    result.append((n1 - n0) / (t1 - t0))


def test_tcp_fills_three_links_at_little_cost():
    """A TCP flow on each of three links at once gets 1448 of 1500 bytes; the emulation takes a share of a core."""
    rates = (20e6, 50e6, 100e6)
    topology = TWO_HOSTS + "".join(
        f"link l{i} client 10.1.{i}.2/24 server 10.1.{i}.1/24 rate {rate / 1e6}mbit rtt 10ms\n"
        for i, rate in enumerate(rates))
    with Lab(topology) as lab:
        threads, results = [], [[] for _ in rates]
        for i, _ in enumerate(rates):
            listener = lab.socket("server", socket.AF_INET, socket.SOCK_STREAM)
            listener.bind((f"10.1.{i}.1", 5001))
            listener.listen()
            sock = lab.socket("client", socket.AF_INET, socket.SOCK_STREAM)
            threads.append(threading.Thread(target=send_tcp, args=(listener, 2.4)))
            threads[-1].start()
            sock.connect((f"10.1.{i}.1", 5001))
            threads.append(threading.Thread(target=receive_tcp, args=(sock, 0.8, 2.3, results[i])))
            threads[-1].start()
        before = lab.stats()
        for thread in threads:
            thread.join(timeout=10)
        after = lab.stats()
        for rate, result in zip(rates, results):
            assert result[0] * 8 == pytest.approx(rate * 1448 / 1500, rel=0.03)
        busy = (after["cpu_s"] - before["cpu_s"]) / (after["elapsed_s"] - before["elapsed_s"])
        print(f"170 Mbit/s over three links: {busy:.0%} of a core")
        assert busy < 0.35


def test_loss_is_as_set():
    """Independent losses within four standard deviations; bursts of the mean length set, at the same overall share."""
    count = 6000
    topology = TWO_HOSTS + """
        seed 7
        link even client 10.1.1.2/24 server 10.1.1.1/24 loss 2%/0
        link burst client 10.1.2.2/24 server 10.1.2.1/24 loss 10%/0 burst 8
    """
    with Lab(topology) as lab:
        for net, share, run, slack in ((1, 0.02, 1, 4), (2, 0.10, 8, 12)):
            a, b = udp(lab, "client", f"10.1.{net}.2"), udp(lab, "server", f"10.1.{net}.1")
            sent, arrivals = blast(b, a, f"10.1.{net}.2", 80e6, count * 1000 * 8 / 80e6, size=1000, settle=0.2)
            lost = sent - len(arrivals)
            assert abs(lost - sent * share) < slack * (sent * share * (1 - share)) ** 0.5
            numbers = [p.number for p in arrivals]
            gaps = [y - x - 1 for x, y in zip(numbers, numbers[1:]) if y - x > 1]
            assert statistics.mean(gaps) == pytest.approx(run, rel=0.35)
        assert_conserved(lab.stats().link("even")["down"])


def test_jitter_keeps_order_unless_told():
    topology = TWO_HOSTS + """
        seed 3
        link calm client 10.1.1.2/24 server 10.1.1.1/24 rtt 40ms jitter 20ms
        link wild client 10.1.2.2/24 server 10.1.2.1/24 rtt 40ms jitter 20ms reorder
    """
    with Lab(topology) as lab:
        for net, ordered in ((1, True), (2, False)):
            a, b = udp(lab, "client", f"10.1.{net}.2"), udp(lab, "server", f"10.1.{net}.1")
            sent, arrivals = blast(b, a, f"10.1.{net}.2", 8e6, 0.8, size=1000, settle=0.2)
            assert len(arrivals) == sent
            delays = sorted(p.delay_ms for p in arrivals)
            low, middle, high = (delays[len(delays) * part // 20] for part in (1, 10, 19))
            assert 9.5 <= low < middle - 2 and middle + 2 < high <= 31
            assert middle == pytest.approx(20, abs=4)
            numbers = [p.number for p in arrivals]
            assert (numbers == sorted(numbers)) is ordered


def test_schedule_mark_and_set():
    """Changes come when they were set for, counted from the mark, which also takes back what had happened before."""
    topology = TWO_HOSTS + """
        link l client 10.1.1.2/24 server 10.1.1.1/24 rate 10mbit
        at 0 l rate 5mbit          # has happened before the mark, and happens again at once after it
        at 300ms l dead
        at 500ms l alive rate 2mbit
        at 100ms every 200ms l queue 50ms
    """
    with Lab(topology) as lab:
        a, b = udp(lab, "client", "10.1.1.2"), udp(lab, "server", "10.1.1.1")
        wait_for(lambda: lab.stats().link("l")["down"]["rate_bps"] == 2e6)
        lab.mark()
        mark = time.time()
        _, arrivals = blast(b, a, "10.1.1.2", 4e6, 0.7, size=500, settle=0.2)
        times = [p.received - mark for p in arrivals]
        silence = max(zip(times, times[1:]), key=lambda pair: pair[1] - pair[0])
        assert silence == pytest.approx((0.3, 0.5), abs=0.02)
        after = lab.stats()
        assert [e["fired_s"] for e in after["events"][:3]] == pytest.approx([0, 0.3, 0.5], abs=0.005)
        assert after["events"][3]["fired_s"] > 0.4
        assert after.link("l")["down"]["swallowed_packets"] > 100
        lab.set("l", "rate 7mbit/3mbit loss 1%")
        link = lab.stats().link("l")
        assert (link["down"]["rate_bps"], link["up"]["rate_bps"], link["up"]["loss"]) == (7e6, 3e6, 0.01)
        with pytest.raises(LabError, match="unknown word 'quick'"):
            lab.set("l", "quick")
        with pytest.raises(LabError, match="expected an emulated link"):
            lab.set("m", "dead")


def test_unplugged_is_seen_and_comes_back():
    with Lab(TWO_HOSTS + "link l client 10.1.1.2/24 server 10.1.1.1/24\n") as lab:
        def show():
            return lab.run("client", ["ip", "link", "show", "dev", "l"], capture_output=True, text=True).stdout
        assert "NO-CARRIER" not in show()
        lab.set("l", "unplug")
        assert "NO-CARRIER" in show()
        lab.set("l", "plug")
        assert "NO-CARRIER" not in show()
        a, b = udp(lab, "client", "10.1.1.2"), udp(lab, "server", "10.1.1.1")
        assert len(ping_ms(a, b, "10.1.1.1", 3)) == 3


# the routes


def echo_once(server, client, address):
    """One datagram from client to the address and back; True if the answer came."""
    client.sendto(b"ping", (address, 5000))
    if not select.select([server], [], [], 2)[0]:
        return False
    data, peer = server.recvfrom(100)
    server.sendto(data, peer)
    return bool(select.select([client], [], [], 2)[0]) and client.recv(100) == b"ping"


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_a_bound_socket_uses_its_link_both_ways(six):
    """To an address beyond all links, and to the other link's address: out and back by the link that was bound."""
    net = "fd00:{}::" if six else "10.1.{}."
    length = 64 if six else 24
    hub = "fd00:99::1" if six else "10.99.0.1"
    family = socket.AF_INET6 if six else socket.AF_INET
    topology = TWO_HOSTS + "".join(
        f"link l{i} client {net.format(i)}2/{length} server {net.format(i)}1/{length} default\n" for i in (1, 2))
    topology += f"addr server {hub}/{128 if six else 32}\n"
    with Lab(topology) as lab:
        server = lab.socket("server", family, socket.SOCK_DGRAM)
        server.bind(("", 5000))
        carried = {1: 0, 2: 0}
        for target in (hub, net.format(1) + "1", net.format(2) + "1"):
            specific = lab.socket("server", family, socket.SOCK_DGRAM)  # answers from the address asked
            specific.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.close()
            specific.bind((target, 5000))
            server = specific
            for i in (1, 2):
                by_device = lab.socket("client", family, socket.SOCK_DGRAM)
                by_device.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, f"l{i}".encode())
                by_source = lab.socket("client", family, socket.SOCK_DGRAM)
                by_source.bind((net.format(i) + "2", 0))
                for client in (by_device, by_source):
                    assert echo_once(server, client, target)
                    carried[i] += 1
                    stats = lab.stats()
                    for j in (1, 2):
                        link = stats.link(f"l{j}")
                        assert link["up"]["out_packets"] == link["down"]["out_packets"] == carried[j]


def test_lan_behind_a_router():
    topology = """
        host a
        host b
        host router forward
        host server
        lan home a 192.168.7.2/24 b 192.168.7.3/24 router 192.168.7.1/24
        link wan router 10.1.1.2/24 server 10.1.1.1/24 rtt 10ms default
        route a default via 192.168.7.1
        route b default via 192.168.7.1
        route server 192.168.7.0/24 via 10.1.1.2
        sysctl server net.ipv4.tcp_congestion_control reno
    """
    with Lab(topology) as lab:
        server, a, b = (udp(lab, *end) for end in (("server", "10.1.1.1"), ("a", "192.168.7.2"), ("b", "192.168.7.3")))
        for client in (a, b):
            assert echo_once(server, client, "10.1.1.1")
        assert echo_once(b, a, "192.168.7.3")
        assert lab.stats().link("wan")["up"]["out_packets"] == 2
        read = lab.run("server", ["cat", "/proc/sys/net/ipv4/tcp_congestion_control"], capture_output=True, text=True)
        assert read.stdout.strip() == "reno"


# coming and going


@pytest.fixture(name="topology")
def topology_file(tmp_path):
    path = tmp_path / "small.lab"
    path.write_text(TWO_HOSTS + "link l client 10.1.1.2/24 server 10.1.1.1/24 rtt 1ms\n")
    return path


def start_run(topology, *command):
    """`plait-lab run` with a command that leaves a process in a namespace; returns it and the lab's id once up."""
    inside = "sh -c 'echo $PLAIT_LAB; exec sleep 300'"
    script = f'"$0" in client -- {inside} & {" ".join(command) or "exec sleep 300"}'
    run = subprocess.Popen([binary(), "run", topology, "--", "sh", "-c", script, binary()],
                           stdout=subprocess.PIPE, text=True)
    return run, run.stdout.readline().strip()


def leftovers(lab_id):
    found = [path.name for path in NETNS.glob(f"plait-{lab_id}-*")]
    return found + ([lab_id] if (STATE / lab_id).exists() else [])


def sleepers(lab_id):
    return [p for p in pathlib.Path("/proc").glob("[0-9]*/environ")
            if _reads(p, f"PLAIT_LAB={lab_id}\0".encode()) and _reads(p.parent / "comm", b"sleep")]


def _reads(path, what):
    try:
        return what in path.read_bytes()
    except OSError:
        return False


def emulator_of(run):
    """The process that emulates: the child of `run` that is plait-lab as well."""
    def find():
        children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        return [int(c) for c in children if _reads(pathlib.Path(f"/proc/{c}/comm"), b"plait-lab")]
    return wait_for(find)[0]


def test_run_passes_the_environment_and_the_status(topology):
    script = 'test -e /run/netns/$PLAIT_NS_client && test -e /run/netns/$PLAIT_NS_server && exit 7'
    done = subprocess.run([binary(), "run", topology, "--", "sh", "-c", script], timeout=10, check=False)
    assert done.returncode == 7
    done = subprocess.run([binary(), "run", topology, "--", "sh", "-c", "kill -9 $$"], timeout=10, check=False)
    assert done.returncode == 128 + 9


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_run_clears_away_after_a_signal(topology, sig):
    run, lab_id = start_run(topology)
    assert len(leftovers(lab_id)) == 3
    run.send_signal(sig)
    run.wait(timeout=10)
    wait_for(lambda: not leftovers(lab_id) and not sleepers(lab_id))


def test_run_clears_away_after_ctrl_c_on_a_terminal(topology):
    script = "echo $PLAIT_LAB; exec sleep 300"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(binary(), [binary(), "run", str(topology), "--", "sh", "-c", script])
    lab_id = os.read(terminal, 100).decode().strip()
    assert len(leftovers(lab_id)) == 3
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGINT
    assert not leftovers(lab_id)
    os.close(terminal)


def test_run_ends_a_stubborn_command(topology):
    run, lab_id = start_run(topology, "trap '' TERM;", "while :; do sleep 1; done")
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=10) == 128 + 9
    assert not leftovers(lab_id)
    wait_for(lambda: not sleepers(lab_id))  # the command's own last sleep, outside, takes a second to end


def test_gc_clears_dead_labs_and_only_those(topology):
    with Lab(topology.read_text()) as live:
        run, lab_id = start_run(topology)
        emulator = emulator_of(run)
        os.kill(run.pid, signal.SIGSTOP)  # so that it sees nothing of what comes
        os.kill(emulator, signal.SIGKILL)
        assert len(leftovers(lab_id)) == 3
        os.kill(run.pid, signal.SIGKILL)
        run.wait(timeout=10)
        assert len(leftovers(lab_id)) == 3
        said = subprocess.run([binary(), "gc"], capture_output=True, text=True, timeout=10, check=True).stdout
        assert f"cleared away lab {lab_id}" in said
        assert live.id not in said
        assert not leftovers(lab_id)
        wait_for(lambda: not sleepers(lab_id))
        assert len(leftovers(live.id)) == 3
        assert live.stats()["lab"] == live.id
    assert not leftovers(live.id)


def test_run_fails_when_the_emulation_breaks(topology):
    run, lab_id = start_run(topology)
    os.kill(emulator_of(run), signal.SIGKILL)
    assert run.wait(timeout=10) != 0
    assert not leftovers(lab_id)


def test_a_topology_that_cannot_be_laid_leaves_nothing(tmp_path):
    path = tmp_path / "bad.lab"
    path.write_text(TWO_HOSTS + "route client 10.9.9.0/24 via 10.8.8.8\n")
    lab_id = f"b{os.getpid() % 1000000}"
    done = subprocess.run([binary(), "run", "--id", lab_id, path, "--", "true"],
                          capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1 and "ip failed" in done.stderr
    assert not leftovers(lab_id)


def test_ids_do_not_collide(topology):
    command = [binary(), "up", "--owner", str(os.getpid()), "--id", f"t{os.getpid() % 1000000}", topology]
    lab_id = command[5]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=10, check=True)
    second = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert second.returncode == 1 and "there is one of that name" in second.stderr
    assert len(leftovers(lab_id)) == 3
    subprocess.run([binary(), "down", "-l", lab_id], timeout=10, check=True)
    assert not leftovers(lab_id)


def test_namespaces_of_others_are_left_alone(topology):
    other = f"plait-o{os.getpid() % 1000000}-else"
    subprocess.run(["ip", "netns", "add", other], timeout=10, check=True)
    try:
        done = subprocess.run([binary(), "up", "--id", other.split("-")[1], topology],
                              capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 1 and "there is one of that name" in done.stderr
        assert (NETNS / other).exists() and not (STATE / other.split("-")[1]).exists()
    finally:
        subprocess.run(["ip", "netns", "del", other], timeout=10, check=True)


def test_a_lab_ends_with_its_owner(topology):
    owner = subprocess.Popen(["sleep", "300"])
    up = subprocess.run([binary(), "up", "--owner", str(owner.pid), topology],
                        capture_output=True, text=True, timeout=10, check=True)
    lab_id = re.search(r"PLAIT_LAB=(\w+)", up.stdout).group(1)
    assert len(leftovers(lab_id)) == 3
    owner.kill()
    owner.wait()
    wait_for(lambda: not leftovers(lab_id))
