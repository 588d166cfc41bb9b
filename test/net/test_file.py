"""One stream into a file: from one server, from several, of any size."""
import os
import random
import subprocess

import pytest

from support import KB, MB, assert_file

SIZES = [0, 1, 2, 4095, 4097, 65_535, 65_536, 65_537, 1_000_003, 3_145_728]


def test_one_url(plait, nginx, data):
    d = data(3 * MB)
    assert_file(plait.get("-o", "out", nginx.url(d.name)), plait.file(), d)


def test_three_mirrors_all_carry(plait, liar, data):
    d = data(6 * MB)
    server = liar(*[{"file": str(d)}] * 3, rate=4 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)
    shares = [server.sent(i) for i in range(3)]
    assert min(shares) > 0.15 * d.size, shares


def test_no_byte_is_fetched_twice_to_speak_of(plait, liar, data):
    d = data(6 * MB)
    server = liar(*[{"file": str(d)}] * 3, rate=4 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)
    assert sum(server.sent(i) for i in range(3)) < 1.12 * d.size


@pytest.mark.parametrize("size", SIZES)
def test_any_size_from_two(plait, nginx, data, size):
    d = data(size)
    assert_file(plait.get("-o", "out", *nginx.urls(d.name, 2)), plait.file(), d)


def test_same_url_twice(plait, nginx, data):
    d = data(3 * MB)
    assert_file(plait.get("-o", "out", nginx.url(d.name), nginx.url(d.name)), plait.file(), d)


def test_thirty_urls(plait, liar, data):
    d = data(3 * MB)
    server = liar({"resources": {"/%d" % i: {"file": str(d)} for i in range(30)}})
    assert_file(plait.get("-o", "out", *[server.url(0, "/%d" % i) for i in range(30)]), plait.file(), d)


def test_into_another_folder(plait, nginx, data):
    d = data(1 * MB)
    plait.file("sub").mkdir()
    assert_file(plait.get("-o", "sub/out", nginx.url(d.name)), plait.file("sub") / "out", d)
    assert plait.names() == ["sub"]


def test_queries_and_fragments(plait, liar, data):
    d = data(100 * KB)
    server = liar({"file": str(d)})
    assert_file(plait.get("-o", "out", server.url() + "?a=1&b=%20#part"), plait.file(), d)
    assert {r["path"] for r in server.requests()} == {"/f?a=1&b=%20"}


def test_ipv6(plait, liar, data):
    d = data(1 * MB)
    try:
        server = liar({"file": str(d)}, address="::1")
    except AssertionError:
        pytest.skip("no IPv6 here")
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_connections_are_kept(plait, liar, data):
    """Many small ranges must not mean many connections."""
    d = data(6 * MB)
    server = liar(*[{"file": str(d)}] * 2, rate=6 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)
    assert len({r["connection"] for r in server.requests()}) <= 16


@pytest.mark.skipif(not os.environ.get("PLAIT_NET_BIG"), reason="a gigabyte: set PLAIT_NET_BIG")
def test_a_gigabyte(plait, nginx, data):
    path = nginx.root / "big.bin"
    with open(path, "wb") as f:
        for seed in range(64):
            f.write(random.Random(seed).randbytes(16 * 1024 * 1024))
    result = plait.get("-o", "out", *nginx.urls("big.bin", 3), timeout=120)
    assert result.status == 0, result
    assert subprocess.run(["cmp", str(path), str(plait.file())]).returncode == 0
