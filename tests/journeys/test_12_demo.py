"""What README says to run first: the whole main job, on hosts that nothing outside of their lab can be reached from."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.journeys.conftest import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(660)]


def test_the_demo_works_and_nothing_tries_to_leave_the_lab() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("the lab's hosts are made by root on Linux; run the tests as root there")
    done = subprocess.run([ROOT / "scripts/demo"], capture_output=True, text=True, timeout=600, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "air gap: no packet tried to leave the lab's hosts" in told
    assert "phi: nothing to do" in told
    assert '"name": "tiny:latest"' in told
    assert re.search(r"^answer: \S", done.stdout, re.MULTILINE), told
    assert re.search(r"^demo: ok \(\d+ s\)$", done.stdout, re.MULTILINE), told
