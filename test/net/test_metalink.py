"""Metalink files and URLs, and the Link and Digest fields of RFC 6249."""
import hashlib

import pytest

from support import KB, MB, assert_file, assert_refused, assert_says, closed_port

PIECE = 256 * 1024
TYPE = "application/metalink4+xml"
FRAME = """<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
<file name="%s">%s</file>%s</metalink>
"""


def metalink(d, urls, name=None, size=None, digest="sha-256", wrong_digest=False, pieces=False, more=""):
    """A document for one file; urls are texts, or (url, priority)."""
    lines = []
    if size is not False:
        lines.append("<size>%d</size>" % (d.size if size is None else size))
    if digest:
        value = hashlib.new(digest.replace("-", ""), d.bytes + (b"!" if wrong_digest else b"")).hexdigest()
        lines.append('<hash type="%s">%s</hash>' % (digest, value))
    if pieces:
        hashes = [hashlib.sha256(d.bytes[i:i + PIECE]).hexdigest() for i in range(0, d.size, PIECE)]
        text = "".join("<hash>%s</hash>" % h for h in hashes)
        lines.append('<pieces length="%d" type="sha-256">%s</pieces>' % (PIECE, text))
    for url in urls:
        url, priority = url if isinstance(url, tuple) else (url, 1)
        lines.append('<url priority="%d">%s</url>' % (priority, url))
    return FRAME % (name or d.name, "\n".join(lines), more)


@pytest.fixture
def write(plait):
    def write(text):
        path = plait.file(".m.meta4")
        path.write_text(text)
        return path
    return write


def test_a_file_with_mirrors(plait, liar, data, write):
    d = data(3 * MB)
    server = liar(*[{"file": str(d)}] * 3, rate=3 * MB)
    assert_file(plait.get("-o", "out", write(metalink(d, server.urls()))), plait.file(), d)
    assert min(server.sent(i) for i in range(3)) > 0.1 * d.size


def test_it_gives_the_name(plait, nginx, data, write):
    d = data(100 * KB)
    result = plait.get(write(metalink(d, nginx.urls(d.name, 2), name="the name.iso")))
    assert_file(result, plait.file("the name.iso"), d)


@pytest.mark.parametrize("name", ["../evil", "/tmp/plait-evil", "a/../../evil", ".profile", "sub/evil"])
def test_a_name_that_would_leave_the_folder(plait, nginx, data, write, name):
    d = data(100 * KB)
    result = plait.get(write(metalink(d, nginx.urls(d.name, 1), name=name)))
    assert result.status in (0, 2, 3), result
    for path in (plait.folder.parent / "evil", plait.folder.parent / "plait-evil", plait.file(".profile")):
        assert not path.exists()
    if result.status == 0:
        assert len(plait.names()) == 1


def test_from_a_url(plait, liar, nginx, data):
    d = data(1 * MB)
    server = liar({"resources": {"/m": {"text": metalink(d, nginx.urls(d.name, 3), name="named"), "type": TYPE}}})
    assert_file(plait.get(server.url(0, "/m")), plait.file("named"), d)


def test_from_a_url_that_ends_in_meta4(plait, liar, nginx, data):
    d = data(1 * MB)
    server = liar({"resources": {"/x.meta4": {"text": metalink(d, nginx.urls(d.name, 3)), "type": "text/plain"}}})
    assert_file(plait.get("-o", "out", server.url(0, "/x.meta4")), plait.file(), d)


@pytest.mark.parametrize("status", [200, 404])
def test_a_document_without_end(plait, liar, data, status):
    said = {} if status == 200 else {"status": status}
    server = liar({"resources": {"/x.meta4": {"file": str(data(12 * MB)), "type": TYPE, "ranges": "ignore",
                                              "framing": "chunked", "stall": 11 * MB, **said}}})
    result = plait.get("-o", "out", server.url(0, "/x.meta4"))
    assert_refused(result, plait.file(), 4, "longer" if status == 200 else "404")
    assert result.seconds < 10, result


def test_dead_and_foreign_mirrors_are_passed_over(plait, nginx, data, write, place):
    d = data(3 * MB)
    secret = place / "secret"
    secret.write_bytes(d.bytes[:-1] + b"x")
    urls = ["http://127.0.0.29:%d/f" % closed_port("127.0.0.29"), "ftp://127.0.0.1/f", "file://%s" % secret,
            nginx.url("gone/f"), nginx.url(d.name, 1)]
    assert_file(plait.get("-o", "out", write(metalink(d, urls))), plait.file(), d)


def test_a_mirror_with_one_bad_piece(plait, liar, data, write):
    """The piece is fetched again from the other; the rest is not."""
    d = data(4 * MB)
    server = liar({"file": str(d), "other": [[3 * PIECE + 10, 3 * PIECE + 20]]}, {"file": str(d)}, rate=4 * MB)
    result = plait.get("-o", "out", write(metalink(d, server.urls(), pieces=True)))
    assert_file(result, plait.file(), d)
    assert server.sent(0) + server.sent(1) < d.size + 8 * PIECE


def test_all_mirrors_with_the_same_bad_piece(plait, liar, data, write):
    d = data(2 * MB)
    server = liar(*[{"file": str(d), "other": [[3 * PIECE + 10, 3 * PIECE + 20]]}] * 2)
    result = plait.get("-o", "out", write(metalink(d, server.urls(), pieces=True)))
    assert_refused(result, plait.file(), 5)


