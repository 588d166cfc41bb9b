#!/usr/bin/python3
"""How much of what the links could carry does one connection get through the tunnel?

    node ═══ link 1 … link n ═══ hub            (lab/plaittunnel.py)

Each row lays its links between two namespaces with plait-lab; the node has an uplink on each, to the hub's address on
that link, with nothing set by hand. One TCP flow of iperf3 runs through the tunnel; beside it, in networks of the same
kind, one over MPTCP without a tunnel, and one over each link alone, of which the best counts. Printed is the share of the
links' summed TCP payload (1448 of 1500 bytes, less the loss); a tunnel's own headers cap it near 0.95.

Further parts: `udp` (datagrams at nine tenths of the links' sum: how much of that arrives), `ping` (round trips idle and
under a full TCP flow), `cut` (the fastest link goes while 1,000 datagrams a second flow), `cpu` (links that carry as
much as the machine can: share of a bare veth, one path and two, beside wireguard-go if it is there), `hub` (many idle
nodes, and a flood of handshakes).

Queues are drop-tail: 100 ms on every link but the satellite's, which has 600 ms. Loss and jitter are on the way down.
Needs root and iperf3.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "lab"))
from plaitlab import Lab, built, plait  # noqa: E402  (found through the line above)
from plaittunnel import HUB4, NODE4, Pinger, Tunnel, TunnelError, topology, wait_for  # noqa: E402

PAYLOAD = 1448 / 1500


@dataclasses.dataclass(frozen=True)
class Link:
    down: float  # Mbit/s
    rtt_ms: float
    up: float = 0.0  # as down
    loss: float = 0.0
    jitter_ms: float = 0.0
    queue_ms: float = 100.0

    def words(self):
        return (f"rate {self.down}mbit/{self.up or self.down}mbit rtt {self.rtt_ms}ms queue {self.queue_ms}ms "
                f"loss {self.loss}/0 jitter {self.jitter_ms}ms/0")

    def payload(self, direction):
        if direction == "down":
            return self.down * PAYLOAD * (1 - self.loss)
        return (self.up or self.down) * PAYLOAD


@dataclasses.dataclass(frozen=True)
class Row:
    number: int
    name: str
    links: tuple
    target: float

    def payload(self, direction):
        return sum(link.payload(direction) for link in self.links)


THREE = (Link(20, 20), Link(50, 50), Link(100, 10))
ROWS = (
    Row(1, "20/20 + 50/50 + 100/10", THREE, 0.90),
    Row(2, "100/25 twice", (Link(100, 25), Link(100, 25)), 0.92),
    Row(3, "80/30 + 300/10", (Link(80, 30), Link(300, 10)), 0.90),
    Row(4, "ADSL 20:1/34 + LTE 40:15/60 jittery", (Link(20, 34, up=1), Link(40, 60, up=15, jitter_ms=10)), 0.90),
    Row(5, "8/30 + 40/60 jittery + 20/600", (Link(8, 30), Link(40, 60, jitter_ms=10), Link(20, 600, queue_ms=600)), 0.60),
    Row(6, "30/40 twice, loss 1 % and 0.1 %", (Link(30, 40, loss=0.01), Link(30, 40, loss=0.001)), 0.88),
)


# iperf3


class Flow:
    """iperf3 between two hosts; `result` waits for it and gives its JSON."""

    def __init__(self, lab, server, client, address, arguments, wrapper=()):
        bound = [] if wrapper else ["-B", address]  # MPTCP's further subflows come to other addresses
        self.server = lab.popen(server, [*wrapper, "iperf3", "-s", "-1", *bound], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        wait_for(lambda: self.listens(lab, server), "iperf3 to listen", 5)
        self.client = lab.popen(client, [*wrapper, "iperf3", "-J", "-c", address, *map(str, arguments)],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    @staticmethod
    def listens(lab, host):
        done = lab.run(host, ["ss", "-Hltn", "sport = :5201"], capture_output=True, text=True)
        return done.stdout.strip()

    def result(self, timeout=90):
        try:
            out, _ = self.client.communicate(timeout=timeout)
            return json.loads(out)
        except (subprocess.TimeoutExpired, ValueError):
            return None
        finally:
            for process in (self.client, self.server):
                process.kill()
                process.wait()


def mbit(result):
    try:
        return result["end"]["sum_received"]["bits_per_second"] / 1e6
    except (KeyError, TypeError):
        return 0.0


def tcp_arguments(direction, congestion, options):
    arguments = ["-t", options.seconds, "-O", options.omit]
    if congestion:
        arguments += ["-C", congestion]
    return arguments + (["-R"] if direction == "down" else [])


@contextlib.contextmanager
def tunnel(links, options, uplinks=None):
    """Started, with an uplink on each of the links, or on the first few."""
    with tempfile.TemporaryDirectory(prefix="plait-bench-") as folder, Lab(topology(links), options.lab) as lab:
        t = Tunnel(lab, uplinks or len(links), folder, options.plait)
        try:
            yield t.start()
        finally:
            with contextlib.suppress(TunnelError):
                t.stop()


def settle(options):
    time.sleep(options.settle)


# one TCP flow


def tcp_tunnel(row, direction, congestion, options):
    with tunnel([link.words() for link in row.links], options) as t:
        settle(options)
        flow = Flow(t.lab, "hub", "node", HUB4, tcp_arguments(direction, congestion, options))
        return mbit(flow.result())


def tcp_alone(row, direction, congestion, options):
    """The best of the links by itself."""
    best = 0.0
    for i in range(1, len(row.links) + 1):
        with Lab(topology([link.words() for link in row.links]), options.lab) as lab:
            flow = Flow(lab, "hub", "node", f"10.1.{i}.1", tcp_arguments(direction, congestion, options))
            best = max(best, mbit(flow.result()))
    return best


def tcp_mptcp(row, direction, congestion, options):
    with Lab(topology([link.words() for link in row.links]), options.lab) as lab:
        best = max(range(len(row.links)), key=lambda i: row.links[i].down) + 1
        for host in ("node", "hub"):
            lab.run(host, ["sysctl", "-qw", "net.mptcp.enabled=1"])
            lab.run(host, ["ip", "mptcp", "limits", "set", "subflow", "8", "add_addr_accepted", "8"])
        for i in range(1, len(row.links) + 1):
            if i != best:
                lab.run("hub", ["ip", "mptcp", "endpoint", "add", f"10.1.{i}.1", "dev", f"l{i}", "signal"])
        arguments = tcp_arguments(direction, congestion, options)
        return mbit(Flow(lab, "hub", "node", f"10.1.{best}.1", arguments, ("mptcpize", "run")).result())


WAYS = {"plait": tcp_tunnel, "mptcp": tcp_mptcp, "single": tcp_alone}


def part_tcp(options):
    for row in chosen(options):
        for direction in options.directions:
            for congestion in options.cc:
                for way in options.ways:
                    rates = [WAYS[way](row, direction, congestion, options) for _ in range(options.runs)]
                    rate = statistics.median(rates)
                    yield {"part": "tcp", "row": row.number, "name": row.name, "direction": direction, "cc": congestion,
                           "way": way, "mbit": round(rate, 1), "share": round(rate / row.payload(direction), 3),
                           "target": row.target if way == "plait" else None}


# UDP, round trips, a cut


def part_udp(options):
    for row in chosen(options):
        for direction in options.directions:
            rate = 0.9 * row.payload(direction) / PAYLOAD * 1372 / 1500  # of the payload of what fits the tunnel
            with tunnel([link.words() for link in row.links], options) as t:
                settle(options)
                arguments = ["-u", "-l", 1372, "-b", f"{rate}M", "-t", options.seconds]
                result = Flow(t.lab, "hub", "node", HUB4, arguments + (["-R"] if direction == "down" else [])).result()
            end = (result or {}).get("end", {}).get("sum", {})
            yield {"part": "udp", "row": row.number, "name": row.name, "direction": direction, "sent_mbit": round(rate, 1),
                   "lost": round(end.get("lost_percent", 100) / 100, 4),
                   "out_of_order": sum(s["udp"].get("out_of_order", 0) for s in (result or {}).get("end", {}).get("streams", []))}


def quantile(values, q):
    return round(sorted(values)[min(len(values) - 1, int(q * len(values)))], 1) if values else None


def part_ping(options):
    row = ROWS[0]
    with tunnel([link.words() for link in row.links], options) as t:
        settle(options)
        idle = Pinger(t.lab, "node", HUB4, int(options.seconds * 20), 0.02)
        idle.run()
        flow = Flow(t.lab, "hub", "node", HUB4, tcp_arguments("down", options.cc[0], options))
        time.sleep(options.omit + options.seconds / 10)
        loaded = Pinger(t.lab, "node", HUB4, int(options.seconds * 40), 0.02)
        loaded.run()
        flow.result()
    for name, p in (("idle", idle), ("under TCP", loaded)):
        rtts = list(p.rtt_ms.values())
        yield {"part": "ping", "name": name, "median_ms": quantile(rtts, 0.5), "p95_ms": quantile(rtts, 0.95),
               "lost": p.count - len(rtts), "of": p.count}


class Numbers(threading.Thread):
    """Receives numbered datagrams; notes when each came."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.socket, self.came = sock, []
        self.socket.settimeout(1)
        self.start()

    def run(self):
        with contextlib.suppress(TimeoutError):
            while True:
                data = self.socket.recv(2048)
                self.came.append((struct.unpack(">I", data[:4])[0], time.monotonic()))


