"""Interrupted, and begun again: only what is missing is fetched, and what is there is not believed blindly."""
import os
import random
import signal

import pytest

from support import KB, MB, assert_file, assert_refused, assert_says, kept_bytes, wait_for

SIZE, HELD = 8 * MB, 5 * MB
BLOCK = 64 * 1024
LITTLE = 1_200 * KB  # what a few unfinished blocks, seams, the tail of the journal and what nobody had received may cost
RECORD = 31        # bytes of the journal for a block


def hold(d, **more):
    return {"file": str(d), "hold": HELD, **more}


def length(path):
    return path.stat().st_size if path.exists() else 0


def interrupted(plait, server, sig, *args):
    """Run until the servers hold back and what they sent lies in the file; then end it with the signal."""
    run = plait.start("get", "-o", "out", *args, *server.urls())
    total = len(server.sites)
    wait_for(lambda: sum(server.sent(i) for i in range(total)) >= HELD, "the hold", run)
    wait_for(lambda: kept_bytes(plait.partial()) > HELD - 500 * KB, "the bytes in the partial file", run)
    if sig == signal.SIGKILL:
        wait_for(lambda: length(plait.journal()) > (HELD - MB) / BLOCK * RECORD, "the journal", run)
    run.kill(sig)
    return run.finish()


def again(plait, server, *args, **more):
    """The second run; returns it and what the servers sent in it."""
    server.release()
    before = sum(server.sent(i) for i in range(len(server.sites)))
    result = plait.get("-o", "out", *args, *server.urls(), **more)
    return result, sum(server.sent(i) for i in range(len(server.sites))) - before


@pytest.fixture
def left(plait, liar, data):
    """What an interrupted run leaves, and the server, which goes on now."""
    server = liar(hold(data(SIZE)))
    interrupted(plait, server, signal.SIGINT)
    assert plait.partial().exists() and plait.journal().exists() and not plait.file().exists()
    return server


@pytest.mark.parametrize("sig, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_there(plait, liar, data, sig, status):
    server = liar(hold(data(SIZE)))
    result = interrupted(plait, server, sig)
    assert_refused(result, plait.file(), status, "again")
    assert plait.partial().exists() and plait.journal().exists()
    result, sent = again(plait, server)
    assert_file(result, plait.file(), data(SIZE))
    assert sent < SIZE - HELD + LITTLE


def test_kill_9_and_again(plait, liar, data):
    server = liar(hold(data(SIZE)))
    assert interrupted(plait, server, signal.SIGKILL).status == -9
    result, sent = again(plait, server)
    assert_file(result, plait.file(), data(SIZE))
    assert sent < SIZE - HELD + LITTLE
    assert_says(result, "going on")


def test_only_the_missing_ranges_are_asked_for(plait, left, data):
    first = {r["id"] for r in left.requests()}
    result, _ = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))
    asked = [r for r in left.requests() if r["id"] not in first]
    assert all(r["range"] for r in asked)
    assert not any(r["range"].startswith("bytes=0-") for r in asked)


def test_killed_twice(plait, liar, data):
    d = data(SIZE)
    server = liar({"file": str(d), "hold": 2 * MB})
    for upto in (2 * MB, 4 * MB):
        server.set(hold=upto)
        run = plait.start("get", "-o", "out", *server.urls())
        wait_for(lambda: server.sent() >= upto, "the hold", run)
        wait_for(lambda: kept_bytes(plait.partial()) > upto - 600 * KB, "the bytes in the partial file", run)
        run.kill(signal.SIGINT)
        assert run.finish().status == 130
    result, sent = again(plait, server)
    assert_file(result, plait.file(), d)
    assert sent < SIZE - 4 * MB + 2 * LITTLE


def test_from_another_mirror(plait, left, liar, data):
    mirror = liar({"file": str(data(SIZE)), "etag": '"another"'}, address="127.0.0.6")
    result = plait.get("-o", "out", mirror.url())
    assert_file(result, plait.file(), data(SIZE))
    assert mirror.sent() < SIZE - HELD + LITTLE


def test_two_servers(plait, liar, data):
    d = data(SIZE)
    server = liar(hold(d, hold=HELD // 2), hold(d, hold=HELD // 2))
    interrupted(plait, server, signal.SIGINT)
    server.release(1)
    result, sent = again(plait, server)
    assert_file(result, plait.file(), d)
    assert sent < SIZE - HELD + LITTLE


def cut_tail(path):
    os.truncate(path, path.stat().st_size - 5)


def cut_half(path):
    os.truncate(path, path.stat().st_size // 2)


def garbage_tail(path):
    with open(path, "ab") as f:
        f.write(random.Random(3).randbytes(3000))


def zero_tail(path):
    with open(path, "ab") as f:
        f.write(bytes(4096))


def garbage(path):
    path.write_bytes(random.Random(4).randbytes(3000))


def empty(path):
    path.write_bytes(b"")


def flipped(path):
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


@pytest.mark.parametrize("damage, cost", [(cut_tail, LITTLE), (garbage_tail, LITTLE), (zero_tail, LITTLE),
                                          (cut_half, HELD), (flipped, HELD), (garbage, HELD), (empty, HELD),
                                          (os.unlink, HELD)])
def test_a_damaged_journal(plait, left, data, damage, cost):
    damage(plait.journal())
    result, sent = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))
    assert sent < SIZE - HELD + cost + LITTLE


def test_a_damaged_block_alone_is_fetched_again(plait, left, data):
    with open(plait.partial(), "r+b") as f:
        f.seek(1 * MB)
        at = f.read(10)
        assert at == data(SIZE).bytes[1 * MB:1 * MB + 10]
        f.seek(1 * MB)
        f.write(b"0123456789")
    result, sent = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))
    assert sent < SIZE - HELD + LITTLE + 2 * BLOCK


