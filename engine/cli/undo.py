"""`engine undo`: take back many answers of one person, who pressed the wrong key or misread the guidelines."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options.path_parameters import path_argument
from agent.cli.terminal.console import report_user_errors, require_extra
from agent.cli.terminal.streams import print_line
from agent.core.errors import UsageError
from agent.core.text.english import format_count

if TYPE_CHECKING:
    from engine.review.desk import ReviewDesk
    from engine.review.queue.opinions import OpinionChoice

TIME_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]


def undo_engine_answers(
    folder: Annotated[Path, path_argument(help="Folder of the data engine.")],
    person: Annotated[str, typer.Argument(help="Whose answers, by the name in the file of users.")],
    last: Annotated[int | None, typer.Option(min=1, help="Take back so many of their latest answers.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=TIME_FORMATS, help="Take back what they answered from then on, by this machine's clock."),
    ] = None,
    choice: Annotated[
        str, typer.Option(help="Take back only answers of this choice: accept, reject, ungroundable ….")
    ] = "",
) -> None:
    """Take back answers of PERSON in the data engine in FOLDER; their items wait for people again.

    Nothing is erased: the log keeps each answer, and that it was taken back. End the review before.

    Exit codes: 0 done; 1 stopped by a failure; 2 bad usage or bad input.
    """
    with report_user_errors(interrupted="the next review writes what is not in the log yet"):
        if last is None and since is None:
            raise UsageError(
                "which answers shall be taken back? Say how many (--last 200) or since when (--since TIME)"
            )
        with require_extra("serve", "fastapi", "uvicorn", "prometheus_client", "multipart"):
            from engine.review.opening import open_services
            from engine.review.queue.opinions import OpinionChoice
            from engine.review.team.people import People
            from sam3_tool.system.interruptions import defer_interruptions

        from_then = 0.0 if since is None else since.timestamp()
        chosen = OpinionChoice(person, -1 if last is None else last, from_then, choice)
        with require_extra("parquet", "pyarrow"), open_services(folder, People.build_alone()) as services:
            _check_choice(services.desk, chosen)
            with defer_interruptions():
                items = services.desk.withdraw_opinions(chosen)
            pairs = services.estimate_rest().pairs
    count = len({item.pair for item in items})
    print_line(
        f"taken back: {format_count(len(items), 'answer')} of {person} about {format_count(count, 'pair')};"
        f" {format_count(pairs, 'pair')} to be reviewed now"
    )


def _check_choice(desk: "ReviewDesk", chosen: "OpinionChoice") -> None:
    """Raise UsageError where nobody of this name has answered, or nobody can give this answer."""
    from engine.pairs import COVERAGE_CHOICES, MASK_CHOICES

    people, choices = desk.queue.count_answers(), [*dict.fromkeys((*MASK_CHOICES, *COVERAGE_CHOICES, "corrected"))]
    if chosen.choice and chosen.choice not in choices:
        raise UsageError(f"--choice {chosen.choice!r:.90} is no answer; there are {', '.join(choices)}")
    if chosen.person not in people:
        others = ", ".join(f"{name} ({count:,})" for name, count in people.items()) or "nobody yet"
        raise UsageError(f"{chosen.person!r:.90} has no answer to take back; who has answered: {others}")
