"""A dead, silent or slow mirror beside a good one costs little: shown by the bytes that the good one sent."""
import pytest

from support import KB, MB, BlackHole, assert_file, assert_refused, closed_port, wait_for

SIZE = 3 * MB
GOOD = 5 * MB  # bytes/s: alone, it takes 0.6 s


@pytest.fixture
def good(liar, data):
    return liar({"file": str(data(SIZE))}, address="127.0.0.7", rate=GOOD)


def assert_cheap(result, plait, good, d, seconds=2.5):
    """The good one sent the stream about once, and was kept at work."""
    assert_file(result, plait.file(), d)
    assert good.sent() < 1.2 * d.size
    assert result.seconds < seconds, result


def test_refused(plait, good, data):
    url = "http://127.0.0.29:%d/f" % closed_port("127.0.0.29")
    assert_cheap(plait.get("-o", "out", url, good.url()), plait, good, data(SIZE))


def test_black_hole(plait, good, data):
    hole = BlackHole("127.0.0.9")
    try:
        result = plait.get("-o", "out", "http://127.0.0.9:%d/f" % hole.port, good.url())
    finally:
        hole.close()
    assert_cheap(result, plait, good, data(SIZE))


BAD = {"mute": {"mute": True}, "stalls-at-once": {"stall": 0}, "stalls-later": {"stall": 100_000},
       "breaks-off": {"cut": {"after": 5000}}, "resets": {"cut": {"after": 0, "how": "rst"}},
       "drips": {"rate": 5000}, "slow": {"rate": 20_000}, "late": {"delay": 1.0}, "404": {"status": 404, "text": ""},
       "500": {"status": 500, "text": ""}}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("order", ["bad-first", "good-first"])
def test_bad(plait, liar, good, data, name, order):
    d = data(SIZE)
    bad = liar({"file": str(d), **BAD[name]})
    urls = [bad.url(), good.url()]
    result = plait.get("-o", "out", *(urls if order == "bad-first" else urls[::-1]))
    assert_cheap(result, plait, good, d)
    # One that breaks off is asked on as long as it gives something each time.
    assert name == "breaks-off" or len(bad.requests()) < 40


def test_a_good_one_becomes_slow(plait, liar, good, data):
    d = data(SIZE)
    bad = liar({"file": str(d), "rate": 8 * MB, "rules": [{"first": 2, "rate": 10_000}]})
    assert_cheap(plait.get("-o", "out", bad.url(), good.url()), plait, good, d)


def test_one_that_dies_in_mid_transfer(plait, liar, good, data):
    d = data(SIZE)
    bad = liar({"file": str(d), "rate": 2 * MB})
    run = plait.start("get", "-o", "out", bad.url(), good.url())
    wait_for(lambda: bad.sent() > 300 * KB, "bytes from the one that will die", run)
    bad.stop()
    assert_cheap(run.finish(), plait, good, d)


def test_one_that_falls_silent_in_mid_transfer(plait, liar, good, data):
    d = data(SIZE)
    bad = liar({"file": str(d), "rate": 2 * MB, "hold": 400 * KB})
    assert_cheap(plait.get("-o", "out", bad.url(), good.url()), plait, good, d)


def test_no_stall_at_the_end(plait, liar, good, data):
    """The last byte lies at one that never sends it."""
    d = data(SIZE)
    bad = liar({"file": str(d), "rate": 4 * MB, "rules": [{"covers": d.size - 1, "stall": 1000}]})
    assert_cheap(plait.get("-o", "out", bad.url(), good.url()), plait, good, d)


def test_a_silent_one_to_a_pipe(plait, liar, good, data):
    d = data(SIZE)
    bad = liar({"file": str(d), "stall": 100_000})
    result = plait.get("-o", "-", bad.url(), good.url())
    assert (result.status, result.out == d.bytes) == (0, True), result
    assert good.sent() < 1.2 * SIZE
    assert result.seconds < 2.5


def test_ten_dead_ones_and_a_good_one(plait, good, data):
    urls = ["http://127.0.0.%d:%d/f" % (100 + i, closed_port("127.0.0.%d" % (100 + i))) for i in range(10)]
    assert_cheap(plait.get("-o", "out", *urls, good.url()), plait, good, data(SIZE))


def test_many_sources_behind_one_slow_link(plait, liar, data):
    """Each gets its turn only every tenth of a second: taking work away from one another must come to an end."""
    d = data(2 * MB)
    server = liar({"resources": {"/%d" % i: {"file": str(d)} for i in range(20)}}, rate=2 * MB)
    result = plait.get("-o", "out", *[server.url(0, "/%d" % i) for i in range(20)])
    assert_file(result, plait.file(), d)
    assert sum(server.sent(0, "/%d" % i) for i in range(20)) < 1.5 * d.size


def test_a_stall_of_the_only_source_is_survived(plait, liar, data):
    """It asks anew instead of waiting for ever."""
    d = data(2 * MB)
    server = liar({"file": str(d), "rules": [{"last": 1, "stall": 500_000}]})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_the_only_source_falls_silent_for_good(plait, liar, data):
    server = liar({"file": str(data(2 * MB)), "hold": 500_000})
    assert_refused(plait.get("-o", "out", "--timeout", "2", server.url()), plait.file(), (1, 4), server.url())
    assert plait.partial().exists()
