"""``@cached`` (R8): an async function whose values are kept, each in the cache of the workspace that it is about.

    @cached(ttl=600, tags=["foundation"])
    async def summary(workspace_id: str, locale: str = "en-IN") -> dict[str, Any]: ...

    await summary(workspace_id)                 # runs once for all who call at the same time, in whatever process
    await summary.invalidate(workspace_id)      # the value of this call
    await summary.invalidate_all(workspace_id)  # all of the function's values in this workspace

Whose a value is, its argument ``workspace_id`` says, and nothing else: no context, no object it is bound to. A function
without that parameter is refused when it is defined, so no value can be given to a tenant that did not ask for his own.

The name of a value is the function's module and qualified name, its version, and the SHA-256 of its arguments as JSON,
defaults filled in: ``f(w, 1)`` and ``f(w, x=1)`` are the same call. Arguments that are not JSON are refused rather than
turned into text (``str`` of an object is its address), unless ``key_fn`` says what stands for them. What a function
takes from elsewhere, an attribute or an enclosing function's variable, is not part of the name.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast

from common.redis.cache import CacheService
from common.redis.errors import InvalidKey, InvalidValue
from common.redis.values import to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - of a protocol


class CachedFunction(Protocol[P, R]):
    """A function whose values are cached."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The value for these arguments: JSON, as it reads back."""

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the value for these arguments (X = 1), and what is being made of older data."""

    async def invalidate_all(self, workspace_id: str) -> None:
        """Forget all of the function's values in a workspace (X = 1)."""


def cached(
    ttl: float = 3600,
    key_fn: Callable[..., str] | None = None,
    *,
    tags: Sequence[str] = (),
    version: int = 1,
) -> Callable[[Callable[P, Awaitable[R]]], CachedFunction[P, R]]:
    """Cache what an async function returns; see `CacheService.get_or_set` for costs, errors and Redis being down.

    Args:
        ttl: seconds that a value lives; None is kept for a minute at most.
        key_fn: gets the arguments of a call and says what names its value, instead of all of them.
        tags: to clear its values by, with `CacheService.invalidate_tag`.
        version: raise it when what the function returns changes, so that no old value is read.

    Raises:
        TypeError: the function is not async, or has no parameter ``workspace_id``.

    Example:
        >>> @cached(ttl=300, key_fn=lambda workspace_id, query: query.text)
        ... async def search(workspace_id: str, query: Query) -> list[str]: ...
    """

    def decorate(function: Callable[P, Awaitable[R]]) -> CachedFunction[P, R]:
        calls = _Calls(function, key_fn, version)
        all_tags = (calls.name, *tags)

        @functools.wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            workspace_id, key = calls.place(args, kwargs)
            run = functools.partial(function, *args, **kwargs)
            return await CacheService().get_or_set(workspace_id, key, run, ttl, tags=all_tags)

        async def invalidate(*args: P.args, **kwargs: P.kwargs) -> None:
            await CacheService().delete(*calls.place(args, kwargs))

        async def invalidate_all(workspace_id: str) -> None:
            await CacheService().invalidate_tag(workspace_id, calls.name)

        wrapper.invalidate = invalidate  # type: ignore[attr-defined] # `CachedFunction` says so
        wrapper.invalidate_all = invalidate_all  # type: ignore[attr-defined]
        return cast("CachedFunction[P, R]", wrapper)

    return decorate


class _Calls(Generic[P]):
    """The calls of one function: whose value each is about, and what it is called."""

    def __init__(self, function: Callable[P, Any], key_fn: Callable[..., Any] | None, version: int) -> None:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"@cached works on async functions: {function!r} is none")
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        if "workspace_id" not in self._signature.parameters:
            raise TypeError(f"@cached needs to know whose values {self.name} makes: give it a parameter workspace_id")
        self._key_fn = key_fn
        self._version = version

    def place(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str]:
        """The workspace and the name of a call's value.

        Raises:
            TypeError: the function cannot be called so.
            InvalidKey: an argument is not JSON, or ``key_fn`` did not return text.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = self._arguments(bound) if self._key_fn is None else self._key_fn(*bound.args, **bound.kwargs)
        if type(named) is not str or not named:
            raise InvalidKey(f"key_fn of {self.name} must return text that is not empty, not {type(named).__name__}")
        digest = hashlib.sha256(named.encode()).hexdigest()
        return bound.arguments["workspace_id"], f"{self.name}/v{self._version}/{digest}"

    def _arguments(self, bound: inspect.BoundArguments) -> str:
        plain = {}
        for name, value in bound.arguments.items():
            several = self._signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            plain[name] = list(value) if several else value
            try:
                to_json(plain[name], "it")
            except InvalidValue as error:
                raise InvalidKey(
                    f"argument {name} of {self.name} cannot name a cached value: {error}; or pass key_fn to @cached"
                ) from None
        return json.dumps(plain, sort_keys=True)
