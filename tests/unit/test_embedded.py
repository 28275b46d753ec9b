"""Embedded servers: where they live, whom they run as, what they do with what a crash left."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis as redis_client

from tallystick.platform.embedded import (
    DataFolderBusy,
    ServerNotStarted,
    embedded_postgres,
    embedded_redis,
    place,
    postgres,
)
from tallystick.platform.embedded.binaries import all_postgres, find_redis
from tallystick.platform.embedded.folder_lock import Instance, hold, remove_note, running, write_note
from tallystick.platform.embedded.process import Account, spawn
from tallystick.platform.reach import ServerUnreachable, check_database, check_redis

STRANGER = Account("stranger", 54321, 54321)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that other users may pass through, as a data folder usually is."""
    path = Path(tempfile.mkdtemp(prefix="ts-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def answer(dsn: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    # Its own thread, for a loop of the test run may be going in this one.
    result: list[object] = []
    thread = threading.Thread(target=lambda: result.append(asyncio.run(ask())))
    thread.start()
    thread.join()
    return result[0]


def test_a_database_keeps_its_data_and_is_safe_and_private(folder: Path) -> None:
    with embedded_postgres(folder) as dsn:
        answer(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        for name, wanted in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "jit": "off",
        }.items():
            assert answer(dsn, f"SHOW {name}") == wanted
        assert answer(dsn, "SHOW listen_addresses") == ""
        assert answer(dsn, "SHOW server_encoding") == "UTF8"
        assert answer(dsn, "SHOW timezone") == "UTC"
        home = folder / "postgres"
        assert {(home / part).stat().st_mode & 0o777 for part in ("data", "run")} == {0o700}
        assert (home / "data").stat().st_uid != 0
    with embedded_postgres(folder) as dsn:
        assert answer(dsn, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("major", sorted({programs.major for programs in all_postgres()}))
def test_every_version_found_runs_and_a_cluster_stays_with_its_own(folder: Path, major: int) -> None:
    with embedded_postgres(folder, durable=False, major=major) as dsn:
        assert answer(dsn, "SELECT current_setting('server_version_num')::int / 10000") == major
    with embedded_postgres(folder, durable=False) as dsn:
        assert answer(dsn, "SELECT current_setting('server_version_num')::int / 10000") == major


def test_a_folder_in_use_is_refused_with_the_way_out(folder: Path) -> None:
    with hold(folder, "postgres"), pytest.raises(DataFolderBusy) as refused, embedded_postgres(folder):
        pass
    assert f"process {os.getpid()}" in refused.value.sentence
    assert "TALLYSTICK_DATA_DIR" in refused.value.sentence


def test_a_pid_file_naming_a_living_stranger_does_not_stop_the_start(folder: Path) -> None:
    with embedded_postgres(folder, durable=False) as dsn:
        answer(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    leftover = folder / "postgres" / "data" / "postmaster.pid"
    leftover.write_text(f"{os.getppid()}\n{leftover.parent}\n1700000000\n5432\n", encoding="utf-8")
    with embedded_postgres(folder, durable=False) as dsn:
        assert answer(dsn, "SELECT answer FROM kept") == 42


def test_a_server_left_behind_is_ended_before_the_next_starts(folder: Path) -> None:
    data_dir = place.make_data_dir(folder)
    server = postgres.prepare(data_dir)
    orphan = postgres.start(server)
    postgres.wait_ready(server, orphan)
    with embedded_postgres(folder) as dsn:  # nobody holds the lock, as after a kill
        assert orphan.wait(timeout=1) == -signal.SIGKILL
        assert answer(dsn, "SELECT 1") == 1


def test_an_initialisation_cut_short_is_begun_again(folder: Path) -> None:
    home = place.home_for(folder, "postgres", place.account_for_root())
    (home / "data.new").mkdir()
    (home / "data.new" / "half").touch()
    with embedded_postgres(folder, durable=False) as dsn:
        assert answer(dsn, "SELECT 1") == 1


def test_a_broken_cluster_is_refused_with_the_end_of_its_log(folder: Path) -> None:
    with embedded_postgres(folder, durable=False):
        pass
    (folder / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(ServerNotStarted, match="pg_control"), embedded_postgres(folder):
        pass


def test_a_path_too_long_for_a_socket_gets_a_short_folder_that_goes_again(folder: Path) -> None:
    deep = folder / ("a" * 60) / ("b" * 60)
    for step in (deep.parent, deep):
        step.mkdir()
        step.chmod(0o711)
    with embedded_postgres(deep, durable=False) as dsn, embedded_redis(deep) as url:
        assert answer(dsn, "SELECT 1") == 1
        sockets = [
            Path(dsn.split("host=")[1].split("&")[0]),
            Path(url.removeprefix("unix://").split("?")[0]).parent,
        ]
        assert all(folder not in path.parents and path.stat().st_mode & 0o777 == 0o700 for path in sockets)
    assert not any(path.exists() for path in sockets)


def test_a_short_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    home = folder / ("a" * 90)
    mine = place.socket_folder(home, ".s.PGSQL.5432", None)
    try:
        mine.chmod(0o755)
        with pytest.raises(ServerNotStarted, match="not ours"):
            place.socket_folder(home, ".s.PGSQL.5432", None)
    finally:
        mine.rmdir()


def test_keep_false_leaves_nothing(folder: Path) -> None:
    inner = folder / "data"
    inner.mkdir(mode=0o700)  # closed: for root the data then lies elsewhere
    with embedded_postgres(inner, durable=False, keep=False) as dsn:
        home = Path(str(answer(dsn, "SHOW data_directory"))).parent
        assert home.is_dir()
    assert not home.exists()


def test_modes_decide_whether_a_user_may_enter(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    inner.chmod(0o711)
    assert place.may_enter(inner, STRANGER)
    inner.chmod(0o750)
    assert not place.may_enter(inner, STRANGER)
    assert place.may_enter(inner, Account("owner", inner.stat().st_uid, 54321))
    assert not place.may_enter(inner / "missing", STRANGER)


def test_programs_out_of_reach_are_copied_once(folder: Path) -> None:
    source = folder / "site"
    (source / "package").mkdir(parents=True)
    (source / "package" / "program").write_text("x", encoding="utf-8")
    source.chmod(0o700)
    copy = place.reachable_copy(source, ("package",), folder, STRANGER)
    assert copy.parent == folder
    assert place.may_enter(copy, STRANGER)
    assert (copy / "package" / "program").read_text(encoding="utf-8") == "x"
    (copy / "package" / "mark").touch()
    assert (place.reachable_copy(source, ("package",), folder, STRANGER) / "package" / "mark").exists()
    source.chmod(0o711)
    assert place.reachable_copy(source, ("package",), folder, STRANGER) == source


def test_a_database_that_lay_elsewhere_and_is_gone_is_not_begun_anew(folder: Path) -> None:
    (folder / "postgres.location").write_text(str(folder / "gone"), encoding="utf-8")
    with pytest.raises(ServerNotStarted, match="which is gone"):
        place.home_for(folder, "postgres", STRANGER)


def test_redis_keeps_its_data_and_its_socket_private(folder: Path) -> None:
    with embedded_redis(folder) as url:
        client = redis_client.Redis.from_url(url)
        client.set("kept", "42")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        client.close()
        assert (folder / "redis" / "run").stat().st_mode & 0o777 == 0o700
    with embedded_redis(folder) as url:
        client = redis_client.Redis.from_url(url)
        assert client.get("kept") == b"42"
        client.close()


def test_redis_comes_with_the_installation() -> None:
    program, version = find_redis()
    assert program.is_file()
    assert int(version.split(".")[0]) >= 6


def test_children_are_not_started_from_another_thread() -> None:
    raised: list[Exception] = []

    def try_it() -> None:
        try:
            spawn(["true"], death_signal=signal.SIGKILL)
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_a_note_counts_only_when_written_by_the_holder_of_the_lock(folder: Path) -> None:
    with hold(folder, "instance"):
        assert running(folder) is None
        write_note(folder, Instance(os.getpid(), True, "postgresql://x", urls=("http://y",)))
        note = running(folder)
        assert note is not None
        assert note.urls == ("http://y",)
        assert (folder / "instance.json").stat().st_mode & 0o777 == 0o600
        write_note(folder, Instance(1, True, "postgresql://stale"))
        assert running(folder) is None
        remove_note(folder)
        assert running(folder) is None


def command(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TALLYSTICK_DATA_DIR": str(folder), **settings}
    environment = {
        name: value for name, value in environment.items() if name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return subprocess.run(
        [sys.executable, "-m", "tallystick.cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_exit_statuses_and_refusals_in_a_sentence(folder: Path) -> None:
    assert command(folder, "--help").returncode == 0
    assert command(folder, "no-such-command").returncode == 2
    assert command(folder, "migrate", "--no-such-option").returncode == 2
    wrong = command(folder, "migrate", TALLYSTICK_WORKERS="0", TALLYSTICK_LOG_LEVEL="loud")
    assert wrong.returncode == 1
    assert "TALLYSTICK_WORKERS" in wrong.stderr
    assert "TALLYSTICK_LOG_LEVEL" in wrong.stderr
    with embedded_postgres(folder, durable=False):
        pass
    (folder / "postgres" / "data" / "global" / "pg_control").unlink()
    refused = command(folder, "migrate")
    assert refused.returncode == 1
    assert "[server_not_started]" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_two_commands_at_once_take_turns(folder: Path) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(command(folder, "migrate").returncode))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0]
    assert not (folder / "instance.json").exists()


def test_a_named_database_that_does_not_answer_is_a_sentence_without_the_password(folder: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": "postgresql://me:hidden-word@127.0.0.1:1/x"}
    done = subprocess.run(
        [sys.executable, "-m", "tallystick.cli.main", "migrate"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "[server_unreachable]" in done.stderr
    assert "hidden-word" not in done.stderr


def test_named_servers_say_their_versions(folder: Path) -> None:
    with embedded_postgres(folder, durable=False) as dsn, embedded_redis(folder) as url:
        thread_result: list[str] = []
        thread = threading.Thread(target=lambda: thread_result.append(check_database(dsn)))
        thread.start()
        thread.join()
        assert int(thread_result[0].split(".")[0]) >= 15
        assert int(check_redis(url).split(".")[0]) >= 6
    with pytest.raises(ServerUnreachable, match="REDIS_URL"):
        check_redis(url)
