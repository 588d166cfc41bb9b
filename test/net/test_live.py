"""plait get follows files that are still being written: a real writer appends, one or several servers push."""
import os
import signal
import threading
import time

import pytest

from support import KB, MB, assert_refused, assert_says, wait_for
from test_serve import Served, noise

PIECE, EVERY = 20 * KB, 0.02  # 1 MB/s


class Writer(threading.Thread):
    """Appends the same bytes to files of the same name in several folders, and remembers when."""

    def __init__(self, folders, content, piece=PIECE, every=EVERY, name="live"):
        super().__init__(daemon=True)
        self.files = [open(folder / name, "wb", buffering=0) for folder in folders]
        self.content, self.piece, self.every, self.name = content, piece, every, name
        self.written, self.times, self.go_on = 0, [], threading.Event()
        self.go_on.set()

    def append(self, count):
        for f in self.files:
            f.write(self.content[self.written:self.written + count])
        self.written = min(len(self.content), self.written + count)
        self.times.append((self.written, time.monotonic()))

    def run(self):
        while self.written < len(self.content):
            self.go_on.wait()
            self.append(self.piece)
            time.sleep(self.every)
        self.close()

    def close(self):
        for f in self.files:
            f.close()
        self.closed_at = time.monotonic()

    def written_at(self, offset):
        return next(at for upto, at in self.times if upto > offset)


class Reader(threading.Thread):
    """Takes what comes through the pipe, and remembers when."""

    def __init__(self, run):
        super().__init__(daemon=True)
        self.run_, self.got, self.times = run, bytearray(), []
        self.start()

    def run(self):
        while part := self.run_.stdout.read1(65536):
            self.times.append((len(self.got), time.monotonic()))
            self.got += part

    def latest(self, writer):
        """The longest that a byte was waited for, from when it was written."""
        return max(at - writer.written_at(offset) for offset, at in self.times)


@pytest.fixture
def sites(plait, place):
    """Servers, each with a folder of its own."""
    def make(count, *options, **more):
        folders = [place / ("www%d" % i) for i in range(count)]
        for folder in folders:
            folder.mkdir()
        return folders, lambda i, **extra: Served(plait, folders[i], "--user", "root", *options, **{**more, **extra})
    return make


def end(run, reader, timeout=20):
    reader.join(timeout)
    assert not reader.is_alive(), "it did not end; it said:\n" + run.err
    status = run.process.wait(timeout)
    assert status == 0, run.err


def follow(plait, writer, *args):
    run = plait.start("get", "-o", "-", *args)
    return run, Reader(run)


def test_to_a_pipe_as_it_is_written(sites, plait):
    folders, serve = sites(1)
    writer = Writer(folders, noise(700_777, seed=3))
    writer.append(PIECE)
    run, reader = follow(plait, writer, serve(0).url("/live"))
    writer.start()
    end(run, reader)
    assert reader.got == writer.content
    assert reader.latest(writer) < 2
    assert reader.times[-1][1] >= writer.closed_at - 2
    assert_says_followed(run)


def assert_says_followed(run):
    assert "still being written" in run.err and "it was closed with" in run.err, run.err


def test_from_three_servers_of_which_one_dies(sites, plait):
    folders, serve = sites(3)
    writer = Writer(folders, noise(1_300_000, seed=4))
    writer.append(300_000)
    servers = [serve(i) for i in range(3)]
    run, reader = follow(plait, writer, "--json", *(s.url("/live") for s in servers))
    writer.start()
    wait_for(lambda: len(reader.got) > 600_000, "half of it", run)
    servers[1].run.kill(signal.SIGKILL)
    end(run, reader)
    assert reader.got == writer.content
    assert reader.latest(writer) < 2.5


def test_each_block_from_two_sources(sites, plait):
    folders, serve = sites(2)
    writer = Writer(folders, noise(1_000_000, seed=5))
    writer.append(PIECE)
    servers = [serve(i) for i in range(2)]
    run, reader = follow(plait, writer, "--redundant", "2", *(s.url("/live") for s in servers))
    writer.start()
    wait_for(lambda: len(reader.got) > 300_000, "half of it", run)
    os.kill(servers[0].run.pid, signal.SIGSTOP)  # as dead as a cut cable
    end(run, reader)
    os.kill(servers[0].run.pid, signal.SIGCONT)
    assert reader.got == writer.content
    assert reader.latest(writer) < 1.5


