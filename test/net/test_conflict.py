"""Copies that differ, and a source that changes meanwhile."""
import pytest

from support import MB, assert_file, assert_refused, assert_says

DATES = ["Mon, 01 Jan 2024 10:00:00 GMT", "Tue, 02 Jan 2024 10:00:00 GMT"]


def two(liar, data, **more):
    return liar({"file": str(data(3 * MB))}, {"file": str(data(3 * MB, 9))}, rate=4 * MB, **more)


def test_two_differ_and_nothing_decides(plait, liar, data):
    server = two(liar, data)
    result = plait.get("-o", "out", *server.urls())
    assert_refused(result, plait.file(), 5, *server.urls(), "--checksum")


def test_two_sizes_and_nothing_decides(plait, liar, data):
    server = liar({"file": str(data(3 * MB))}, {"file": str(data(3 * MB + 1))})
    result = plait.get("-o", "out", *server.urls())
    assert_refused(result, plait.file(), 5, *server.urls(), "size")


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_the_majority_of_three(plait, liar, data, odd):
    d = data(3 * MB)
    files = [{"file": str(data(3 * MB, 9) if i == odd else d)} for i in range(3)]
    server = liar(*files, rate=4 * MB)
    result = plait.get("-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    assert_says(result, server.url(odd))


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_the_majority_of_three_sizes(plait, liar, data, odd):
    d = data(3 * MB)
    server = liar(*[{"file": str(data(3 * MB + 5, 9) if i == odd else d)} for i in range(3)], rate=4 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


@pytest.mark.parametrize("right", [0, 1])
def test_the_digest_chooses(plait, liar, data, right):
    d = data(3 * MB, (1, 9)[right])
    server = two(liar, data)
    assert_file(plait.get("-o", "out", "--checksum", "sha-256=" + d.sha256, *server.urls()), plait.file(), d)


@pytest.mark.parametrize("right", [0, 1])
def test_the_digest_chooses_among_sizes(plait, liar, data, right):
    sizes = (3 * MB, 3 * MB + 1)
    d = data(sizes[right])
    server = liar(*[{"file": str(data(s))} for s in sizes])
    assert_file(plait.get("-o", "out", "--checksum", "sha-256=" + d.sha256, *server.urls()), plait.file(), d)


def test_a_digest_that_neither_has(plait, liar, data):
    result = plait.get("-o", "out", "--checksum", "sha-256=" + "0" * 64, *two(liar, data).urls())
    assert_refused(result, plait.file(), 5, "sha-256")


def test_two_that_differ_to_a_pipe(plait, liar, data):
    server = two(liar, data)
    result = plait.get("-o", "-", *server.urls())
    assert result.status == 5, result
    assert_says(result, *server.urls())


def assert_one_version_or_5(result, path, *versions):
    if result.status == 0:
        assert path.read_bytes() in [v.bytes for v in versions], "a mixture of versions: %r" % result
    else:
        assert_refused(result, path, 5, "changed")


@pytest.mark.parametrize("old, new", [({"etag": '"1"'}, {"etag": '"2"'}),
                                      ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
                                      ({"etag": None, "last_modified": DATES[0]}, {"last_modified": DATES[1]}),
                                      ({"etag": '"1"', "if_range": "ignore"}, {"etag": '"2"'})],
                         ids=["etag", "weak-etag", "date", "if-range-ignored"])
def test_the_only_source_changes(plait, liar, data, old, new):
    """What is there is of the old version, the rest of the new one: never both in one file."""
    d, e = data(3 * MB), data(3 * MB, 9)
    change = {"after_bytes": 1 * MB, "file": str(e), **new}
    server = liar({"file": str(d), "rate": 2 * MB, "rules": [change], **old})
    assert_one_version_or_5(plait.get("-o", "out", server.url()), plait.file(), d, e)


def test_the_only_source_changes_and_breaks_off(plait, liar, data):
    d, e = data(3 * MB), data(3 * MB, 9)
    server = liar({"file": str(d), "etag": '"1"', "rules": [{"last": 4, "cut": {"after": 300_000}},
                                                          {"first": 5, "file": str(e), "etag": '"2"'}]})
    assert_one_version_or_5(plait.get("-o", "out", server.url()), plait.file(), d, e)


def test_the_only_source_changes_its_size(plait, liar, data):
    d, e = data(3 * MB), data(2 * MB, 9)
    server = liar({"file": str(d), "rate": 2 * MB, "rules": [{"after_bytes": 1 * MB, "file": str(e)}]})
    assert_one_version_or_5(plait.get("-o", "out", server.url()), plait.file(), d, e)


def test_one_of_three_changes(plait, liar, data):
    d, e = data(3 * MB), data(3 * MB, 9)
    change = {"after_bytes": 300_000, "file": str(e), "etag": '"2"'}
    server = liar({"file": str(d), "rules": [change]}, {"file": str(d)}, {"file": str(d)}, rate=3 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


@pytest.mark.parametrize("tags", [('"a"', '"b"'), ('W/"a"', 'W/"a"'), (None, '"b"'), (None, None)])
def test_mirrors_may_have_tags_of_their_own(plait, liar, data, tags):
    d = data(3 * MB)
    server = liar(*[{"file": str(d), "etag": t} for t in tags], rate=4 * MB)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


def test_a_load_balancer_with_changing_tags_for_one_content(plait, liar, data):
    """Many tags for the same bytes: an error would be honest, a loop would not."""
    d = data(2 * MB)
    rules = [{"first": i, "etag": '"t%d"' % (i % 2)} for i in range(1, 40)]
    server = liar({"file": str(d), "rules": rules, "if_range": "ignore"})
    assert_one_version_or_5(plait.get("-o", "out", server.url()), plait.file(), d)
    assert len(server.requests()) < 200
