"""How a simulated model answers small questions: verdicts, proposals, comparisons and checks."""

import json
import re
from math import sqrt
from typing import Any

import numpy as np

from agent.models.base import Call, Reply
from evals.simulation.judging import Judge, to_probability
from evals.simulation.phrasing import propose_phrase
from evals.simulation.request import HALF_SEEN, Request

RAW_SIGHT = 0.8
"""How well an object without a mask is seen, as a share of one that is outlined."""
NOTICED = 0.8
"""Evidence from which on it speaks up when it checks an answer, as it is told that most answers are right."""
MAX_MISSING = 4

_NUMBERS = re.compile(r"Numbers?: (\d+(?:, \d+)*)")
_COUNT = re.compile(r"Name (\d+) phrases")


def call_tool(name: str, **arguments: Any) -> Reply:
    """Make a reply that calls a tool."""
    return Reply(calls=(Call(name, json.dumps(arguments)),), finish_reason="tool_calls")


# --- verdicts ---------------------------------------------------------------------------------------------------------


def judge_one_mask(judge: Judge) -> Reply:
    """Judge the mask that a request names."""
    [number] = list_numbers(judge.request)
    opinion = _form_opinion(judge, number)
    return call_tool("verdict", **{name: value for name, value in opinion.items() if name != "number"})


def judge_masks(judge: Judge) -> Reply:
    """Judge the masks that a request names, all in one call."""
    return call_tool("verdicts", verdicts=[_form_opinion(judge, number) for number in list_numbers(judge.request)])


def list_numbers(request: Request) -> list[int]:
    """List the numbers of the masks that a request asks about."""
    listed = [found for text in request.texts for found in _NUMBERS.findall(text)]
    return list(map(int, listed[-1].split(", ")))


def _form_opinion(judge: Judge, number: int) -> dict[str, Any]:
    probability = judge.state_probability(number)
    return {"number": number, "reason": "as simulated", "accept": probability > 0.5, "probability": probability}


# --- proposals --------------------------------------------------------------------------------------------------------


def propose_search(judge: Judge) -> Reply:
    """Name phrases, whether several things are meant, and a box around one of them."""
    counts = [int(found) for text in judge.request.texts for found in _COUNT.findall(text)]
    nouns = len(judge.request.truth.list_nouns(judge.meaning))
    phrases = list_search_phrases(judge, max(0, counts[-1] - nouns) if counts else 0)
    box = draw_box(judge, judge.meaning[0]) if judge.meaning else None
    return call_tool("propose", reading="as simulated", phrases=phrases, several=not judge.wants_one, box=box)


def list_search_phrases(judge: Judge, alternatives: int) -> list[str]:
    """List a phrase for each noun that is meant, and so many others: each is thought of anew, with errors alike."""
    request = judge.request
    phrases: list[str] = []
    asked = [*request.truth.list_nouns(judge.meaning), *[""] * alternatives]
    for place, noun in enumerate(asked):
        asking = f"{request.asking}|{place}"
        phrases.append(
            propose_phrase(
                request.truth,
                judge.meaning if noun else judge.understand_query(asking),
                judge.profile,
                judge.chance,
                asking=asking,
                tried=(*request.tried, *phrases),
                noun=noun,
            )
        )
    return phrases


def draw_box(judge: Judge, index: int) -> list[float]:
    """Draw a box around an object, with an error on each edge that is the same whenever it is asked for."""
    truth = judge.request.truth
    x0, y0, x1, y1 = map(float, truth.boxes[index])
    sides = np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    noise = [judge.chance.draw_normal(f"{truth.key}|box {index} {edge}", judge.request.asking) for edge in range(4)]
    height, width = truth.size
    box = np.array([x0, y0, x1, y1]) + judge.profile.box * sides * np.array(noise)
    low = np.clip(np.minimum(box[:2], box[2:]), 0, [width - 2, height - 2])
    high = np.clip(np.maximum(box[:2], box[2:]), low + 1, [width, height])
    return [round(float(edge), 1) for edge in (*low, *high)]


# --- comparisons and checks -------------------------------------------------------------------------------------------


def compare_masks(judge: Judge) -> Reply:
    """Say which of two masks is the better one."""
    first, second = list_numbers(judge.request)
    lead = judge.weigh_mask(first) - judge.weigh_mask(second)
    clarity = (judge.request.measure_clarity(first) + judge.request.measure_clarity(second)) / 2
    probability = to_probability(judge.profile.keenness * clarity * abs(lead) / judge.profile.temperature)
    return call_tool("compare", reason="as simulated", better=first if lead > 0 else second, probability=probability)


def check_answer(judge: Judge) -> Reply:
    """Say which masks do not belong there, and where something is missing."""
    request = judge.request
    numbers = list_numbers(request)
    wrong = [number for number in numbers if judge.weigh_mask(number) < -NOTICED]
    masks = [found.rle for found in map(request.find_candidate, numbers) if found is not None]
    unmasked = request.truth.list_missing(masks, tuple(range(len(request.truth.objects))))
    if judge.wants_one and len(wrong) < len(numbers):
        unmasked = []
    missing = [index for index in unmasked if _notice_object(judge, index)][:MAX_MISSING]
    return call_tool("check", boxes=[draw_box(judge, index) for index in missing], wrong=wrong)


def _notice_object(judge: Judge, index: int) -> bool:
    """Whether it takes an object without a mask for one that is meant."""
    truth = judge.request.truth
    height, width = truth.size
    side = sqrt(float(truth.areas[index]) * height * width)
    lean = 1.0 if index in judge.meaning else -1.0
    noise = judge.chance.draw_normal(f"{truth.key}|object {index}", judge.request.asking)
    return judge.profile.keenness * RAW_SIGHT * side / (side + HALF_SEEN) * lean + noise > NOTICED