def test_a_wholly_wrong_mirror_and_a_digest(plait, liar, data, write):
    d = data(3 * MB)
    server = liar({"file": str(data(3 * MB, 9))}, {"file": str(d)}, rate=4 * MB)
    assert_file(plait.get("-o", "out", write(metalink(d, server.urls()))), plait.file(), d)


def test_the_digest_does_not_match(plait, nginx, data, write):
    d = data(1 * MB)
    result = plait.get("-o", "out", write(metalink(d, nginx.urls(d.name, 2), wrong_digest=True)))
    assert_refused(result, plait.file(), 5, "sha-256")


def test_the_size_does_not_match(plait, nginx, data, write):
    d = data(1 * MB)
    result = plait.get("-o", "out", write(metalink(d, nginx.urls(d.name, 2), size=d.size + 1)))
    assert_refused(result, plait.file(), (4, 5), "size")


def test_a_mirror_of_another_size(plait, liar, data, write):
    d = data(1 * MB)
    server = liar({"file": str(data(1 * MB + 1))}, {"file": str(d)})
    assert_file(plait.get("-o", "out", write(metalink(d, server.urls()))), plait.file(), d)


def test_no_size_and_no_digest(plait, nginx, data, write):
    d = data(1 * MB)
    path = write(metalink(d, nginx.urls(d.name, 2), size=False, digest=None))
    assert_file(plait.get("-o", "out", path), plait.file(), d)


def test_pieces_and_a_pipe(plait, liar, data, write):
    """A wrong piece must not leave: what went out is verified before."""
    d = data(3 * MB)
    server = liar({"file": str(d), "other": [[3 * PIECE + 10, 3 * PIECE + 20]]}, {"file": str(d)}, rate=4 * MB)
    result = plait.get("-o", "-", write(metalink(d, server.urls(), pieces=True)))
    assert result.status in (0, 5), result
    assert d.bytes.startswith(result.out)
    assert result.status == 5 or len(result.out) == d.size


@pytest.mark.parametrize("text", ["", "not XML at all", "<metalink",
                                  "<metalink xmlns='urn:ietf:params:xml:ns:metalink'></metalink>",
                                  "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><metalink>&b;</metalink>"])
def test_a_document_that_is_none(plait, write, text):
    path = write(text)
    result = plait.get("-o", "out", path)
    assert_refused(result, plait.file(), (1, 2, 3, 4, 5), path.name)
    assert "root:" not in result.err


def test_a_document_without_usable_mirrors(plait, data, write):
    d = data(1000)
    result = plait.get("-o", "out", write(metalink(d, ["ftp://127.0.0.1/f"])))
    assert_refused(result, plait.file(), (1, 2, 4), ".m.meta4")


def test_a_document_with_two_files(plait, nginx, data, write):
    """One stream a run: it is said, not guessed."""
    d, e = data(100 * KB), data(100 * KB, 2)
    inner = metalink(e, nginx.urls(e.name, 1), name="second").partition("<file")[2].partition("</file>")[0]
    result = plait.get("-o", "out", write(metalink(d, nginx.urls(d.name, 1), more="<file%s</file>" % inner)))
    if result.status == 0:
        assert_file(result, plait.file(), d)
    assert_says(result, ("files", "second"))


def test_a_metalink_file_that_is_not_there(plait):
    assert_refused(plait.get("-o", "out", "nowhere.meta4"), plait.file(), (2, 3), "nowhere.meta4")


def test_link_duplicate_adds_a_mirror(plait, liar, data):
    d = data(4 * MB)
    mirror = liar({"file": str(d)}, rate=4 * MB)
    link = ["Link", "<%s>; rel=duplicate; pri=1" % mirror.url()]
    server = liar({"file": str(d), "digest": "right", "headers": [link]}, rate=4 * MB)
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert mirror.sent() > 0.15 * d.size


def test_link_describedby_brings_the_metalink(plait, liar, data):
    d = data(4 * MB)
    mirror = liar({"file": str(d)}, rate=4 * MB)
    document = {"text": metalink(d, [mirror.url()], pieces=True), "type": TYPE}
    link = ["Link", '</m.meta4>; rel=describedby; type="%s"' % TYPE]
    resource = {"file": str(d), "rate": 2 * MB, "digest": "right", "headers": [link]}
    server = liar({"resources": {"/f": resource, "/m.meta4": document}})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert mirror.sent() > 0.15 * d.size


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/f", "file:///etc/passwd", "http://127.0.0.29:1/f", "::::", "",
                                    "x" * 9000])
def test_links_to_nowhere_do_no_harm(plait, liar, data, target):
    d = data(1 * MB)
    server = liar({"file": str(d), "headers": [["Link", "<%s>; rel=duplicate" % target]]})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_a_link_to_other_content_does_no_harm(plait, liar, data):
    d = data(3 * MB)
    other = liar({"file": str(data(3 * MB, 9))}, rate=4 * MB)
    link = ["Link", "<%s>; rel=duplicate" % other.url()]
    server = liar({"file": str(d), "digest": "right", "headers": [link]}, rate=4 * MB)
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_digest_field_right(plait, liar, data):
    d = data(1 * MB)
    result = plait.get("--json", "-o", "out", liar({"file": str(d), "digest": "right"}).url())
    assert_file(result, plait.file(), d)
    assert d.sha256.encode() in result.out


def test_digest_field_wrong(plait, liar, data):
    d = data(1 * MB)
    result = plait.get("-o", "out", liar({"file": str(d), "digest": "wrong"}).url())
    assert_refused(result, plait.file(), 5, "sha-256")
