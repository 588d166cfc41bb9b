#!/usr/bin/python3
"""Runs the tests of this folder in several processes at once, as they mostly wait, and prints the sum at the end.

They use real time on a machine that others may use too: what fails beside the others is run again, alone, up to twice, and
counts as it does then. Each such test is named in the output. What looks for wrong bytes gets no second chance.

    run.py [-jN] [arguments of pytest]...
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

WORKERS = 4
AGAIN_MAX = 8  # more than these are no accident
CHANCES = 2
NEVER_AGAIN = re.compile(r"test_(lies|conflict|resume|metalink|no_ranges|pipe)\.py")  # a wrong byte now and then is a wrong byte
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


def failures(output):
    """The tests that pytest names in its summary, as it wants them named."""
    return [m.split(" - ")[0] for m in re.findall(r"^(?:FAILED|ERROR) (.*)$", output, re.M)]


def passes(name, args):
    """Runs one test again, by itself."""
    here = Path(__file__).resolve().parent
    path, _, case = name.partition("::")
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *args,
               "%s::%s" % (here / Path(path).name, case) if case else str(here / Path(path).name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    print("again, alone: %s: %s" % (name, "passed" if done.returncode == 0 else done.stdout), flush=True)
    return done.returncode == 0


def still_failing(names, args):
    """How many of the tests pass in none of their chances."""
    return sum(bool(NEVER_AGAIN.search(name)) or not any(passes(name, args) for _ in range(CHANCES)) for name in names)


def main():
    args = sys.argv[1:]
    workers = int(args.pop(0)[2:]) if args and re.fullmatch(r"-j\d+", args[0]) else WORKERS
    options = list(args)
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
    failed = [name for output in outputs for name in failures(output)]
    chosen = any(Path(a.partition("::")[0]).exists() for a in options)
    if 0 < len(failed) <= AGAIN_MAX and not chosen:
        still = still_failing(failed, options)
        sums = [sums[0] + len(failed) - still, still, 0, sums[3]]
        codes = [int(still > 0)]
    else:
        codes = [process.returncode for process in running]
    words = ["%d %s" % (n, name) for n, name in zip(sums, COUNTED) if n or name in ("passed", "failed")]
    print("%s in %.0f s" % (", ".join(words), time.monotonic() - began))
    # 5: no test of this share was chosen
    return int(any(code not in (0, 5) for code in codes) or sum(sums[:3]) == 0)


if __name__ == "__main__":
    sys.exit(main())
