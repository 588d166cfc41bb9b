"""The servers of these tests do what they are ordered to, as curl and aria2c see it."""
import gzip
import subprocess

import pytest

from support import MB, BlackHole, sha256, wait_for


def curl(*args, timeout=10):
    """(exit status, head as text, body as bytes)"""
    command = ["curl", "-q", "-s", "-i", "--noproxy", "*", "-m", str(timeout), *map(str, args)]
    done = subprocess.run(command, capture_output=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return done.returncode, head.decode("latin-1"), body


def test_a_truthful_liar_is_a_web_server(liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    assert curl(server.url())[2] == d.bytes
    status, head, body = curl("-r", "1000-1999", server.url())
    assert (status, body) == (0, d.bytes[1000:2000])
    assert "206" in head and "Content-Range: bytes 1000-1999/1000000" in head
    assert curl("-r", "-10", server.url())[2] == d.bytes[-10:]
    assert "416" in curl("-r", "1000000-", server.url())[1]
    assert "404" in curl(server.url(path="/other"))[1]


def test_keep_alive_uses_one_connection(liar, data):
    server = liar({"file": str(data(5000))})
    subprocess.run(["curl", "-q", "-s"] + ["-o", "/dev/null", server.url()] * 2, check=True)
    assert len({r["connection"] for r in server.requests()}) == 1
    assert len(server.requests()) == 2


def test_if_range_is_honoured_or_not(liar, data):
    d = data(5000)
    server = liar({"file": str(d), "etag": '"a"'}, {"file": str(d), "etag": '"a"', "if_range": "ignore"})
    stale = ["-H", 'If-Range: "b"', "-r", "10-19"]
    assert "200 OK" in curl(*stale, server.url(0))[1]
    assert "206" in curl(*stale, server.url(1))[1]
    assert "206" in curl("-H", 'If-Range: "a"', "-r", "10-19", server.url(0))[1]


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_no_content_length(liar, data, framing):
    d = data(1 * MB)
    status, head, body = curl(liar({"file": str(d), "framing": framing}).url())
    assert (status, body) == (0, d.bytes)
    assert "Content-Length" not in head


@pytest.mark.parametrize("lie, code", [({"cut": {"after": 300_000}}, 18),
                                       ({"cut": {"after": 300_000, "how": "rst"}}, 56),
                                       ({"extra": -700_000}, 18), ({"claim": 5}, 18)])
def test_a_body_that_breaks_off(liar, data, lie, code):
    d = data(1 * MB)
    status, _, body = curl(liar({"file": str(d), **lie}).url())
    assert status == code
    assert d.bytes.startswith(body)
    assert len(body) in (300_000, 1_000_000)


def test_stall_mute_and_drip_last(liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "stall": 1000}, {"file": str(d), "mute": True}, {"file": str(d), "rate": 2000})
    sizes = [len(curl(server.url(i), timeout=0.5)[2]) for i in range(3)]
    assert sizes[:2] == [1000, 0]
    assert 200 < sizes[2] < 2000


def test_one_block_is_other(liar, data):
    d = data(1 * MB)
    body = curl(liar({"file": str(d), "other": [[500_000, 500_010]]}).url())[2]
    assert [i for i in range(d.size) if body[i] != d.bytes[i]] == list(range(500_000, 500_010))


def test_rules_by_number_and_by_load(liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "rules": [{"last": 2, "status": 503, "text": "later", "retry_after": 1}]},
                  {"file": str(d), "rate": 100_000, "rules": [{"above": 1, "status": 429, "text": "not so many"}]})
    assert ["503" in curl(server.url())[1] for _ in range(3)] == [True, True, False]
    slow = subprocess.Popen(["curl", "-q", "-s", "-o", "/dev/null", server.url(1)])
    try:
        wait_for(lambda: server.sent(1) > 0, "the slow response to begin")
        assert "429" in curl(server.url(1))[1]
    finally:
        slow.kill()
        slow.wait()
    wait_for(lambda: server.requests(1)[0]["how"] == "lost", "the end of it to be logged")


