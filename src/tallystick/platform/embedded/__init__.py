"""PostgreSQL and Redis as children of this process, for development, tests and small installations.

    with embedded_postgres(data_dir) as dsn: ...
    with embedded_redis(data_dir) as url: ...

Data and sockets lie in folders only their owner may enter; nothing listens on the network; when this process dies, however it dies,
so do the servers. Where `DATABASE_URL` and `REDIS_URL` name real servers, nothing here is used.
"""

from tallystick.platform.embedded.errors import DataFolderBusy, ServerNotFound, ServerNotStarted
from tallystick.platform.embedded.postgres import embedded_postgres
from tallystick.platform.embedded.redis import embedded_redis

__all__ = ["DataFolderBusy", "ServerNotFound", "ServerNotStarted", "embedded_postgres", "embedded_redis"]
