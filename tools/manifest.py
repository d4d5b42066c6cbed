"""``functions.json``: what is deployed, made from the code.

    python -m tools.manifest            write it
    python -m tools.manifest --check    fail, with the difference, where it is stale

Every function's decorator, imports and calls are read by AST; nothing is imported or installed. Terraform, packaging,
the gateway and the README's table read the one file. What the code names and its decorator does not declare is an
error, and so is what is declared and never used: the declaration is the function's permissions.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.declarations import read_declarations
from tools.decorators import RESOURCES
from tools.dependencies import Dependencies, client_of
from tools.imports import Graph
from tools.manifest_model import Manifest, load, parse
from tools.metrics import log_metrics
from tools.problem import Problem
from tools.resources import Literals, read_literals
from tools.triggers import trigger_of, trigger_problems
from tools.uses import ANY, Use, Uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.declarations import Declaration
    from tools.imports import Closure

__all__ = ["Manifest", "build", "load", "main", "parse", "render"]

RUNTIME = "common.functions"
"""The runtime itself: it publishes dead letters for every handler, without a word in the handler's declaration."""


def build(root: Path) -> tuple[dict[str, Any], list[Problem]]:
    """The manifest of the repository at ``root``, and everything that is wrong with its source.

    Example:
        >>> document, problems = build(Path())
    """
    builder = _Builder(root)
    document = builder.document()
    return document, sorted({*builder.problems, *builder.graph.syntax_errors})


