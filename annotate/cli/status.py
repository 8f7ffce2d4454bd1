"""What `sam3-agent annotate status` prints."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from agent.cli.terminal.console import to_one_line
from sam3_tool.system.file_names import escape_unprintable

if TYPE_CHECKING:
    from annotate.plan import Plan
    from annotate.shards import ShardFolder, Summary


def describe_status(plan: "Plan", summary: "Summary", done: int) -> list[tuple[str, str]]:
    """Name and value of each line of `status`."""
    from agent.core.text.english import format_duration
    from annotate.progress import format_bytes, format_errors

    asked = plan.question.get("query") or ", ".join(plan.question.get("phrases", ()))
    lines = {
        "source": plan.source,
        "asked": asked if len(asked) <= 200 else f"{asked[:197]}…",
        "weights": plan.weights,
        "images": f"{summary.images:,} of {plan.images:,}",
        "shards": f"{done:,} of {plan.shards:,}, of {plan.shard:,} images",
        "rows": f"{summary.rows:,}",
        "masks": f"{summary.masks:,}",
        "size": format_bytes(summary.bytes),
        "time": f"{format_duration(summary.seconds)} of work, over all workers",
        "tokens": f"{summary.tokens:,}" if summary.tokens else "",
        "cost": f"{summary.cost:.4g}" if summary.cost else "",
        "errors": ", ".join(format_errors(summary.errors)) or "none",
    }
    return [(name, to_one_line(value)) for name, value in lines.items() if value]


def to_status_json(plan: "Plan", summary: "Summary", done: int) -> str:
    """The same for programs."""
    from json import dumps

    told = {"plan": plan.hash, "images": plan.images, "shards": plan.shards, "weights": plan.weights}
    return dumps({**told, "done": {**asdict(summary), "shards": done}}, indent=1)


def list_error_lines(folder: "ShardFolder") -> Iterator[str]:
    """Yield a line for each image that could not be answered."""
    from annotate.shards import read_shard, read_summary

    for number in sorted(folder.find_done()):
        path = folder.get_shard_path(number)
        if read_summary(path).errors:
            for rows in read_shard(path):
                if rows[0].error_kind:
                    yield f"{escape_unprintable(rows[0].image)}: {rows[0].error_kind}: {to_one_line(rows[0].error)}"
