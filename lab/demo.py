#!/usr/bin/python3
"""What plait does, shown: one file over the best of three links, then over all three.

    server ═══ dsl   20 Mbit/s, 20 ms ═══ client
           ═══ lte   50 Mbit/s, 50 ms ═══
           ═══ cable 100 Mbit/s, 10 ms ═══

The links are emulated between two network namespaces; nothing outside them is changed. Needs root and nginx.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from plaitlab import Lab, LabError, plait
from webserver import nginx, program

LINKS = (("dsl", 20, 20), ("lte", 50, 50), ("cable", 100, 10))  # name, Mbit/s, ms
FILE_BYTES = 60_000_000
PAYLOAD = 1448 / 1500  # of an IP packet, TCP with timestamps


def topology():
    lines = ["host client", "host server"]
    for i, (name, mbit, rtt) in enumerate(LINKS, 1):
        lines.append(f"link {name} client 10.1.{i}.2/24 server 10.1.{i}.1/24 "
                     f"rate {mbit}mbit rtt {rtt}ms queue 100ms default")
    return "\n".join(lines) + "\n"


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def fetch(lab, program_path, out, urls):
    """Runs plait with its bars on this terminal; the seconds it took."""
    start = time.monotonic()
    command = lab.command("client", [program_path, "get", "-f", "-o", out.name, *urls])
    subprocess.run(command, cwd=out.parent, check=True)
    return time.monotonic() - start


def show(label, seconds, mbit_sum):
    rate = FILE_BYTES * 8 / seconds / 1e6
    print(f"  {label:26} {seconds:6.2f} s   {rate:6.1f} Mbit/s   {rate / (mbit_sum * PAYLOAD):4.0%} of all links' sum")


def demo(lab, program_path, directory):
    source, out = directory / "www" / "film.bin", directory / "film.bin"
    source.parent.mkdir()
    source.write_bytes(os.urandom(FILE_BYTES))
    wanted = digest(source)
    total = sum(mbit for _, mbit, _ in LINKS)
    urls = [f"http://10.1.{i}.1/{source.name}" for i in range(1, len(LINKS) + 1)]
    times = []
    with nginx(lab, "server", source.parent):
        for text, some in ((f"the best link alone ({LINKS[-1][1]} Mbit/s)", urls[-1:]), ("all three links", urls)):
            print(f"\n{FILE_BYTES // 1_000_000} MB over {text}:", flush=True)
            times.append(fetch(lab, program_path, out, some))
            if digest(out) != wanted:
                sys.exit("the bytes differ from the server's: this is a bug")
    print("\nBoth copies are the server's file, byte for byte.\n")
    show("the best link alone", times[0], total)
    show("all three links", times[1], total)
    print(f"  {times[0] / times[1]:.2f} times as fast")


def main():
    parser = argparse.ArgumentParser(description="Fetches a file over one emulated link, then over three.")
    parser.add_argument("--plait", type=os.path.abspath, default=plait(), help="the program (%(default)s)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the demo makes network namespaces, which needs root: sudo " + " ".join(sys.argv))
    for what, found in ((options.plait, shutil.which(options.plait)), ("nginx", program())):
        if not found:
            sys.exit(f"the demo needs {what}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(__doc__.split("\n\n")[1])
    try:
        with Lab(topology()) as lab, tempfile.TemporaryDirectory(prefix="plait-demo-") as directory:
            os.chmod(directory, 0o755)
            demo(lab, options.plait, pathlib.Path(directory))
    except KeyboardInterrupt:
        sys.exit(130)
    except LabError as error:
        sys.exit(f"the links cannot be laid here:\n{error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"plait failed with exit status {error.returncode}")


if __name__ == "__main__":
    main()
