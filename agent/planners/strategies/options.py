"""Which strategies are switched on."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from agent.core.errors import PlannerError
from agent.core.tools.toolset import Toolset
from agent.planners.strategies.evidence import SAME_OBJECT, SAME_OUTLINE
from agent.planners.strategies.thesaurus import Thesaurus, load_thesaurus

MARGIN, FAR_MARGIN = 1.5, 2.5
"""Log odds within which a second look is taken, and within which it is in a tournament."""
TIE, FAR_TIE = 1.0, 3.0
"""Log odds within which two rivals are compared, and within which they are in a tournament."""


@dataclass(frozen=True)
class Strategies:
    """The strategies of a planner that asks small questions; each can be combined with any other.

    Example:
        >>> Strategies.parse("hypotheses, second-looks").names
        ('hypotheses', 'second-looks')
    """

    hypotheses: bool = False
    """Several readings of the query, each a phrase, in one batch, and the model's own box as their rival."""
    second_looks: bool = False
    """What a first look leaves uncertain is shown again, larger, and near ties are compared in pairs."""
    working_mask: bool = False
    """The answer is checked as a whole, and repaired by what the check finds missing or too much."""
    router: bool = False
    """A query that the grammar reads whole, and that SAM 3 answers with certainty, needs no model."""
    stop_rule: bool = False
    """A further question is asked only while it promises enough for its tokens."""
    tournament: bool = False
    """Second looks that go farther: more counts as near, and outlines of one object that differ are rivals, too."""
    thesaurus: bool = False
    """Other names that WordNet has for the likeliest phrase are looked for in the same batch."""

    @classmethod
    def parse(cls, text: str | Iterable[str]) -> "Strategies":
        """Read which strategies are named.

        Args:
            text: Names, with a comma between them if it is one text; 'short-questions' names none beside the short
                questions that all of them share.

        Returns:
            Those strategies, switched on.

        Raises:
            PlannerError: There is no such strategy.

        Example:
            >>> Strategies.parse("short-questions") == Strategies()
            True
        """
        names = [name.strip() for name in (text.split(",") if isinstance(text, str) else text)]
        known = [field.name.replace("_", "-") for field in fields(cls)]
        for name in names:
            if name not in (*known, SHORT_QUESTIONS):
                raise PlannerError(
                    f"there is no strategy {name!r}; there are {', '.join((SHORT_QUESTIONS, *known))}, with a comma"
                    " between them"
                )
        return cls(**{name.replace("-", "_"): True for name in names if name != SHORT_QUESTIONS})

    def require_toolset(self, toolset: Toolset) -> None:
        """Check that strategies can work with a toolset.

        Args:
            toolset: Any.

        Raises:
            PlannerError: It is none of the workspace.
        """
        if toolset.prompt != "workspace":
            raise PlannerError(
                f"--strategy is for images and the toolset 'workspace', got the toolset {toolset.name!r}; leave"
                " --strategy out"
            )

    @property
    def looks_again(self) -> bool:
        """Whether there are second looks."""
        return self.second_looks or self.tournament

    @property
    def same_outline(self) -> float:
        """IoU from which on two masks of one object need not be told apart."""
        return SAME_OUTLINE if self.tournament else SAME_OBJECT

    @property
    def margin(self) -> float:
        """Log odds within which a second look is taken."""
        return FAR_MARGIN if self.tournament else MARGIN

    @property
    def tie(self) -> float:
        """Log odds within which two rivals are compared."""
        return FAR_TIE if self.tournament else TIE

    def load_thesaurus(self) -> Thesaurus | None:
        """Load what 'thesaurus' needs.

        Returns:
            None where it is switched off.

        Raises:
            PlannerError: It is not there.
        """
        return load_thesaurus() if self.thesaurus else None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are switched on, as they are written on the command line."""
        on = tuple(field.name.replace("_", "-") for field in fields(self) if getattr(self, field.name))
        return on or (SHORT_QUESTIONS,)


SHORT_QUESTIONS = "short-questions"
"""The name of no further strategy."""
