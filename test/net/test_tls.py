"""https: who is believed, and what is said to who is not."""
import pytest

from support import KB, MB, assert_file, assert_refused, assert_says


def tls(certificates, name="good"):
    cert, key = map(str, certificates.pairs[name])
    return {"cert": cert, "key": key}


def test_the_right_authority(plait, nginx, certificates, data):
    d = data(3 * MB)
    urls = [nginx.tls_url(d.name, "good", i) for i in range(3)]
    assert_file(plait.get("--cacert", certificates.ca, "-o", "out", *urls), plait.file(), d)


@pytest.mark.parametrize("name, word", [("wrong", ("name", "host", "match")), ("own", "self-signed"),
                                        ("expired", "expired")])
def test_a_bad_certificate_is_refused(plait, liar, certificates, data, name, word):
    server = liar({"file": str(data(100 * KB))}, tls=tls(certificates, name))
    result = plait.get("--cacert", certificates.ca, "-o", "out", server.url())
    assert_refused(result, plait.file(), 4, server.url(), "certificate", word)
    assert server.requests() == []


def test_an_unknown_authority_is_refused(plait, liar, certificates, data):
    server = liar({"file": str(data(100 * KB))}, tls=tls(certificates))
    assert_refused(plait.get("-o", "out", server.url()), plait.file(), 4, "certificate", "--cacert")
    assert server.requests() == []


def test_a_server_that_speaks_no_tls(plait, nginx, data):
    url = nginx.url(data(100 * KB).name).replace("http:", "https:")
    assert_refused(plait.get("-o", "out", url), plait.file(), 4, "http:// perhaps")


def test_a_file_without_certificates_is_no_authority(plait, place):
    (place / "none.pem").write_text("nothing\n")
    for name, word in (("none.pem", "no certificate"), ("nowhere.pem", "cannot be read")):
        result = plait.get("--cacert", place / name, "-o", "out", "https://127.0.0.1:9/f")
        assert_refused(result, plait.file(), 3, "--cacert", name, word)


def test_a_bad_mirror_beside_a_good_one(plait, nginx, certificates, data):
    d = data(3 * MB, 7)
    urls = [nginx.tls_url(d.name, "expired", 1), nginx.tls_url(d.name, "good")]
    result = plait.get("--cacert", certificates.ca, "-o", "out", *urls)
    assert_file(result, plait.file(), d)
    assert_says(result, "certificate", "127.0.0.12")
    assert {r["server"] for r in nginx.requests(d.name)} == {"127.0.0.11"}


def test_tls_from_two_at_once(plait, liar, certificates, data):
    d = data(6 * MB)
    server = liar(*[{"file": str(d)}] * 2, tls=tls(certificates), rate=6 * MB)
    assert_file(plait.get("--cacert", certificates.ca, "-o", "out", *server.urls()), plait.file(), d)
    assert min(server.sent(0), server.sent(1)) > 0.15 * d.size


def test_a_redirect_to_https(plait, liar, nginx, certificates, data):
    d = data(1 * MB)
    server = liar({"redirect": nginx.tls_url(d.name, "good")})
    assert_file(plait.get("--cacert", certificates.ca, "-o", "out", server.url()), plait.file(), d)


def test_plain_http_at_a_tls_port(plait, liar, certificates, data):
    server = liar({"file": str(data(100 * KB))}, tls=tls(certificates))
    url = server.url().replace("https:", "http:")
    assert_refused(plait.get("-o", "out", "--timeout", "2", url), plait.file(), (1, 4), url)


def test_tls_at_a_plain_http_port(plait, liar, certificates, data):
    server = liar({"file": str(data(100 * KB))})
    url = server.url().replace("http:", "https:")
    assert_refused(plait.get("-o", "out", "--timeout", "2", url), plait.file(), (1, 4), url)


def test_cacert_that_is_no_file(plait, nginx, data):
    result = plait.get("--cacert", "/nowhere/ca.pem", "-o", "out", nginx.tls_url(data(1000).name, "good"))
    assert_refused(result, plait.file(), (2, 3), "/nowhere/ca.pem")


def test_a_tls_body_that_is_cut_is_completed(plait, liar, certificates, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "rules": [{"last": 2, "cut": {"after": 200_000}}]}, tls=tls(certificates))
    assert_file(plait.get("--cacert", certificates.ca, "-o", "out", server.url()), plait.file(), d)
