"""A village in a lab: terminals on a LAN, most with a WAN link of their own, a hub, and a server beyond it.

    t1 ── lan1 ─┐            ┌═══ w1 ═══ (t1)
    t2 ── lan2 ─┼─ bridge    ├═══ w2 ═══ (t2)    hub ─── out ─── beyond
    t3 ── lan3 ─┘  10.0.1.i  └═══ w3 ═══ (t3)    10.1.i.1        10.9.0.2
"""

import base64
import json
import os
import pathlib
import re
import subprocess

from plaitlab import plait
from plaittunnel import BEYOND4, Commands, Process, TunnelError, wait_for

__all__ = ["BEYOND4", "Town", "Village", "topology"]


def topology(links, family=4):
    """`links`: for each terminal the words of its WAN link, or None."""
    lines = ["host lan", "host hub", "host beyond", "veth out hub 10.9.0.1/24 beyond 10.9.0.2/24"]
    lines += [f"host t{i}" for i in range(1, len(links) + 1)]
    for i, words in enumerate(links, 1):
        address = f"10.0.1.{i}/24" if family == 4 else f"fd00:1::{i}/64"
        bridge = f"10.254.{i}.1/24" if family == 4 else f"fd00:fe:{i}::1/64"
        lines.append(f"veth lan{i} t{i} {address} lan {bridge}")
        if words:
            lines.append(f"link w{i} t{i} 10.1.{i}.2/24 hub 10.1.{i}.1/24 {words}")
    return "\n".join(lines) + "\n"


class Village(Commands):
    """Configurations of a hub and its terminals in `folder`, all in one community unless told otherwise."""

    def __init__(self, lab, links, folder, exe=None):
        self.lab, self.links, self.folder = lab, links, pathlib.Path(folder)
        self.exe = exe or plait()
        self.hub, self.nodes, self.keys = None, {}, {}
        self.bridge()
        (self.folder / "hub.key").touch(0o600)
        (self.folder / "hub.key").write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
        self.command("community", "new", "village", "-o", self.folder / "village.key")
        self.write_hub()
        for i in self.numbers:
            self.keys[i] = self.join(f"t{i}")
        self.write_hub()
        for i in self.numbers:
            self.write_node(i)

    numbers = property(lambda self: range(1, len(self.links) + 1))

    def bridge(self):
        script = "ip link add br0 type bridge && ip link set br0 up"
        for i in self.numbers:
            script += f" && ip addr flush dev lan{i} && ip link set lan{i} master br0"
        self.lab.run("lan", ["sh", "-c", script])
        # The lab's rules lead through the other end of the veth, which is a bridge now.
        for i in self.numbers:
            show = f"ip $f rule | grep -E 'lan{i} |from 10.0.1.{i} |from fd00:1::{i} '"
            self.lab.run(f"t{i}", ["sh", "-c", f"for f in -4 -6; do {show} | while IFS=: read p x; do ip $f rule del pref $p; "
                                               "done; done"], stderr=subprocess.DEVNULL)

    def join(self, name):
        """Keys for a node: public, hub-key, key (file)."""
        said, token = self.told("hub", "add", name, "-c", self.folder / "hub.conf", "--hub", "10.1.1.1:4040")
        token = re.search(r"plait1\.\S+", token)[0]
        self.command("node", "join", token, "--folder", self.folder / name)
        values = dict(re.findall(r"^([a-z-]+) = (.*)$", (self.folder / name / "node.conf").read_text(), re.M))
        return {"public": re.search(r"^key = (.*)$", said, re.M)[1], **values}

    def write_hub(self, more="nat = out"):
        blocks = [f'[node "t{i}"]\nkey = {k["public"]}\naddress = 10.77.15.{i}\nlan = 15\n' for i, k in self.keys.items()]
        self.hub_conf(more, blocks)

    def hub_conf(self, more, blocks):
        (self.folder / "hub.conf").write_text(
            f"[hub]\nlisten = *:4040\nkey = {self.folder}/hub.key\nnetwork = 10.77.0.0/16, fd77::/64\ninterface = plait0\n"
            f"control = {self.folder}/hub.sock\n{more}\n" + "\n".join(blocks))

    def write_node(self, i, community=None, weight="auto", node="", key=None, period="500ms"):
        """`community`: further lines of its section."""
        if community is None:
            community = f"offer = w{i}" if self.links[i - 1] else ""
        uplink = f'[uplink "w{i}"]\ninterface = w{i}\nhub = 10.1.{i}.1:4040\nweight = {weight}\n' if self.links[i - 1] else ""
        (self.folder / f"t{i}.conf").write_text(
            f"[node]\nname = t{i}\nkey = {self.keys[i]['key']}\nhub = 10.1.1.1:4040\nhub-key = {self.keys[i]['hub-key']}\n"
            f"interface = plait0\nroute = 10.9.0.0/24\nstate = {self.folder}/t{i}.state\ncontrol = {self.folder}/t{i}.sock\n{node}\n"
            f'{uplink}[community "village"]\ninterface = lan{i}\nkey = {key or self.folder / "village.key"}\n'
            f"period = {period}\n{community}\n")

    # running

    def start_hub(self):
        self.hub = Process(self.lab, "hub", [self.exe, "hub", "-c", self.folder / "hub.conf"], self.folder / "hub.log")
        self.hub.wait_said(" up: ")

    def start_node(self, i):
        self.nodes[i] = Process(self.lab, f"t{i}", [self.exe, "node", "-c", self.folder / f"t{i}.conf"],
                                self.folder / f"t{i}.log")

    def start(self):
        self.start_hub()
        for i in self.numbers:
            self.start_node(i)
        for i in self.numbers:
            self.wait_up(i, self.paths_expected(i))
        return self

    def paths_expected(self, _i):
        return sum(1 for words in self.links if words)

    def status(self, who):
        return json.loads(self.command("status", "--json", "--control", self.folder / f"{who}.sock"))[0]

    def name(self, i):
        return f"t{i}"

    def up(self, i):
        return {p["path"] for p in self.status(self.name(i))["paths"] if p["state"] == "up"}

    def community(self, i):
        return self.status(f"t{i}")["communities"][0]

    def members(self, i):
        """Names of those whom terminal i knows."""
        return {m["name"] for m in self.community(i)["members"]}

    def wait_up(self, i, count, timeout=15.0):
        name = self.name(i)

        def check():
            if not self.nodes[i].running():
                raise TunnelError(f"{name} ended: {self.nodes[i].said}")
            return "logged on: " in self.nodes[i].said and len(self.up(i)) == count
        wait_for(check, f"{count} paths of {name}; it said: {self.nodes[i].said}", timeout, 0.05)

    def stop(self):
        """All of them; their exit statuses."""
        running = [p for p in [*self.nodes.values(), self.hub] if p and p.running()]
        return [p.end() for p in running]

    def said(self):
        return "\n".join(p.said for p in [*self.nodes.values(), self.hub] if p)


