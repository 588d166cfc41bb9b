"""plait get and servers that push: patterns of several servers, groups over several routes, joins, deaths, and lies."""
import os
import signal
import time

import pytest

from push_liar import PushLiar
from support import MB, assert_file, assert_refused, assert_says, wait_for
from test_direct import SECRETS, director  # noqa: F401  (a fixture)
from test_relay import ALL, Relay
from test_serve import Served, noise, write

OLD = time.time() - 3600


class Film:
    """What assert_file wants to know of a file."""

    def __init__(self, size, seed=1):
        self.size, self.bytes = size, noise(size, seed)


@pytest.fixture(scope="module")
def film():
    return Film(16 * MB + 12_345)


@pytest.fixture
def www(place, film):
    folder = place / "www"
    folder.mkdir()
    write(folder / "film.mkv", film.bytes)
    os.utime(folder / "film.mkv", (OLD, OLD))
    return folder


@pytest.fixture
def serve(plait, www):
    return lambda *options, **more: Served(plait, www, "--no-digest", *options, **more)


def events(result, kind):
    return [e for e in result.events if e["event"] == kind]


def served(server, place, name):
    """The requests that a server has logged: (method, status)."""
    lines = (place / name).read_text().splitlines()
    return [(line.split('"')[1].split()[0], line.split('"')[2].split()[0]) for line in lines]


def test_one_server_pushes(serve, plait, film):
    server = serve()
    result = plait.get("--json", "-o", "out", "--limit-rate", "14M", server.url("/film.mkv"))
    assert_file(result, plait.file(), film)
    assert [e["source"] for e in events(result, "stream")] == [0]
    assert events(result, "no-stream") == []


def test_several_servers_push_by_a_pattern(serve, plait, film):
    servers = [serve() for _ in range(3)]
    result = plait.get("--json", "-o", "out", "--limit-rate", "6M", *(s.url("/film.mkv") for s in servers))
    assert_file(result, plait.file(), film)
    assert sorted(e["source"] for e in events(result, "stream")) == [0, 1, 2]
    strips = [e["pattern"] for e in events(result, "progress") if e.get("pattern")]
    assert any({"A", "B", "C"} <= set(strip) for strip in strips), strips
    summary = events(result, "summary")[0]
    assert all(p["bytes"] > film.size / 20 for p in summary["paths"]), summary
    assert summary["duplicated"] < film.size / 10


def test_ranges_only_asks_for_no_stream(serve, plait, film, place):
    server = serve("--access-log", place / "log")
    result = plait.get("--json", "--ranges-only", "-o", "out", "--limit-rate", "24M", server.url("/film.mkv"))
    assert_file(result, plait.file(), film)
    assert events(result, "stream") == []
    assert all(method == "GET" for method, _ in served(server, place, "log"))


def test_pushing_and_plain_servers_in_one_transfer(serve, plait, film, data, nginx):
    server, same = serve(), data(film.size)
    write(server.folder / "same", same.bytes)
    os.utime(server.folder / "same", (OLD, OLD))
    result = plait.get("--json", "-o", "out", "--limit-rate", "14M", server.url("/same"), nginx.url(same))
    assert_file(result, plait.file(), same)
    assert [e["source"] for e in events(result, "stream")] == [0]
    assert events(result, "summary")[0]["paths"][0]["bytes"] > 0


def test_into_a_pipe(serve, plait, film):
    servers = [serve() for _ in range(2)]
    result = plait.get("-q", "-o", "-", "--buffer", "2MiB", "--limit-rate", "14M",
                       *(s.url("/film.mkv") for s in servers))
    assert result.status == 0 and result.out == film.bytes


def test_each_block_twice(serve, plait, film):
    servers = [serve() for _ in range(2)]
    result = plait.get("--json", "--redundant", "2", "-o", "out", "--limit-rate", "16M",
                       *(s.url("/film.mkv") for s in servers))
    assert_file(result, plait.file(), film)
    summary = events(result, "summary")[0]
    assert events(result, "stream") != [] and summary["duplicated"] > 0, summary


def test_a_server_that_dies_costs_nothing_but_itself(serve, plait, film):
    servers = [serve() for _ in range(3)]
    run = plait.start("get", "--json", "-o", "out", "--limit-rate", "12M", *(s.url("/film.mkv") for s in servers))
    part = plait.partial()
    wait_for(lambda: part.exists() and part.stat().st_blocks * 512 > film.size / 3, "a third of it", run)
    servers[1].run.kill(signal.SIGKILL)
    assert_file(run.finish(), plait.file(), film)


