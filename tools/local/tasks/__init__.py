"""Cloud Tasks for one machine: the real API (``google.cloud.tasks.v2``), so that the real client library talks to it.

What it does as the service does: names and tombstones, schedule time, queue-level routing, retry with back-off, rate
and concurrency, dispatch deadline, OIDC tokens, the ``X-CloudTasks-*`` headers, pause, resume, purge and run. What it
does not: App Engine targets, IAM, batches, customer-managed keys, and throttling (a slow start, and a slower queue
after 429, 503 and ``Retry-After``). Tasks are kept in memory: a restart forgets them. A deleted queue's name can be
used again at once; the service refuses it for days.
"""
