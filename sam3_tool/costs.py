"""What an answer cost where it is paid for: at a hosted SAM 3."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class CallCost:
    """Requests over the network, tokens and seconds. Costs add up; weights on this machine cost nothing of it.

    >>> CallCost(requests=1, seconds=0.5) + CallCost(requests=2)
    CallCost(requests=3, input_tokens=0, output_tokens=0, seconds=0.5)
    """

    requests: int = 0
    """Tries that failed included."""
    input_tokens: int = 0
    """As the server counts them."""
    output_tokens: int = 0
    """As the server counts them."""
    seconds: float = 0.0
    """From the first try to the answer; those of requests at the same time add up."""

    def __add__(self, other: "CallCost") -> "CallCost":
        return CallCost(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


NO_COST = CallCost()
