"""The example project for ASGI, which also tells at ``/counts`` how many waiters and tasks its process has."""

import asyncio
import json

from django_chatapi.realtime.hub import local_hubs
from example_project.asgi import application as site


async def application(scope, receive, send):
    if scope["type"] != "http" or scope["path"] != "/counts":
        await site(scope, receive, send)
        return
    counts = {"waiters": sum(map(len, local_hubs())), "tasks": len(asyncio.all_tasks())}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(counts).encode()})