def part_cut(options):
    for how in ("dead", "unplug"):
        with tunnel([link.words() for link in THREE], options) as t:
            settle(options)
            receiver = t.lab.socket("node", socket.AF_INET, socket.SOCK_DGRAM)
            receiver.bind((NODE4, 9000))
            numbers = Numbers(receiver)
            sender = t.lab.socket("hub", socket.AF_INET, socket.SOCK_DGRAM)
            start, count = time.monotonic(), int(options.seconds * 1000)
            for i in range(count):
                if i == count // 2:
                    t.lab.set("l3", how)
                sender.sendto(struct.pack(">I", i) + bytes(996), (NODE4, 9000))
                time.sleep(max(0, start + (i + 1) / 1000 - time.monotonic()))
            numbers.join()
        came = numbers.came
        gaps = [b[1] - a[1] for a, b in zip(came, came[1:])]
        yield {"part": "cut", "name": how, "sent": count, "lost": count - len({n for n, _ in came}),
               "out_of_order": sum(b[0] < a[0] for a, b in zip(came, came[1:])),
               "longest_silence_ms": round(max(gaps, default=0) * 1000)}


# CPU


WIREGUARD = {"hub": ("plait-wg-hub", "10.78.0.1"), "node": ("plait-wg-node", "10.78.0.2")}


