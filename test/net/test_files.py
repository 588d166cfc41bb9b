"""What can go wrong on this side: disks, names, links; and names that servers propose."""
import os
import subprocess

import pytest

from support import MB, assert_file, assert_refused, assert_says, closed_port, wait_for


@pytest.fixture
def mount(plait):
    """mount(options): a tmpfs in the run's folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = []

    def make(options):
        path = plait.file("mnt%d" % len(made))
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_the_disk_is_too_small(plait, nginx, data, mount):
    small = mount("size=1m")
    result = plait.get("-o", small / "out", nginx.url(data(3 * MB).name))
    assert_refused(result, small / "out", 3, str(small), "space")


def test_the_disk_fills_up(plait, liar, data, mount):
    """The length is not known before."""
    small = mount("size=1m")
    server = liar({"file": str(data(3 * MB)), "framing": "chunked", "ranges": "ignore"})
    assert_refused(plait.get("-o", small / "out", server.url()), small / "out", 3, str(small), "space")


def test_after_room_was_made_it_goes_on(plait, liar, data, mount):
    d, small = data(3 * MB), mount("size=4m")
    (small / "ballast").write_bytes(bytes(2 * MB))
    server = liar({"file": str(d)})
    result = plait.get("-o", small / "out", server.url())
    assert_refused(result, small / "out", 3, "space")
    (small / "ballast").unlink()
    assert_file(plait.get("-o", small / "out", server.url()), small / "out", d)


def test_a_read_only_folder(plait, nginx, data, mount):
    folder = mount("size=1m,ro")
    result = plait.get("-o", folder / "out", nginx.url(data(1000).name))
    assert_refused(result, folder / "out", 3, str(folder), "read-only")


def test_a_folder_that_is_not_there(plait, nginx, data):
    assert_refused(plait.get("-o", "no/such/out", nginx.url(data(1000).name)), plait.file("no/such/out"), 3, "no/such")


def test_an_existing_file_is_left_alone(plait, liar, data):
    server = liar({"file": str(data(1000))})
    plait.file().write_text("mine")
    result = plait.get("-o", "out", server.url())
    assert result.status == 3, result
    assert_says(result, "out", "exists", "-f")
    assert plait.file().read_text() == "mine"
    assert server.requests() == []


def test_force_replaces_it(plait, nginx, data):
    d = data(1 * MB)
    plait.file().write_text("mine")
    assert_file(plait.get("-f", "-o", "out", nginx.url(d.name)), plait.file(), d)


def test_force_replaces_it_only_by_what_is_right(plait, nginx, data):
    plait.file().write_text("mine")
    result = plait.get("-f", "-o", "out", "--checksum", "0" * 64, nginx.url(data(1 * MB).name))
    assert result.status == 5, result
    assert plait.file().read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_left_alone(plait, liar, data):
    d = data(1 * MB)
    server = liar({"file": str(d), "hold": 500_000})
    run = plait.start("get", "-o", "out", server.url())
    wait_for(lambda: server.sent() >= 500_000, "the hold", run)
    plait.file().write_text("mine")
    server.release()
    result = run.finish()
    assert result.status == 3, result
    assert_says(result, "out", "-f")
    assert plait.file().read_text() == "mine"


def test_the_target_is_a_folder(plait, nginx, data):
    d = data(1000)
    plait.file().mkdir()
    result = plait.get("-o", "out", nginx.url(d.name))
    if result.status == 0:
        assert_file(result, plait.file() / d.name, d)
    else:
        assert result.status in (2, 3), result
        assert_says(result, "out", "director")
        assert os.listdir(plait.file()) == []
    assert plait.file().is_dir()


@pytest.mark.parametrize("what", ["partial", "journal"])
def test_a_symbolic_link_in_the_way_is_not_followed(plait, nginx, data, what):
    d, victim = data(1 * MB), plait.file("victim")
    victim.write_text("mine")
    getattr(plait, what)().symlink_to(victim)
    result = plait.get("-o", "out", nginx.url(d.name))
    assert victim.read_text() == "mine"
    if result.status == 0:
        assert plait.file().read_bytes() == d.bytes and not plait.file().is_symlink()
    else:
        assert_refused(result, plait.file(), 3, getattr(plait, what)().name)


@pytest.mark.parametrize("what", ["partial", "journal"])
@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_odd_things_in_the_way(plait, nginx, data, what, kind):
    d, path = data(1 * MB), getattr(plait, what)()
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    result = plait.get("-o", "out", nginx.url(d.name), timeout=5)
    if result.status == 0:
        assert plait.file().read_bytes() == d.bytes
    else:
        assert_refused(result, plait.file(), 3, path.name)


def test_a_hard_link_in_the_way_is_not_written_through(plait, nginx, data):
    d, victim = data(1 * MB), plait.file("victim")
    victim.write_text("mine")
    os.link(victim, plait.partial())
    plait.get("-o", "out", nginx.url(d.name))
    assert victim.read_text() == "mine"


def test_nothing_in_the_way_can_be_read_by_others_than_before(plait, nginx, data):
    """The new file has the usual rights."""
    old = os.umask(0o027)
    try:
        assert_file(plait.get("-o", "out", nginx.url(data(1000).name)), plait.file(), data(1000))
    finally:
        os.umask(old)
    assert plait.file().stat().st_mode & 0o777 == 0o640


# Names.

def test_without_a_name_the_url_gives_one(plait, nginx, data):
    d = data(1 * MB)
    assert_file(plait.get(*nginx.urls(d.name, 2)), plait.file(d.name), d)


def test_a_name_in_the_url_with_percent_signs(plait, liar, data):
    d = data(1000)
    server = liar({"resources": {"/a%20b%C3%A9.bin": {"file": str(d)}}})
    assert_file(plait.get(server.url(0, "/a%20b%C3%A9.bin")), plait.file("a b\u00e9.bin"), d)


def assert_harmless(plait, result, d):
    """Either a refusal, or one file with an ordinary name in the folder."""
    if result.status != 0:
        assert result.status in (2, 3), result
        assert_says(result, "-o")
        assert plait.names() == []
        return
    assert [p for p in os.listdir(plait.folder) if p.startswith(".") and not p.startswith(".err")] == []
    name, = plait.names()
    assert plait.file(name).is_file() and plait.file(name).read_bytes() == d.bytes
    assert len(name.encode()) <= 255 and name.isprintable()


@pytest.mark.parametrize("path", ["/", "/..", "/%2e%2e", "/..%2f..%2fevil", "/%2Fetc%2Fpasswd", "/.bashrc", "/%00",
                                  "/a%0ab", "/" + "n" * 300])
def test_a_bad_name_in_the_url(plait, liar, data, path):
    d = data(1000)
    # A client may take the dots out of a path.
    server = liar({"resources": {p: {"file": str(d)} for p in (path, "/", "/evil")}})
    assert_harmless(plait, plait.get(server.url(0, path)), d)
    assert not (plait.folder.parent / "evil").exists()


def test_content_disposition_gives_the_name(plait, liar, data):
    d = data(1000)
    server = liar({"file": str(d), "headers": [["Content-Disposition", 'attachment; filename="the name.txt"']]})
    assert_file(plait.get(server.url()), plait.file("the name.txt"), d)


@pytest.mark.parametrize("value", [
    'filename="../../evil"', 'filename="/tmp/plait-evil"', "filename=.bashrc", 'filename=".."', 'filename=""',
    "filename*=UTF-8''..%2F..%2Fevil", "filename*=UTF-8''a%00b%0Ac", 'filename="a\\\\..\\\\evil"',
    'filename="%s"' % ("n" * 300), 'filename="a\x1b[31mb"', "filename", "filename=\"unterminated", 'filename="-rf"'])
def test_a_bad_name_in_content_disposition(plait, liar, data, value):
    d = data(1000)
    server = liar({"file": str(d), "headers": [["Content-Disposition", "attachment; " + value]]})
    assert_harmless(plait, plait.get(server.url()), d)
    assert not (plait.folder.parent / "evil").exists() and not (plait.folder.parent / "plait-evil").exists()


def test_a_proposed_name_never_replaces(plait, liar, data):
    server = liar({"file": str(data(1000)), "headers": [["Content-Disposition", "attachment; filename=taken"]]})
    plait.file("taken").write_text("mine")
    result = plait.get(server.url())
    assert plait.file("taken").read_text() == "mine"
    assert result.status == 3, result
    assert_says(result, "taken")


# Servers that cannot be found.

def test_a_name_that_does_not_resolve(plait):
    url = "http://nowhere.invalid/f"
    assert_refused(plait.get("-o", "out", "--timeout", "2", url), plait.file(), 4, "nowhere.invalid")


def test_a_name_that_does_not_resolve_beside_a_good_one(plait, nginx, data):
    d = data(1 * MB)
    assert_file(plait.get("-o", "out", "http://nowhere.invalid/f", nginx.url(d.name)), plait.file(), d)


def test_nothing_listens(plait):
    url = "http://127.0.0.29:%d/f" % closed_port("127.0.0.29")
    assert_refused(plait.get("-o", "out", "--timeout", "2", url), plait.file(), 4, url)


def test_404_everywhere(plait, nginx):
    urls = nginx.urls("nowhere", 3)
    assert_refused(plait.get("-o", "out", *urls), plait.file(), 4, "404", *urls)