def test_over_several_routes_of_which_one_is_cut(netns, sites, plait):
    net = netns(2)
    folders, serve = sites(1)
    writer = Writer(folders, noise(1_600_000, seed=6))
    writer.append(300_000)
    server = serve(0, listen=(net.SERVER + ":0",), ns=net.server)
    url = "http://%s:%d/live" % (net.SERVER, server.port)
    routes = [w for i in (1, 2) for w in ("--via", net.link(i))]
    run = plait.start("get", "-o", "-", *routes, url, ns=net.client)
    reader = Reader(run)
    writer.start()
    wait_for(lambda: len(reader.got) > 600_000 and min(net.received(1), net.received(2)) > 50_000, "both", run)
    net.mute(1)
    end(run, reader)
    assert reader.got == writer.content
    assert reader.latest(writer) < 2


def test_a_file_appears_when_it_was_closed_and_is_whole(sites, plait):
    folders, serve = sites(2)
    writer = Writer(folders, noise(900_000, seed=7))
    writer.append(500_000)
    run = plait.start("get", "--json", "-o", "out", *(serve(i).url("/live") for i in range(2)))
    wait_for(lambda: plait.partial().exists() and plait.partial().stat().st_size >= 400_000, "what is there", run)
    assert not plait.file().exists()
    writer.start()
    result = run.finish(20)
    assert result.status == 0, result
    assert plait.file().read_bytes() == writer.content
    assert plait.names() == ["out"]
    ended = [e for e in result.events if e["event"] == "live-ended"]
    assert [e["size"] for e in ended] == [len(writer.content)], result
    assert [e["source"] for e in result.events if e["event"] == "live"] in ([0], [1])
    assert len([e for e in result.events if e["event"] == "digest"]) == 1, "it was not verified: %r" % result


def test_a_trickle_does_not_wait_for_whole_blocks(sites, plait):
    folders, serve = sites(1)
    writer = Writer(folders, noise(900, seed=9), piece=100, every=0.2)
    writer.append(100)
    run, reader = follow(plait, writer, serve(0).url("/live"))
    writer.start()
    end(run, reader)
    assert reader.got == writer.content and len(reader.times) >= 3
    assert reader.latest(writer) < 2


def test_a_consumer_that_takes_its_time_costs_no_memory(sites, plait):
    folders, serve = sites(1)
    writer = Writer(folders, noise(16 * MB, seed=10), piece=1 * MB, every=0.01)
    writer.append(1 * MB)
    run = plait.start("get", "-o", "-", "--buffer", "2M", serve(0).url("/live"))
    first = run.stdout.read1(100)
    writer.start()
    writer.join(20)
    before = run.rss_max()
    reader = Reader(run)
    end(run, reader)
    assert first + bytes(reader.got) == writer.content
    assert before < 40 * MB, before


def test_it_comes_to_an_end_where_nothing_was_written(sites, plait):
    folders, serve = sites(1)
    writer = Writer(folders, b"")
    run = plait.start("get", "-o", "out", serve(0).url("/live"))
    wait_for(lambda: "still being written" in run.err, "it to be followed", run)
    writer.close()
    result = run.finish(20)
    assert result.status == 0 and plait.file().read_bytes() == b"", result


def test_a_dead_server_is_said_and_what_came_is_gone_on_with(sites, plait):
    folders, serve = sites(1)
    writer = Writer(folders, noise(5_200_000, seed=11))
    writer.append(4_000_000)
    server = serve(0)
    port = "127.0.0.1:%d" % server.port
    run = plait.start("get", "--timeout", "2", "-o", "out", server.url("/live"))
    wait_for(lambda: plait.journal().exists() and plait.journal().stat().st_size > 150, "a journal", run)
    server.run.kill(signal.SIGKILL)
    result = run.finish(20)
    assert_refused(result, plait.file(), 1, "run the same command again")
    again = serve(0, listen=(port,))
    writer.append(1_000_000)
    run = plait.start("get", "--json", "-o", "out", again.url("/live"))
    writer.start()
    result = run.finish(20)
    assert result.status == 0, result
    assert [e for e in result.events if e["event"] == "resumed"], result
    assert plait.file().read_bytes() == writer.content


def test_a_copy_that_was_closed_too_early_is_left_out(sites, plait):
    folders, serve = sites(2)
    content = noise(900_000, seed=12)
    short, writer = Writer(folders[1:], content[:600_000]), Writer(folders[:1], content)
    for w in (short, writer):
        w.append(500_000)
    run, reader = follow(plait, writer, *(serve(i).url("/live") for i in range(2)))
    short.start()
    writer.start()
    end(run, reader)
    assert reader.got == content
    assert_says(type("Said", (), {"err": run.err})(), "another size")


def test_another_file_of_that_name_does_not_mix(sites, plait):
    folders, serve = sites(2)
    writers = [Writer(folders[i:i + 1], noise(1_500_000, seed=20 + i)) for i in range(2)]
    for w in writers:
        w.append(100_000)
    run = plait.start("get", "-o", "out", *(serve(i).url("/live") for i in range(2)))
    for w in writers:
        w.start()
    result = run.finish(20)
    assert_refused(result, plait.file(), 5, "different files")
