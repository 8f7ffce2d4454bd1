"""When to stop asking: what a further question promises for its tokens, beside what is left to spend."""

from agent.core.budget import Budget
from agent.core.usage import Usage

GAIN = 0.5
"""Of the doubt, the share that a further question is expected to settle rightly."""
WORTH = 0.02
"""IoU that a thousand tokens must promise."""
RESERVE = 0.1
"""Share of a budget's tokens that is kept for the end."""


def is_worth_asking(doubt: float, tokens: int, spent: Usage, budget: Budget) -> bool:
    """Whether a further question should be asked.

    Args:
        doubt: In [0, 0.5]: the probability that what it is about is wrong now.
        tokens: Of the question.
        spent: What the episode has spent.
        budget: Its limit of tokens, if there is one, must hold the question, too.

    Returns:
        True where it promises enough and can be paid for.

    Example:
        >>> is_worth_asking(0.3, 1000, Usage(), Budget()), is_worth_asking(0.01, 1000, Usage(), Budget())
        (True, False)
    """
    most = budget.max_tokens
    left = None if most is None else most * (1 - RESERVE) - spent.prompt_tokens - spent.completion_tokens
    if left is not None and tokens > left:
        return False
    return GAIN * doubt >= WORTH * tokens / 1000
