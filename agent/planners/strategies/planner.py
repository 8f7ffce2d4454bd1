"""A planner that asks a language model small questions, and spends tokens where they are expected to pay."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.core.budget import DEFAULT_BUDGET, Budget
from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.core.tools.toolset import Toolset
from agent.core.tools.verdict import Verdict
from agent.core.usage import NO_COST, Usage
from agent.models.base import ChatModel, Messages
from agent.models.tokens import estimate_tokens
from agent.planners.chat.coordinates import adapt_schema
from agent.planners.chat.examination import build_retry
from agent.planners.chat.messages import to_pixel_call
from agent.planners.chat.planner import ChatPlanner
from agent.planners.chat.verdicts import SheetVerdicts
from agent.planners.chat.views import View
from agent.planners.strategies import evidence as pooled
from agent.planners.strategies import requests
from agent.planners.strategies.evidence import Look, compute_logit, compute_probability
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.progress import Progress, count_known, is_follow_up
from agent.planners.strategies.replies import CheckAnswer, Compare, Propose, ProposeNext, SmallTool, read_reply_as
from agent.planners.strategies.router import list_readings, route_query
from agent.planners.strategies.stopping import is_worth_asking
from agent.planners.strategies.thesaurus import Thesaurus, list_related_phrases
from agent.tools import WORKSPACE
from agent.tools.combine import Combine
from agent.tools.examine import Examine
from agent.tools.finish import Answer, ReportNoMask
from agent.tools.refine import Refine
from agent.tools.segment import MAX_PHRASES, Segment

ROUNDS = 2
"""Proposals before the best that was found is the answer."""
LEAST = -1.5
"""Log odds from which on the best mask is answered with although nothing was accepted."""
MOST_DOUBTFUL = 4
"""Masks in a second look."""
DISPUTE = 0.3
"""Doubt about a mask where the model's box and its verdict disagree."""
MAX_REPAIRS = 2
"""Boxes of a check that are followed."""


