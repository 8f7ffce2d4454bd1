"""How an episode ends by a tool: the answer, and what the user should know about it."""

from agent.episode import Episode, Observation, Outcome
from sam3_tool import Sam3


def ending(episode: Episode, sam3: Sam3, *, ids: tuple[int, ...], outcome: Outcome, message: str) -> Observation:
    """`message`, and after it what SAM 3's weights cannot be expected to know of what was asked for."""
    return Observation(f"{message} {caveat(episode, sam3)}".strip(), shown=ids, outcome=outcome)


def caveat(episode: Episode, sam3: Sam3) -> str:
    """SAM 3's own sentence about the phrases that found nothing or that it does not know; "" when there is none."""
    always = sam3.caveat("")  # what is true of any phrase is worth saying only where nothing was found
    doubtful = [
        search.phrase for search in episode.workspace.searches if not search.ids or sam3.caveat(search.phrase) != always
    ]
    return sam3.caveat(", ".join(doubtful)) if doubtful else ""
