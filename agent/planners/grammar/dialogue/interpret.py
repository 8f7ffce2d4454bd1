"""What a query means after what was said before: a change of the answer so far, or a question of its own.

A noun phrase of its own is a new question: 'the plates'. Words that name nothing by themselves choose among what was
meant: 'the red ones', 'the largest', 'number 3', 'the others'. 'Only' keeps some of the answer, 'also' adds to it,
'not' takes from it; 'another' adds one that it lacks, 'the next' takes its place; 'no, …' and 'I meant …' take the
place of what was said last. 'The same' asks for all of it again, so that it can be had of another image.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent.core.context import ConversationContext
from agent.planners.grammar.dialogue.answer_history import AnswerHistory
from agent.planners.grammar.dialogue.changes import AnswerChanger, compile_words
from agent.planners.grammar.dialogue.option_replies import OptionChoice, choose_by_description, choose_option
from agent.planners.grammar.dialogue.saved_plans import interpretation_from_json
from agent.planners.grammar.dialogue.utterances import (
    Utterance,
    find_short_question,
    is_acknowledgement,
    is_complaint,
    is_repeat_request,
    parse_utterance,
)
from agent.planners.grammar.interpretation import Change, Interpretation, interpret_query
from agent.planners.grammar.parsing.lexer import tokenize_beginning
from agent.planners.grammar.parsing.parser import find_head_phrase
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.plan import Counted, MaskIds, PreviousAnswer, walk_parts
from agent.planners.grammar.text.inscriptions import mark_inscriptions
from agent.planners.grammar.vocabulary import NUMERALS

SAY_WHAT = "Say what is meant instead, e.g. 'the left one', 'not the red ones' or 'undo'."
DEPTH = {
    "behind": ("above", "next to"),
    "in the back of": ("above", "next to"),
    "in front of": ("below", "next to"),
}
"""What an image does not show -> how it may look in the image plane."""


def interpret_follow_up(query: str, context: ConversationContext, *, on_video: bool = False) -> Interpretation:
    """Interpret a query in a conversation; without one, as it is by itself. It never fails.

    Args:
        query: Any text.
        context: What was said and answered before.
        on_video: Whether it is about a video.

    Returns:
        What it asks for, and what becomes of the answer so far.

    >>> from agent.core.context import PastTurn
    >>> cups = PastTurn("the cups", "answered", "3 masks: 'cup'.", (1, 2, 3))
    >>> interpret_follow_up("without number 3", ConversationContext(None, (1, 2, 3), (cups,))).plan
    Difference(of=PreviousAnswer(turn=0, phrases=()), minus=MaskIds(ids=(3,), phrases=()))
    """
    if not context.turns:
        return interpret_query(query, on_video=on_video)
    return DialogueState(read_history(context, on_video=on_video)).interpret(len(context.turns), query)


def read_history(context: ConversationContext, *, on_video: bool = False) -> AnswerHistory:
    """Return the conversation with how each of its turns was understood: as was saved, else by reading it again."""
    history = AnswerHistory(context, on_video=on_video)
    # Each turn is understood from those before it.
    for turn in range(len(context.turns)):
        history = history.with_next(_read_turn(history, turn))
    return history


def _read_turn(history: AnswerHistory, turn: int) -> Interpretation:
    past = history.turns[turn]
    if past.by_hand:
        return Interpretation(None, change="choose")
    if past.plan is not None:
        try:
            return interpretation_from_json(past.plan, turn=turn)
        except ValueError:
            pass  # what another version saved is read again, as turns without a plan are
    if turn:
        return DialogueState(history).interpret(turn, past.query)
    return interpret_query(past.query, on_video=history.on_video)


class DialogueState:
    """A conversation, and what may be said in it at one of its turns."""

    def __init__(self, history: AnswerHistory) -> None:
        self.history = history
        self.changer = AnswerChanger(history)

    def interpret(self, turn: int, query: str) -> Interpretation:
        """Return what `query` means as this turn."""
        query = mark_inscriptions(query)
        reply = self.interpret_reply(turn, query)
        if reply is not None:
            return reply
        if is_repeat_request(query):
            return self.changer.repeater.repeat_query(turn - 1)
        if is_acknowledgement(query):
            return self.leave_answer(turn)
        if is_complaint(query):
            return Interpretation(None, complete=False, notes=(SAY_WHAT,))
        # After a count, "and the plates?" asks how many there are.
        said = parse_utterance(query)
        if turn and isinstance(self.history.interpretations[turn - 1].plan, Counted):
            question = find_short_question(query)
            said = Utterance(f"how many {question}") if question else said
        try:
            return self.changer.correct_last(turn, said) if said.corrects else self.changer.change_answer(turn, said)
        except QuerySyntaxError:
            return self.fallback_reading(turn, said, query)

    def leave_answer(self, turn: int) -> Interpretation:
        return Interpretation(self.history.find_answer(turn - 1), change="stay")

    def interpret_reply(self, turn: int, query: str) -> Interpretation | None:
        """Return what the query chooses among the options of a question back; None where it is no reply to one."""
        if not turn or self.history.turns[turn - 1].outcome != "asked" or self.history.turns[turn - 1].elsewhere:
            return None
        options, asked = self.history.turns[turn - 1].options, self.history.interpretations[turn - 1]
        match choose_option(query, options):
            case OptionChoice("none"):
                return self.leave_answer(turn)
            case OptionChoice(_, ids) if ids:
                return replace(asked, chosen=(*asked.chosen, MaskIds(ids, self.history.find_phrases(ids))))
            case OptionChoice(words=words) if words:
                return self.interpret(turn - 1, words)
        plan = choose_by_description(query, options, self.history.find_phrases)
        return None if plan is None else replace(asked, chosen=(*asked.chosen, plan))

    # what cannot be read

    def fallback_reading(self, turn: int, said: Utterance, query: str) -> Interpretation:
        """Return what can be said for what goes beyond the grammar: a question back, or its head phrase."""
        depth = self.ask_about_depth(turn, said)
        if depth is not None:
            return depth
        head = find_head_phrase(tokenize_beginning(said.rest))
        # "The ones wearing a hat" names nothing by itself, and the hat is not what is meant.
        if not head or _ONES.search(said.rest):
            return Interpretation(None, complete=False)
        if said.change == "count" or (said.change is None and not said.more):
            return interpret_query(query, on_video=self.history.on_video)
        try:
            changed = self.changer.change_answer(turn, replace(said, rest=head, instead_of=""))
            return replace(changed, complete=False)
        except QuerySyntaxError:
            return Interpretation(None, complete=False, change=said.change or "choose")

    def ask_about_depth(self, turn: int, said: Utterance) -> Interpretation | None:
        """Return the question back about 'the one behind it'; None where nothing of that kind is said."""
        for word, instead in DEPTH.items():
            if re.search(rf"\b{word}\b", said.rest):
                options = [re.sub(rf"\b{word}\b", other, said.rest) for other in instead]
                if self.speaks_of_masks(turn, options[0]):
                    question = f"A picture has no depth, so what is {word} something cannot be told; which is meant?"
                    return Interpretation(None, question=question, options=_with_change(said, options))
        return None

    def speaks_of_masks(self, turn: int, words: str) -> bool:
        try:
            meant = compile_words(self.changer.repeater.describe_situation(turn), words)
        except QuerySyntaxError:
            return False
        return meant.refers or any(isinstance(part, PreviousAnswer | MaskIds) for part in walk_parts(meant.plan))


_ONES = re.compile(
    r"^(?:the |any )?(?:\w+ )?(?:ones?|those|these|them|it)\b"
    rf"|^(?:the )?(?:{'|'.join(NUMERALS)}|\d+) (?:in|on|at|near|with|without|behind|wearing|holding)\b"
)
"""The beginning of what names nothing by itself, so that no other noun in it can be what is meant."""
_OPENING: dict[Change, str] = {"keep": "only ", "add": "also ", "remove": "not "}


def _with_change(said: Utterance, options: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{_OPENING.get(said.change, '') if said.change else ''}{words}" for words in options)
