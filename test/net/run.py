#!/usr/bin/python3
"""Runs the tests of this folder in several processes at once, as they mostly wait, and prints the sum at the end.

    run.py [-jN] [arguments of pytest]...
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

WORKERS = 3
COUNTED = ("passed", "failed", "errors", "skipped")


def start(share, args):
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--share", share, *args]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace")


def counts(output):
    """Of the last line: 3 failed, 200 passed, 1 skipped, 400 deselected in 60.00s."""
    line = output.rstrip().rpartition("\n")[2]
    found = {name.rstrip("s"): int(n) for n, name in re.findall(r"(\d+) (\w+)", line)}
    return [found.get(name.rstrip("s"), 0) for name in COUNTED]


def main():
    args = sys.argv[1:]
    workers = int(args.pop(0)[2:]) if args and re.fullmatch(r"-j\d+", args[0]) else WORKERS
    if not any(Path(a.partition("::")[0]).exists() for a in args):
        args.append(str(Path(__file__).resolve().parent))
    began = time.monotonic()
    running = [start("%d/%d" % (i, workers), args) for i in range(workers)]
    outputs = []
    try:
        for process in running:
            outputs.append(process.communicate()[0])
            print(outputs[-1], flush=True)
    finally:
        for process in running:
            process.terminate()
            process.wait()
    sums = [sum(c) for c in zip(*map(counts, outputs))]
    words = ["%d %s" % (n, name) for n, name in zip(sums, COUNTED) if n or name in ("passed", "failed")]
    print("%s in %.0f s" % (", ".join(words), time.monotonic() - began))
    # 5: no test of this share was chosen
    return int(any(process.returncode not in (0, 5) for process in running) or sum(sums[:3]) == 0)


if __name__ == "__main__":
    sys.exit(main())
