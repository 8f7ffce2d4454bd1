"""A planner without a language model: a grammar reads the query, a plan follows from it, and every run is the same."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from agent.core.episode import Decision, Episode, Step
from agent.core.errors import PlannerError
from agent.core.tools.toolset import PromptName, Toolset
from agent.core.tools.verdict import Verdict
from agent.planners.grammar.descriptions import Ids
from agent.planners.grammar.dialogue.answer_history import list_selections
from agent.planners.grammar.dialogue.interpret import interpret_follow_up, read_history
from agent.planners.grammar.dialogue.repeat_query import drop_mask_references
from agent.planners.grammar.dialogue.saved_plans import interpretation_to_json
from agent.planners.grammar.executor import Move, Moves, execute
from agent.planners.grammar.interpretation import Interpretation
from agent.planners.grammar.plan import list_phrases, target_phrases
from agent.tools.paper import ReportNoMask as ReportNoMaskOnPaper
from agent.tools.paper import SegmentPhrase, SelectMasksAndReturn
from agent.tools.toolsets import PAPER, UNLISTED, VIDEO, WORKSPACE, Answer, AskUser, ReportNoMask, Segment
from sam3_tool import Sam3

DEFAULT_THRESHOLD = 0.5
_NEEDED_TOOLSETS: Mapping[PromptName, Toolset] = {"workspace": WORKSPACE, "paper": PAPER, "video": VIDEO}


class GrammarPlanner:
    """Plans without a language model. Every run on the same query, context and masks is the same.

    A query is compiled: text to tokens (`lexer`), tokens to syntax (`parser`), syntax to normalised syntax
    (`normalize`), that to a plan (`compiler`), and the plan to tool calls (`executor`). In a conversation, `dialogue`
    tells first what the query does with the answer so far.

    It understands noun phrases joined by and, or, except and not; relations, places, ordinals, superlatives,
    comparisons and counts, nested in each other. Any other query falls back to its head noun phrase, and the answer
    says so. Where a follow-up could mean several masks, it asks back. Every decision follows from the query, what was
    said before it, and the episode alone, so one planner may serve many threads.

    Args:
        toolset: `WORKSPACE`, `PAPER` or `VIDEO`. The planner makes no use of tools that are added to them.
        threshold: In [0, 1), of its `segment` calls; the published set of tools has no such argument.

    Raises:
        ValueError: The toolset lacks a tool that the grammar needs.

    Example:
        >>> from agent import Task, run
        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> import numpy as np
        >>> task = Task(Image(np.zeros((8, 8, 3), np.uint8)), "the two largest dogs")
        >>> run(task, GrammarPlanner(), Sam3(ScriptedBackend({}))).message
        "Nothing in the picture was found for 'dog'."
    """

    def __init__(self, toolset: Toolset = WORKSPACE, *, threshold: float = DEFAULT_THRESHOLD) -> None:
        needed = _NEEDED_TOOLSETS[toolset.prompt].tools
        if missing := [tool.name for tool in needed if tool not in toolset.tools]:
            raise ValueError(f"the grammar needs the tool {missing[0]!r}, which toolset {toolset.name!r} has not")
        unlisted = UNLISTED[toolset.prompt]
        self.toolset = replace(toolset, unlisted=unlisted) if unlisted else toolset
        self.threshold = threshold

    @property
    def settings(self) -> dict[str, float]:
        """What it was made with beside its toolset, where that is not the default: runs that differ in it differ."""
        return {} if self.threshold == DEFAULT_THRESHOLD else {"threshold": self.threshold}

    def decide(self, episode: Episode) -> Decision:
        """Return the first move of the plan that the episode has not seen yet.

        Args:
            episode: The task and the steps so far; those of other planners are passed over.

        Returns:
            The tool call. The first one carries the plan, so that later turns of a conversation need not read the query
            again.
        """
        self.toolset.require_subject(episode.task)
        on_video = self.toolset.prompt == "video"
        interpretation = interpret_follow_up(episode.task.query, episode.task.context, on_video=on_video)
        saved = interpretation_to_json(interpretation)
        answers, start = list_selections(episode.task.context), replace(episode, steps=())
        if self.toolset.renumbers_masks:
            moves = self._execute_on_paper(interpretation, answers, start)
        else:
            moves = execute(interpretation, self.threshold, start, answers)
        # The plan is worked out anew for each decision, so that no state is kept between them.
        first = move = next(moves)
        for done, step in enumerate(episode.steps, start=1):
            decision = move.to_decision()
            if (step.decision.tool, step.decision.arguments) != (decision.tool, decision.arguments):
                continue  # made by another planner
            # A tool that refused a call once would refuse it again.
            if step.observation.is_error:
                return ReportNoMask(reason=step.observation.text).to_decision("The plan cannot go on.")
            move = moves.send(replace(episode, steps=episode.steps[:done]))
        return replace(move.to_decision(), plan=saved if move is first else None)

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Judge masks by score alone: this planner cannot look at images.

        Args:
            episode: Where the masks are.
            ids: Which of them to judge.
            closely: Changes nothing.

        Returns:
            One verdict for each of `ids`; it accepts scores of at least 0.5.
        """
        scores = [(id, episode.workspace[id].score) for id in ids]
        return [Verdict(id, score >= 0.5, score, "by SAM 3's score") for id, score in scores]

    def _execute_on_paper(self, interpretation: Interpretation, answers: Sequence[Ids], start: Episode) -> Moves:
        """Yield moves of the published tools, which hold one set of masks: what needs more gets the head phrase."""
        interpretation = drop_mask_references(interpretation, read_history(start.task.context))
        if interpretation.plan is not None and len(list_phrases(interpretation.plan)) > 1:
            note = "The rest of the query needs a second set of masks, and this protocol holds one set only."
            interpretation = replace(interpretation, plan=target_phrases(interpretation.plan)[0], notes=(note,))
        moves = execute(interpretation, self.threshold, start, answers, takes_nearest=False)
        move = next(moves)
        while True:
            match move.tool:
                case Segment(phrases=[phrase]):
                    episode = yield Move(SegmentPhrase(text_prompt=phrase), move.thought)
                    current = episode.current_ids
                case Answer(ids=ids, message=message):
                    numbers = [current.index(id) + 1 for id in ids]
                    yield Move(SelectMasksAndReturn(final_answer_masks=numbers), message)
                case ReportNoMask(reason=reason) | AskUser(question=reason):
                    yield Move(ReportNoMaskOnPaper(), reason)
                case tool:
                    # Geometry is no tool of this protocol, so it is worked out here; it never calls SAM 3.
                    observation = tool.run(episode, cast(Sam3, None), self)
                    episode = episode.append(Step(move.to_decision(), observation))
            move = moves.send(episode)


def load_grammar_planner(spec: str, *, toolset: Toolset, threshold: float = DEFAULT_THRESHOLD) -> GrammarPlanner:
    """Load the grammar planner by its name: the entry point `grammar`.

    Args:
        spec: Empty; the grammar has no variants.
        toolset: The workspace's tools, the paper's or those for videos.
        threshold: In [0, 1), of its `segment` calls.

    Raises:
        PlannerError: A spec was given, or the toolset lacks a tool that the grammar needs.
    """
    if spec:
        raise PlannerError(f"the planner 'grammar' is written without anything after it, got 'grammar:{spec}'")
    try:
        return GrammarPlanner(toolset, threshold=threshold)
    except ValueError as error:
        raise PlannerError(str(error)) from error
