"""The stream in order to standard output."""
import os
import subprocess
import time
from pathlib import Path

import pytest

from support import KB, MB, assert_says, sha256, wait_for

BUFFER = 2 * MB


def drain(run, upto=None):
    parts, have = [], 0
    while upto is None or have < upto:
        part = run.stdout.read1(65536 if upto is None else min(65536, upto - have))
        if not part:
            break
        parts.append(part)
        have += len(part)
    return b"".join(parts)


def test_in_order_from_three(plait, liar, data):
    d = data(6 * MB)
    server = liar(*[{"file": str(d)}] * 3, rate=4 * MB)
    result = plait.get("-o", "-", *server.urls())
    assert result.status == 0, result
    assert sha256(result.out) == d.sha256
    assert min(server.sent(i) for i in range(3)) > 0.15 * d.size
    assert plait.names() == []


@pytest.mark.parametrize("size", [0, 1, 65_537, 1_000_003])
def test_any_size(plait, nginx, data, size):
    d = data(size)
    result = plait.get("-o", "-", *nginx.urls(d.name, 2))
    assert (result.status, result.out) == (0, d.bytes), result


def test_the_first_bytes_come_before_the_last_are_asked_for(plait, liar, data):
    d = data(6 * MB)
    server = liar(*[{"file": str(d), "hold": 1 * MB}] * 2)
    run = plait.start("get", "-o", "-", "--buffer", "8M", *server.urls())
    assert drain(run, 100 * KB) == d.bytes[:100 * KB]
    for i in range(2):
        server.release(i)
    assert drain(run) == d.bytes[100 * KB:]
    assert run.finish().status == 0


def settled(value):
    """True once the value has been the same for twenty looks."""
    seen = []

    def look():
        seen.append(value())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    return look


def test_a_consumer_that_waits_holds_the_servers_back(plait, liar, data):
    d = data(24 * MB)
    server = liar(*[{"file": str(d)}] * 2)
    run = plait.start("get", "-o", "-", "--buffer", "2M", *server.urls())
    wait_for(lambda: server.sent(0) + server.sent(1) > BUFFER / 2, "the transfer to begin", run)
    wait_for(settled(lambda: server.sent(0) + server.sent(1)), "the servers to be held back", run, every=0.02)
    # What lies in the sockets comes on top of the buffer.
    assert server.sent(0) + server.sent(1) < BUFFER + 6 * MB
    assert sha256(drain(run)) == d.sha256
    assert run.finish().status == 0


def test_memory_is_bounded_by_the_buffer(plait, nginx, data):
    if any(name in Path(plait.exe).read_bytes() for name in (b"__asan_init", b"__tsan_init")):
        pytest.skip("a sanitizer takes memory of its own")
    d, small = data(48 * MB), data(300 * KB)

    def most(size, name):
        run = plait.start("get", "-o", "-", "--buffer", "2M", *nginx.urls(name, 3))
        head = drain(run, size - 200 * KB)
        rss = run.rss_max()
        rest = drain(run)
        assert run.finish().status == 0
        return rss, head + rest

    base, _ = most(small.size, small.name)
    rss, out = most(d.size, d.name)
    assert sha256(out) == d.sha256
    assert rss < base + BUFFER + 10 * MB, "%.1f MB, of which %.1f MB without data" % (rss / MB, base / MB)


def test_a_slow_consumer_gets_it_all(plait, nginx, data):
    d = data(6 * MB)
    reader = "import sys, time, hashlib\nh = hashlib.sha256()\n" \
             "while (b := sys.stdin.buffer.read(100000)): h.update(b); time.sleep(0.005)\nprint(h.hexdigest())"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    consumer = subprocess.Popen(["/usr/bin/python3", "-c", reader], **pipes)
    run = plait.start("get", "-o", "-", "--buffer", "1M", *nginx.urls(d.name, 2), stdout=consumer.stdin)
    consumer.stdin.close()
    with consumer.stdout:
        assert run.finish().status == 0
        assert consumer.stdout.read().strip() == d.sha256
    consumer.wait()


def test_a_consumer_that_leaves_ends_it(plait, liar, data):
    d = data(24 * MB)
    server = liar(*[{"file": str(d)}] * 2, rate=8 * MB)
    run = plait.start("get", "-o", "-", *server.urls())
    assert drain(run, 100 * KB) == d.bytes[:100 * KB]
    run.stdout.close()
    status = run.process.wait(5)
    assert status != 0
    assert server.sent(0) + server.sent(1) < d.size / 2
    assert plait.names() == []


def test_standard_output_that_is_full(plait, nginx, data):
    d = data(1 * MB)
    with open("/dev/full", "wb") as full:
        result = plait.start("get", "-o", "-", nginx.url(d.name), stdout=full).finish()
    assert result.status == 3, result
    assert_says(result, "standard output", "no space")


def test_standard_output_that_is_a_file(plait, nginx, data):
    d = data(1 * MB)
    with open(plait.file(), "wb") as out:
        result = plait.start("get", "-o", "-", *nginx.urls(d.name, 2), stdout=out).finish()
    assert result.status == 0, result
    assert plait.file().read_bytes() == d.bytes


def test_no_output_into_a_closed_one(plait, nginx, data):
    d = data(100 * KB)
    run = plait.start("get", "-o", "-", nginx.url(d.name), stdout=subprocess.DEVNULL, preexec_fn=lambda: os.close(1))
    result = run.finish()
    assert result.status == 3, result
    assert_says(result, "standard output")


def test_everything_from_two_plain_servers(plait, liar, data):
    """One of them says nothing more in the middle of each body: nobody waits for it, and what it brings is compared."""
    d = data(3 * MB)
    stalls = [{"after_bytes": 600 * KB, "stall": 30 * KB}]
    server = liar({"file": str(d), "rules": stalls}, {"file": str(d)}, rate=3 * MB)
    run = plait.start("get", "-o", "-", "--redundant", "2", *server.urls())
    longest, latest, got = 0.0, time.monotonic(), b""
    while part := run.stdout.read1(65536):
        longest, latest, got = max(longest, time.monotonic() - latest), time.monotonic(), got + part
    assert run.finish().status == 0, run.err
    assert sha256(got) == d.sha256
    assert server.sent(1) > 0.9 * d.size and server.sent(0) > 600 * KB
    assert longest < 0.6, "it was waited for: %.2f s" % longest
