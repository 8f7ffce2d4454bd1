"""A query about every image: an episode of the agent for each."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from agent.core.budget import Budget
from agent.core.episode import Episode, Task
from agent.core.planner import Planner
from agent.doubt.policy import NO_POLICY, DoubtPolicy, apply_doubt
from agent.loop import run
from annotate.asking import MAX_ERROR_LETTERS, Decoded, build_error_row, describe_sam3, map_ahead
from annotate.shards import Row
from annotate.sources.base import Item
from sam3_tool.sam3 import Sam3

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class QueryAsker:
    """Asks the agent the same query about every image, several episodes at a time."""

    sam3: Sam3
    planner: Planner
    query: str
    budget: Budget
    made_by: Mapping[str, Any]
    """What made the episodes, as `Provenance` has it."""
    episodes: int = 4
    """At a time: their planners wait for servers, and their requests to SAM 3 share batches."""
    doubt: DoubtPolicy = NO_POLICY
    """Doubtful masks leave the answer; nobody is there to be asked about them."""

    def describe_maker(self) -> dict[str, Any]:
        """Return what makes the answers."""
        return {**describe_sam3(self.sam3), "episodes": dict(self.made_by)}

    def answer_images(self, images: Iterable[Decoded]) -> Iterator[list[Row]]:
        """Yield the row of each image, in order."""
        with ThreadPoolExecutor(self.episodes, "episode") as pool:
            for row in map_ahead(pool, self._answer_image, images, self.episodes):
                yield [row]

    def _answer_image(self, decoded: Decoded) -> Row:
        item, image = decoded
        if isinstance(image, Exception):
            return build_error_row(item, image)
        started = perf_counter()
        try:
            episode = run(Task(image, self.query), self.planner, self.sam3, budget=self.budget)
            episode = apply_doubt(episode, self.doubt)
        except Exception as error:
            log.warning("%s cannot be answered", item.name, exc_info=error)
            return build_error_row(item, error)
        return self._build_row(item, episode, perf_counter() - started)

    def _build_row(self, item: Item, episode: Episode, seconds: float) -> Row:
        image, usage = episode.task.image, episode.usage
        chosen = episode.workspace.pick(episode.current_ids)
        has_failed = episode.outcome == "failed"
        return Row(
            item.index,
            item.name,
            image.key,
            image.height,
            image.width,
            self.query,
            scores=[candidate.score for candidate in chosen],
            boxes=[candidate.box for candidate in chosen],
            counts=[candidate.rle.counts for candidate in chosen],
            labels=[candidate.phrase for candidate in chosen],
            outcome=episode.outcome,
            message=episode.message,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            cost=self.budget.price.compute_cost(usage),
            seconds=seconds,
            error_kind="FailedEpisode" if has_failed else "",
            error=episode.message[:MAX_ERROR_LETTERS] if has_failed else "",
        )
