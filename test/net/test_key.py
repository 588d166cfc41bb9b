"""plait key: keys that wg and OpenSSL understand, files that nobody else may read, words when something is wrong."""
import base64
import os
import shutil
import subprocess

import pytest

ALICE = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="  # RFC 7748, 6.1
ALICE_PUBLIC = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="


def key(*args, text="", **more):
    return subprocess.run([os.environ["PLAIT"], "key", *args], input=text, capture_output=True, text=True, timeout=10,
                          check=False, **more)


def good(*args, **more):
    done = key(*args, **more)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def openssl_public(secret):
    der = bytes.fromhex("302e020100300506032b656e04220420") + base64.b64decode(secret)
    done = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=der, capture_output=True,
                          check=True)
    return base64.b64encode(done.stdout[-32:]).decode()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for args in (["key", "new"], ["community", "new", "village"]):
        done = subprocess.run([os.environ["PLAIT"], *args, "-o", tmp_path / "none" / "k"], capture_output=True, text=True,
                              timeout=10, check=False)
        assert done.returncode == 1 and "make it first" in done.stderr and done.stdout == "", done


def test_the_lines_of_a_community_name_its_key_in_full(tmp_path):
    done = subprocess.run([os.environ["PLAIT"], "community", "new", "village", "-o", "k"], capture_output=True, text=True,
                          timeout=10, check=True, cwd=tmp_path)
    assert "key = %s/k\n" % tmp_path.resolve() in done.stdout


def test_the_public_key_of_the_rfc():
    assert good("public", text=ALICE + "\n") == ALICE_PUBLIC + "\n"
    assert good("public", "-", text="# Alice\n\n  " + ALICE) == ALICE_PUBLIC + "\n"


def test_new_keys_are_what_others_take_for_keys():
    keys = [good("new") for _ in range(20)]
    assert len(set(keys)) == len(keys)
    for line in keys:
        raw = base64.b64decode(line, validate=False)
        assert len(line) == 45 and line[-1] == "\n" and len(raw) == 32
        assert raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40
        assert good("public", text=line).strip() == openssl_public(line)


@pytest.mark.skipif(shutil.which("wg") is None, reason="without wg")
def test_wg_agrees():
    for line in (good("new"), subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout):
        theirs = subprocess.run(["wg", "pubkey"], input=line, capture_output=True, text=True, check=True).stdout
        assert good("public", text=line) == theirs


def test_a_file_for_its_owner_alone(tmp_path):
    path = tmp_path / "node.key"
    os.umask(0)
    try:
        public = good("new", "-o", str(path))
    finally:
        os.umask(0o022)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert good("public", str(path)) == public
    assert public.strip() == openssl_public(path.read_text())
    before = path.read_bytes()
    done = key("new", "-o", str(path))
    assert done.returncode == 1 and "already" in done.stderr and str(path) in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o610])
def test_a_file_that_others_can_reach_is_refused(tmp_path, mode):
    path = tmp_path / "node.key"
    path.write_text(ALICE + "\n")
    path.chmod(mode)
    done = key("public", str(path))
    assert done.returncode == 1 and done.stdout == ""
    assert "chmod 600" in done.stderr and str(path) in done.stderr


BAD_TEXT = {
    "nothing": ("", "no key"),
    "comments": ("# a\n\n", "no key"),
    "short": (ALICE[:-2] + "\n", "line 1"),
    "two": (ALICE + "\n" + ALICE + "\n", "line 2"),
    "padding": (ALICE[:-2] + "p=\n", "line 1"),
    "pem": ("-----BEGIN PRIVATE KEY-----\n", "line 1"),
    "too-long": ("#" * 5000, "too large"),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_what_is_no_key(name):
    text, word = BAD_TEXT[name]
    done = key("public", text=text)
    assert done.returncode == 1 and done.stdout == "" and word in done.stderr, done
    assert ALICE[:20] not in done.stderr


BAD_USAGE = {
    "nothing": (),
    "unknown": ("old",),
    "unknown-option": ("new", "--fast"),
    "new-with-a-name": ("new", "file"),
    "public-of-two": ("public", "a", "b"),
    "public-into-a-file": ("public", "-o", "a"),
    "output-of-nothing": ("new", "-o"),
}


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage(name, tmp_path):
    done = key(*BAD_USAGE[name], cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and "--help" in done.stderr, done
    assert not list(tmp_path.iterdir())


def test_files_that_are_not_there(tmp_path):
    done = key("public", str(tmp_path / "none"))
    assert done.returncode == 1 and str(tmp_path / "none") in done.stderr
    done = key("new", "-o", str(tmp_path / "none" / "key"))
    assert done.returncode == 1 and str(tmp_path / "none" / "key") in done.stderr
    done = key("public", str(tmp_path))
    assert done.returncode == 1


def test_a_reader_that_is_gone():
    with open("/dev/full", "w") as full:
        for args in (("new",), ("public",)):
            done = subprocess.run([os.environ["PLAIT"], "key", *args], input=ALICE, stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
            assert done.returncode == 1 and "standard output" in done.stderr


def test_a_warning_of_readers(tmp_path):
    path = tmp_path / "open"
    with open(path, "w") as out:
        path.chmod(0o644)
        done = subprocess.run([os.environ["PLAIT"], "key", "new"], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0 and "0644" in done.stderr
    assert len(path.read_text()) == 45
