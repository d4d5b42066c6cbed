"""Pub/Sub on this machine: ``google.pubsub.v1`` for the real client libraries, without Docker, Java or an account.

    server = await start(8085, sign=identity.sign)       # then PUBSUB_EMULATOR_HOST=127.0.0.1:8085
    server.state.subscriptions                           # what is waiting where
    await server.stop()

**Everything lives in memory**: stopping the process loses topics, subscriptions and messages. There are no snapshots,
no schemas and no BigQuery or Cloud Storage subscriptions. The contract suite in ``tests/tools/local/pubsub`` asks the
same of it and of Google's emulator; ``known_differences.py`` there says where the emulator does otherwise.
"""

from tools.local.pubsub.server import Server, start
from tools.local.pubsub.state import State, SubscriptionInfo, TopicInfo

__all__ = ["Server", "State", "SubscriptionInfo", "TopicInfo", "start"]
