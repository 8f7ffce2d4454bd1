"""A simulated language model: it answers the ordinary prompts through the ordinary tools."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.core.usage import Usage
from agent.models.base import Capabilities, Messages, Reply, Schema
from agent.models.tokens import estimate_text_tokens, estimate_tokens
from evals.simulation.chance import CorrelatedChance
from evals.simulation.judging import Judge
from evals.simulation.phrasing import propose_phrase
from evals.simulation.profile import Profile
from evals.simulation.questions import (
    call_tool,
    check_answer,
    compare_masks,
    judge_masks,
    judge_one_mask,
    list_search_phrases,
    propose_search,
)
from evals.simulation.request import Request
from evals.simulation.truth import SampleTruth, Truths
from sam3_tool import Image

PATIENCE = 4
"""Phrases that it tries before it says that there is nothing."""
SMALL_SIDE = 40.0
"""Pixels: masks below it, and more masks than `MANY`, are examined one by one, as the published prompt says."""
MANY = 6
CAPABILITIES = Capabilities(wire="native")


class SimulatedModel:
    """A chat model that knows the ground truth and errs as often as its profile says. It is no real model.

    It reads the masks that an image shows from what is noted beside the image, never from the episode, and its errors
    follow from the request alone, so it may be shared between threads. Token counts are estimates.

    Args:
        truths: The samples that it knows, by the key of their image.
        profile: How often it errs.
        seed: Other seeds err elsewhere.

    Example:
        >>> from evals.simulation.profile import Profile
        >>> SimulatedModel({}, Profile("nobody")).name
        'simulated:nobody'
    """

    def __init__(self, truths: Truths | SampleTruth, profile: Profile, seed: int = 0) -> None:
        self.truths = {truths.key: truths} if isinstance(truths, SampleTruth) else truths
        self.profile = profile
        self.chance = CorrelatedChance(seed, profile.correlation)
        self.name = f"simulated:{profile.name}"
        self.capabilities = CAPABILITIES

    def generate_replies(self, conversations: Sequence[Messages], tools: Sequence[Schema]) -> list[Reply]:
        """Reply to each conversation.

        Args:
            conversations: Any number of conversations, each about an image of a sample.
            tools: The tools that the model may call, which tell what it is asked to do.

        Returns:
            One reply per conversation, in order.

        Raises:
            KeyError: A conversation shows no image of a sample.
        """
        return [self._answer_request(conversation, tools) for conversation in conversations]

    def _answer_request(self, conversation: Messages, tools: Sequence[Schema]) -> Reply:
        offered = [tool["function"]["name"] for tool in tools]
        judge = Judge(Request.from_messages(conversation, self.truths), self.profile, self.chance)
        act = next((ACTS[name] for name in offered if name in ACTS), None)
        if act is None:
            return Reply(error=f"the simulated model knows none of the tools {', '.join(offered)}", recoverable=False)
        reply = Reply("I see what is meant.") if judge.has_lapse("malformed") else act(judge)
        written = (reply.text, *(text for call in reply.calls for text in (call.tool, call.arguments)))
        images = sum(isinstance(part, Image) for turn in conversation for part in turn.content)
        completion = sum(map(estimate_text_tokens, written))
        return replace(reply, usage=Usage(1, estimate_tokens(conversation, tools), 0, completion, images))


# --- the published protocol -------------------------------------------------------------------------------------------


def follow_paper(judge: Judge) -> Reply:
    """Take a turn of the published protocol."""
    current = judge.request.current
    if judge.has_lapse("surrender") and judge.request.mask_turns:
        return call_tool("report_no_mask")
    chosen = judge.choose_numbers()
    if current is None or not chosen:
        return _try_phrase(judge)
    if _needs_examination(judge) and not _is_examined(judge):
        return call_tool("examine_each_mask")
    return call_tool("select_masks_and_return", final_answer_masks=sorted(set(chosen)))


def _try_phrase(judge: Judge) -> Reply:
    request = judge.request
    if len(request.tried) >= PATIENCE:
        return call_tool("report_no_mask")
    phrase = propose_phrase(
        request.truth, judge.meaning, judge.profile, judge.chance, asking=request.asking, tried=request.tried
    )
    return call_tool("segment_phrase", text_prompt=phrase)


def _needs_examination(judge: Judge) -> bool:
    current = judge.request.current
    if current is None or len(current.numbers) < 2:
        return False
    clarity = min(judge.request.measure_clarity(number) for number in current.numbers)
    return len(current.numbers) > MANY or clarity < SMALL_SIDE / (SMALL_SIDE + 24) / (1 + 0.06 * len(current.numbers))


def _is_examined(judge: Judge) -> bool:
    return any(text.startswith(("Kept ", "Rejected ")) for text in judge.request.texts)


# --- the workspace ----------------------------------------------------------------------------------------------------


def follow_workspace(judge: Judge) -> Reply:
    """Take a turn with the tools of the workspace."""
    if judge.has_lapse("surrender") and judge.request.mask_turns:
        return call_tool("report_no_mask", reason="I do not see it.")
    chosen = sorted(set(judge.choose_numbers()))
    if chosen:
        return call_tool("answer", ids=chosen)
    if len(judge.request.tried) >= PATIENCE:
        return call_tool("report_no_mask", reason="I do not see it.")
    return call_tool("segment", phrases=list_search_phrases(judge, 1), close_ups=True)


ACTS: dict[str, Callable[[Judge], Reply]] = {
    "segment_phrase": follow_paper,
    "segment": follow_workspace,
    "verdict": judge_one_mask,
    "verdicts": judge_masks,
    "propose": propose_search,
    "compare": compare_masks,
    "check": check_answer,
}
"""A tool that is offered -> what the model does then; the first that fits."""
