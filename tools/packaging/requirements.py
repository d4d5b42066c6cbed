"""A function's own ``requirements.txt``, cut from the repository's locked one.

The lock keeps extras (``google-auth[pyopenssl]==…``); a function's file says both forms. To pip 23, which CPython 3.11
brings, a package and the same with an extra are two: it takes the newest version of the one that is not pinned and, as
hashes are required, stops once that is newer than the lock.

``make lock`` notes below each package what it came ``# via``: a dependency group of ``pyproject.toml``, or another
package. Followed backwards, these notes give what a set of groups needs, without asking an index or an installation.
Versions, hashes and markers are kept to the letter, the notes are not: a new development tool must change no function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HEADER = "# Made by `make package` from the repository's requirements.txt.\n"

_PLATFORM = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_version": "3.11",
    "sys_platform": "linux",
    "extra": "",
}
PLATFORMS: tuple[Mapping[str, str], ...] = tuple(
    {**_PLATFORM, "python_full_version": version, "implementation_version": version}
    for version in ("3.11.0", "3.11.99")
)
"""Where a function runs. The platform picks the patch release, so what any of them needs is in."""

_PACKAGE = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<extras>\[[a-z0-9,. _-]+\])?==(?P<version>[^\s;\\]+)"
    r"(?: ; (?P<marker>[^\\\n]+?))? \\?$"
)
_GROUP = re.compile(r"\(pyproject\.toml:([A-Za-z0-9._-]+)\)")


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package of the lock.

    Attributes:
        name: normalised.
        text: its lines, hashes included, notes excluded.
        groups: dependency groups that ask for it.
        parents: packages that ask for it.
        deployed: whether its marker holds on one of `PLATFORMS`.
    """

    name: str
    text: str
    groups: frozenset[str]
    parents: frozenset[str]
    deployed: bool


class Lock:
    """The repository's ``requirements.txt``, read once."""

    def __init__(self, text: str) -> None:
        self._packages = {package.name: package for package in _read(text)}
        self._children: dict[str, list[str]] = {}
        for package in self._packages.values():
            for parent in package.parents:
                self._children.setdefault(parent, []).append(package.name)
        self._made: dict[frozenset[str], str] = {}

    @classmethod
    def from_file(cls, path: Path) -> Lock:
        """Read it.

        Raises:
            OSError: there is no such file.
            ValueError: it was not made by ``make lock``.
        """
        return cls(path.read_text(encoding="utf-8"))

    def names(self, groups: Iterable[str]) -> frozenset[str]:
        """The packages that ``groups`` need on the platform, directly or not.

        Raises:
            LookupError: the lock knows nothing of a group: it is older than ``pyproject.toml``.
        """
        asked = set(groups)
        if unknown := asked.difference(*(package.groups for package in self._packages.values())):
            raise LookupError(f"requirements.txt has no package of the group {min(unknown)}; run `make lock`")
        pending = [package.name for package in self._packages.values() if package.groups & asked]
        reached: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in reached and self._packages[name].deployed:
                reached.add(name)
                pending += self._children.get(name, ())
        return frozenset(reached)

    def requirements(self, groups: Iterable[str]) -> str:
        """The text of a function's ``requirements.txt``: equal for equal groups and packages.

        Example:
            >>> print(Lock.from_file(Path("requirements.txt")).requirements(["runtime", "redis"]))
        """
        asked = frozenset(groups)
        if asked not in self._made:
            self._made[asked] = HEADER + "".join(self._packages[name].text for name in sorted(self.names(asked)))
        return self._made[asked]


def _read(text: str) -> Iterable[Pinned]:
    """Every package, each a line ``name==version``, indented hashes, and the indented note."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]:
        lines = block.rstrip("\n").split("\n")
        found = _PACKAGE.match(lines[0])
        hashes = [line for line in lines[1:] if line.lstrip().startswith("--hash=")]
        note = " ".join(line for line in lines[1:] if line.lstrip().startswith("#"))
        if not found or not hashes or "# via" not in note:
            raise ValueError(f"requirements.txt was not made by `make lock`: {lines[0]}")
        said = _GROUP.sub("", note.replace("# via", "").replace("#", " ")).split()
        marker, extras = found["marker"], found["extras"]
        pinned = "\n".join([lines[0], *hashes]) + "\n"
        yield Pinned(
            name=canonicalize_name(found["name"]),
            text=pinned.replace(extras, "", 1) + pinned if extras else pinned,
            groups=frozenset(_GROUP.findall(note)),
            parents=frozenset(canonicalize_name(name) for name in said),
            deployed=not marker or any(Marker(marker).evaluate(dict(platform)) for platform in PLATFORMS),
        )
