"""Fixtures for the tests with real servers. The program under test is $PLAIT, or build/plait of this repository."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import netns as namespaces
from certificates import Certificates
from nginx import Nginx
from support import SLOW_BUILD, Data, Liar, Plait, Proxies

collect_ignore = ["test_%s.py" % name for name in os.environ.get("PLAIT_NET_SKIP", "").split()]

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    help = "only every Nth test, from the Ith on: for several runs side by side"
    parser.addoption("--share", metavar="I/N", help=help)


def pytest_configure(config):
    config.addinivalue_line("markers", "pace: about rates, orders and times alone, so not for a slow build")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if SLOW_BUILD and item.get_closest_marker("pace"):
            item.add_marker(pytest.mark.skip(reason="a slow build keeps no pace"))
    share = config.getoption("--share")
    if share:
        i, n = map(int, share.split("/"))
        config.hook.pytest_deselected(items=[item for k, item in enumerate(items) if k % n != i])
        items[:] = items[i::n]


def fresh(prefix):
    path = Path(tempfile.mkdtemp(prefix="plait-" + prefix))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def exe():
    path = Path(os.environ.get("PLAIT", REPOSITORY / "build" / "plait")).absolute()
    assert os.access(path, os.X_OK), "%s is not there: build it, or set PLAIT" % path
    return str(path)


@pytest.fixture(scope="session")
def session_place():
    place = fresh("session-")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def data(session_place):
    """data(size, seed): random bytes in a file, which nginx serves under its name."""
    folder, made = session_place / "www", {}
    folder.mkdir()

    def make(size, seed=1):
        if (size, seed) not in made:
            made[size, seed] = Data(folder, size, seed)
        return made[size, seed]

    return make


@pytest.fixture(scope="session")
def certificates(session_place):
    place = session_place / "certificates"
    place.mkdir()
    return Certificates(place)


@pytest.fixture(scope="session")
def authorities(session_place):
    """Ours and another authority, each with a certificate for a client."""
    made = []
    for name in ("ours", "theirs"):
        folder = session_place / name
        folder.mkdir()
        made.append(Certificates(folder))
        made[-1].pairs["client"] = made[-1].signed("client", "DNS:client.plait.test")
    return made


@pytest.fixture(scope="session")
def nginx(session_place, data, certificates):
    place = session_place / "nginx"
    place.mkdir()
    server = Nginx(place, session_place / "www", certificates.pairs)
    yield server
    server.stop()


@pytest.fixture
def place():
    """A folder for what the servers of one test write."""
    path = fresh("test-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def plait(exe):
    folder = fresh("run-")
    runner = Plait(exe, folder)
    yield runner
    runner.stop()
    shutil.rmtree(folder)


@pytest.fixture
def liar(place):
    """liar(resource, …): a site on 127.0.0.2, the next on 127.0.0.3 and so on, each with this resource as /f.

    An argument with "resources" is a whole site. Faults of the liar itself fail the test.
    """
    made = []

    def make(*specs, ns=None, **site):
        sites = []
        for i, spec in enumerate(specs):
            spec = spec if "resources" in spec else {"resources": {"/f": spec}}
            sites.append({"address": "127.0.0.%d" % (2 + i), **site, **spec})
        made.append(Liar(sites, place, ns))
        return made[-1]

    yield make
    for server in made:
        server.stop()
    assert [f for s in made for f in s.faults()] == []


@pytest.fixture
def proxies(place):
    """proxies({"kind": …}, …): proxies on 127.0.0.21, .22 and so on."""
    made = []

    def make(*specs, ns=None):
        made.append(Proxies([{"address": "127.0.0.%d" % (21 + i), **s} for i, s in enumerate(specs)], place, ns))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def netns():
    """netns(links): two namespaces joined by so many links."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    namespaces.remove_stale()
    made = []

    def make(links):
        made.append(namespaces.Namespaces(links))
        return made[-1]

    yield make
    for net in made:
        net.remove()
