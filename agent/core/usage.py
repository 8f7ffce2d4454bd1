"""The cost of a step or an episode."""

from dataclasses import dataclass, fields


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

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_COST = Usage()
