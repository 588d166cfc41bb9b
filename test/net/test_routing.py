"""Links that come and go, and routes into a tunnel that leave no trace.

    a                                        b
      plaitn0  a TUN device
      up1  10.96.1.1 ====================== up1  10.96.1.2     default route, metric 1
      up2  10.96.2.1 ====================== up2  10.96.2.2     default route, metric 2
"""
import json
import os
import signal
import subprocess
import time

import pytest

from iokit import Net, kit
from netns import ip, remove_stale
from support import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def net():
    remove_stale()
    made = Net()
    made.a, made.b = made.add("a"), made.add("b")
    for i in (1, 2):
        made.join(made.a, "up%d" % i, "10.96.%d.1/24 fd96:%d::1/64" % (i, i), made.b, "up%d" % i,
                  "10.96.%d.2/24 fd96:%d::2/64" % (i, i))
        ip("-n", made.a, "route", "add", "default", "via", "10.96.%d.2" % i, "metric", i)
        ip("-n", made.a, "route", "add", "default", "via", "fd96:%d::2" % i, "metric", i)
    yield made
    made.remove()


def shown(ns, *args):
    return json.loads(ip("-n", ns, "-j", *args) or "[]")


def test_watch_tells_what_comes_and_goes(net):
    """Each change within a second, and what the kernel forgets without a word, too."""
    watch = net.kit("watch", "up1", ns=net.a)
    first = watch.line()
    assert first["up"] and first["mtu"] == 1500 and first["default4"] and first["default6"]
    assert sorted(first["addresses"]) == ["10.96.1.1/24", "fd96:1::1/64"]

    def after(holds, what, *command, ns=net.a):
        ip("-n", ns, *command)
        began = time.monotonic()
        line = watch.until(holds, what, timeout=2)
        assert time.monotonic() - began < 1
        return line

    after(lambda l: "10.96.9.9/32" in l["addresses"], "new address", "address", "add", "10.96.9.9/32", "dev", "up1")
    after(lambda l: "10.96.9.9/32" not in l["addresses"], "address gone", "address", "del", "10.96.9.9/32", "dev", "up1")
    after(lambda l: l["mtu"] == 1400, "MTU", "link", "set", "up1", "mtu", "1400")
    after(lambda l: not l["default4"], "route gone", "route", "del", "default", "metric", "1")
    after(lambda l: l["default4"], "route back", "route", "add", "default", "via", "10.96.1.2", "metric", "1")
    after(lambda l: not l["up"], "no carrier", "link", "set", "up1", "down", ns=net.b)
    after(lambda l: l["up"], "carrier", "link", "set", "up1", "up", ns=net.b)
    line = after(lambda l: not l["up"] and not l["default4"], "down", "link", "set", "up1", "down")
    assert line["addresses"] == ["10.96.1.1/24"] or not line["default6"]
    after(lambda l: not l["there"], "gone", "link", "del", "up1")
    net.join(net.a, "up1", "10.96.1.1/24", net.b, "up1", "10.96.1.2/24")
    watch.until(lambda l: l["there"] and l["up"] and l["addresses"] == ["10.96.1.1/24"], "there again")
    watch.end()


def test_watch_after_too_much_news(net):
    """Where the kernel had more to tell than the socket could hold, all is looked at again."""
    watch = net.kit("watch", "up1", ns=net.a)
    watch.line()
    watch.process.send_signal(signal.SIGSTOP)
    batch = "".join("address add 127.%d.%d.1/32 dev lo\n" % (i >> 8, i & 255) for i in range(1, 3000))
    subprocess.run(["ip", "-n", net.a, "-batch", "-"], input=batch, text=True, check=True)
    ip("-n", net.a, "address", "add", "10.96.9.9/32", "dev", "up1")
    watch.process.send_signal(signal.SIGCONT)
    line = watch.until(lambda l: "10.96.9.9/32" in l["addresses"], "the last change", timeout=5)
    assert line["resyncs"] > 0
    watch.end()


def rules(ns):
    return [r for family in ("-4", "-6") for r in shown(ns, family, "rule") if r["priority"] not in (0, 32766, 32767)]


def way(ns, *args):
    done = subprocess.run(["ip", "-n", ns, "-j", "route", "get", *args], capture_output=True, text=True)
    return json.loads(done.stdout)[0]["dev"] if done.returncode == 0 else None


MARK = "0x706c6174"


