"""The cost of a step or an episode."""

from dataclasses import dataclass, fields
from operator import not_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from sam3_tool.sam3 import SegmentationReport


@dataclass(frozen=True)
class Usage:
    """A cost in requests, tokens, SAM 3 calls and seconds. Usages add up.

    Example:
        >>> (Usage(model_calls=1) + Usage(model_calls=2, seconds=0.5)).model_calls
        3
    """

    model_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    sam_encodes: int = 0
    """Images that went through SAM 3's vision encoder (0 when the embedding was cached)."""
    sam_decodes: int = 0
    """Concept prompts that went through SAM 3's detector."""
    seconds: float = 0.0
    sam_requests: Annotated[int, Field(exclude_if=not_)] = 0
    """Requests to a hosted SAM 3, tries that failed included; absent from files where there were none."""
    sam_tokens: Annotated[int, Field(exclude_if=not_)] = 0
    """Tokens that a hosted SAM 3 counted, read and written; absent from files where there were none."""

    @classmethod
    def from_report(cls, report: "SegmentationReport") -> "Usage":
        """Count what a call of SAM 3 cost.

        Args:
            report: What `Sam3.run_requests` returned.

        Returns:
            Its images, prompts, requests and tokens; not its seconds, which are the step's.

        Example:
            >>> from sam3_tool import SegmentationReport
            >>> Usage.from_report(SegmentationReport([], encodes=1, decodes=2)) == Usage(sam_encodes=1, sam_decodes=2)
            True
        """
        return cls(
            sam_encodes=report.encodes,
            sam_decodes=report.decodes,
            sam_requests=report.cost.requests,
            sam_tokens=report.cost.input_tokens + report.cost.output_tokens,
        )

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_COST = Usage()
