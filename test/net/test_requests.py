"""What is asked, and of whom: redirects, users and passwords, header fields."""
import base64

import pytest

from support import KB, MB, assert_file, assert_refused

USER, SECRET = "someone", "s3cret-Word"


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_relative_redirect(plait, liar, data):
    d = data(1 * MB)
    server = liar({"resources": {"/f": {"redirect": "/sub/../g"}, "/g": {"file": str(d)}}})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_server(plait, liar, data, status):
    d = data(1 * MB)
    target = liar({"file": str(d)})
    server = liar({"redirect": target.url(), "status": status})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_a_chain_of_redirects(plait, liar, data):
    d = data(1 * MB)
    resources = {"/%d" % i: {"redirect": "/%d" % (i + 1)} for i in range(5)}
    server = liar({"resources": {**resources, "/5": {"file": str(d)}}})
    assert_file(plait.get("-o", "out", server.url(0, "/0")), plait.file(), d)


def test_a_loop_of_redirects(plait, liar):
    server = liar({"resources": {"/a": {"redirect": "/b"}, "/b": {"redirect": "/a"}}})
    assert_refused(plait.get("-o", "out", server.url(0, "/a")), plait.file(), 4, "redirect", server.url(0, "/a"))
    assert len(server.requests()) < 200


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1", "gopher://127.0.0.1", "//"])
def test_a_redirect_to_what_is_not_http(plait, liar, place, scheme):
    (place / "private").write_text("not for you")
    server = liar({"redirect": "%s%s/private" % (scheme, place)})
    result = plait.get("-o", "out", "--timeout", "2", server.url())
    assert_refused(result, plait.file(), (1, 4), server.url())
    assert "not for you" not in result.err


def test_a_redirect_without_location(plait, liar):
    server = liar({"status": 302, "text": "where?"})
    assert_refused(plait.get("-o", "out", server.url()), plait.file(), 4, server.url())


def test_a_looping_source_beside_a_good_one(plait, liar, data):
    d = data(3 * MB)
    server = liar({"redirect": "/f"}, {"file": str(d)})
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


def test_user_in_the_url(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "auth": USER + ":" + SECRET})
    assert_file(plait.get("-o", "out", server.url(user=USER + ":" + SECRET)), plait.file(), d)


def test_user_as_an_option(plait, liar, data):
    d = data(1 * MB)
    server = liar(*[{"file": str(d), "auth": USER + ":" + SECRET}] * 2)
    assert_file(plait.get("--user", USER + ":" + SECRET, "-o", "out", *server.urls()), plait.file(), d)


def test_netrc(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "auth": USER + ":" + SECRET})
    netrc = plait.file(".netrc")
    netrc.write_text("machine 127.0.0.2 login %s password %s\n" % (USER, SECRET))
    netrc.chmod(0o600)
    assert_file(plait.get("--netrc", "-o", "out", server.url()), plait.file(), d)


def test_a_wrong_password(plait, liar, data):
    server = liar({"file": str(data(1000)), "auth": USER + ":" + SECRET})
    url = server.url(user=USER + ":wrong-Word")
    result = plait.get("-o", "out", url)
    assert_refused(result, plait.file(), 4, "401", server.url())
    assert "wrong-Word" not in result.err
    assert len(server.requests()) < 20


def test_no_password_is_shown(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "auth": USER + ":" + SECRET})
    result = plait.get("--json", "-o", "out", server.url(user=USER + ":" + SECRET))
    assert result.status == 0, result
    assert SECRET not in result.err and SECRET.encode() not in result.out


def test_the_password_stays_with_its_host(plait, liar, data):
    d = data(1 * MB)
    other = liar({"file": str(d)}, address="127.0.0.8")
    server = liar({"redirect": other.url(), "auth": USER + ":" + SECRET})
    assert_file(plait.get("--user", USER + ":" + SECRET, "-o", "out", server.url()), plait.file(), d)
    assert server.requests()[-1]["headers"]["authorization"] == basic(USER + ":" + SECRET)
    assert [r for r in other.requests() if "authorization" in r["headers"]] == []


def test_headers_go_with_each_request(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d)})
    assert_file(plait.get("--header", "X-One: 1", "--header", "X-Two: a b", "-o", "out", server.url()), plait.file(), d)
    assert {(r["headers"].get("x-one"), r["headers"].get("x-two")) for r in server.requests()} == {("1", "a b")}


def test_it_says_who_it_is_and_asks_for_no_encoding(plait, liar, data):
    d = data(100 * KB)
    server = liar({"file": str(d)})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    first = server.requests()[0]
    assert first["headers"]["user-agent"].startswith("plait/")
    assert first["headers"].get("accept-encoding", "identity") == "identity"
    assert first["method"] == "GET"
