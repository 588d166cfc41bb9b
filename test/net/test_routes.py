"""Several links to one server. All in two namespaces; the third link is there to be left alone.

    client                                        server
      plait-1  10.91.1.2  ==================  10.91.1.1  plait-1
      plait-2  10.91.2.2  ==================  10.91.2.1  plait-2     10.99.0.1 on lo, where the liar listens
      plait-3  10.91.3.2  ==================  10.91.3.1  plait-3

    Each link has a default route in the client; without --via all would go through plait-1.
"""
import pytest

from netns import ip
from support import KB, MB, assert_file, assert_refused, assert_says, sha256, wait_for


@pytest.fixture
def net(netns):
    return netns(3)


@pytest.fixture
def serve(net, liar):
    """serve(resource): one server behind all links."""
    return lambda resource, **site: liar(resource, ns=net.server, address=net.SERVER, **site)


@pytest.fixture
def get(plait, net):
    return lambda *args, **more: plait.get("-o", "out", *args, ns=net.client, **more)


def idle(net, i, before):
    assert net.sent_packets(i) == before, "plait-%d was used" % i


def test_via_two_interfaces(plait, net, serve, get, data):
    d = data(6 * MB)
    server = serve({"file": str(d), "rate": 2 * MB})
    before, third = [net.received(i) for i in (1, 2)], net.sent_packets(3)
    assert_file(get("--via", "plait-1", "--via", "plait-2", server.url()), plait.file(), d)
    carried = [net.received(i) - before[i - 1] for i in (1, 2)]
    assert min(carried) > 0.2 * d.size, carried
    assert server.peers() == {net.address(1), net.address(2)}
    idle(net, 3, third)


def test_via_one_interface_only(plait, net, serve, get, data):
    d = data(3 * MB)
    server = serve({"file": str(d)})
    others = [net.sent_packets(i) for i in (1, 3)]
    assert_file(get("--via", "plait-2", server.url()), plait.file(), d)
    assert server.peers() == {net.address(2)}
    idle(net, 1, others[0])
    idle(net, 3, others[1])


def test_via_two_addresses(plait, net, serve, get, data):
    """An address names its link: the packets must leave there, not only bear the address."""
    d = data(6 * MB)
    server = serve({"file": str(d), "rate": 2 * MB})
    before, first = [net.received(i) for i in (2, 3)], net.sent_packets(1)
    assert_file(get("--via", net.address(2), "--via", net.address(3), server.url()), plait.file(), d)
    assert server.peers() == {net.address(2), net.address(3)}
    assert min(net.received(i) - before[i - 2] for i in (2, 3)) > 0.2 * d.size
    idle(net, 1, first)


def test_via_all(plait, net, serve, get, data):
    d = data(6 * MB)
    server = serve({"file": str(d), "rate": 2 * MB})
    before = [net.received(i) for i in (1, 2, 3)]
    assert_file(get("--via", "all", server.url()), plait.file(), d)
    assert server.peers() == {net.address(i) for i in (1, 2, 3)}
    assert min(net.received(i) - before[i - 1] for i in (1, 2, 3)) > 0.1 * d.size


def test_without_via_the_system_routes(plait, net, serve, get, data):
    d = data(1 * MB)
    server = serve({"file": str(d)})
    assert_file(get(server.url()), plait.file(), d)
    assert server.peers() == {net.address(1)}


def test_unequal_links_carry_by_their_rates(plait, net, serve, get, data):
    d = data(6 * MB)
    net.shape(1, "10mbit")
    net.shape(2, "40mbit")
    server = serve({"file": str(d)})
    before = [net.received(i) for i in (1, 2)]
    assert_file(get("--via", "plait-1", "--via", "plait-2", server.url()), plait.file(), d)
    slow, fast = (net.received(i) - before[i - 1] for i in (1, 2))
    assert 0.1 < slow / (slow + fast) < 0.35, (slow, fast)


def test_a_route_that_cannot_reach_it_is_left_out(plait, net, serve, get, data):
    d = data(3 * MB)
    ip("-n", net.client, "route", "del", "default", "dev", "plait-2")
    server = serve({"file": str(d)}, rate=4 * MB)
    result = get("--via", "plait-1", "--via", "plait-2", server.url())
    assert_file(result, plait.file(), d)
    assert_says(result, "plait-2")
    assert server.peers() == {net.address(1)}