@contextlib.contextmanager
def wireguard(lab, folder):
    """wireguard-go between the two hosts, over their first link."""
    secret = {host: subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout for host in WIREGUARD}
    running = []
    try:
        for host, (name, address) in WIREGUARD.items():
            running.append(lab.popen(host, ["wireguard-go", "-f", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_for(lambda h=host, n=name: lab.run(h, ["wg", "show", n], capture_output=True, check=False).returncode == 0,
                     "wireguard-go", 5)
            file = folder / name
            file.touch(0o600)
            file.write_text(secret[host])
            other = secret["node" if host == "hub" else "hub"]
            peer = subprocess.run(["wg", "pubkey"], input=other, check=True, capture_output=True, text=True).stdout.strip()
            where = ["endpoint", "10.1.1.1:51820"] if host == "node" else []
            lab.run(host, ["wg", "set", name, "listen-port", "51820", "private-key", str(file),
                           "peer", peer, "allowed-ips", "10.78.0.0/24", *where])
            lab.run(host, ["ip", "address", "add", f"{address}/24", "dev", name])
            lab.run(host, ["ip", "link", "set", name, "mtu", "1420", "up"])
        yield
    finally:
        for process in running:
            process.terminate()
            process.wait()


def part_cpu(options):
    rival = shutil.which("wireguard-go") and shutil.which("wg")

    def one(t, address):
        flow = Flow(t.lab, "hub", "node", address, ["-t", options.seconds, "-O", options.omit])
        return round(mbit(flow.result()) / 1000, 2)

    for paths in (1, 2):
        with tunnel(["veth"] * paths, options) as t:
            settle(options)
            bare, beside = one(t, "10.1.1.1"), None
            inner = one(t, HUB4)
            if rival and paths == 1:
                with wireguard(t.lab, t.folder):
                    beside = one(t, WIREGUARD["hub"][1])
        yield {"part": "cpu", "name": f"{paths} path(s)", "bare_gbit": bare, "gbit": inner,
               "share": round(inner / bare, 3) if bare else 0, "wireguard_go_gbit": beside,
               "of_wireguard_go": round(inner / beside, 2) if beside else None}


# a hub with many nodes


def memory_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many_nodes(t, options):
    """The node sections of the hub, and the file of secrets for the crowd."""
    crowd = options.crowd
    made = subprocess.run([crowd, "keys", str(options.nodes)], check=True, capture_output=True, text=True).stdout
    pairs = [line.split() for line in made.splitlines()]
    (t.folder / "secrets").write_text("".join(secret + "\n" for secret, _ in pairs))
    return t.block() + "".join(f'[node "n{i}"]\nkey = {public}\n' for i, (_, public) in enumerate(pairs))


def part_hub(options):
    if not os.access(options.crowd, os.X_OK):
        print(f"left out: hub (no {options.crowd})", file=sys.stderr)
        return
    with tunnel([Link(200, 10).words()], options) as t:
        before = memory_mb(t.hub.pid)
        t.write_hub(nodes=many_nodes(t, options))
        t.hub.signal(signal.SIGHUP)
        t.hub.wait_said("read anew")
        known = memory_mb(t.hub.pid)
        crowd = t.lab.popen("node", [options.crowd, "idle", "10.1.1.1", "4040", t.keys["hub-key"], t.folder / "secrets"],
                            stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: len(t.status("hub")["nodes"]) > options.nodes, "all to be connected", 120, 0.5)
            time.sleep(options.seconds / 2)
            start = cpu_s(t.hub.pid)
            time.sleep(options.seconds)
            yield {"part": "hub", "name": f"{options.nodes} idle nodes", "kb_per_known_node": per(known - before, options),
                   "kb_per_node": per(memory_mb(t.hub.pid) - known, options),
                   "cpu": round((cpu_s(t.hub.pid) - start) / options.seconds, 3)}
        finally:
            crowd.kill()
            crowd.wait()
    with tunnel([Link(200, 10).words(), "veth"], options, 1) as t:  # the flood has a way of its own
        settle(options)
        quiet = mbit(Flow(t.lab, "hub", "node", HUB4, tcp_arguments("down", None, options)).result())
        t.lab.run("node", ["ip", "route", "add", "local", "10.200.0.0/16", "dev", "lo"])
        t.lab.run("hub", ["ip", "route", "add", "10.200.0.0/16", "via", "10.1.2.2"])
        flood = t.lab.popen("node", [options.crowd, "flood", "10.1.2.1", "4040", t.keys["hub-key"], "10.200.0.0", "10000"],
                            stdout=subprocess.DEVNULL)
        try:
            loud = mbit(Flow(t.lab, "hub", "node", HUB4, tcp_arguments("down", None, options)).result())
            workers = t.status("hub")["workers"]
        finally:
            flood.kill()
            flood.wait()
    yield {"part": "hub", "name": "flood of handshakes from 10,000 addresses", "quiet_mbit": round(quiet, 1),
           "mbit": round(loud, 1), "share": round(loud / quiet, 3) if quiet else 0,
           "initiations": sum(w["initiations"] for w in workers), "cookies": sum(w["cookies"] for w in workers)}


def per(mb, options):
    return round(mb * 1000 / options.nodes, 1)


PARTS = {"tcp": part_tcp, "udp": part_udp, "ping": part_ping, "cut": part_cut, "cpu": part_cpu, "hub": part_hub}


# the command line


def chosen(options):
    return [row for row in ROWS if str(row.number) in options.rows.split(",")]


def words(result):
    skip = ("part", "row", "name", "target")
    return ", ".join(f"{k} {v}" for k, v in result.items() if k not in skip and v is not None)


def print_table(results):
    tcp = [r for r in results if r["part"] == "tcp"]
    columns = sorted({(r["direction"], r["cc"], r["way"]) for r in tcp})
    if tcp:
        print(f"\n{'share of the summed TCP payload':42}" + "".join(f"{f'{d} {c} {w}':>20}" for d, c, w in columns))
    for row in ROWS:
        found = {(r["direction"], r["cc"], r["way"]): r["share"] for r in tcp if r["row"] == row.number}
        if found:
            print(f"{row.number}. {row.name:39}" + "".join(f"{found.get(c, 0):>20.2f}" for c in columns)
                  + f"   must reach {row.target:.2f}")


def parse_options():
    parser = argparse.ArgumentParser(description="What one connection gets through the tunnel over several links.")
    parser.add_argument("--parts", default="tcp,udp,ping,cut,cpu,hub", help="of " + ",".join(PARTS))
    parser.add_argument("--rows", default="1,2,3,4,5,6")
    parser.add_argument("--directions", default="down,up", type=lambda s: s.split(","))
    parser.add_argument("--cc", default="cubic,bbr", type=lambda s: s.split(","), help="inner congestion control")
    parser.add_argument("--ways", default="plait,mptcp,single", type=lambda s: s.split(","))
    parser.add_argument("--runs", type=int, default=1, help="of each; the median counts")
    parser.add_argument("--seconds", type=int, default=10, help="of each flow (%(default)s)")
    parser.add_argument("--omit", type=int, default=2, help="seconds at the beginning that do not count (%(default)s)")
    parser.add_argument("--settle", type=float, default=1.5, help="seconds between the tunnel's start and the flow")
    parser.add_argument("--nodes", type=int, default=2000, help="for the part `hub` (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="seconds in all: only that it works")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--plait", default=plait(), help="the program under test (%(default)s)")
    parser.add_argument("--lab", help="plait-lab, if not the build's")
    parser.add_argument("--crowd", default=built("test/bench/tunnel_crowd", "PLAIT_CROWD"), help="(%(default)s)")
    options = parser.parse_args()
    if options.tiny:
        options.seconds, options.omit, options.settle, options.nodes = 1, 0, 0.1, 20
    return options


def main():
    options = parse_options()
    if os.geteuid() != 0:
        sys.exit("needs root, to make network namespaces")
    if not shutil.which("iperf3"):
        sys.exit("needs iperf3")
    if "mptcp" in options.ways and not shutil.which("mptcpize"):
        options.ways.remove("mptcp")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = []
    for part in options.parts.split(","):
        for result in PARTS[part](options):
            results.append(result)
            print(f"{result['part']:5} {result.get('row', '')!s:2} {result['name']:42} {words(result)}", flush=True)
    print_table(results)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
