"""The RPCs of ``google.cloud.tasks.v2.CloudTasks``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import grpc
from google.cloud.tasks_v2 import types

from tools.local.rpc import invalid, page, unary
from tools.local.tasks.rules import complete_queue, complete_task, updated_queue

if TYPE_CHECKING:
    from tools.local.rpc import Context
    from tools.local.tasks.dispatcher import Dispatcher
    from tools.local.tasks.state import Queue, State

_FULL, _BASIC = types.Task.View(types.Task.View.FULL), types.Task.View(types.Task.View.BASIC)
_RUNNING, _PAUSED = types.Queue.State(types.Queue.State.RUNNING), types.Queue.State(types.Queue.State.PAUSED)


class Service:
    """Answers the RPCs from a `State`."""

    def __init__(self, state: State, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server serves."""
        methods = {
            "CreateQueue": unary(types.CreateQueueRequest, types.Queue, self.create_queue),
            "GetQueue": unary(types.GetQueueRequest, types.Queue, self.get_queue),
            "ListQueues": unary(types.ListQueuesRequest, types.ListQueuesResponse, self.list_queues),
            "UpdateQueue": unary(types.UpdateQueueRequest, types.Queue, self.update_queue),
            "DeleteQueue": unary(types.DeleteQueueRequest, None, self.delete_queue),
            "PauseQueue": unary(types.PauseQueueRequest, types.Queue, self.pause_queue),
            "ResumeQueue": unary(types.ResumeQueueRequest, types.Queue, self.resume_queue),
            "PurgeQueue": unary(types.PurgeQueueRequest, types.Queue, self.purge_queue),
            "CreateTask": unary(types.CreateTaskRequest, types.Task, self.create_task),
            "GetTask": unary(types.GetTaskRequest, types.Task, self.get_task),
            "ListTasks": unary(types.ListTasksRequest, types.ListTasksResponse, self.list_tasks),
            "DeleteTask": unary(types.DeleteTaskRequest, None, self.delete_task),
            "RunTask": unary(types.RunTaskRequest, types.Task, self.run_task),
        }
        return grpc.method_handlers_generic_handler("google.cloud.tasks.v2.CloudTasks", methods)

    # --- queues

    async def create_queue(self, request: types.CreateQueueRequest, _: Context) -> types.Queue:
        """Create."""
        if not request.queue.name.startswith(f"{request.parent}/queues/"):
            raise invalid("The queue's name must begin with the parent.")
        return self._state.create(complete_queue(request.queue)).config

    async def get_queue(self, request: types.GetQueueRequest, _: Context) -> types.Queue:
        """Read one."""
        return self._state.queue(request.name).config

    async def list_queues(self, request: types.ListQueuesRequest, _: Context) -> types.ListQueuesResponse:
        """Read those of a location."""
        names = sorted(name for name in self._state.queues if name.startswith(f"{request.parent}/queues/"))
        queues = [self._state.queues[name].config for name in names]
        found, token = page(queues, names, request.page_size, request.page_token)
        return types.ListQueuesResponse(queues=found, next_page_token=token)

    async def update_queue(self, request: types.UpdateQueueRequest, _: Context) -> types.Queue:
        """Change one, or create it."""
        name = request.queue.name
        if name not in self._state.queues:
            return self._state.create(complete_queue(request.queue)).config
        queue = self._state.queues[name]
        queue.config = updated_queue(queue.config, request.queue, request.update_mask.paths)
        queue.changed.set()
        return queue.config

    async def delete_queue(self, request: types.DeleteQueueRequest, _: Context) -> None:
        """Delete with its tasks."""
        self._state.delete(request.name)

    async def pause_queue(self, request: types.PauseQueueRequest, _: Context) -> types.Queue:
        """Dispatch nothing until `resume_queue`."""
        return self._set_state(request.name, _PAUSED)

    async def resume_queue(self, request: types.ResumeQueueRequest, _: Context) -> types.Queue:
        """The opposite."""
        return self._set_state(request.name, _RUNNING)

    async def purge_queue(self, request: types.PurgeQueueRequest, _: Context) -> types.Queue:
        """Delete its tasks."""
        queue = self._state.queue(request.name)
        for name in list(queue.tasks):
            queue.remove(name)
        return queue.config

    def _set_state(self, name: str, state: types.Queue.State) -> types.Queue:
        queue = self._state.queue(name)
        queue.config.state = state
        queue.changed.set()
        return queue.config

    # --- tasks

    async def create_task(self, request: types.CreateTaskRequest, _: Context) -> types.Task:
        """Enqueue."""
        queue = self._state.queue(request.parent)
        config = complete_task(request.task, queue.config, str(secrets.randbits(63)))
        return _seen(queue.add(config).config, request.response_view)

    async def get_task(self, request: types.GetTaskRequest, _: Context) -> types.Task:
        """Read one."""
        return _seen(self._queue_of(request.name).task(request.name).config, request.response_view)

    async def list_tasks(self, request: types.ListTasksRequest, _: Context) -> types.ListTasksResponse:
        """Read those of a queue."""
        tasks = self._state.queue(request.parent).tasks
        names = sorted(tasks)
        configs = [_seen(tasks[name].config, request.response_view) for name in names]
        found, token = page(configs, names, request.page_size, request.page_token)
        return types.ListTasksResponse(tasks=found, next_page_token=token)

    async def delete_task(self, request: types.DeleteTaskRequest, _: Context) -> None:
        """Forget one."""
        queue = self._queue_of(request.name)
        queue.task(request.name)
        queue.remove(request.name)

    async def run_task(self, request: types.RunTaskRequest, _: Context) -> types.Task:
        """Dispatch one now."""
        queue = self._queue_of(request.name)
        task = queue.task(request.name)
        self._dispatcher.run_now(queue, task)
        return _seen(task.config, request.response_view)

    def _queue_of(self, task: str) -> Queue:
        return self._state.queue(task.rpartition("/tasks/")[0])


def _seen(task: types.Task, view: types.Task.View) -> types.Task:
    """Without its body, unless all of it was asked for."""
    seen = types.Task(task)
    seen.view = _FULL if view == _FULL else _BASIC
    if view != _FULL:
        seen.http_request.body = b""
    return seen
