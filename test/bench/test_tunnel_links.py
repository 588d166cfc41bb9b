"""The tunnel's benchmark itself, each of its parts for a moment."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import tunnel_links

HERE = pathlib.Path(__file__).resolve().parent

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("iperf3"), reason="needs root and iperf3")


def test_the_sum_counts_loss_and_direction():
    row = tunnel_links.ROWS[3]
    assert row.payload("down") == pytest.approx(60 * 1448 / 1500)
    assert row.payload("up") == pytest.approx(16 * 1448 / 1500)
    assert tunnel_links.ROWS[5].payload("down") == pytest.approx((30 * 0.99 + 30 * 0.999) * 1448 / 1500)


def test_every_part_in_tiny(tmp_path):
    out = tmp_path / "results.json"
    done = subprocess.run([sys.executable, HERE / "tunnel_links.py", "--tiny", "--json", out, "--rows", "2", "--ways", "plait",
                           "--cc", "cubic", "--directions", "down"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {r["part"]: r for r in json.loads(out.read_text())}
    assert set(results) == set(tunnel_links.PARTS)
    assert results["tcp"]["share"] > 0.05 and results["cpu"]["gbit"] > 0.05 and results["udp"]["lost"] < 0.9
    assert results["ping"]["lost"] < results["ping"]["of"] and results["cut"]["lost"] < results["cut"]["sent"]
    assert results["hub"]["mbit"] > 0
