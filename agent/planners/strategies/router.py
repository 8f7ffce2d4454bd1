"""Queries that need no language model: the grammar reads them whole, and SAM 3 answers with certainty."""

from agent.core.episode import Decision, Episode
from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.plan import target_phrases
from agent.planners.grammar.planner import GrammarPlanner

CERTAIN = 0.7
"""Score above which each mask of an answer must be."""
_GRAMMAR = GrammarPlanner()


def route_query(episode: Episode) -> Decision | None:
    """Decide without a model.

    Args:
        episode: Its steps, if any, were decided here.

    Returns:
        The grammar's next call; None where a model is needed.
    """
    reading = interpret_query(episode.task.query)
    if not reading.complete or reading.plan is None or reading.question:
        return None
    decision = _GRAMMAR.decide(episode)
    if decision.tool in ("report_no_mask", "ask_user"):
        return None
    if decision.tool == "answer" and not _is_certain(episode):
        return None
    return decision


def list_readings(query: str) -> list[str]:
    """List the noun phrases that the grammar would look for; none where it does not read all of the query.

    Args:
        query: Any text.

    >>> list_readings("the largest cup on the table"), list_readings("something to drink from")
    (['cup'], [])
    """
    reading = interpret_query(query)
    if not reading.complete or reading.plan is None or reading.question:
        return []
    return [phrase.text for phrase in target_phrases(reading.plan)]


def _is_certain(episode: Episode) -> bool:
    """Whether every phrase found something, and every mask of the answer has a high score."""
    found = all(search.ids for search in episode.searches)
    return found and all(candidate.score > CERTAIN for candidate in episode.workspace.pick(episode.current_ids))