def test_a_partial_file_that_was_cut_short(plait, left, data):
    os.truncate(plait.partial(), 1 * MB)
    result, sent = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))
    assert sent < SIZE - MB + LITTLE


def test_a_partial_file_that_is_gone(plait, left, data):
    plait.partial().unlink()
    result, _ = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))


def test_a_partial_file_of_something_else(plait, nginx, data):
    """Without a journal nothing is known of it."""
    d = data(1 * MB)
    plait.partial().write_bytes(b"x" * 500_000)
    result = plait.get("-o", "out", nginx.url(d.name))
    if result.status == 0:
        assert_file(result, plait.file(), d)
    else:
        assert_refused(result, plait.file(), 3, str(plait.partial().name))


def test_the_file_has_changed_meanwhile(plait, liar, data):
    d, e = data(SIZE), data(SIZE, 9)
    server = liar(hold(d, etag='"1"'))
    interrupted(plait, server, signal.SIGINT)
    server.set(file=str(e), etag='"2"')
    result, _ = again(plait, server)
    assert_file(result, plait.file(), e)


@pytest.mark.parametrize("tag", [None, '"1"'])
def test_the_file_has_changed_and_nothing_says_so(plait, liar, data, tag):
    """Found by comparing, if at all: then the first run may fail, but what it leaves must not spoil the next one."""
    d, e = data(SIZE), data(SIZE, 9)
    server = liar(hold(d, etag='"1"'))
    interrupted(plait, server, signal.SIGINT)
    server.set(file=str(e), etag=tag)
    result, _ = again(plait, server)
    if result.status != 0:
        assert_refused(result, plait.file(), 5, "changed", server.url())
        result, _ = again(plait, server)
    assert_file(result, plait.file(), e)


def test_the_file_has_another_size_now(plait, liar, data):
    e = data(SIZE + 1000, 9)
    server = liar(hold(data(SIZE)))
    interrupted(plait, server, signal.SIGINT)
    server.set(file=str(e))
    result, _ = again(plait, server)
    assert_file(result, plait.file(), e)


def test_the_server_has_no_ranges_now(plait, left, data):
    left.set(ranges="ignore")
    result, _ = again(plait, left)
    assert_file(result, plait.file(), data(SIZE))


def test_the_server_is_gone_now(plait, left):
    url = left.url()
    left.stop()
    result = plait.get("-o", "out", "--timeout", "2", url)
    assert_refused(result, plait.file(), 4, url)
    assert kept_bytes(plait.partial()) > HELD - 600 * KB


def test_a_digest_is_checked_over_both_runs(plait, liar, data):
    server = liar(hold(data(SIZE)))
    interrupted(plait, server, signal.SIGINT)
    result, _ = again(plait, server, "--checksum", "sha-256=" + "0" * 64)
    assert_refused(result, plait.file(), 5, "sha-256")
    # What is condemned must not stand in the way of the next try.
    result, _ = again(plait, server)
    assert_file(result, plait.file(), data(SIZE))


def test_two_at_once_on_one_target(plait, liar, data):
    d = data(SIZE)
    server = liar(hold(d))
    first = plait.start("get", "-o", "out", server.url())
    wait_for(lambda: server.sent() >= HELD, "the hold", first)
    assert_refused(plait.get("-o", "out", server.url()), plait.file(), 3, "another plait", "out")
    assert first.running()
    server.release()
    assert_file(first.finish(), plait.file(), d)


def test_two_at_once_on_two_targets(plait, liar, data):
    d = data(SIZE)
    server = liar({"file": str(d)})
    runs = [plait.start("get", "-o", name, server.url()) for name in ("a", "b")]
    for run, name in zip(runs, ("a", "b")):
        assert_file(run.finish(), plait.file(name), d)


def test_a_second_signal_ends_it_at_once(plait, liar, data):
    server = liar(hold(data(SIZE)))
    run = plait.start("get", "-o", "out", server.url())
    wait_for(lambda: server.sent() >= HELD, "the hold", run)
    run.kill(signal.SIGINT)
    run.kill(signal.SIGINT)
    assert run.finish(5).status in (130, -signal.SIGINT)  # by itself, or by the second where it was as good as over


def test_a_signal_while_nothing_has_come(plait, liar):
    server = liar({"mute": True, "text": "x"})
    run = plait.start("get", "-o", "out", server.url())
    wait_for(server.requests, "the request", run)
    run.kill(signal.SIGINT)
    assert_refused(run.finish(5), plait.file(), 130)


def test_a_signal_to_a_pipe(plait, liar, data):
    server = liar(hold(data(SIZE)))
    run = plait.start("get", "-o", "-", server.url())
    run.stdout.read(100)
    run.kill(signal.SIGTERM)
    assert run.finish(5).status == 143
    assert plait.names() == []