class Town(Village):
    """Terminals of any kind in a lab of any shape: the uplinks and communities of each node are told one by one."""

    def __init__(self, lab, folder, exe=None):
        self.places = {}  # name: host, LAN
        super().__init__(lab, [], folder, exe)

    def bridge(self):
        pass  # the lab has its own

    def name(self, i):
        return i

    def key(self, name):
        """Of a new community: its name."""
        if name != "village":  # that one is there
            self.command("community", "new", name, "-o", self.folder / f"{name}.key")
        return name

    def node(self, name, host, uplinks, communities, lan=15, interface="plait0", route="10.9.0.0/24", more=""):
        """`uplinks`: (interface, hub, further lines …); `communities`: (interface of the LAN, name, further lines)."""
        self.places[name] = (host, lan)
        keys = self.keys[name] = self.join(name)
        conf = [f"[node]\nname = {name}\nkey = {keys['key']}\nhub = {keys['hub']}\nhub-key = {keys['hub-key']}\ninterface = {interface}\n"
                f"route = {route}\nstate = {self.folder}/{name}.state\ncontrol = {self.folder}/{name}.sock\n{more}"]
        conf += [f'[uplink "{u}"]\ninterface = {u}\nhub = {hub}\n' + "\n".join(rest) for u, hub, *rest in uplinks]
        conf += [f'[community "{c}"]\ninterface = {on}\nkey = {self.folder}/{c}.key\nperiod = 500ms\n{rest}'
                 for on, c, rest in communities]
        (self.folder / f"{name}.conf").write_text("\n".join(conf) + "\n")

    def write_hub(self, more="nat = out"):
        nodes = [f'[node "{name}"]\nkey = {self.keys[name]["public"]}\nlan = {lan}\n' for name, (_, lan) in self.places.items()]
        self.hub_conf(more, nodes)

    def start_node(self, name):
        self.nodes[name] = Process(self.lab, self.places[name][0], [self.exe, "node", "-c", self.folder / f"{name}.conf"],
                                   self.folder / f"{name}.log")

    def start(self):
        self.write_hub()
        self.start_hub()
        for name in self.places:
            self.start_node(name)
        return self

    def communities(self, name):
        return {c["name"]: c for c in self.status(name)["communities"]}

    def members(self, name):
        """By community, the names of those whom the terminal knows."""
        return {c: {m["name"] for m in said["members"]} for c, said in self.communities(name).items()}

    def carried(self, name, community):
        """What its uplinks have carried for others, both ways."""
        return {o["uplink"]: o["up_bytes"] + o["down_bytes"] for o in self.communities(name)[community]["offers"]}
