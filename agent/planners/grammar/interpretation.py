"""How a query is understood: from text to a plan, with what was assumed for it."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

from agent.planners.grammar.compiler import CompiledPlan, ReferenceContext, build_head_phrase, compile_plan
from agent.planners.grammar.coverage import find_unused_words
from agent.planners.grammar.parsing.lexer import tokenize, tokenize_beginning
from agent.planners.grammar.parsing.normalize import normalize
from agent.planners.grammar.parsing.parser import find_head_phrase, parse
from agent.planners.grammar.parsing.syntax import QuerySyntaxError
from agent.planners.grammar.plan import Counted, Difference, Intersection, Plan, Union, has_mask_ids
from agent.planners.grammar.temporal.reading import read_temporal_query
from agent.planners.grammar.temporal.rewording import drop_narrow_words
from agent.planners.grammar.text.half_read import describe_half_read
from agent.planners.grammar.text.inscriptions import mark_inscriptions
from agent.planners.grammar.text.list_notation import split_class_names
from agent.planners.grammar.text.sentences import split_sentences
from agent.planners.grammar.text.typos import find_corrections

Change = Literal["new", "choose", "keep", "add", "remove", "count", "stay"]
"""What a query makes of the answer so far: another one, some of what was meant, some of it, more, less, how many it is
or nothing."""


UNUSED = "These words were not understood: {}."
NOTHING_WANTED = (
    "The query says what to leave out, and not what to look for; name both, e.g. 'everything except the dogs'."
)


_NAMES_NOTHING = {
    *("yes", "yeah", "yep", "yup", "no", "nope", "help", "help me", "test", "testing", "sure", "fine", "great", "cool"),
    *("stop it", "try again", "what", "why", "who are you", "how are you", "good morning", "bye", "never mind"),
}
"""What people say that asks for no thing."""


@dataclass(frozen=True)
class Interpretation:
    """How a query was understood.

    Attributes:
        plan: What is asked for; None where not even a noun phrase was found.
        complete: False where the plan covers the head noun phrase alone.
        notes: What was assumed: full sentences for the user.
        change: What becomes of the answer so far.
        subject: What is added or removed, where the change is one of these.
        chosen: What the user said to the questions back that this plan has led to so far, in turn.
        question: What has to be asked back before anything else …
        options: … and how the user could have put it instead.
    """

    plan: Plan | None
    complete: bool = True
    notes: tuple[str, ...] = ()
    change: Change = "new"
    subject: Plan | None = None
    chosen: tuple[Plan, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def interpret_query(query: str, *, on_video: bool = False) -> Interpretation:
    """Interpret a query by itself. A query that cannot be parsed is read as its head noun phrase.

    Args:
        query: Any text.
        on_video: Whether it is about a video, so that it may say what happens in the course of time.

    Returns:
        What it asks for; `complete` tells whether that is all of it.

    >>> interpret_query("the two largest circles").plan
    Ranked(of=Phrase(text='circle'), by='size', order='descending', start=1, take=2, to=None)
    >>> interpretation = interpret_query("the dog wearing a hat")
    >>> interpretation.plan, interpretation.complete
    (Phrase(text='dog'), False)
    """
    query = split_class_names(mark_inscriptions(query))
    if query.strip(" .!?").casefold() in _NAMES_NOTHING:
        return Interpretation(None, complete=False)
    try:
        unused: list[str] = []
        compiled = read_temporal_query(query, partial(_compile_words, unused=unused)) if on_video else None
        if compiled is None:
            unused.clear()
            compiled = _compile_sentences(query, unused)
        notes = (*compiled.notes, *([UNUSED.format(", ".join(map(repr, unused)))] if unused else []))
        notes = (*notes, *_list_corrections(query), *describe_half_read(query))
        return Interpretation(compiled.plan, complete=not unused, notes=notes)
    except QuerySyntaxError:
        return _read_head_phrase(drop_narrow_words(query) if on_video else query)


def _list_corrections(query: str) -> list[str]:
    """Return a note for each word that was read as another one."""
    return [f"{typo!r} was read as {word!r}." for typo, word in find_corrections(query)]


def _compile_sentences(query: str, unused: list[str]) -> CompiledPlan:
    """Compile the first sentence, and what those after it make of what it asks for."""
    first, *others = split_sentences(query)
    compiled = _compile_words(first.text, unused)
    plan, notes = drop_count(compiled.plan), [*compiled.notes]
    for sentence in others:
        context = ReferenceContext(plan, plan, plan, within=plan if sentence.change == "keep" else None)
        said = _compile_phrase_words(sentence.text, context)
        if has_mask_ids(said.plan):
            raise QuerySyntaxError(sentence.text)
        notes += said.notes
        match sentence.change:
            case "add":
                plan = Union((plan, _drop_antecedent(said.plan, plan)))
            case "remove":
                plan = Difference(plan, said.plan)
            case _:
                plan = said.plan
    return CompiledPlan(Counted(plan) if isinstance(compiled.plan, Counted) else plan, tuple(dict.fromkeys(notes)))


def _drop_antecedent(added: Plan, plan: Plan) -> Plan:
    """'The red cups. Also the blue one.' adds a blue cup, which is none of the red ones."""
    return added.other if isinstance(added, Intersection) and added.of == plan else added


def _compile_words(words: str, unused: list[str]) -> CompiledPlan:
    """Compile a noun phrase that says nothing of time. `unused`: gets the words that the plan makes nothing of."""
    tokens = tokenize(words)
    compiled = compile_plan(normalize(parse(tokens)))
    unused += find_unused_words(tokens, compiled.plan)
    return compiled


def _read_head_phrase(query: str) -> Interpretation:
    tokens = tokenize_beginning(query)
    head = find_head_phrase(tokens)
    only_excludes = not head and bool(tokens) and tokens[0].type == "EXCLUDING"
    notes = (NOTHING_WANTED,) if only_excludes else tuple(_list_corrections(query) if head else ())
    return Interpretation(build_head_phrase(head) if head else None, complete=False, notes=notes)


@lru_cache(maxsize=256)
def compile_phrase(words: str, context: ReferenceContext) -> CompiledPlan:
    """Compile the part of an utterance that names things.

    Args:
        words: E.g. 'the red ones'.
        context: What they may point at.

    Raises:
        QuerySyntaxError: They go beyond the grammar, or the plan makes nothing of some of them.

    >>> from agent.planners.grammar.plan import Phrase, PreviousAnswer
    >>> cups = PreviousAnswer(0, ("cup",))
    >>> compile_phrase("the red ones", ReferenceContext(cups, cups, Phrase("cup"))).plan
    Intersection(of=PreviousAnswer(turn=0, phrases=('cup',)), other=Phrase(text='red cup'))
    """
    if context.on_video:
        compiled = read_temporal_query(words, partial(_compile_phrase_words, context=context))
        if compiled is not None:
            return compiled
    return _compile_phrase_words(words, context)


def _compile_phrase_words(words: str, context: ReferenceContext) -> CompiledPlan:
    tokens = tokenize(words, in_conversation=True)
    selection = normalize(parse(tokens), in_conversation=True, of_answer=context.within is not None)
    compiled = compile_plan(selection, context)
    known = (context.now, context.ones, context.everything)
    if unused := find_unused_words(tokens, compiled.plan, known=known):
        raise QuerySyntaxError(", ".join(unused))
    return compiled


def drop_count(plan: Plan) -> Plan:
    """Return what is counted, where a plan counts; else the plan.

    >>> from agent.planners.grammar.plan import Phrase
    >>> drop_count(Counted(Phrase("cup")))
    Phrase(text='cup')
    """
    return plan.of if isinstance(plan, Counted) else plan
