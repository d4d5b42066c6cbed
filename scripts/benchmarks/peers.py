"""What ours is compared with: the least code that does the same."""

from __future__ import annotations

HELLO = """
import functions_framework

@functions_framework.http
def main(request):
    return "ok"
"""
HELLO_AIO = """
import functions_framework.aio

@functions_framework.aio.http
async def main(request):
    return "ok"
"""
REDIS_AIO = """
import os
import functions_framework.aio

client = None

@functions_framework.aio.http
async def main(request):
    global client
    if client is None:
        from redis.asyncio import Redis
        password = os.environ["UPSTASH_REDIS_TOKEN"]
        client = Redis.from_url(os.environ["UPSTASH_REDIS_URL"], password=password, protocol=2)
    await request.body()
    await client.ping()
    return "ok"
"""
REDIS_OURS = '''
from common.functions import Request, serve, webhook
from common.redis.client import redis_client

@webhook(timeout=30)
async def trip(request: Request) -> None:
    """Make one Redis trip."""
    await redis_client().ping()

main = serve(trip)
'''
_VERIFY = """
import hashlib, hmac, os

SECRET = b"sample-secret"

def genuine(body, signature):
    return hmac.compare_digest(hmac.digest(SECRET, body, "sha256").hex(), signature or "")

TOPIC = f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}/topics/webhook-phonepe"
"""
PUBLISH_AIO = (
    _VERIFY
    + """
import functions_framework.aio

client = None

@functions_framework.aio.http
async def main(request):
    global client
    body = await request.body()
    if not genuine(body, request.headers.get("x-phonepe-checksum-signature")):
        return "bad signature", 401
    if client is None:
        import grpc.aio
        from google.pubsub_v1 import PublisherAsyncClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
        channel = grpc.aio.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"])
        client = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
    await client.publish(topic=TOPIC, messages=[{"data": body, "attributes": {"ce-id": "1"}}])
    return "ok"
"""
)
PUBLISH_SYNC = (
    _VERIFY
    + """
import functions_framework

client = None

@functions_framework.http
def main(request):
    global client
    body = request.get_data()
    if not genuine(body, request.headers.get("x-phonepe-checksum-signature")):
        return "bad signature", 401
    if client is None:
        from google.cloud import pubsub_v1
        client = pubsub_v1.PublisherClient()
    client.publish(TOPIC, body).result()
    return "ok"
"""
)