def test_headers_digests_and_encoding(liar, data):
    d = data(5000)
    server = liar({"file": str(d), "digest": "right", "headers": [["Link", "<x>; rel=duplicate"]], "giant": 50_000},
                  {"file": str(d), "encoding": "gzip"}, {"file": str(d), "multipart": True},
                  {"file": str(d), "auth": "me:secret"})
    head = curl(server.url(0))[1]
    assert "Repr-Digest: sha-256=:" in head and "Link: <x>" in head and len(head) > 50_000
    assert gzip.decompress(curl(server.url(1))[2]) == d.bytes
    assert curl("-r", "0-9", server.url(2))[2].count(b"--LIAR") == 2
    assert "401" in curl(server.url(3))[1]
    assert curl("-u", "me:secret", server.url(3))[2] == d.bytes


def test_hold_and_release(liar, data, place):
    d = data(1 * MB)
    server = liar({"file": str(d), "hold": 400_000})
    client = subprocess.Popen(["curl", "-q", "-s", "-o", str(place / "got"), server.url()])
    wait_for(lambda: server.sent() == 400_000, "the hold")
    server.release()
    assert client.wait(10) == 0
    assert (place / "got").read_bytes() == d.bytes
    assert server.requests()[0]["how"] == "complete"


def test_tls(liar, certificates, data):
    d = data(1 * MB)
    cert, key = map(str, certificates.pairs["good"])
    server = liar({"file": str(d)}, tls={"cert": cert, "key": key})
    assert curl("--cacert", certificates.ca, server.url())[2] == d.bytes
    assert curl(server.url())[0] == 60


def test_nginx_and_its_certificates(nginx, certificates, data):
    d = data(1 * MB)
    for i in range(4):
        assert curl(nginx.url(d.name, i))[2] == d.bytes
    assert "429" not in curl(nginx.url(d.name, where="/two/"))[1]
    trust = ["--cacert", certificates.ca]
    assert curl(*trust, nginx.tls_url(d.name, "good"))[2] == d.bytes
    assert [curl(*trust, nginx.tls_url(d.name, c))[0] for c in ("wrong", "expired", "own")] == [60, 60, 60]
    wait_for(lambda: len(nginx.requests(d.name)) >= 6, "the log")


def test_aria2_takes_it_from_all_mirrors(nginx, data, place):
    d = data(3 * MB, 2)
    options = ["-q", "--no-conf", "-s3", "-k1M", "-d", str(place), "-o", "a"]
    subprocess.run(["aria2c", *options, *nginx.urls(d.name, 3)], check=True)
    assert sha256((place / "a").read_bytes()) == d.sha256
    wait_for(lambda: len({r["server"] for r in nginx.requests(d.name)}) == 3, "three mirrors in the log")


def test_proxies_forward_tunnel_and_refuse(liar, proxies, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    p = proxies({"kind": "http"}, {"kind": "socks5", "hosts": {"far.plait.test": "127.0.0.2"}},
                {"kind": "http", "refuse": ["*"]}, {"kind": "socks5", "auth": "me:secret"})
    far = server.url(host="far.plait.test")
    assert curl("-x", p.url(0), server.url(), "--noproxy", "")[2] == d.bytes
    assert curl("-p", "-x", p.url(0), server.url(), "--noproxy", "")[2].endswith(d.bytes)
    assert curl("-x", p.url(1), far, "--noproxy", "")[2] == d.bytes
    assert "403" in curl("-x", p.url(2), server.url(), "--noproxy", "")[1]
    assert curl("-x", p.url(3), server.url(), "--noproxy", "")[0] == 97
    assert [a["asked"] for a in p.asked(0)] == ["GET", "CONNECT"]
    assert p.asked(1)[0]["host"] == "far.plait.test"
    wait_for(lambda: p.carried(0) > 2 * d.size, "both transfers in the proxy's log")


def test_black_hole(data):
    hole = BlackHole("127.0.0.9")
    try:
        assert curl("http://127.0.0.9:%d/f" % hole.port, timeout=0.5)[0] == 28
    finally:
        hole.close()


def test_two_links_reach_one_server(netns, liar, data):
    d = data(1 * MB)
    net = netns(2)
    server = liar({"file": str(d)}, ns=net.server, address=net.SERVER)
    for i in (1, 2):
        before = net.received(i)
        command = ["curl", "-q", "-s", "--interface", "if!" + net.link(i), server.url()]
        done = subprocess.run(["ip", "netns", "exec", net.client, *command], capture_output=True)
        assert sha256(done.stdout) == d.sha256
        assert net.received(i) - before > d.size
    assert server.peers() == {net.address(1), net.address(2)}