def test_a_run_that_was_stopped_goes_on(serve, plait, film):
    servers = [serve() for _ in range(2)]
    words = ("-o", "out", "--limit-rate", "12M", *(s.url("/film.mkv") for s in servers))
    run = plait.start("get", *words)
    part = plait.partial()
    wait_for(lambda: part.exists() and part.stat().st_blocks * 512 > film.size / 2, "half of it", run)
    run.kill(signal.SIGTERM)
    assert run.finish().status == 143
    result = plait.get("--json", *words)
    assert_file(result, plait.file(), film)
    assert events(result, "summary")[0]["resumed"] > film.size / 4


def test_a_group_over_several_routes(netns, plait, www, film):
    net = netns(3)
    server = plait.start("serve", www, "-q", "--no-digest", "--listen", net.SERVER + ":80", ns=net.server)
    routes = [word for i in (1, 2, 3) for word in ("--via", net.link(i))]

    def get():
        return plait.get("--json", "-f", "-o", "out", "--limit-rate", "6M", *routes,
                         "http://%s/film.mkv" % net.SERVER, ns=net.client)

    wait_for(lambda: plait.get("-q", "-f", "-o", "probe", "http://%s/film.mkv" % net.SERVER,
                               ns=net.client).status == 0, "the server", server)
    result = get()
    assert_file(result, plait.file(), film)
    assert events(result, "stream") != [] and events(result, "no-stream") == []
    summary = events(result, "summary")[0]
    assert [p["letter"] for p in summary["paths"]] == ["A", "A", "A"], summary
    assert all(p["bytes"] > 0 for p in summary["paths"]), summary


def test_one_server_through_two_relays(serve, plait, film):
    """Figures 11 and 12 of seed 002: the source sees only the relays, so that the receiver's pattern shares it out."""
    server = serve()
    relays = [Relay(plait, *ALL) for _ in range(2)]
    result = plait.get("--json", "-o", "out", "--limit-rate", "7M",
                       *(word for r in relays for word in ("--via", r.url)), server.url("/film.mkv"))
    assert_file(result, plait.file(), film)
    paths = events(result, "summary")[0]["paths"]
    assert sorted(p["letter"] or "-" for p in paths) == ["A", "B"], paths
    assert all(p["bytes"] > 0 for p in paths), paths


# directors, lists, the local network


@pytest.fixture
def held(plait, place, www, director):  # noqa: F811
    """held(name, …): a director, and what starts servers that register with it."""
    d = director()
    secrets = {}
    for name in SECRETS:
        secrets[name] = place / ("secret-" + name)
        secrets[name].write_bytes(name.encode() + b":" + SECRETS[name] + b"\n")
        secrets[name].chmod(0o600)

    def start(name):
        server = Served(plait, www, "--director", d.url, "--secret-file", secrets[name], "--name", name)
        wait_for(lambda: name in [s["server"] for s in d.get("/", "application/json").json["servers"]],
                 "to register", server.run)
        wait_for(lambda: d.find("film.mkv").status == 200, "to tell what it holds", server.run)
        return server

    return d, start


def test_a_director_needs_nothing_else(held, plait, film):
    d, start = held
    start("farm")
    for url in (d.url + "/film.mkv", d.url.replace("http://", "plait://") + "/film.mkv"):
        result = plait.get("--json", "-f", "-o", "out", "--limit-rate", "24M", url)
        assert_file(result, plait.file(), film)


def test_a_server_that_joins_is_used(held, plait, film):
    d, start = held
    names = sorted(SECRETS)
    start(names[0])
    run = plait.start("get", "--json", "-o", "out", "--limit-rate", "6M",
                      d.url.replace("http://", "plait://") + "/film.mkv")
    part = plait.partial()
    wait_for(lambda: part.exists() and part.stat().st_blocks * 512 > film.size / 8, "some of it", run)
    start(names[0] if len(names) == 1 else names[1])
    result = run.finish()
    assert_file(result, plait.file(), film)
    paths = events(result, "summary")[0]["paths"]
    assert len(paths) == 2 and paths[1]["bytes"] > 0, paths


def test_relays_that_a_director_lists_are_routes(held, plait, film, place):
    d, start = held
    name = sorted(SECRETS)[0]
    server = start(name)
    relay = Relay(plait, "--allow", "127.0.0.1:%d" % server.port, "--director", d.url, "--secret", place / ("secret-" + name),
                  "--name", "bridge")
    wait_for(lambda: d.get("/", "application/json").json["routes"], "to register", relay.run)
    result = plait.get("--json", "-o", "out", "--limit-rate", "14M", d.url.replace("http://", "plait://") + "/film.mkv")
    assert_file(result, plait.file(), film)
    routes = {p["route"]: p["bytes"] for p in events(result, "summary")[0]["paths"]}
    assert set(routes) == {"default", relay.url} and all(n > 0 for n in routes.values()), routes


