"""Proxies as routes: from the environment and from --via.

    plait ---- proxy 0 (speaks from 127.0.0.31) ----+
          ---- proxy 1 (speaks from 127.0.0.32) ----+---- liar on 127.0.0.2, logs who connects
          ---- directly (from 127.0.0.1) -----------+
"""
import pytest

from support import MB, assert_file, assert_refused, assert_says, closed_port

FROM = ["127.0.0.31", "127.0.0.32"]
DIRECT = "127.0.0.1"


def pair(*kinds, **more):
    return [{"kind": kind, "from": FROM[i], **more} for i, kind in enumerate(kinds)]


def sent_to(server, peer):
    return sum(r["sent"] for r in server.requests() if r["peer"].startswith(peer + ":"))


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_from_the_environment(plait, liar, proxies, certificates, data, name):
    d = data(1 * MB)
    cert, key = map(str, certificates.pairs["good"])
    server = liar({"file": str(d)}, **({"tls": {"cert": cert, "key": key}} if name == "HTTPS_PROXY" else {}))
    p = proxies(*pair("http"))
    result = plait.get("--cacert", certificates.ca, "-o", "out", server.url(), env={name: p.url()})
    assert_file(result, plait.file(), d)
    assert server.peers() == {FROM[0]}


@pytest.mark.parametrize("no_proxy", ["127.0.0.2", "*", "x.test,127.0.0.2"])
def test_no_proxy(plait, liar, proxies, data, no_proxy):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    p = proxies(*pair("http"))
    result = plait.get("-o", "out", server.url(), env={"http_proxy": p.url(), "no_proxy": no_proxy})
    assert_file(result, plait.file(), d)
    assert server.peers() == {DIRECT}


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_via_one_proxy_only(plait, liar, proxies, data, kind):
    d = data(3 * MB)
    server = liar({"file": str(d)})
    p = proxies(*pair(kind))
    assert_file(plait.get("--via", p.url(), "-o", "out", server.url()), plait.file(), d)
    assert server.peers() == {FROM[0]}


def test_via_beats_the_environment(plait, liar, proxies, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    p = proxies(*pair("http", "http"))
    env = {"http_proxy": p.url(0), "no_proxy": "*"}
    assert_file(plait.get("--via", p.url(1), "-o", "out", server.url(), env=env), plait.file(), d)
    assert server.peers() == {FROM[1]}


def test_https_through_a_proxy(plait, liar, proxies, certificates, data):
    d = data(1 * MB)
    cert, key = map(str, certificates.pairs["good"])
    server = liar({"file": str(d)}, tls={"cert": cert, "key": key})
    p = proxies(*pair("http", "socks5"))
    result = plait.get("--cacert", certificates.ca, "--via", p.url(0), "--via", p.url(1), "-o", "out", server.url())
    assert_file(result, plait.file(), d)
    assert server.peers() <= set(FROM)
    assert {a["asked"] for a in p.asked(0)} <= {"CONNECT"}


def test_two_proxies_both_carry(plait, liar, proxies, data):
    d = data(6 * MB)
    server = liar({"file": str(d), "rate": 1 * MB})
    p = proxies(*pair("http", "socks5"))
    assert_file(plait.get("--via", p.url(0), "--via", p.url(1), "-o", "out", server.url()), plait.file(), d)
    assert server.peers() == set(FROM)
    assert min(sent_to(server, a) for a in FROM) > 0.15 * d.size


def test_the_socks_proxy_resolves_the_name(plait, liar, proxies, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    p = proxies({"kind": "socks5", "hosts": {"far.plait.test": "127.0.0.2"}})
    assert_file(plait.get("--via", p.url(), "-o", "out", server.url(host="far.plait.test")), plait.file(), d)
    assert {a["asked"] for a in p.asked()} == {"name"}


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_that_refuses_is_left_out(plait, liar, proxies, certificates, data, kind):
    d = data(3 * MB)
    cert, key = map(str, certificates.pairs["good"])
    server = liar({"file": str(d)}, tls={"cert": cert, "key": key})
    p = proxies({"kind": kind, "refuse": ["*"]}, *pair("http"))
    result = plait.get("--cacert", certificates.ca, "--via", p.url(0), "--via", p.url(1), "-o", "out", server.url())
    assert_file(result, plait.file(), d)
    assert server.peers() == {FROM[0]}
    assert_says(result, p.url(0).split("//")[1])
    assert len(p.asked(0)) < 10


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_the_only_proxy_refuses(plait, liar, proxies, certificates, data, kind):
    cert, key = map(str, certificates.pairs["good"])
    server = liar({"file": str(data(1000))}, tls={"cert": cert, "key": key})
    p = proxies({"kind": kind, "refuse": ["*"]})
    result = plait.get("--cacert", certificates.ca, "--via", p.url(), "-o", "out", server.url())
    assert_refused(result, plait.file(), 4, "proxy")


def test_a_plain_http_proxy_that_answers_403_by_itself(plait, liar, proxies, data):
    """For plain http it cannot be told who said 403."""
    p = proxies({"kind": "http", "refuse": ["*"]})
    result = plait.get("--via", p.url(), "-o", "out", liar({"file": str(data(1000))}).url())
    assert_refused(result, plait.file(), 4, "403")


def test_a_dead_proxy_beside_a_good_one(plait, liar, proxies, data):
    d = data(3 * MB)
    server = liar({"file": str(d)})
    p = proxies(*pair("http"))
    dead = "http://127.0.0.29:%d" % closed_port("127.0.0.29")
    assert_file(plait.get("--via", dead, "--via", p.url(), "-o", "out", server.url()), plait.file(), d)
    assert server.peers() == {FROM[0]}


def test_user_and_password_of_a_proxy(plait, liar, proxies, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    p = proxies({"kind": "http", "auth": "me:s3cret"}, {"kind": "socks5", "auth": "me:s3cret"})
    routes = [p.url(i).replace("//", "//me:s3cret@") for i in range(2)]
    for i, route in enumerate(routes):
        result = plait.get("--via", route, "-f", "-o", "out", "--json", server.url())
        assert_file(result, plait.file(), d)
        assert "s3cret" not in result.err and b"s3cret" not in result.out
        assert len(p.asked(i)) > 0


def test_a_wrong_password_for_the_proxy(plait, liar, proxies, data):
    p = proxies({"kind": "http", "auth": "me:s3cret"})
    route = p.url().replace("//", "//me:guess@")
    result = plait.get("--via", route, "-o", "out", liar({"file": str(data(1000))}).url())
    assert_refused(result, plait.file(), 4, "407")
    assert "guess" not in result.err
