"""Never a wrong byte: each lie of the liar alone, beside one true source, and beside two.

Whatever a source does, the outcome is the right bytes, or a clear error and nothing under the final name.
"""
from pathlib import Path

import pytest

from support import MB, assert_file, assert_refused, sha256

SIZE = 1 * MB

# Lies that any receiver can see through: beside a true source the transfer must succeed.
SEEN = {
    "ranges-ignored": {"ranges": "ignore"},
    "ranges-ignored-from-the-3rd": {"rules": [{"first": 3, "ranges": "ignore"}]},
    "content-range-dropped": {"content_range": "drop"},
    "content-range-shifted": {"content_range": {"shift": 512}},
    "content-range-shifted-back": {"rules": [{"first": 2, "content_range": {"shift": -512}}]},
    "content-range-other-total": {"content_range": {"total": 4096}},
    "content-range-smaller-total": {"content_range": {"total": -4096}},
    "content-range-longer": {"content_range": {"grow": 100}},
    "content-range-unknown-total": {"content_range": {"total": "*"}},
    "content-range-nonsense": {"content_range": "bytes banana"},
    "content-range-huge": {"content_range": "bytes 0-18446744073709551615/18446744073709551616"},
    "content-range-negative": {"content_range": "bytes -5--1/100"},
    "multipart": {"multipart": True},
    "short": {"extra": -100_000},
    "long": {"extra": 100_000},
    "claims-less": {"claim": -1000},
    "claims-more": {"claim": 1000},
    "claims-a-negative-length": {"rules": [{"headers": [["Content-Length", "-1"]]}]},
    "two-lengths": {"headers": [["Content-Length", "77"]]},
    "cut": {"cut": {"after": 50_000}},
    "cut-with-reset": {"cut": {"after": 50_000, "how": "rst"}},
    "cut-at-once": {"cut": {"after": 0, "how": "rst"}},
    "cut-chunked": {"framing": "chunked", "cut": {"after": 50_000}},
    "cut-without-length": {"framing": "close", "cut": {"after": 50_000}},
    "stall": {"stall": 50_000},
    "stall-from-the-2nd-on": {"rules": [{"first": 2, "stall": 10_000}]},
    "mute": {"mute": True},
    "drips": {"rate": 2000},
    "status-404": {"status": 404, "text": "<html>not here</html>"},
    "status-403": {"status": 403, "text": "<html>not you</html>"},
    "status-500": {"status": 500, "text": "<html>not now</html>"},
    "status-500-from-the-2nd-on": {"rules": [{"first": 2, "status": 500, "text": "<html>not now</html>"}]},
    "status-206-unasked-length": {"status": 206, "text": "short"},
    "status-204": {"status": 204, "text": ""},
    "status-304": {"status": 304, "text": ""},
    "status-999": {"status": 999, "text": "?"},
    "status-416": {"status": 416, "text": ""},
    "error-page-with-200": {"ranges": "ignore", "text": "<html>Please log in.</html>", "type": "text/html"},
    "empty-with-200": {"ranges": "ignore", "text": ""},
    "other-size": {"extend": 1000},
    "redirect-loop": {"redirect": "/f"},
    "redirect-to-file": {"redirect": "file:///etc/passwd"},
    "redirect-to-nothing": {"redirect": "http://127.0.0.29:1/f"},
    "giant-header": {"giant": 400_000},
    "garbage-in-the-header": {"garbage": True},
    "endless-header": {"endless": True},
    "gzip-unasked": {"encoding": "gzip"},
    "compressed-by-name-only": {"headers": [["Content-Encoding", "br"]]},
    "transfer-coding-unknown": {"headers": [["Transfer-Encoding", "banana"]]},
    "asks-for-a-password": {"auth": "me:secret"},
}

