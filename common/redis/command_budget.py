"""What a long operation may cost: every command is billed, so none that looks at many keys runs without a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable


class CommandBudgetExceeded(InvalidInput):
    """It would take more commands than allowed; the message says how many were sent."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        keys: dealt with.
        commands: that the server was made to run, at most, those inside scripts included.
    """

    keys: int
    commands: int


@dataclass(slots=True)
class CommandBudget:
    """Counts commands against a budget.

    Attributes:
        budget: commands that may be run.
        progress: is called whenever some keys are done.
        keys: done so far.
        commands: so far.

    Example:
        >>> spending = CommandBudget(10)
        >>> spending.plan(11)
        CommandBudgetExceeded: it takes more than 10 commands (0 sent, 11 more now): ...
    """

    budget: int
    progress: Callable[[Progress], object] | None = None
    keys: int = 0
    commands: int = 0

    def plan(self, commands: int) -> None:
        """Count commands that are about to be sent.

        Raises:
            CommandBudgetExceeded: they are too many; none of them must be sent.
        """
        if self.commands + commands > self.budget:
            raise CommandBudgetExceeded(
                f"it takes more than {self.budget} commands ({self.commands} sent, {commands} more now): choose a"
                " narrower pattern or a larger budget"
            )
        self.commands += commands

    def done(self, keys: int) -> None:
        """Tell that so many more keys are done."""
        self.keys += keys
        if self.progress is not None:
            self.progress(Progress(self.keys, self.commands))
