"""What model calls, SAM 3 and time cost."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Usage:
    """What something cost. Adds up."""

    model_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    sam_encodes: int = 0
    """Pictures that went through SAM 3's vision encoder (0 when the embedding was cached)."""
    sam_decodes: int = 0
    """Concept prompts that went through SAM 3's detector."""
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_COST = Usage()
