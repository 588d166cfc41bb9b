"""Servers that say: later, or not so many."""
from support import MB, assert_file, assert_refused


def later(status, wait, count=1):
    return {"rules": [{"last": count, "status": status, "text": "later", "retry_after": wait}]}


def pause(server):
    """From the last refusal to the next request, in seconds."""
    log = server.log()
    refused = [e for e in log if e["event"] == "end" and e["status"] in (429, 503)]
    served = [e for e in log if e["event"] == "end" and e["status"] in (200, 206)]
    starts = {e["id"]: e["t"] for e in log if e["event"] == "request"}
    return min(starts[e["id"]] for e in served) - max(e["t"] for e in refused)


def test_503_with_seconds(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), **later(503, 1, 2)})  # two connections ask at once
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert pause(server) > 0.95


def test_429_with_a_date(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), **later(429, "date:2", 2)})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert 0.9 < pause(server) < 4


def test_503_without_a_time(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), **later(503, None, 2)})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)


def test_503_with_nonsense(plait, liar, data):
    d = data(1 * MB)
    for nonsense in ("banana", "-5"):
        server = liar({"file": str(d), **later(503, nonsense)})
        assert_file(plait.get("-f", "-o", "out", server.url()), plait.file(), d)


def test_others_work_meanwhile(plait, liar, data):
    d = data(3 * MB)
    server = liar({"file": str(d), "status": 503, "text": "later", "retry_after": 3600}, {"file": str(d)})
    result = plait.get("-o", "out", *server.urls())
    assert_file(result, plait.file(), d)
    assert len(server.requests(0)) < 5


def test_for_ever(plait, liar):
    server = liar({"status": 503, "text": "never", "retry_after": 3600})
    result = plait.get("-o", "out", "--timeout", "1", server.url())
    assert_refused(result, plait.file(), (1, 4), "503", server.url())
    assert len(server.requests()) < 10


def most_at_once(server, statuses=(200, 206)):
    """The greatest number of responses with these statuses that were under way together."""
    log = server.log()
    ends = {e["id"]: e for e in log if e["event"] == "end"}
    steps = []
    for r in log:
        if r["event"] == "request" and ends.get(r["id"], {}).get("status") in statuses:
            steps += [(r["t"], 1), (ends[r["id"]]["t"], -1)]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def few(liar, data, limit, **refusal):
    return liar({"file": str(data(4 * MB)), "rate": 1 * MB, "rules": [{"above": limit, **refusal}]})


def test_503_above_one_connection(plait, liar, data):
    server = few(liar, data, 1, status=503, text="not so many")
    assert_file(plait.get("-o", "out", server.url()), plait.file(), data(4 * MB))
    assert len([r for r in server.requests() if r["status"] == 503]) < 15


def test_429_above_two_connections(plait, liar, data):
    server = few(liar, data, 2, status=429, text="not so many", retry_after=1)
    assert_file(plait.get("-o", "out", server.url()), plait.file(), data(4 * MB))
    assert most_at_once(server) == 2
    assert len([r for r in server.requests() if r["status"] == 429]) < 15


def test_403_above_one_connection(plait, liar, data):
    """Some say it in the wrong words; what a source already gave shows that it serves us."""
    server = few(liar, data, 1, status=403, text="not so many")
    assert_file(plait.get("-o", "out", server.url()), plait.file(), data(4 * MB))


def test_connections_above_two_are_reset(plait, liar, data):
    d = data(4 * MB)
    server = liar({"file": str(d), "rate": 1 * MB}, accept={"max": 2})
    assert_file(plait.get("-o", "out", server.url()), plait.file(), d)
    assert len([e for e in server.log() if e["event"] == "accept"]) < 30


def test_nginx_that_allows_one(plait, nginx, data):
    d = data(3 * MB)
    assert_file(plait.get("-o", "out", nginx.url(d.name, where="/one/")), plait.file(), d)


def test_nginx_that_allows_two_on_three_mirrors(plait, nginx, data):
    d = data(6 * MB)
    assert_file(plait.get("-o", "out", *nginx.urls(d.name, 3, "/two/")), plait.file(), d)
