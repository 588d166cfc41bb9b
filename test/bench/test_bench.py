"""The benchmark itself: its bound, its verdicts, and a tiny run of every row."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import get_links

HERE = pathlib.Path(__file__).resolve().parent
PLAIT = pathlib.Path(get_links.plait())

needs_lab = pytest.mark.skipif(os.geteuid() != 0 or not get_links.program(), reason="needs root and nginx")


def bench(tmp_path, *options):
    """Runs the benchmark in tiny mode; its exit status, results and standard error."""
    out = tmp_path / "results.json"
    done = subprocess.run([sys.executable, HERE / "get_links.py", "--tiny", "--json", out, *options],
                          capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(out.read_text())["results"] if out.exists() else None, done.stderr


def test_fluid_bound_of_steady_links():
    assert get_links.fluid_bound_s(get_links.THREE, 100_000_000) == pytest.approx(800 / 170 * 1500 / 1448)


def test_fluid_bound_counts_loss_and_change():
    lossy = (get_links.Link(10, 10, loss=0.5),)
    assert get_links.fluid_bound_s(lossy, 1_000_000) == pytest.approx(8 / 5 * 1500 / 1448)
    falls = (get_links.Link(80 * 1500 / 1448, 10, change_s=1, change_mbit=8 * 1500 / 1448),)
    assert get_links.fluid_bound_s(falls, 10_000_000) == pytest.approx(1)
    assert get_links.fluid_bound_s(falls, 11_000_000) == pytest.approx(2)


def test_fluid_bound_of_a_link_that_dies():
    dies = (get_links.Link(80 * 1500 / 1448, 10, change_s=1),)
    with pytest.raises(ValueError):
        get_links.fluid_bound_s(dies, 10_000_001)


@needs_lab
def test_every_row_is_right_in_tiny(tmp_path):
    tools = "plait,plait-push,plait-join,plait-pipe" if PLAIT.exists() else "aria2"
    if not PLAIT.exists() and not shutil.which("aria2c"):
        pytest.skip("neither plait nor aria2 to measure")
    status, results, said = bench(tmp_path, "--tools", tools)
    assert status == 0, said
    used = [tool for tool in get_links.TOOLS if tool.name in tools.split(",")]
    assert {r["row"] for r in results} == {row.number for row in get_links.ROWS
                                           if any(get_links.applies(row, tool) for tool in used)}
    for result in results:
        assert result["verdict"] == "right", said
        if "share" in result:
            assert 0 < result["share"] < 1.5
        else:
            assert result["cpu_s_per_gb"] > 0 and result["peak_rss_mb"] > 0


@needs_lab
@pytest.mark.parametrize("script, verdict", [
    ('for last; do :; done; curl -s "$last" | tail -c +2 > "$5"', "WRONG"),  # $5: after get -q -f -o
    ('for last; do :; done; curl -s "$last" > "$5"; exit 1', "WRONG"),
    ("exec sleep 60", "never"),
])
def test_bad_tools_are_found_out(tmp_path, script, verdict):
    fake = tmp_path / "plait"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    status, results, _ = bench(tmp_path, "--plait", str(fake), "--tools", "plait", "--rows", "2", "--limit", "2")
    assert status == 1
    assert [r["verdict"] for r in results] == [verdict]
