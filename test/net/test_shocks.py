"""What may happen to the machine meanwhile: its clock is set, its disk fills, its network goes, it is put to sleep."""
import itertools
import os
import signal
import struct
import subprocess
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from support import KB, MB, assert_file, assert_refused, assert_says, kept_bytes, sha256, wait_for

HOUR, YEAR = 3600, 365 * 86400
LITTLE = 700 * KB  # unfinished blocks, seams, the tail of the journal


# The time of day.

class Clock:
    """The time of day of the programs that are started with `env`, and nobody else's."""

    def __init__(self, shim, path):
        self.path = path
        self.path.write_bytes(bytes(8))
        self.file = open(path, "r+b", buffering=0)
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.env = {"LD_PRELOAD": str(shim), "PLAIT_TEST_CLOCK": str(path),
                    "ASAN_OPTIONS": (sanitizer + ":" if sanitizer else "") + "verify_asan_link_order=0"}
        self.halt, self.thread, self.jumps = threading.Event(), None, 0

    def set(self, wrong_s):
        os.pwrite(self.file.fileno(), struct.pack("=q", wrong_s), 0)

    def jump(self, *offsets):
        """To and fro between these, from now on."""
        def run():
            for offset in itertools.cycle(offsets):
                self.set(offset)
                self.jumps += 1
                if self.halt.wait(0.02):
                    return
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def stop(self):
        self.halt.set()
        if self.thread:
            self.thread.join()
            self.thread = None
        self.halt.clear()
        self.set(0)


@pytest.fixture(scope="module")
def shim(session_place):
    out = session_place / "clock_shim.so"
    source = Path(__file__).resolve().parent / "clock_shim.c"
    subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", out, source], check=True)
    return out


@pytest.fixture
def clock(shim, place):
    made = Clock(shim, place / "clock")
    yield made
    made.stop()
    made.file.close()


WILD = (HOUR, -HOUR, 0, 20 * YEAR, -40 * YEAR)


@pytest.mark.parametrize("output", ["out", "-"])
def test_the_clock_jumps_meanwhile(plait, liar, data, clock, output):
    d = data(6 * MB)
    later = {"rules": [{"first": 2, "last": 3, "status": 503, "text": "later", "retry_after": 1}]}
    server = liar({"file": str(d), **later}, {"file": str(d)}, rate=3 * MB)
    clock.jump(*WILD)
    result = plait.get("-o", output, "--timeout", "5", *server.urls(), env=clock.env)
    assert clock.jumps > 20
    assert result.status == 0 and result.seconds < 6, result
    if output == "-":
        assert sha256(result.out) == d.sha256
    else:
        assert_file(result, plait.file(), d)


def test_what_is_told_goes_on_by_another_clock(plait, liar, data, clock):
    server = liar({"file": str(data(3 * MB))}, rate=3 * MB)
    clock.jump(*WILD)
    result = plait.get("--json", "-o", "out", server.url(), env=clock.env)
    times = [e["t"] for e in result.events]
    assert times == sorted(times) and 0 <= times[-1] < result.seconds + 1, times


def test_a_date_to_come_back_at_when_ours_is_later(plait, liar, data, clock):
    d = data(1 * MB)
    server = liar({"file": str(d), "rules": [{"last": 1, "status": 503, "text": "later", "retry_after": "date:1"}]})
    clock.set(5 * YEAR)
    assert_file(plait.get("-o", "out", server.url(), env=clock.env), plait.file(), d)
    assert len(server.requests()) < 20


def test_a_date_to_come_back_at_when_ours_is_earlier(plait, liar, data, clock):
    """Years ahead, as it seems: the others do the work."""
    d = data(3 * MB)
    server = liar({"file": str(d), "status": 503, "text": "later", "retry_after": "date:1"}, {"file": str(d)})
    clock.set(-5 * YEAR)
    assert_file(plait.get("-o", "out", *server.urls(), env=clock.env), plait.file(), d)


def test_a_date_is_by_the_clock_of_the_server(plait, liar, data, clock):
    d = data(1 * MB)
    later = {"last": 2, "status": 503, "text": "later", "retry_after": "date:2"}
    server = liar({"file": str(d), "headers": [["Date", formatdate(usegmt=True)]], "rules": [later]})
    clock.set(-5 * YEAR)
    assert_file(plait.get("-o", "out", "--timeout", "8", server.url(), env=clock.env), plait.file(), d)


def secure(liar, certificates, d, **more):
    cert, key = map(str, certificates.pairs["good"])
    return liar({"file": str(d), **more}, tls={"cert": cert, "key": key})