def render(document: dict[str, Any]) -> str:
    """The text of the file: equal for equal sources, on any machine."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class _Builder:
    def __init__(self, root: Path) -> None:
        self.graph = Graph(root)
        self.problems: list[Problem] = []
        self._literals: Literals = read_literals(self.graph)
        self._dependencies = Dependencies.from_pyproject(root / "pyproject.toml")
        self._uses = Uses(self.graph)
        self._declarations = read_declarations(self.graph, root, self.problems)
        self._closures = {item.name: self.graph.closure(item.module) for item in self._declarations}
        self._check_common(root)

    def document(self) -> dict[str, Any]:
        secrets = self._known_secrets()
        functions = {item.name: self._function(item, secrets) for item in self._declarations}
        self._check_topics(functions)
        self._check_queues(functions)
        tasks = {name for name, function in functions.items() if function["trigger"]["kind"] == "task"}
        united = {
            resource: {name for function in functions.values() for name in function[resource]} for resource in RESOURCES
        }
        return {
            "defaults": self._literals.defaults,
            "rate_classes": self._literals.rate_classes,
            "topics": self._topics(functions, united["publishes"]),
            "queues": sorted(tasks),
            "buckets": sorted(united["buckets"]),
            "datasets": sorted(united["datasets"]),
            "secrets": sorted(united["secrets"]),
            "metrics": log_metrics(self.graph),
            "functions": functions,
        }

    def _function(self, declaration: Declaration, secrets: frozenset[str]) -> dict[str, Any]:
        closure = self._closures[declaration.name]
        trigger = trigger_of(declaration, self._literals)
        sizes = {**self._literals.defaults_by_kind[declaration.kind], **declaration.arguments}
        self.problems += closure.problems
        self.problems += trigger_problems(declaration, trigger, sizes["timeout"], self._literals)
        self._compare(declaration, list(self._used(closure, secrets)))
        resources = {name: set(declaration.arguments.get(name, ())) for name in RESOURCES}
        if trigger.get("dead_letter") or trigger["kind"] == "task":
            resources["publishes"].add(self._literals.dead_letter_topic)
        clients = {client_of(item.name) for item in closure.third_party}
        return {
            "source": declaration.source,
            "description": declaration.description,
            "trigger": trigger,
            **{name: sorted(values) for name, values in resources.items()},
            "clients": sorted(client for client in clients if client),
            "groups": sorted(self._groups(closure)),
            "modules": list(closure.modules),
            **{key: sizes[key] for key, value in self._literals.defaults.items() if sizes[key] != value},
        }

    def _groups(self, closure: Closure) -> set[str]:
        found = [self._dependencies.group(item) for item in closure.third_party]
        self.problems += [item for item in found if isinstance(item, Problem)]
        return {item for item in found if isinstance(item, str)}

    def _check_common(self, root: Path) -> None:
        """Also what no function reaches yet must be deployable."""
        for path in sorted((root / "common").rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            closure = self.graph.edges(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
            self.problems += closure.problems
            self._groups(closure)

    def _known_secrets(self) -> frozenset[str]:
        """Every secret there is: declared by some function, or named in some call."""
        declared = {name for item in self._declarations for name in item.arguments.get("secrets", ())}
        modules = {module for closure in self._closures.values() for module in closure.modules}
        named = {use.name for module in modules for use in self._uses.of(module)[0] if use.resource == "secrets"}
        return frozenset(declared | named)

    def _used(self, closure: Closure, secrets: frozenset[str]) -> Iterator[Use]:
        for module in closure.modules:
            uses, problems = self._uses.of(module)
            self.problems += problems
            runtime = module.startswith(f"{RUNTIME}.")
            yield from (use for use in uses if not (runtime and use.name == self._literals.dead_letter_topic))
            yield from self._uses.environment(module, secrets)

    def _compare(self, declaration: Declaration, uses: list[Use]) -> None:
        for resource in RESOURCES:
            declared = set(declaration.arguments.get(resource, ()))
            used = {use.name: use for use in sorted(uses, reverse=True) if use.resource == resource}
            for name in sorted(used.keys() - declared - {ANY}):
                place = f"{used[name].path}:{used[name].line}"
                text = f"{resource} lacks {name!r}, which {place} uses; add it, or the platform refuses the call."
                self.problems.append(declaration.problem(text))
            for name in sorted(declared - used.keys()) if ANY not in used else ():
                text = f"{resource} has {name!r}, but no code that is reached uses it; remove the dead permission."
                self.problems.append(declaration.problem(text))

    def _check_topics(self, functions: dict[str, Any]) -> None:
        published = {name for function in functions.values() for name in function["publishes"]}
        for declaration in self._declarations:
            topic = functions[declaration.name]["trigger"].get("topic")
            if topic and topic not in published | {self._literals.dead_letter_topic}:
                text = f"no function publishes to {topic!r}; correct the topic, or declare it where it is published."
                self.problems.append(declaration.problem(text))

    def _check_queues(self, functions: dict[str, Any]) -> None:
        for declaration in self._declarations:
            for job in functions[declaration.name]["enqueues"]:
                called = functions.get(f"job-{job.replace('_', '-')}", {})
                if called.get("trigger", {}).get("kind") != "task":
                    text = f"enqueues {job!r}, but functions/jobs/{job} takes no tasks; "
                    self.problems.append(declaration.problem(f"{text}correct the name, or write the job."))

    def _topics(self, functions: dict[str, Any], published: set[str]) -> dict[str, Any]:
        triggers = [function["trigger"] for function in functions.values() if function["trigger"].get("topic")]
        names = {self._literals.dead_letter_topic, *published, *(trigger["topic"] for trigger in triggers)}
        return {
            name: {
                "types": sorted(event.type for event in self._uses.events.values() if event.topic == name),
                "ordered": any(trigger["ordered"] for trigger in triggers if trigger["topic"] == name),
            }
            for name in names
        }


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when the file is, or has been brought, up to date."""
    parser = argparse.ArgumentParser(prog="python -m tools.manifest", description="Make functions.json from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is stale")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: the current folder)")
    parser.add_argument("--output", type=Path, help="the file (default: functions.json in the repository)")
    options = parser.parse_args(arguments)
    output: Path = options.output or options.root / "functions.json"
    try:
        document, problems = build(options.root)
    except (OSError, LookupError, ValueError) as error:
        print(f"the manifest cannot be made: {error}", file=sys.stderr)
        return 1
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        print(f"{len(problems)} problems; {output.name} was not made", file=sys.stderr)
        return 1
    text = render(document)
    present = output.read_text(encoding="utf-8") if output.is_file() else ""
    if text == present:
        print(f"{output.name} is current: {len(document['functions'])} functions")
    elif options.check:
        lines = (present.splitlines(keepends=True), text.splitlines(keepends=True))
        sys.stdout.writelines(
            difflib.unified_diff(*lines, f"{output.name} (committed)", f"{output.name} (from the code)")
        )
        print(f"{output.name} is stale: run `make manifest`", file=sys.stderr)
        return 1
    else:
        output.write_text(text, encoding="utf-8", newline="\n")
        print(f"{output.name} written: {len(document['functions'])} functions")
    return 0


if __name__ == "__main__":
    gc.disable()  # syntax trees are many objects that all stay: looking for garbage among them takes half the time
    sys.exit(main())
