"""Bad usage: status 2, a message that names the option and points to the help, and nothing is asked of any server."""
import pytest

from support import assert_file, assert_says

URL = "http://127.0.0.1:9/f"

BAD = {
    "no-url": (["get"], "URL"),
    "servers-without-a-name": (["get", "--servers", "/dev/null"], "no NAME"),
    "lan-without-a-name": (["get", "--ask-lan"], "no NAME"),
    "unknown-option": (["get", "--colour", URL], "--colour"),
    "unknown-short-option": (["get", "-Z", URL], "'Z'"),
    "unknown-command": (["gte", URL], "gte"),
    "output-without-a-value": (["get", URL, "-o"], "'o'"),
    "output-empty": (["get", "-o", "", URL], "-o"),
    "checksum-nonsense": (["get", "--checksum", "banana", URL], "--checksum"),
    "checksum-unknown": (["get", "--checksum", "crc32=12345678", URL], "--checksum"),
    "checksum-short": (["get", "--checksum", "sha-256=1234", URL], "--checksum"),
    "checksum-not-hex": (["get", "--checksum", "sha-256=" + "g" * 64, URL], "--checksum"),
    "limit-rate-nonsense": (["get", "--limit-rate", "fast", URL], "--limit-rate"),
    "limit-rate-zero": (["get", "--limit-rate", "0", URL], "--limit-rate"),
    "limit-rate-negative": (["get", "--limit-rate", "-5", URL], "--limit-rate"),
    "limit-rate-overflow": (["get", "--limit-rate", "9" * 40, URL], "--limit-rate"),
    "buffer-nonsense": (["get", "--buffer", "big", URL], "--buffer"),
    "buffer-zero": (["get", "--buffer", "0", URL], "--buffer"),
    "header-without-colon": (["get", "--header", "nocolon", URL], "--header"),
    "header-with-a-line-break": (["get", "--header", "A: b\r\nEvil: c", URL], "--header"),
    "via-empty": (["get", "--via", "", URL], "--via"),
    "via-unknown-scheme": (["get", "--via", "gopher://127.0.0.1", URL], "--via"),
    "via-nonsense": (["get", "--via", "not an interface", URL], "--via"),
    "url-scheme": (["get", "ftp://127.0.0.1/f"], "ftp://127.0.0.1/f"),
    "url-nonsense": (["get", "http://"], "http://"),
    "url-with-spaces": (["get", "http://127.0.0.1:9/a b"], "%20"),
    "director-without-a-name": (["get", "plait://127.0.0.1:9/"], "names no stream"),
    "director-without-a-path": (["get", "plait://127.0.0.1:9"], "names no stream"),
    "url-bad-port": (["get", "http://127.0.0.1:99999/f"], "99999"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_usage(plait, name):
    args, word = BAD[name]
    result = plait.start(*args).finish(5)
    assert result.status == 2, result
    assert_says(result, word)
    assert result.out == b""
    assert plait.names() == []


def test_a_list_without_servers(plait, place):
    (place / "list").write_text("# none yet\n")
    result = plait.get("--servers", place / "list", "film.mkv")
    assert result.status == 4, result
    assert_says(result, "%s names no server" % (place / "list"))


def test_nothing_at_all(plait):
    result = plait.start().finish(5)
    assert result.status == 2, result
    assert "usage: plait" in result.err and " get " in result.err


@pytest.mark.parametrize("args", [["--help"], ["get", "--help"], ["help"]])
def test_help_goes_to_standard_output(plait, args):
    result = plait.start(*args).finish(5)
    assert result.status == 0, result
    assert result.out.startswith((b"plait", b"usage: plait")) and b"get" in result.out and result.err == ""


def test_version(plait):
    result = plait.start("--version").finish(5)
    assert result.status == 0 and result.out.startswith(b"plait "), result


def test_options_may_follow_urls(plait, nginx, data):
    d = data(1000)
    assert_file(plait.get(nginx.url(d.name), "-o", "out"), plait.file(), d)


def test_a_folder_to_put_it_in(plait, nginx, data, place):
    d = data(1000)
    (place / "near").mkdir()
    for folder in ("%s/near" % place, "%s/near/" % place):
        result = plait.get("-f", "-o", folder, nginx.url(d.name))
        assert result.status == 0 and "%s/near/%s: " % (place, d.name) in result.err, result
        assert (place / "near" / d.name).read_bytes() == d.bytes


def test_long_options_with_equals_signs(plait, nginx, data):
    d = data(1000)
    assert_file(plait.get("--checksum=sha-256=" + d.sha256, "-oout", nginx.url(d.name)), plait.file(), d)