def test_going_on_in_another_year(plait, liar, data, certificates, clock):
    """Stopped in one year, gone on with in another, where the certificate is no longer good, and then in ours."""
    d, held = data(8 * MB), 5 * MB
    server = secure(liar, certificates, d, hold=held)
    args = ["-o", "out", "--cacert", certificates.ca, server.url()]
    run = plait.start("get", *args, env=clock.env)
    wait_for(lambda: server.sent() >= held and kept_bytes(plait.partial()) > held - 500 * KB, "the hold", run)
    clock.set(-HOUR // 60)
    run.kill(signal.SIGINT)
    assert run.finish().status == 130
    server.release()
    clock.set(20 * YEAR)
    assert_refused(plait.get(*args, "--timeout", "2", env=clock.env), plait.file(), (1, 4), "certificate")
    assert server.sent() < held + MB and plait.journal().exists()
    clock.set(0)
    before = server.sent()
    result = plait.get(*args, env=clock.env)
    assert_file(result, plait.file(), d)
    assert_says(result, "going on")
    assert server.sent() - before < d.size - held + LITTLE


def test_certificates_while_the_clock_jumps(plait, liar, data, certificates, clock):
    """A connection more may be refused; what there is goes on, or can be gone on with."""
    d = data(6 * MB)
    server = secure(liar, certificates, d, rate=4 * MB)
    args = ["-o", "out", "--cacert", certificates.ca, "--timeout", "3", server.url()]
    run = plait.start("get", *args, env=clock.env)
    wait_for(lambda: server.sent() > 200 * KB, "bytes", run)
    clock.jump(20 * YEAR, -40 * YEAR)
    result = run.finish()
    clock.stop()
    if result.status != 0:
        assert_refused(result, plait.file(), (1, 4), "certificate")
        result = plait.get(*args, env=clock.env)
    assert_file(result, plait.file(), d)


# The disk.

@pytest.fixture
def disk(plait):
    """A file system of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    path = plait.file("disk")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    """Until there is no room for a page."""
    with open(path, "wb", buffering=0) as f:
        try:
            while f.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass


def test_others_fill_the_disk_meanwhile(plait, liar, data, disk):
    """There was room enough at the beginning."""
    d, held, out = data(6 * MB), 3 * MB, disk / "out"
    server = liar({"file": str(d), "hold": held})
    run = plait.start("get", "-o", out, server.url())
    part = Path(str(out) + ".plait-part")
    wait_for(lambda: server.sent() >= held and kept_bytes(part) > held - 500 * KB, "the hold", run)
    fill(disk / "ballast")
    server.release()
    assert_refused(run.finish(), out, 3, str(out), "space", "room")
    assert_refused(plait.get("-o", out, server.url()), out, 3, "room")  # still full: what is there must survive that
    (disk / "ballast").unlink()
    before = server.sent()
    result = plait.get("-o", out, server.url())
    assert_file(result, out, d)
    assert server.sent() - before < d.size - held + LITTLE


def test_a_limit_on_the_size_of_files(plait, liar, data):
    """ulimit -f: the kernel would end us, with a core file."""
    server = liar({"file": str(data(3 * MB))})
    command = ["prlimit", "--fsize=%d" % MB, plait.exe, "get", "-o", "out", server.url()]
    done = subprocess.run(command, cwd=plait.folder, env=plait.env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "out" in done.stderr, done
    assert not plait.file().exists()


def has_read(run):
    """Bytes it has read from files."""
    try:
        return int(Path("/proc/%d/io" % run.pid).read_text().split()[1])
    except OSError:
        return 0


def test_stopped_while_it_looks_at_what_is_left(plait, liar):
    """Much is there; the second run is stopped before it has read it all again."""
    path, held = plait.folder / ".big", 120 * MB
    with open(path, "wb") as f:
        f.truncate(160 * MB)
    server = liar({"file": str(path), "hold": held})
    run = plait.start("get", "-o", "out", server.url())
    wait_for(lambda: server.sent() >= held and kept_bytes(plait.partial()) > held - MB, "the hold", run)
    run.kill(signal.SIGINT)
    assert run.finish().status == 130
    run = plait.start("get", "-o", "out", server.url())
    wait_for(lambda: has_read(run) > 2 * MB, "the look at the partial file", run, every=0)
    run.kill(signal.SIGINT)
    assert run.finish().status == 130
    assert kept_bytes(plait.partial()) > held - MB and plait.journal().exists()


# The network and the machine.

def both(plait, *args, ns=None):
    """Into a file and to a pipe at once; returns what waits for them and judges."""
    runs = [plait.start("get", "-o", "out", *args, ns=ns), plait.start("get", "-o", "-", *args, ns=ns)]

    def judge(d, seconds):
        got = [None]
        reader = threading.Thread(target=lambda: got.__setitem__(0, runs[1].finish(30)))
        reader.start()
        assert_file(runs[0].finish(30), plait.file(), d)
        reader.join()
        assert got[0] is not None and got[0].status == 0 and sha256(got[0].out) == d.sha256, got[0]
        assert time.monotonic() - runs[0].started < seconds
    return runs, judge


def test_no_network_for_three_seconds(plait, netns, liar, data):
    net, d = netns(2), data(8 * MB)
    for i in (1, 2):
        net.shape(i, "30mbit")
    server = liar({"file": str(d)}, ns=net.server, address=net.SERVER)
    runs, judge = both(plait, "--via", "all", server.url(), ns=net.client)
    wait_for(lambda: net.received(1) > 2 * MB, "bytes", runs[0])
    for i in (1, 2):
        net.down(i)
    time.sleep(3)
    for i in (1, 2):
        net.up(i)
    judge(d, 14)


def test_put_to_sleep_for_five_seconds(plait, liar, data):
    d = data(6 * MB)
    server = liar({"file": str(d)}, {"file": str(d)}, rate=3 * MB)
    runs, judge = both(plait, *server.urls())
    wait_for(lambda: server.sent() > 2 * MB, "bytes", runs[0])
    for run in runs:
        run.kill(signal.SIGSTOP)
    time.sleep(5)
    for run in runs:
        run.kill(signal.SIGCONT)
    judge(d, 12)
    assert server.sent(0) + server.sent(1) < 2 * 1.3 * d.size
