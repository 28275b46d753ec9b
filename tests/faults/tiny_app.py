"""A service as small as one can be: the supervisor is what these tests are about."""

import asyncio
import json
import os


def create_app():
    """Answers every path with its process number; `/slow` takes a second."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/slow":
            await asyncio.sleep(1)
        if scope["path"] == "/die":
            os._exit(9)
        body = json.dumps({"pid": os.getpid(), "database": os.environ.get("DATABASE_URL")}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def create_broken_app():
    """Cannot even be made."""
    raise ValueError("this service is broken on purpose")
