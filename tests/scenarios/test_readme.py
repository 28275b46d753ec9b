"""The README's first bill, as a newcomer types it: the block itself, in a shell, against the real processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def house() -> Iterator[tuple[int, dict[str, str]]]:
    """`tallystick up` in a folder of its own, without the sample: its port, and the environment of a second terminal."""
    base = Path(tempfile.mkdtemp(prefix="ts-"))
    base.chmod(0o711)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    for name in ("DATABASE_URL", "REDIS_URL"):
        kept.pop(name, None)
    port = free_port()
    settings = {
        "TALLYSTICK_DATA_DIR": str(base / "data"), "TALLYSTICK_SUBSCRIPTION_PORT": str(port), "TALLYSTICK_EXTRA_PORTS": "",
    }  # fmt: skip
    process = subprocess.Popen(
        [PROGRAMS / "tallystick", "up"], env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("ready"):
                break
        else:
            raise AssertionError(f"it did not start: {printed}")
        yield port, kept | settings
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shutil.rmtree(base, ignore_errors=True)


def first_bill(port: int) -> str:
    """The block, with this run's port and programs in place of the usual ones."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("## A first bill in five minutes")[2].partition("\n## ")[0]
    block = section.partition("```sh\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8001" in block
    return block.replace("127.0.0.1:8001", f"127.0.0.1:{port}").replace(".venv/bin/", f"{PROGRAMS}/")


@pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("curl") is None, reason="the block is for a shell with curl"
)
def test_the_first_bill(house: tuple[int, dict[str, str]]) -> None:
    port, environment = house
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", first_bill(port)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    said = done.stdout
    assert '"success":false' not in said.replace(" ", "")
    assert re.search(r"29(\.00)?\b", said)
    assert "3500" in said.replace(",", "")
    assert re.search(r"\b7\.00\b", said)
    assert re.search(r"\b36\.00\b", said)


def test_it_stays_a_short_page() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 100
    for target in re.findall(r"\]\(([^)#]+)\)", "\n".join(lines)):
        assert (ROOT / target).exists(), target
