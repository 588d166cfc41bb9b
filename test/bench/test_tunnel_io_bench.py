"""tunnel_io.py with a second for each case."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent / "tunnel_io.py"


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not there")
@pytest.mark.parametrize("more", [["-", "partial"], ["-", "--udp"]])
def test_offloads_are_at_work(more):
    command = [sys.executable, str(BENCH), "--seconds", "1", "--json", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bare, *cases = json.loads(done.stdout)
    assert bare["gbit"] > 0
    for case in cases:
        assert case["gbit"] > 0.05
        if "--udp" not in more:
            assert case["packets_per_frame"] > 5 and case["packets_per_write"] > 3, case
