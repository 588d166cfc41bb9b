"""What bash offers after TAB (packaging/plait.bash-completion)."""
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "plait.bash-completion"


def offered(place, *words):
    """For the last of the words; the first is `plait` itself."""
    told = subprocess.run(["bash", "--norc", "-c", 'shopt -s extglob; . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plait; '
                           'printf "%s\\n" "${COMPREPLY[@]}"', SCRIPT, "plait", *words], cwd=place, capture_output=True, text=True,
                          timeout=10, check=True, env={**os.environ, "PATH": "%s:%s" % (place / "bin", os.environ["PATH"])})
    assert told.stderr == "", told
    return sorted(w for w in told.stdout.split("\n") if w)


@pytest.fixture
def folder(place):
    (place / "bin").mkdir()
    (place / "bin" / "plait").symlink_to(os.environ["PLAIT"])
    for name in ("a b.meta4", "a.txt"):
        (place / name).touch()
    return place


@pytest.mark.parametrize("words, expected", [
    (["g"], ["get"]),
    (["get", ""], ["a b.meta4"]),
    (["get", "-o", "a"], ["a b.meta4", "a.txt"]),
    (["get", "--check"], ["--checksum"]),
    (["get", "--checksum", "sha-2"], ["sha-256="]),
    (["get", "--via", "al"], ["all "]),
    (["get", "--user", ""], []),
    (["serve", "b"], ["bin"]),
    (["serve", "--digest-c"], ["--digest-cache"]),
    (["relay", "--secret", "a.t"], ["a.txt"]),
    (["direct", "--store", "sq"], ["sqlite:"]),
    (["direct", "--client"], ["--client-ca"]),
    (["hub", "add", "boat", "--ad"], ["--address"]),
    (["node", "join", "x", "--route", "d"], ["default"]),
    (["key", "n"], ["new"]),
    (["community", ""], ["--help", "new"]),
    (["status", "--j"], ["--json"]),
])
def test_what_is_offered(folder, words, expected):
    assert offered(folder, *words) == expected


def test_each_option_is_offered(folder):
    for role in ("get", "serve", "relay", "direct"):
        text = subprocess.run([os.environ["PLAIT"], role, "--help"], capture_output=True, text=True, check=True).stdout
        known = {line.split()[0] for line in text.splitlines() if line.lstrip().startswith("--")}
        assert known <= set(offered(folder, role, "--")), role
