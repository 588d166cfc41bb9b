"""Servers that do not serve ranges, or do not say how long the stream is."""
import pytest

from support import MB, assert_file, assert_refused, sha256

WHOLE = [{"ranges": "ignore"}, {"ranges": "none"}, {"framing": "chunked", "ranges": "ignore"},
         {"framing": "close", "ranges": "ignore"}]
NAMES = ["ignored", "none", "chunked", "close"]


@pytest.mark.parametrize("lie", WHOLE, ids=NAMES)
def test_one_source_is_read_once(plait, liar, data, lie):
    d = data(3 * MB)
    server = liar({"file": str(d), **lie}, rate=6 * MB)
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert server.sent() < 1.5 * d.size


@pytest.mark.parametrize("lie", WHOLE, ids=NAMES)
def test_in_order_to_a_pipe(plait, liar, data, lie):
    d = data(3 * MB)
    result = plait.get("-o", "-", liar({"file": str(d), **lie}).url())
    assert result.status == 0, result
    assert sha256(result.out) == d.sha256


def test_nginx_without_ranges(plait, nginx, data):
    d = data(3 * MB)
    assert_file(plait.get("-o", "out", nginx.url(d.name, where="/whole/")), plait.file(), d)


def test_in_order_within_a_small_buffer(plait, liar, data):
    d = data(6 * MB)
    result = plait.get("-o", "-", "--buffer", "1M", liar({"file": str(d), "ranges": "ignore"}).url())
    assert result.status == 0, result
    assert sha256(result.out) == d.sha256


def test_two_sources_neither_with_ranges(plait, liar, data):
    d = data(3 * MB)
    server = liar(*[{"file": str(d), "ranges": "ignore"}] * 2)
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


def test_one_with_ranges_helps_one_without(plait, liar, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "ranges": "ignore", "rate": 200_000}, {"file": str(d), "rate": 4 * MB})
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)
    assert server.sent(1) > 0.5 * d.size


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_another_source_goes_on_where_one_broke_off(plait, liar, data, how):
    d = data(3 * MB)
    breaks = {"file": str(d), "ranges": "ignore", "cut": {"after": 1_400_000, "how": how}}
    server = liar(breaks, {"file": str(d), "rules": [{"last": 1, "delay": 0.3}]})
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


def test_broken_off_once_it_is_begun_anew(plait, liar, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "ranges": "ignore", "rules": [{"last": 1, "cut": {"after": 1_400_000}}]})
    result = plait.get("-o", "out", server.url())
    if result.status == 0:
        assert_file(result, plait.file(), d)
    else:
        assert_refused(result, plait.file(), (1, 4, 5), "range", server.url())


def test_an_unknown_length_that_breaks_off_is_not_taken_for_the_end(plait, liar, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "ranges": "ignore", "framing": "chunked", "cut": {"after": 1_400_000}})
    assert_refused(plait.get("-o", "out", server.url(), "--timeout", "2"), plait.file(), (1, 4, 5), server.url())


def test_unknown_length_beside_a_known_one(plait, liar, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "ranges": "ignore", "framing": "chunked"}, {"file": str(d)})
    assert_file(plait.get("-o", "out", *server.urls()), plait.file(), d)


def test_an_empty_stream_of_unknown_length(plait, liar, data):
    d = data(0)
    server = liar({"file": str(d), "ranges": "ignore", "framing": "chunked"})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


@pytest.mark.parametrize("when", [{"first": 2}, {"after_bytes": 1 * MB}])
def test_ranges_vanish_in_mid_transfer(plait, liar, data, when):
    """Done all the same, or given up with a word about it."""
    d = data(3 * MB)
    server = liar({"file": str(d), "rate": 3 * MB, "rules": [{**when, "ranges": "ignore"}]})
    result = plait.get("-o", "out", server.url())
    if result.status == 0:
        assert_file(result, plait.file(), d)
    else:
        assert_refused(result, plait.file(), (1, 4, 5), server.url(), ("range", "part"))
