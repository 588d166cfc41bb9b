#!/usr/bin/python3
"""One TCP flow through a tunnel of nothing but its I/O (tunnel_io.c), beside the bare veth pair it runs on.

    left                                    right
      plait0 10.92.0.1 ~~~~~~~~~~~~~~~~~~~~ plait0 10.92.0.2     the tunnel
      veth   10.93.0.1 ==================== veth   10.93.0.2     bare

CPU is that of tunnel_io alone, which counts what the kernel does in its system calls: sending runs up to the other end's socket.

Usage: tunnel_io.py [--seconds S] [--mtu N] [--udp] [--reverse] [--json] [CASE]...
A case is a list of tunnel_io's options, separated by commas; `-` is the tunnel as it is meant.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

TUNNEL_IO = os.environ.get("PLAIT_TUNNEL_IO", str(Path(__file__).resolve().parents[2] / "build/test/net/tunnel_io"))
CASES = ["-", "partial", "no-coalesce", "udp-plain", "tun-plain", "frames=1", "frames=2", "frames=8", "frames=16", "inbox=1", "inbox=2",
         "inbox=4", "inbox=16"]
VETH_MTU = 1500


def ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True)


class Pair:
    """The two namespaces and the veth pair between them."""

    def __init__(self):
        stem = "plait-%d" % os.getpid()
        self.left, self.right = self.names = [stem + "-l", stem + "-r"]
        try:
            for name in self.names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.left, "link", "add", "veth", "type", "veth", "peer", "name", "veth", "netns", self.right)
            for last, name in enumerate(self.names, 1):
                ip("-n", name, "address", "add", "10.93.0.%d/24" % last, "dev", "veth")
                ip("-n", name, "link", "set", "veth", "up", "mtu", VETH_MTU)
        except BaseException:
            self.remove()
            raise

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def carrier(ns, own, peer, mtu, options):
    command = [TUNNEL_IO, "plait0", "10.92.0.%d/24" % own, str(mtu), "10.93.0.%d:4040" % own, "10.93.0.%d:4040" % peer]
    process = subprocess.Popen(["ip", "netns", "exec", ns, *command, *options], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        raise SystemExit("tunnel_io did not start")
    return process


def listening(ns):
    shown = subprocess.run(["ip", "netns", "exec", ns, "ss", "-Hltn", "sport = :5201"], capture_output=True, text=True).stdout
    return "5201" in shown


def iperf(pair, address, seconds, extra):
    """Payload in bit/s as the receiver counted it, and of each side the share of a core."""
    server = subprocess.Popen(["ip", "netns", "exec", pair.right, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 5
        while not listening(pair.right) and time.monotonic() < end:
            time.sleep(0.01)
        command = ["iperf3", "-c", address, "-t", str(seconds), "-J", *extra]
        done = subprocess.run(["ip", "netns", "exec", pair.left, *command], capture_output=True, text=True, timeout=seconds + 20)
        result = json.loads(done.stdout)
        if "error" in result:
            raise SystemExit("iperf3: " + result["error"])
        whole = result["end"].get("sum_received") or result["end"]["sum"]
        return whole["bits_per_second"], result["end"].get("sum_sent", {}).get("retransmits", 0)
    finally:
        server.kill()
        server.wait()


def measure(pair, options, args, extra):
    pair_of = [carrier(pair.left, 1, 2, args.mtu, options), carrier(pair.right, 2, 1, args.mtu, options)]
    try:
        rate, again = iperf(pair, "10.92.0.2", args.seconds, extra)
    finally:
        for process in pair_of:
            process.terminate()
        counts = []
        for process in pair_of:
            line = process.stdout.readline()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            counts.append({**json.loads(line), "cpu": usage.ru_utime + usage.ru_stime, "user": usage.ru_utime})
    return rate, again, counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--mtu", type=int, default=1420)
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("cases", nargs="*", default=["-"], metavar="CASE", help="or `all`")
    args = parser.parse_args()
    extra = (["-u", "-b", "0", "-l", "1380"] if args.udp else []) + (["-R"] if args.reverse else [])
    results = []
    pair = Pair()
    try:
        bare, again = iperf(pair, "10.93.0.2", args.seconds, extra)
        results.append({"case": "bare veth", "gbit": bare / 1e9, "ratio": 1.0, "again": again})
        for case in CASES if args.cases == ["all"] else args.cases:
            rate, again, counts = measure(pair, [] if case == "-" else case.split(","), args, extra)
            a, b = counts[::-1] if args.reverse else counts
            results.append({"case": case, "gbit": rate / 1e9, "ratio": rate / bare, "again": again,
                            "ns_out": a["cpu"] / max(1, a["packets_out"]) * 1e9, "ns_in": b["cpu"] / max(1, b["packets_in"]) * 1e9,
                            "user_out": a["user"] / a["cpu"], "user_in": b["user"] / b["cpu"],
                            "packets_per_frame": a["packets_out"] / max(1, a["frames"]),
                            "packets_per_write": b["packets_in"] / max(1, b["writes"])})
    finally:
        pair.remove()
    if args.json:
        print(json.dumps(results))
        return 0
    for r in results:
        print("%-16s %6.2f Gbit/s  %.3f of bare  %5d again" % (r["case"], r["gbit"], r["ratio"], r["again"]), end="")
        if "ns_out" in r:
            print("  CPU ns a packet: %4.0f out (%2.0f %% user), %4.0f in (%2.0f %% user); packets: %4.1f a frame, %4.1f a write" % (
                r["ns_out"], r["user_out"] * 100, r["ns_in"], r["user_in"] * 100, r["packets_per_frame"],
                r["packets_per_write"]), end="")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