# Lies in the bytes themselves. Between two alone nobody can tell who is right.
CONTENT = {
    "other-content": {"other": [[0, SIZE]]},
    "other-from-the-middle": {"other": [[SIZE // 2, SIZE]]},
    "other-until-the-middle": {"other": [[0, SIZE // 2]]},
    "other-with-the-same-etag": {"other": [[0, SIZE]], "etag": '"same"'},
    "shifted-without-a-word": {"shifted": 1},
    "becomes-other": {"rules": [{"after_bytes": SIZE // 5, "other": [[0, SIZE]]}]},
    "becomes-other-and-says-so": {"rules": [{"after_bytes": SIZE // 5, "other": [[0, SIZE]], "etag": '"v2"'}]},
}


@pytest.fixture
def lying(data):
    """The resource for a lie; two of them need content of their own."""
    def lying(lie):
        d, lie = data(SIZE), dict(lie)
        if "extend" in lie:
            return {"file": str(data(SIZE + lie.pop("extend")))}
        if "shifted" in lie:
            path = d.path.with_suffix(".shifted")
            path.write_bytes(d.bytes[lie["shifted"]:] + b"x" * lie.pop("shifted"))
            return {"file": str(path)}
        return lie if {"text", "redirect"} & set(lie) else {"file": str(d), **lie}
    return lying


def assert_right_or_clear(result, path, d):
    if result.status == 0:
        assert_file(result, path, d)
    else:
        assert_refused(result, path, (1, 4, 5))


@pytest.mark.parametrize("name", [name for name in SEEN if name != "drips"])
def test_alone(plait, liar, data, lying, name):
    lie = lying(SEEN[name])
    result = plait.get("-o", "out", "--timeout", "0.5", liar(lie).url())
    if result.status == 0 and name in CONSISTENT:
        whole = lie["text"].encode() if "text" in lie else Path(lie["file"]).read_bytes()
        assert whole.startswith(plait.file().read_bytes())
    else:
        assert_right_or_clear(result, plait.file(), data(SIZE))


# What the only source says without contradicting itself is the stream.
CONSISTENT = {"error-page-with-200", "empty-with-200", "other-size", "cut-without-length", "claims-less",
              "content-range-smaller-total"}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("position", ["first", "second"])
def test_beside_a_true_one(plait, liar, data, lying, name, position):
    true, lie = {"file": str(data(SIZE))}, lying(SEEN[name])
    server = liar(*([lie, true] if position == "first" else [true, lie]), rate=10 * MB)
    result = plait.get("-o", "out", *server.urls())
    if name in AMBIGUOUS:
        assert_right_or_clear(result, plait.file(), data(SIZE))
    else:
        assert_file(result, plait.file(), data(SIZE))


# A size or a content that is consistent in itself is as good as the other one's.
AMBIGUOUS = {"error-page-with-200", "empty-with-200", "other-size", "content-range-other-total",
             "content-range-smaller-total", "claims-less", "claims-more", "cut-without-length", "long", "short",
             "status-416"}


@pytest.mark.parametrize("name", {**SEEN, **CONTENT})
def test_beside_two_true_ones(plait, liar, data, lying, name):
    true, lie = {"file": str(data(SIZE))}, lying({**SEEN, **CONTENT}[name])
    server = liar(lie, true, true, rate=8 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), data(SIZE))


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("position", ["first", "second"])
def test_content_beside_a_true_one(plait, liar, data, lying, name, position):
    true, lie = {"file": str(data(SIZE))}, lying(CONTENT[name])
    server = liar(*([lie, true] if position == "first" else [true, lie]), rate=8 * MB)
    assert_right_or_clear(plait.get("-o", "out", *server.urls()), plait.file(), data(SIZE))


@pytest.mark.parametrize("name", CONTENT)
def test_content_beside_a_true_one_with_a_digest(plait, liar, data, lying, name):
    d = data(SIZE)
    server = liar(lying(CONTENT[name]), {"file": str(d)}, rate=8 * MB)
    assert_file(plait.get("-o", "out", "--checksum", "sha-256=" + d.sha256, *server.urls()), plait.file(), d)


@pytest.mark.parametrize("name", {**SEEN, **CONTENT})
def test_to_a_pipe_beside_two_true_ones(plait, liar, data, lying, name):
    """What has left cannot be taken back: the right bytes, or an error and a right beginning."""
    d, true = data(SIZE), {"file": str(data(SIZE))}
    server = liar(lying({**SEEN, **CONTENT}[name]), true, true, rate=8 * MB)
    result = plait.get("-o", "-", *server.urls())
    if result.status == 0:
        assert sha256(result.out) == d.sha256, result
    else:
        assert result.status == 5 and name not in set(SEEN) - AMBIGUOUS, result
        assert name in CONTENT or d.bytes.startswith(result.out), result


def test_one_bad_block_and_a_digest(plait, liar, data):
    """Too small for the comparisons to find; the digest tells."""
    d = data(SIZE)
    server = liar({"file": str(d), "other": [[700_000, 700_100]]}, {"file": str(d)}, rate=8 * MB)
    result = plait.get("-o", "out", "--checksum", d.sha256, *server.urls())
    assert_file(result, plait.file(), d)


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("rates", [(20 * MB, 2 * MB), (2 * MB, 6 * MB)], ids=["fast-liar", "slow-liar"])
def test_content_at_another_rate(plait, liar, data, lying, name, rates):
    """What is compared must be compared whichever of the two comes first, also at the end, where work is doubled."""
    site = [{"resources": {"/f": lying(CONTENT[name])}, "rate": rates[0]}]
    true = [{"resources": {"/f": {"file": str(data(SIZE))}}, "rate": rates[1]}] * 2
    assert_file(plait.get("-o", "out", *liar(*site, *true).urls()), plait.file(), data(SIZE))
