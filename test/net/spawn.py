"""Starts our servers quickly: one process that has imported everything forks a process for each server.

    start(script, spec path, [namespace]) -> (standard input, standard output)   both text, of the new server

The server ends when its standard input does; its standard output ends with it.
"""
import json
import os
import signal
import socket
import subprocess
import sys

PYTHON = "/usr/bin/python3"
SCRIPTS = ("liar", "proxy")


class Nursery:
    def __init__(self, folder):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A group of its own: an interrupt at the keyboard is pytest's to handle.
        self.process = subprocess.Popen([PYTHON, "-I", __file__, str(folder), str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self.door = ours

    def start(self, script, spec_path, ns=None):
        """Returns the new server's pid, standard input and standard output."""
        read_end, stdin = os.pipe()
        stdout, write_end = os.pipe()
        request = json.dumps({"script": script, "spec": str(spec_path), "ns": ns}).encode()
        socket.send_fds(self.door, [request], [read_end, write_end])
        os.close(read_end)
        os.close(write_end)
        pid = int(self.door.recv(64))
        return pid, os.fdopen(stdin, "w"), os.fdopen(stdout, "r")

    def stop(self):
        self.door.close()
        self.process.wait(10)


def enter(ns):
    """setns(2) into a named network namespace."""
    import ctypes
    with open("/run/netns/" + ns) as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns " + ns)


def become(request, fds, door):
    """In the child: be the server."""
    door.close()
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    sys.stdin, sys.stdout = os.fdopen(0, "r"), os.fdopen(1, "w")
    if request["ns"]:
        enter(request["ns"])
    import asyncio
    asyncio.run(sys.modules[request["script"]].main(request["spec"]))


def serve(folder, fd):
    sys.path.insert(0, folder)
    for name in SCRIPTS:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(fileno=fd)
    while True:
        message, fds, _, _ = socket.recv_fds(door, 4096, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            try:
                become(json.loads(message), fds, door)
            finally:
                os._exit(1)
        for end in fds:
            os.close(end)
        door.send(b"%d" % pid)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
