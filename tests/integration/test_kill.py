"""kill -9 at any moment of a collection loses nothing and doubles nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from support.crashing_collector import BEGAN

KILLS = 24
TESTS = Path(__file__).resolve().parent.parent


def start(directory: Path, acknowledged: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.crashing_collector", str(directory), str(acknowledged)],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged_in(line: str) -> int:
    return int(line.removeprefix("ack "))


def test_everything_acknowledged_survives_any_number_of_kills(tmp_path):
    moments = random.Random(20261120)  # the same moments every time
    acknowledged = int(BEGAN.timestamp())
    cycles = 0
    for _ in range(KILLS):
        process = start(tmp_path, acknowledged)
        assert process.stdout is not None
        assert process.stderr is not None
        checked = process.stdout.readline()
        assert checked == "checked\n", process.stderr.read()
        # Some cycles are let through, then the kill falls anywhere in the following ones.
        for _ in range(moments.randrange(3)):
            acknowledged = acknowledged_in(process.stdout.readline())
            cycles += 1
        killer = threading.Timer(moments.uniform(0, 0.4), process.send_signal, [signal.SIGKILL])
        killer.start()
        for line in process.stdout:
            acknowledged = acknowledged_in(line)
            cycles += 1
        killer.join()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert cycles >= KILLS / 2, "too few cycles were finished for the kills to mean anything"

    process = start(tmp_path, acknowledged)
    assert process.stdout is not None
    assert process.stdout.readline() == "checked\n", "what the last kill left is not right"
    process.kill()
    process.communicate()