@pytest.mark.parametrize("end", ["exit", "crash", "crash and start"])
def test_default_route(net, end):
    """All goes into the tunnel but the tunnel's own and the LAN; nothing of it stays."""
    before = [rules(net.a), shown(net.a, "route", "show", "table", "main"), way(net.a, "8.8.8.8")]
    policy = net.kit("policy", "plaitn0", "0.0.0.0/0,::/0", "192.0.2.53/32,2001:db8:53::/48", ns=net.a)
    said = policy.line()
    assert "table" in said, said
    assert way(net.a, "8.8.8.8") == "plaitn0" and way(net.a, "2001:db8::1") == "plaitn0"
    assert way(net.a, "8.8.8.8", "mark", MARK) == "up1" and way(net.a, "2001:db8::1", "mark", MARK) == "up1"
    assert way(net.a, "8.8.8.8", "mark", MARK, "oif", "up2") == "up2"
    assert way(net.a, "10.96.2.7") == "up2" and way(net.a, "fd96:2::7") == "up2"
    assert way(net.a, "192.0.2.53") == "up1" and way(net.a, "2001:db8:53::1") == "up1"
    assert len(rules(net.a)) == 4
    if end == "exit":
        assert policy.end()[-1]["removed"] >= 4
    else:
        policy.kill()
        wait_for(lambda: "plaitn0" not in ip("-n", net.a, "link"), "the device to go")
        assert way(net.a, "8.8.8.8") == "up1", "a crash leaves a way out"
        if end == "crash and start":
            again = net.kit("policy", "plaitn0", "0.0.0.0/0", ns=net.a)
            again.line()
            assert way(net.a, "8.8.8.8") == "plaitn0" and way(net.a, "2001:db8::1") == "up1"
            assert len(rules(net.a)) == 2
            again.end()
        else:
            assert kit("unpolicy", "plaitn0", ns=net.a)[0][0]["removed"] >= 4
    wait_for(lambda: "plaitn0" not in ip("-n", net.a, "link"), "the device to go")
    assert [rules(net.a), shown(net.a, "route", "show", "table", "main"), way(net.a, "8.8.8.8")] == before
    assert kit("unpolicy", "plaitn0", ns=net.a)[0][0]["removed"] == 0


def test_prefixes_only(net):
    policy = net.kit("policy", "plaitn0", "10.200.0.0/16,198.51.100.0/24", ns=net.a)
    policy.line()
    assert way(net.a, "10.200.1.1") == "plaitn0" and way(net.a, "198.51.100.9") == "plaitn0"
    assert way(net.a, "8.8.8.8") == "up1" and way(net.a, "2001:db8::1") == "up1"
    policy.end()


def test_many_prefixes(net):
    """Also those that lead elsewhere, which do not go with the device."""
    to = ",".join("10.%d.%d.0/24" % (200 + i // 200, i % 200) for i in range(400))
    elsewhere = ",".join("10.%d.%d.128/25" % (200 + i // 200, i % 200) for i in range(400))
    policy = net.kit("policy", "plaitn0", to, elsewhere, ns=net.a)
    table = str(policy.line()["table"])
    assert way(net.a, "10.201.99.1") == "plaitn0" and way(net.a, "10.201.99.129") == "up1"
    policy.kill()
    wait_for(lambda: "plaitn0" not in ip("-n", net.a, "link"), "the device to go")
    assert len(shown(net.a, "route", "show", "table", table)) == 400
    kit("unpolicy", "plaitn0", ns=net.a)
    assert shown(net.a, "route", "show", "table", table) == []


def test_two_instances_and_others_rules(net):
    """One that ends takes nothing of another's with it."""
    ip("-n", net.a, "rule", "add", "priority", "30123", "to", "203.0.113.0/24", "lookup", "main")
    one, two = net.kit("policy", "plaitn0", "10.200.0.0/16", ns=net.a), net.kit("policy", "plaitn1", "10.201.0.0/16", ns=net.a)
    first = one.line()
    second = two.line()
    if "failed" in second:  # both have the same address, which is no matter of routes
        pytest.fail(str(second))
    assert first["table"] != second["table"] and first["priority"] != second["priority"]
    one.end()
    assert way(net.a, "10.201.1.1") == "plaitn1" and way(net.a, "10.200.1.1") == "up1"
    two.end()
    assert [r["priority"] for r in rules(net.a)] == [30123]


@pytest.mark.parametrize("everywhere,here,after", [(0, 0, 0), (1, 0, 2), (0, 1, 2), (2, 1, 1), (1, 2, 2)])
def test_strict_filters_are_loosened(net, everywhere, here, after):
    """Answers come in by the uplink that was asked, though the best route back may be another's."""
    setting = lambda name: "net.ipv4.conf.%s.rp_filter" % name
    sysctl = ["ip", "netns", "exec", net.a, "sysctl", "-n"]
    for name, value in (("all", everywhere), ("up2", here)):
        subprocess.run([*sysctl, "-q", "-w", "%s=%d" % (setting(name), value)], check=True)
    changed = kit("loosen", "up2", ns=net.a)[0][0]["changed"]
    now = subprocess.run([*sysctl, setting("up2")], check=True, capture_output=True, text=True).stdout.strip()
    assert now == str(after) and changed == int(after != here)
    assert kit("loosen", "nowhere", ns=net.a)[0][0]["changed"] < 0
