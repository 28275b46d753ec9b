"""The supervisor as a real process: it starts everything, loses nothing, leaves nobody behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
HERE = Path(__file__).parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's user may pass through too, when the tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="ts-"))
    path.chmod(0o711)
    yield path / "data"
    shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A supervisor and what it printed."""

    command: tuple[str, ...] = ("run_supervisor.py",)

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.folder = folder
        self.port = int(settings.pop("port", 0)) or free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        environment = kept | {
            "TALLYSTICK_DATA_DIR": str(folder),
            "TALLYSTICK_SUBSCRIPTION_PORT": str(self.port),
            "TALLYSTICK_EXTRA_PORTS": "",
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, *self.command, *arguments],
            cwd=HERE,
            env={
                name: value
                for name, value in environment.items()
                if name not in {"DATABASE_URL", "REDIS_URL"}
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def wait_for(self, beginning: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(beginning):
                return line
        raise AssertionError(f"no line {beginning!r} in {self.lines}")

    def ask(self, path: str = "/v1/health/") -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return dict(json.load(answer))

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        return self.process.wait(timeout=30)


@pytest.fixture
def start(folder: Path) -> Iterator[type[Running]]:
    """Starts supervisors, and sees to it that a failed test leaves none."""
    started: list[Running] = []

    class Tracked(Running):
        def __init__(self, *arguments: object, **settings: str) -> None:
            super().__init__(*arguments, **settings)  # type: ignore[arg-type]
            started.append(self)

    yield Tracked
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        assert left_behind(one.folder) == []


def processes_of(folder: Path) -> list[str]:
    """Every process whose command, environment or working folder names `folder`."""
    found = []
    wanted = str(folder).encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            said = (entry / "cmdline").read_bytes()
            if wanted in said + (entry / "environ").read_bytes() + os.readlink(entry / "cwd").encode():
                found.append(f"{entry.name} {said.replace(bytes(1), b' ').decode(errors='replace')}")
        except OSError:
            continue
    return found


def left_behind(folder: Path, seconds: float = 5.0) -> list[str]:
    """What still runs for `folder` after `seconds` of patience."""
    end = time.monotonic() + seconds
    while (found := processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_it_says_when_ready_answers_and_stops_cleanly(start: type[Running], folder: Path) -> None:
    house = start(folder)
    line = house.wait_for("ready")
    assert f"http://127.0.0.1:{house.port}" in line
    assert house.ask()["database"]
    assert len(processes_of(folder)) >= 5  # supervisor, PostgreSQL, Redis, service, background
    assert house.end() == 0
    assert house.lines[-1] == "stopped"
    assert processes_of(folder) == []
    assert not (folder / "instance.json").exists()


def test_sigterm_stops_it_cleanly_too_and_requests_under_way_are_answered(
    start: type[Running], folder: Path
) -> None:
    house = start(folder)
    house.wait_for("ready")
    with socket.create_connection(("127.0.0.1", house.port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)
        house.process.terminate()
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert house.end(signal.SIGTERM) == 0


def test_killed_with_9_it_leaves_nobody(start: type[Running], folder: Path) -> None:
    house = start(folder, TALLYSTICK_WORKERS="2")
    house.wait_for("ready")
    house.process.kill()
    house.process.wait()
    assert left_behind(folder, seconds=5) == []


def test_killed_while_starting_it_leaves_nobody(start: type[Running], folder: Path) -> None:
    house = start(folder)
    house.wait_for("database")
    house.process.kill()
    house.process.wait()
    assert left_behind(folder, seconds=5) == []


def test_stopped_while_starting_it_ends_with_0(start: type[Running], folder: Path) -> None:
    house = start(folder)
    house.wait_for("database")
    assert house.end() == 0
    assert processes_of(folder) == []


def test_after_a_kill_the_next_start_has_the_data(start: type[Running], folder: Path) -> None:
    first = start(folder)
    first.wait_for("ready")
    query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.process.kill()
    first.process.wait()
    second = start(folder)  # at once: what the kill left is still going down
    second.wait_for("ready")
    assert query(second, "SELECT answer FROM kept") == 42
    assert second.end() == 0


def query(house: Running, sql: str) -> object:
    import asyncio

    import asyncpg

    async def ask() -> object:
        for _ in range(100):  # a server that was killed answers when it has recovered
            try:
                connection = await asyncpg.connect(str(house.ask()["database"]))
                break
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.2)
        else:
            raise AssertionError("the database does not come back")
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.long
def test_ten_kills_while_rows_are_written_lose_no_acknowledged_row(
    start: type[Running], folder: Path
) -> None:
    acknowledged = 0
    for kill in range(10):
        house = start(folder)
        house.wait_for("ready")
        query(house, "CREATE TABLE IF NOT EXISTS written (n int)")
        assert query(house, "SELECT count(*) FROM written") == acknowledged
        for n in range(20 + kill):
            query(house, f"INSERT INTO written VALUES ({n})")
            acknowledged += 1
        house.process.kill()
        house.process.wait()
    assert left_behind(folder) == []


def test_a_taken_port_is_one_sentence_before_anything_starts(start: type[Running], folder: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        house = start(folder, port=str(holder.getsockname()[1]))
        output, _ = house.process.communicate(timeout=30)
    assert house.process.returncode == 1
    assert output.count("\n") == 1
    assert "is taken" in output
    assert "TALLYSTICK_SUBSCRIPTION_PORT" in output
    assert not (folder / "postgres").exists()


def test_a_taken_extra_port_is_a_notice(start: type[Running], folder: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken, free = holder.getsockname()[1], free_port()
        house = start(folder, TALLYSTICK_EXTRA_PORTS=f"{taken},{free}")
        assert f":{free}" in house.wait_for("ready")
        assert any(f"Port {taken} is taken" in line for line in house.lines)
        house.port = free
        assert house.ask()["pid"]
        assert house.end() == 0


def test_a_folder_in_use_is_refused_and_the_first_runs_on(start: type[Running], folder: Path) -> None:
    first = start(folder)
    first.wait_for("ready")
    second = start(folder)
    output, _ = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert f"in use by process {first.process.pid}" in output
    assert first.ask()["pid"]
    assert first.end() == 0


def test_two_copies_run_side_by_side(start: type[Running], folder: Path) -> None:
    other = folder.with_name("other")
    first, second = start(folder), start(other)
    first.wait_for("ready")
    second.wait_for("ready")
    assert first.ask()["database"] != second.ask()["database"]
    assert first.end() == 0
    assert second.ask()["pid"]
    assert second.end() == 0


@pytest.mark.parametrize(
    "who", ["-m tallystick.apps.serve", "-m tiny_background", "postgres -D", "redis-server"]
)
def test_a_child_that_dies_is_started_again(start: type[Running], folder: Path, who: str) -> None:
    house = start(folder)
    house.wait_for("ready")
    (victim,) = [line for line in processes_of(folder) if who in line]
    os.kill(int(victim.split()[0]), signal.SIGKILL)
    assert "SIGKILL" in house.wait_for(
        {"p": "PostgreSQL", "r": "Redis"}.get(who[0], "service" if "serve" in who else "tiny")
    )
    end = time.monotonic() + 20
    while time.monotonic() < end:
        again = [line for line in processes_of(folder) if who in line and line != victim]
        if again:
            break
        time.sleep(0.1)
    assert again
    time.sleep(1)
    assert house.ask()["pid"]
    assert query(house, "SELECT 1") == 1
    assert house.end() == 0


def test_a_service_that_cannot_start_stops_everything(start: type[Running], folder: Path) -> None:
    house = start(folder, "tiny_app:create_broken_app")
    output, _ = house.process.communicate(timeout=60)
    assert house.process.returncode == 1
    assert "before all was ready" in output
    assert "broken on purpose" in output
    assert processes_of(folder) == []


def test_a_service_that_dies_again_and_again_stops_everything(start: type[Running], folder: Path) -> None:
    house = start(folder)
    house.wait_for("ready")
    end = time.monotonic() + 60
    while house.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            house.ask("/die")
        time.sleep(0.1)
    assert house.process.returncode == 1
    assert house.process.stdout is not None
    assert "service died 5 times within a minute" in house.process.stdout.read()
    assert processes_of(folder) == []


def test_wrong_settings_are_all_named_at_once(start: type[Running], folder: Path) -> None:
    environment = os.environ | {"TALLYSTICK_WORKERS": "0", "TALLYSTICK_BCRYPT_COST": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "tallystick.apps.supervisor"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "TALLYSTICK_WORKERS" in done.stderr
    assert "TALLYSTICK_BCRYPT_COST" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_real_program_makes_an_admin_once_and_shares_its_database_with_commands(
    start: type[Running], folder: Path
) -> None:
    start.command = ("-m", "tallystick.cli.main", "up")
    house = start(folder)
    house.wait_for("ready")
    assert sum(line.startswith("admin ") for line in house.lines) == 1
    assert house.ask()["status"] == "healthy"
    environment = os.environ | {"TALLYSTICK_DATA_DIR": str(folder)}
    migrate = [sys.executable, "-m", "tallystick.cli.main", "migrate"]
    assert subprocess.run(migrate, env=environment, stdout=subprocess.DEVNULL, timeout=60).returncode == 0
    assert house.end() == 0
    again = start(folder)
    again.wait_for("ready")
    assert not any(line.startswith("admin ") for line in again.lines)
    again.process.kill()
    again.process.wait()
    assert left_behind(folder) == []