class StrategyPlanner(ChatPlanner):
    """A planner that asks a language model small questions: what to look for, which masks belong to the answer.

    Every question is a conversation of its own with a short prompt. What is done with the answers, and which further
    questions are asked, is up to the strategies. Of a query that goes on with a conversation, the first question also
    is what it means in full, and which known masks it may mean. What it decides follows from the episode alone.

    Example:
        >>> from agent import ScriptedModel
        >>> planner = StrategyPlanner(ScriptedModel([]), strategies=Strategies(second_looks=True))
        >>> planner.strategies.names
        ('second-looks',)
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        toolset: Toolset = WORKSPACE,
        view: View | None = None,
        strategies: Strategies | None = None,
        budget: Budget = DEFAULT_BUDGET,
        thesaurus: Thesaurus | None = None,
    ) -> None:
        """Make a planner.

        Args:
            model: The language model.
            toolset: A toolset of the workspace.
            view: How the model sees episodes.
            strategies: Those that are switched on; default: none but the short questions.
            budget: Its tokens are what the stop rule has to spend.
            thesaurus: Where the strategy 'thesaurus' looks; default: WordNet's files on this machine.

        Raises:
            PlannerError: The toolset is none of the workspace, or there is no thesaurus where one is needed.
        """
        super().__init__(model, toolset=toolset, view=view)
        self.strategies = strategies or Strategies()
        self.strategies.require_toolset(toolset)
        self.budget = budget
        self.thesaurus = thesaurus or self.strategies.load_thesaurus()

    def with_model(self, model: ChatModel) -> "StrategyPlanner":
        """Make the same planner with another model, such as one that records.

        Args:
            model: The language model.

        Returns:
            A planner that asks the same questions.
        """
        return StrategyPlanner(
            model,
            toolset=self.toolset,
            view=self.view,
            strategies=self.strategies,
            budget=self.budget,
            thesaurus=self.thesaurus,
        )

    # --- what to do next ----------------------------------------------------------------------------------------------

    def decide(self, episode: Episode) -> Decision:
        """Choose the next call.

        Args:
            episode: Everything that happened so far.

        Returns:
            The call, and the cost of the question that led to it.

        Raises:
            PlannerError: The model cannot be had, or the toolset is not for what the task is about.
        """
        self.toolset.require_subject(episode.task)
        progress = Progress.from_episode(episode)
        may_route = self.strategies.router and not progress.plan and not is_follow_up(episode)
        if may_route and (routed := route_query(episode)):
            return routed
        match progress.stage:
            case "start":
                return self._propose(episode, progress)
            case "proposed" if self.strategies.hypotheses and progress.plan.get("box"):
                return self._follow_box(progress.plan["box"], {**progress.plan, "stage": "boxed"})
            case "proposed" | "boxed" | "repaired":
                return self._judge(episode, progress)
            case _:
                return self._conclude(episode, progress)

    def _propose(self, episode: Episode, progress: Progress) -> Decision:
        messages = requests.build_proposal(episode, self.view, self.strategies)
        if is_follow_up(episode):
            return self._propose_next(episode, progress, messages)
        proposal, usage = self._ask_question(messages, Propose, episode)
        if isinstance(proposal, str):
            proposal = Propose(phrases=[episode.task.query.strip()[:80] or "object"])
        tried = [search.phrase for search in episode.searches]
        fresh = [phrase for phrase in proposal.phrases if phrase not in tried]
        fresh = self._add_readings(fresh or [_drop_adjectives(proposal.phrases[0])], tried, episode.task.query)
        plan = self._build_plan(proposal, progress)
        return replace(Segment(phrases=fresh).to_decision(proposal.reading), usage=usage, plan=plan)

    def _propose_next(self, episode: Episode, progress: Progress, messages: Messages) -> Decision:
        """In a conversation: choose among known masks, and search only for what was not looked for yet."""
        proposal, usage = self._ask_question(messages, ProposeNext, episode)
        if isinstance(proposal, str):
            proposal = ProposeNext(ids=list(episode.task.context.selected))
        searched = {search.phrase: search.ids for search in episode.workspace.searches}
        fresh = [phrase for phrase in proposal.phrases if phrase not in searched]
        known = [id for phrase in proposal.phrases for id in searched.get(phrase, ())]
        among = sorted({id for id in (*proposal.ids, *known) if id in episode.workspace})
        if not fresh and not among:
            among = list(episode.task.context.selected)
        plan = {**self._build_plan(proposal, progress), "reading": proposal.reading, "among": among}
        if not fresh and not among:
            return replace(ReportNoMask().to_decision(proposal.reading), usage=usage)
        call = Segment(phrases=fresh) if fresh else Combine(op="union", a=among, b=[])
        return replace(call.to_decision(proposal.reading), usage=usage, plan=plan)

    def _add_readings(self, phrases: Sequence[str], tried: Sequence[str], query: str) -> list[str]:
        """Add what the grammar reads, and what else the first phrase may be called, as far as a search has room."""
        others = list_readings(query) if self.strategies.hypotheses else []
        if self.thesaurus is not None and self.strategies.thesaurus:
            others += list_related_phrases(phrases[0], self.thesaurus)
        fresh = [name for name in others if name not in tried]
        return list(dict.fromkeys([*phrases, *fresh]))[:MAX_PHRASES]

    def _build_plan(self, proposal: Propose, progress: Progress) -> dict[str, Any]:
        return {
            "stage": "proposed",
            "round": progress.round + 1,
            "several": proposal.several,
            "box": proposal.box,
        }

    def _follow_box(self, box: Sequence[float], plan: Mapping[str, Any]) -> Decision:
        thought = "The model sees it there."
        return replace(Refine(box=list(box)).to_decision(thought), plan=dict(plan))

    def _judge(self, episode: Episode, progress: Progress) -> Decision:
        fresh = progress.find_unjudged(episode, least=self.strategies.same_outline)
        if not fresh:
            return self._conclude(episode, progress)
        plan = {**progress.plan, "stage": "judged"}
        return replace(Examine(ids=fresh).to_decision(), plan=plan)

    def _conclude(self, episode: Episode, progress: Progress) -> Decision:
        evidence = progress.collect_evidence(episode)
        chosen = progress.choose_masks(evidence)
        if not chosen and progress.round < ROUNDS:
            return self._propose(episode, progress)
        chosen = chosen or self._choose_least_bad(episode, evidence)
        if not chosen:
            return ReportNoMask().to_decision()
        return self._check(episode, progress, chosen, evidence)

    def _choose_least_bad(self, episode: Episode, evidence: Mapping[int, float]) -> list[int]:
        """Choose the best of masks that were all rejected, if it is near, or where the model itself drew its box."""
        boxed = self._find_boxed(episode, evidence)
        near = [id for id in evidence if id in boxed or evidence[id] >= LEAST]
        return [max(near, key=lambda id: evidence[id])] if near else []

    def _check(
        self, episode: Episode, progress: Progress, chosen: Sequence[int], evidence: Mapping[int, float]
    ) -> Decision:
        """Ask what is wrong with the answer, once; follow the boxes of what is missing, one after the other."""
        waiting = progress.plan.get("missing", [])
        if waiting:
            plan = {**progress.plan, "stage": "repaired", "missing": waiting[1:]}
            return self._follow_box(waiting[0], plan)
        if not self.strategies.working_mask or "missing" in progress.plan:
            return Answer(ids=list(chosen)).to_decision()
        messages = requests.build_check(requests.restate_query(episode), chosen, self.view)
        doubt = 1 - sum(compute_probability(evidence[id]) for id in chosen) / len(chosen)
        if not self._is_worth(episode, messages, doubt):
            return Answer(ids=list(chosen)).to_decision()
        found, usage = self._ask_question(messages, CheckAnswer, episode)
        if isinstance(found, str) or not (found.boxes or found.wrong):
            return replace(Answer(ids=list(chosen)).to_decision(), usage=usage)
        several = progress.plan.get("several", False) or bool(found.boxes and not found.wrong)
        plan = {
            **progress.plan,
            "checked_at": len(episode.workspace),
            "wrong": found.wrong,
            "missing": found.boxes[:MAX_REPAIRS],
            "several": several,
        }
        later = Progress({**plan, "stage": "judged"}, progress.round)
        if found.boxes:
            return replace(self._check(episode, later, chosen, evidence), usage=usage)
        left = later.choose_masks(later.collect_evidence(episode)) or chosen
        return replace(Answer(ids=list(left)).to_decision(), usage=usage)

    # --- looks at masks -----------------------------------------------------------------------------------------------

    def examine(self, episode: Episode, ids: Sequence[int], *, closely: bool = False) -> list[Verdict]:
        """Ask the model for verdicts on these masks, and once more where the first look leaves doubt.

        Args:
            episode: Everything that happened so far.
            ids: The masks in question.
            closely: As for `ChatPlanner.examine`, in a conversation that goes on.

        Returns:
            At most one verdict for each mask. Its probability holds all that speaks for the mask.
        """
        progress = Progress.from_episode(episode)
        if not progress.plan:
            return super().examine(episode, ids, closely=closely)
        episode = requests.restate_query(episode)
        first = self._collect_verdicts(requests.build_look(episode, ids, self.view), SheetVerdicts)
        looks = [Look([verdict for verdict in first if verdict.id in episode.workspace])]
        usage = sum((verdict.usage for verdict in first), NO_COST)
        if self.strategies.looks_again:
            second, cost = self._look_again(episode, looks[0], wants_one=progress.wants_one)
            looks, usage = [*looks, second], usage + cost
        evidence = self._add_support(episode, pooled.average_looks(looks), wants_one=progress.wants_one)
        if self.strategies.looks_again and progress.wants_one:
            evidence, cost = self._compare_rivals(episode, evidence)
            usage += cost
        return _to_verdicts(evidence, looks, usage)

    def _look_again(self, episode: Episode, first: Look, *, wants_one: bool) -> tuple[Look, Usage]:
        evidence = self._add_support(episode, pooled.average_looks([first]), wants_one=wants_one)
        uncertain = pooled.find_uncertain(evidence, wants_one=wants_one, margin=self.strategies.margin)
        disputed = self._find_disputed(episode, evidence, wants_one=wants_one)
        doubtful = list(dict.fromkeys([*uncertain, *disputed]))[:MOST_DOUBTFUL]
        if not doubtful:
            return Look([]), NO_COST
        [asked] = requests.build_look(episode, sorted(doubtful), self.view, closer=True)
        doubt = max(min(p, 1 - p) for p in (compute_probability(evidence[id]) for id in doubtful))
        doubt = max(doubt, DISPUTE if disputed else 0.0)
        if not self._is_worth(episode, asked.messages, doubt):
            return Look([]), NO_COST
        verdicts = self._collect_verdicts([asked], SheetVerdicts)
        known = [verdict for verdict in verdicts if verdict.id in episode.workspace]
        return Look(known, pooled.SECOND_LOOK_WEIGHT), sum((verdict.usage for verdict in verdicts), NO_COST)

    def _find_disputed(self, episode: Episode, evidence: Mapping[int, float], *, wants_one: bool) -> list[int]:
        """Find masks about which the model said one thing by its box and another by its verdict."""
        boxed = self._find_boxed(episode, evidence)
        if not boxed:
            return []
        best = max(evidence, key=lambda id: evidence[id])
        if wants_one and best not in boxed:
            return [best, *boxed]
        return [id for id in boxed if evidence[id] < 0] if not any(evidence[id] > 0 for id in boxed) else []

    def _find_boxed(self, episode: Episode, evidence: Mapping[int, float]) -> list[int]:
        """Find masks that lie where the model's own box does."""
        drawn = pooled.list_boxed(episode.workspace, known=count_known(episode))
        return pooled.find_same_place(episode.workspace, list(evidence), drawn)

    def _add_support(self, episode: Episode, evidence: Mapping[int, float], *, wants_one: bool) -> dict[int, float]:
        if not self.strategies.hypotheses:
            return dict(evidence)
        known, least = count_known(episode), self.strategies.same_outline
        return {
            id: logit + pooled.measure_support(episode.workspace, id, wants_one=wants_one, known=known, least=least)
            for id, logit in evidence.items()
        }

    def _compare_rivals(self, episode: Episode, evidence: Mapping[int, float]) -> tuple[dict[int, float], Usage]:
        """Let the two best masks compete where they are nearly tied."""
        best, *others = sorted(evidence, key=lambda id: -evidence[id]) or [0]
        if not others or evidence[best] - evidence[others[0]] > self.strategies.tie:
            return dict(evidence), NO_COST
        rivals = sorted((best, others[0]))
        messages = requests.build_comparison(episode, rivals, self.view)
        if not self._is_worth(episode, messages, 0.5):
            return dict(evidence), NO_COST
        compared, usage = self._ask_question(messages, Compare, episode)
        if isinstance(compared, str) or compared.better not in rivals:
            return dict(evidence), usage
        [loser] = [id for id in rivals if id != compared.better]
        lead = compute_logit(max(compared.probability, 0.5)) / 2
        return {**evidence, compared.better: evidence[compared.better] + lead, loser: evidence[loser] - lead}, usage

    # --- questions ----------------------------------------------------------------------------------------------------

    def _is_worth(self, episode: Episode, messages: Messages, doubt: float) -> bool:
        if not self.strategies.stop_rule:
            return True
        return is_worth_asking(doubt, estimate_tokens(messages), episode.usage, self.budget)

    def _ask_question(
        self, messages: Messages, tool: type[SmallTool], episode: Episode
    ) -> tuple[SmallTool | str, Usage]:
        """Ask, and once more where the reply cannot be read. Returns the call, or what is wrong with the last reply.

        Raises PlannerError where the model cannot be had.
        """
        convention = "pixels" if self.view.coordinates == "auto" else self.view.coordinates
        schema = adapt_schema(tool.to_planner_schema(), convention)
        [reply] = self.model.generate_replies([messages], [schema])
        read, usage = read_reply_as(reply, tool), reply.usage
        if isinstance(read, str) and not reply.error:
            [reply] = self.model.generate_replies([build_retry(messages, reply, read)], [schema])
            read, usage = read_reply_as(reply, tool), usage + reply.usage
        if reply.error:
            raise PlannerError(reply.error)
        if isinstance(read, str):
            return read, usage
        placed, _ = to_pixel_call(read, "", self.view.build_frame(episode.task.image))
        return placed, usage  # type: ignore[return-value]


def _drop_adjectives(phrase: str) -> str:
    """The noun alone, which is more general."""
    return phrase.split()[-1]


def _to_verdicts(evidence: Mapping[int, float], looks: Sequence[Look], usage: Usage) -> list[Verdict]:
    """Verdicts with what is known of each mask; the first carries the cost."""
    reasons = {verdict.id: verdict.reason for look in looks for verdict in look.verdicts}
    verdicts = [
        Verdict(id, accept=logit > 0, probability=round(compute_probability(logit), 4), reason=reasons.get(id, ""))
        for id, logit in evidence.items()
    ]
    if not verdicts:
        return [Verdict(0, accept=True, probability=0.5, usage=usage)] if usage != NO_COST else []
    return [replace(verdicts[0], usage=usage), *verdicts[1:]]
