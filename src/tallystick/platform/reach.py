"""Whether servers that the environment names can be used, asked once at start: a clear sentence now beats a trace later."""

import asyncio

import asyncpg
import redis

from tallystick.kernel.errors import Unavailable

OLDEST_POSTGRES = 15


class ServerUnreachable(Unavailable):
    """A named server does not answer, or not as it must."""

    code = "server_unreachable"


def check_database(url: str) -> str:
    """The version of the PostgreSQL at `url`. Raises `ServerUnreachable`. Not inside an event loop; a repeat is safe."""
    return asyncio.run(_check_database(url))


async def _check_database(url: str) -> str:
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServerUnreachable(
            f"The database that DATABASE_URL names cannot be used: {_reason(error)}"
        ) from None
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < OLDEST_POSTGRES:
        raise ServerUnreachable(
            f"DATABASE_URL names a PostgreSQL {version.major}; Tallystick needs {OLDEST_POSTGRES} or newer"
        )
    return f"{version.major}.{version.minor}"


def check_redis(url: str) -> str:
    """The version of the Redis at `url`. Raises `ServerUnreachable`. A repeat is safe."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=10, socket_timeout=10) as client:
            return str(client.info("server")["redis_version"])
    except (OSError, ValueError, redis.RedisError) as error:
        raise ServerUnreachable(f"The Redis that REDIS_URL names cannot be used: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