def test_a_director_that_knows_nobody(director, plait):  # noqa: F811
    d = director()
    result = plait.get("-o", "out", d.url.replace("http://", "plait://") + "/film.mkv")
    assert result.status == 4
    assert_says(result, "no server holds it")


def test_a_list_of_servers(serve, plait, film, place):
    servers = [serve() for _ in range(2)]
    (place / "list").write_text("# ours\n%s\n\n%s\n" % tuple(s.url("/") for s in servers))
    result = plait.get("--json", "-o", "out", "--servers", place / "list", "film.mkv")
    assert_file(result, plait.file(), film)
    assert len(events(result, "summary")[0]["paths"]) == 2


def test_the_local_network_is_asked(netns, plait, www, film):
    net = netns(1)
    server = plait.start("serve", www, "-q", "--listen", "0.0.0.0:80", "--answer-lan", ns=net.server)
    wait_for(lambda: plait.get("-q", "-f", "-o", "out", "--ask-lan", "film.mkv", ns=net.client).status == 0,
             "an answer", server)
    assert plait.file().read_bytes() == film.bytes
    result = plait.get("-o", "other", "--ask-lan", "nothing.mkv", ns=net.client)
    assert result.status == 4
    assert_says(result, "nobody on the local network")


# lies: each costs only the one who tells it

LIES = ["other-type-of-frame", "number-beyond", "too-long", "absurd-length", "left-out",
        "not-asked-for", "error", "end-too-soon", "wrong-end", "mark-far-ahead", "half-a-header", "all-blocks", "breaks",
        "steering-refused", "group-forgotten", "always-late", "late-without-where", "late-backwards", "plain-200",
        "other-type", "other-block", "absurd-block"]
SMALL, LARGE = Film(6 * MB + 99, 3), Film(14 * MB + 7, 4)


@pytest.fixture
def liars():
    """liars(lie, …): push servers, None = an honest one."""
    made = []

    def make(*lies, film=SMALL):
        made.extend(PushLiar(film.bytes, lie) for lie in lies)
        return made[-len(lies):]

    yield make
    for server in made:
        server.stop()


def test_the_honest_one_is_used(liars, plait):
    servers = liars(None, "plain")
    result = plait.get("--json", "-o", "out", *(s.url() for s in servers))
    assert_file(result, plait.file(), SMALL)
    assert servers[0].streams > 0 and servers[0].sent > 8 and servers[1].streams == 0
    assert events(result, "no-stream") == []


def get_until_asked(plait, servers, film):
    """On a busy machine a transfer may be over before there was time for streams: then once more."""
    for _ in range(4):
        result = plait.get("--json", "-f", "-o", "out", *(s.url() for s in servers))
        assert_file(result, plait.file(), film)
        assert result.seconds < 10, result
        if servers[0].streams > 0:
            return
    raise AssertionError("it was never even asked")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_costs_only_the_liar(liars, plait, lie):
    get_until_asked(plait, liars(lie, "plain"), SMALL)


@pytest.mark.parametrize("lie", ["wrong-bytes", "wrong-number", "other-size"])
def test_a_majority_shows_who_lies(liars, plait, lie):
    get_until_asked(plait, liars(lie, "plain", "plain", film=LARGE), LARGE)


def test_a_file_that_is_still_being_written_is_waited_for(serve, www, plait, place):
    """Half a recording must not pose as a whole one."""
    first, rest = noise(300_000, seed=7), noise(200_000, seed=8)
    with open(www / "live", "wb", buffering=0) as f:
        f.write(first)
        server = serve("--user", "root", "--access-log", place / "live.log")
        run = plait.start("get", "--json", "-o", "out", server.url("/live"))
        wait_for(lambda: (place / "live.log").exists() and len(served(server, place, "live.log")) >= 3, "two looks", run)
        assert not plait.file().exists()
        f.write(rest)
    result = run.finish(20)
    assert result.status == 0, result
    assert plait.file().read_bytes() == first + rest


def test_who_never_stops_sending_nothing_keeps_nobody(liars, plait):
    result = plait.get("-o", "out", "--timeout", "2", liars("marks-without-end", film=LARGE)[0].url())
    if result.status == 0:
        assert_file(result, plait.file(), LARGE)
    else:
        assert_refused(result, plait.file(), (1, 4))