def test_an_interface_without_an_address_is_left_out(plait, net, serve, get, data):
    d = data(3 * MB)
    ip("-n", net.client, "address", "flush", "dev", "plait-2")
    server = serve({"file": str(d)}, rate=4 * MB)
    result = get("--via", "plait-1", "--via", "plait-2", server.url())
    assert_file(result, plait.file(), d)
    assert_says(result, "plait-2", "address")


def test_no_route_reaches_it(plait, net, serve, get, data):
    ip("-n", net.client, "route", "del", "default", "dev", "plait-2")
    server = serve({"file": str(data(1000))})
    assert_refused(get("--via", "plait-2", "--timeout", "2", server.url()), plait.file(), 4, "plait-2")
    assert server.requests() == []


def test_an_interface_that_is_not_there(plait, net, serve, get, data):
    server = serve({"file": str(data(1000))})
    assert_refused(get("--via", "plait-9", "--timeout", "2", server.url()), plait.file(), (2, 4), "plait-9")
    assert server.requests() == []


def test_an_address_that_is_not_there(plait, net, serve, get, data):
    server = serve({"file": str(data(1000))})
    assert_refused(get("--via", "10.91.7.7", "--timeout", "2", server.url()), plait.file(), (2, 4), "10.91.7.7")
    assert server.requests() == []


def test_a_link_goes_down_in_mid_transfer(plait, net, serve, data):
    d = data(6 * MB)
    net.shape(1, "30mbit")
    net.shape(2, "30mbit")
    server = serve({"file": str(d)})
    run = plait.start("get", "-o", "out", "--via", "plait-1", "--via", "plait-2", server.url(), ns=net.client)
    wait_for(lambda: net.received(1) > 1 * MB, "bytes over the first link", run)
    net.down(1)
    assert_file(run.finish(), plait.file(), d)


def test_a_link_that_comes_back_is_used_again(plait, net, serve, data):
    d = data(12 * MB)
    net.shape(1, "40mbit")
    net.shape(2, "20mbit")
    server = serve({"file": str(d)})
    run = plait.start("get", "-o", "out", "--via", "plait-1", "--via", "plait-2", server.url(), ns=net.client)
    wait_for(lambda: net.received(1) > 1 * MB, "bytes over the first link", run)
    net.down(1)
    at = net.received(2)
    wait_for(lambda: net.received(2) > at + 500 * KB, "the second link to go on", run)
    net.up(1)
    back = net.received(1)
    assert_file(run.finish(), plait.file(), d)
    assert net.received(1) - back > 1 * MB


def test_the_only_link_goes_and_comes_back(plait, net, serve, data):
    d = data(6 * MB)
    net.shape(1, "40mbit")
    server = serve({"file": str(d)})
    run = plait.start("get", "-o", "out", "--via", "plait-1", server.url(), ns=net.client)
    wait_for(lambda: net.received(1) > 2 * MB, "bytes over the link", run)
    net.down(1)
    wait_for(lambda: "state DOWN" in ip("-n", net.client, "link", "show", "plait-1"), "the link to be down")
    net.up(1)
    assert_file(run.finish(), plait.file(), d)


def test_the_network_vanishes_for_good(plait, net, serve, data):
    d = data(6 * MB)
    net.shape(1, "40mbit")
    server = serve({"file": str(d)})
    run = plait.start("get", "-o", "out", "--timeout", "2", server.url(), ns=net.client)
    wait_for(lambda: net.received(1) > 2 * MB, "bytes over the link", run)
    for i in (1, 2, 3):
        net.down(i)
    assert_refused(run.finish(), plait.file(), (1, 4), net.SERVER)
    assert plait.partial().exists()


def test_in_order_over_two_links(net, plait, serve, data):
    d = data(6 * MB)
    server = serve({"file": str(d), "rate": 2 * MB})
    result = plait.get("-o", "-", "--via", "plait-1", "--via", "plait-2", server.url(), ns=net.client)
    assert result.status == 0, result
    assert sha256(result.out) == d.sha256
    assert server.peers() == {net.address(1), net.address(2)}
