"""Greetings, thanks and calls for help, which ask for nothing in an image: they are answered without a model."""

import re

from agent.planners.grammar.dialogue.utterances import is_acknowledgement

HELP = (
    "I outline what you name in your image or video. Say what you want, for example “all the cups”, “the largest one”,"
    " “not number 3” or “undo”. You can also click on an object in the image."
)
GREETING = f"Hello! {HELP}"
THANKS = "You are welcome. Ask for more, or save the result under “Export and models”."
_GREETING = re.compile(r"(?:hello|hi|hey|hallo|good (?:morning|day|afternoon|evening))(?: there)?", re.IGNORECASE)
_HELP = re.compile(
    r"help(?: me)?|what can (?:you|i|this) do|how does (?:this|it) work|who are you|what (?:is|are) (?:this|you)",
    re.IGNORECASE,
)
_THANKS = re.compile(r"(?:many |ok,? )?(?:thanks|thank you|thx|cheers)(?: (?:a lot|so much|very much))?", re.IGNORECASE)
_EDGES = " \t.!?,;:"


def answer_small_talk(query: str) -> str:
    """Return what to say to a query that asks for nothing in the image; '' for any other.

    >>> answer_small_talk("Hello!")[:6], answer_small_talk("thanks")[:16], answer_small_talk("the hello sign")
    ('Hello!', 'You are welcome.', '')
    """
    text = query.strip(_EDGES)
    if _GREETING.fullmatch(text):
        return GREETING
    if _HELP.fullmatch(text):
        return HELP
    if _THANKS.fullmatch(text):
        return THANKS
    return "All right." if text and is_acknowledgement(query) else ""
