#!/usr/bin/python3
"""What terminals of a LAN get who pool their links (lab/plaitcommunity.py): three with a WAN link each, one with none.

    community_links.py [--seconds N] [--up] [--json]

Each row: who downloads (or uploads) at the same time from a server beyond the hub, over TCP, and what each of them
gets, in Mbit/s and as a part of the sum of the links. Needs root.
"""
import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
from plaitcommunity import BEYOND4, Village, topology  # noqa: E402  (found through the line above)
from plaitlab import Lab  # noqa: E402
from plaittunnel import pour  # noqa: E402

LINKS = ["rate 30mbit/10mbit rtt 30ms queue 100ms"] * 3 + [None]
DOWN_MBIT, UP_MBIT = 30, 10
ROWS = [["t1"], ["t4"], ["t1", "t2"], ["t1", "t4"], ["t1", "t2", "t3"], ["t1", "t2", "t3", "t4"]]
WARM_S = 2


def serve(listener):
    while True:
        try:
            server, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=pour, args=(server,), daemon=True).start()


def draw(lab, host, seconds, out):
    with lab.socket(host, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((BEYOND4, 5000))
        start, got = time.monotonic(), 0
        while (age := time.monotonic() - start) < WARM_S + seconds:
            n = len(client.recv(1 << 16))
            got += n if age >= WARM_S else 0
    out[host] = got * 8 / 1e6 / seconds


def push(lab, host, seconds, out):
    """Counted at the server, not where it is buffered."""
    with lab.socket("beyond", socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((BEYOND4, 0))
        listener.listen(1)
        with lab.socket(host, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            with server:
                threading.Thread(target=pour, args=(client,), daemon=True).start()
                start, got = time.monotonic(), 0
                while (age := time.monotonic() - start) < WARM_S + seconds:
                    n = len(server.recv(1 << 16))
                    got += n if age >= WARM_S else 0
                client.shutdown(socket.SHUT_RDWR)
    out[host] = got * 8 / 1e6 / seconds


def measure(lab, seconds, up):
    with lab.socket("beyond", socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((BEYOND4, 5000))
        listener.listen(16)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        for hosts in ROWS:
            out = {}
            threads = [threading.Thread(target=push if up else draw, args=(lab, host, seconds, out)) for host in hosts]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            yield {"mbit": {h: round(out[h], 2) for h in hosts}, "sum": round(sum(out.values()), 2),
                   "of_all": round(sum(out.values()) / (3 * (UP_MBIT if up else DOWN_MBIT)), 3)}
        listener.shutdown(socket.SHUT_RDWR)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--up", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="plait-village-") as folder, Lab(topology(LINKS)) as lab:
        os.chmod(folder, 0o755)
        village = Village(lab, LINKS, folder).start()
        for row in measure(lab, options.seconds, options.up):
            rows.append(row)
            if not options.json:
                print("  ".join(f"{h} {m:6.2f}" for h, m in row["mbit"].items()), f"  sum {row['sum']:.2f} ({row['of_all']:.0%})",
                      flush=True)
        village.stop()
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
