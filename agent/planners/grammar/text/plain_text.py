"""Text to plain text: lower case, plain punctuation, and one way to write what people write in several."""

import re
import unicodedata

from agent.planners.grammar.text.emoji import name_emoji
from agent.planners.grammar.text.list_notation import join_list_items
from agent.planners.grammar.text.numerals import write_digits
from agent.planners.grammar.text.typos import correct_typos
from agent.planners.grammar.vocabulary import ADJECTIVES, COLOURS, THINGS_TOO


def normalize_query(query: str) -> str:
    """Return lower case, plain spacing and punctuation, contractions written out, 'in the picture' left out.

    Lists have commas, and large numbers have digits. What is plain already stays as it is.

    >>> normalize_query("Show me the left-most cup, that isn't RED, in this picture!")
    'show me the left most cup, that is not red'
    """
    query = name_emoji(re.sub("[\u2460-\u2473]", " , ", query))
    text = unicodedata.normalize("NFKC", query).casefold().replace("\u2019", "'")
    text = correct_typos(join_list_items(write_digits(text)))
    for pattern, plain in _REPLACEMENTS:
        text = pattern.sub(plain, text)
    return text.strip(" ,")


_SIDES = r"(?:left|right|top|bottom|upper|lower|cent(?:er|re)|middle)"
_ORDINALS = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th))"
_PLURAL = r"(?:(?:the|all) )?(?:\w+ )?\w{3,}s"
_NAMED_AGAIN = "a|an|the|i e|e g"
_SAID_OF_IT = (
    r"(?:left|right|top|bottom|middle|far|inside|outside|on|in|at|by|near|next|above|below|under|behind|between|with"
    r"|without|that|which|who|not|but|and|or|except|excluding|excl|please|all|if|from|to|of|largest|smallest|leftmost"
    r"|rightmost|the (?:left|right|top|bottom|largest|smallest|biggest|one|ones))\b"
)
"""How what is said in parentheses begins, where it goes on with the noun before it."""
_IMAGES = r"(?:picture|image|photo|photograph|scene|screenshot|canvas|view|frame)"
_ADJECTIVE = rf"(?:{'|'.join(sorted(ADJECTIVES - THINGS_TOO))})"
_COLOUR = rf"(?:{'|'.join(sorted(COLOURS))})"
_COLOUR_SAID = rf"{_COLOUR}(?: (?:and|or) {_COLOUR})?"
_OUTERMOST = r"(?:\w+est|\w+most)"
_POLITELY = (
    r"^((?:(?:please|pls|kindly|hey|hi|now|(?:can|could|would|will) you|i (?:want|would like)(?: you)? to),? )*)"
)
_REPLACEMENTS = [
    (re.compile(pattern), plain)
    for pattern, plain in [
        # addresses and files name nothing to look for
        (r"\b(?:https?|ftp|file)://\S+|\b[a-z]:\\\S+|\S+\.(?:png|jpe?g|webp|gif|bmp|tiff?)\b", " namely "),
        (r"(?<=\w) ?[<>\u2264\u2265]=? ?(?=\d)", " versus "),
        (r"\$(\d+)", r"\1 dollar"),
        (r"\u20ac(\d+)", r"\1 euro"),
        (r"\u00a3(\d+)", r"\1 pound"),
        # a small word that was typed twice
        (r"\b(the|a|an|of|in|on|and|or|to) \1\b", r"\1"),
        # abbreviations
        (r"\bw/o(?:ut)?\b", "without"),
        (r"\b(?:e\.? ?g|i\.? ?e|incl)\b\.? ?(?=[a-z])", " , namely "),
        (r"\bone and only\b", "only"),
        (r"\bw/(?=\s|\w)", "with "),
        (r"\bexcl\b\.?", "excluding"),
        (r"\b(st|mr|mrs|ms|dr|jr|sr|prof|vs|approx|mt)\.(?= )", r"\1"),
        (r"\bvs\b", "versus"),
        (r"%|\bper cent\b", " percent "),
        (r"(?<=\d)\+(?= ?[a-z])", " or more "),
        (r"(?<=[a-z])[(\[](e?s)[)\]]", r"\1"),
        # contractions
        (r"\b(is|are|was|were|do|does|did|can|could)n'?t\b", r"\1 not"),
        (r"\b(that|what)s\b", r"\1 is"),
        (r"\bcan not\b", "cannot"),
        (r"\b(what|where|that|who|which|there|it|here)'s\b", r"\1 is"),
        (r"\bi'd\b", "i would"),
        (r"\b(?:i|you|we)'(?:m|re|ve|ll)\b", "i am"),
        # ways to ask that say no more than "find"
        (r"\b(can|could|would|will) (?:u|ya)\b", r"\1 you"),
        (r"\blem+e\b", "let me"),
        (r"\bgim+e\b", "give me"),
        (r"\bwanna\b", "want to"),
        (r"^let'?s\b", "let us"),
        (r"\b(?:would|will|is) it (?:be )?possible (?:for you )?to\b", "could you"),
        (r"\bgo ahead and\b", "please"),
        (r"^i am (?:just |only )?trying to\b", "try to"),
        (r"\bpoint me (?:to|at)\b", "point to"),
        (rf"{_POLITELY}(?:grab|fetch|get)(?: me)? (?=(?:the|all|every|each|any|both|a|an|my)\b)", r"\1get "),
        (
            rf"{_POLITELY}(?:put|place|draw|make|create|generate|give me|add|need|want) (?:(?:a|an|the|some|one) )?"
            r"(?:\w+ )?(?:masks?|boxe?s?|outlines?|contours?|cut ?outs?|polygons?) (?:around|on|onto|over|for|of) ",
            r"\1segment ",
        ),
        (rf"{_POLITELY}draw a circle (?:around|on|over) ", r"\1segment "),
        # amounts that are no number
        (r"(?<=\d)\s*/\s*(?=\d)", " percent "),
        (r"(?<![\w-])(\d+) ?- ?(\d+)(?= (?!and\b|or\b|to\b)[a-z])", r"\1 up to \2"),
        (r"\bno\.? ?(?=\d)", "number "),
        (r"\ba couple (?=\w+s\b)(?!sits|stands|kisses|walks|hugs|dances|is|was|has)", "a couple of "),
        (r"\bnothing but\b|\bnot only (?=.* but also\b)", "only "),
        (r"\bbut also\b", "and "),
        (r"\b(?:some|any|every)(?:one|body)\b", "every person"),
        # what stands in parentheses: adjectives describe what is before it, other nouns do something unclear
        (rf"(?<=\w)(?<! in)(?<! of) ?[(\[]((?:the )?{_ADJECTIVE}(?: ones?)?)[)\]]", r" that seem \1 "),
        (rf"(?<=\w) ?[(\[](?=(?:(?:{_NAMED_AGAIN}) )?[a-z ]+[)\]])(?!{_SAID_OF_IT})", " , namely "),
        (rf"^({_PLURAL}): (?=[a-z])", r"\1, namely "),
        # a sign between nouns: "circles - red" leaves out the red ones, "dog - cat" could be a list
        (rf"(?<=[a-z]) [-\u2013\u2212] (?={_ADJECTIVE}(?: ones?)?(?:$|,))", " except "),
        (r"(?<=[a-z]) [-\u2212] (?=\S)", " versus "),
        (r"(?<!\S)-(?=\d)", " minus "),
        # quotes in pairs, so that an apostrophe that is left is a possessive
        (r"(?<!\w)'([^']+)'(?!\w)", r" \1 "),
        # punctuation: what ends a clause is a comma, and a decimal point stays one word
        (r"&", " and "),
        (r"(?<=\d)\.(?=\d)", "_"),
        (r"[.;:?!()\[\]{}/\u2013\u2014]|--+", " , "),
        # hyphens: "left-most" is two words, "t-shirt" is one
        (rf"\b({_SIDES})-(?=(?:left|right|most|hand|side)\b)", r"\1 "),
        (rf"\b({_ORDINALS})-(?=\w+(?:est|most)\b)", r"\1 "),
        # what has a plainer way to say it
        (r"\boutside(?: of)? (?=(?:the|a|an|all|any|every|each|both|this|that)\b)", "not inside "),
        (r"\bin the (?:middle|cent(?:er|re)) of (?=(?:the )?two\b)", "between "),
        (r"\bout of (?=(?:the|all)\b)", "of "),
        (r"\bnon-|\bun(?=(?:striped|dotted|spotted|patterned|colou?red)\b)", "non "),
        (rf"\b(neither) ({_ADJECTIVE}) nor ({_ADJECTIVE}) (\w+)", r"\4 that are neither \2 nor \3"),
        (rf"\b({_ADJECTIVE}) in (?:colou?r|shape|size)\b", r"\1"),
        (rf"(?<=\w) (?:of|with|in) (?:an? |the )?({_COLOUR_SAID}) colou?r\b", r" that seem \1"),
        (
            rf"(?<=\w) (?:colou?red|painted)(?: in)? ({_COLOUR_SAID})(?=$|,| (?:on|in|at|left|right|that|and|or)\b)",
            r" that seem \1",
        ),
        (rf"(?<=\w) whose colou?r (?:is|seems) ({_COLOUR_SAID})\b", r" that seem \1"),
        # what adds nothing to a superlative
        (rf"\b(?:(?:very|absolutely|absolute|overall|single)|by far(?: the)?) (?={_OUTERMOST}\b)", ""),
        (r"\b(?:second|next|one)[- ](?:to|but)[- ](?:the[- ])?last\b|\b(?:last but one|penultimate)\b", "last second"),
        (rf"\b({_ORDINALS})[- ](?:to|from)[- ](?:the[- ])?last\b", r"last \1"),
        (r"\b(and|but|or),? (?:please )?(?:leave out|exclude|omit|skip|ignore)\b", "except"),
        (
            r"(?<=\w),? (?:but )?(?:ignoring|leaving out|skipping|omitting|disregarding|not (?:counting|including))"
            r" (?=\w)",
            " except ",
        ),
        # what is left of hyphens, signs and quotes
        (r"(?<=\w)-(?=\w)", "_"),
        (r"[^\w',]", " "),
        (r"(?<!\w)'|(?<!s)'(?!\w)|'(?! \w)(?!\w)", " "),
        # everything asked for is in the image, so that it need not be said
        (rf"\b(?:in|of|on|from|within|across) (?:the|this|that|my|your) (?:whole |entire |given )?{_IMAGES}\b", " "),
        (r"\s+", " "),
        (r"(?: ?,)+ ?", ", "),
    ]
]
