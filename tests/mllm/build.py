"""Builds the model in this folder and teaches it what is in `lessons.py`: `python tests/mllm/build.py`.

With `--further`, the model that is there learns on: to choose among a verifier's answers, beside all that it knows.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import network
import torch
from lessons import PROTOCOLS, Lesson, choices, lessons, probes, queries

from agent.models.rendering import parse_arguments, to_chat_template
from agent.models.reply_parsing import read_reply

MODEL = network.TEMPLATE.with_name("model")
STEPS = 1400
FURTHER_STEPS = 400
BATCH = 8
RATE = 3e-3
FURTHER_RATE = 1e-3
SEED = 1
PICTURES = 8
"""Per query, to learn from; it is tested in one more."""
CHOICES = 40
"""Questions of a verifier, for each of these numbers; the letters stand in another order in each."""
NOISE = 0.2
"""Standard deviation of what is added to normalised pixels and their mean, so that no picture is known by heart."""
IGNORED = -100
"""Label of a token that is not to be learned."""
Wire = Literal["native", "tagged"]


@dataclass(frozen=True, eq=False)
class Exercise:
    """A lesson as the model's processor writes it."""

    prompt: dict[str, torch.Tensor]
    """Each (1, …); `pixel_values` and `image_grid_thw` have a row per patch and per picture."""
    reply: torch.Tensor
    """int64, (n,): its tokens, with the one that ends it."""

    @classmethod
    def of(cls, lesson: Lesson, wire: Wire, processor: Any) -> "Exercise":
        text, images = written(lesson, wire, processor)
        prompt = processor(text=[text], images=images or None, return_tensors="pt")
        return cls(dict(prompt), torch.tensor(processor.tokenizer(lesson.reply + "<|im_end|>")["input_ids"]))


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    started = time.perf_counter()
    chance = random.Random(SEED)
    learned, unseen = taught(range(PICTURES), chance), taught([PICTURES], chance)
    print(f"{len(learned)} lessons after {time.perf_counter() - started:.0f} s", flush=True)
    if "--further" in sys.argv:
        model, processor = network.load(MODEL)
        exercises = [Exercise.of(lesson, wire, processor) for lesson, wire in learned]
    else:
        processor = network.processor(texts(learned))
        model = network.network(processor.tokenizer)
        exercises = [Exercise.of(lesson, wire, processor) for lesson, wire in learned]
        train(model, exercises, chance, STEPS, RATE)
    exercises += [Exercise.of(lesson, wire, processor) for lesson, wire in taught_choices(range(PICTURES), chance)]
    unseen += taught_choices([PICTURES], chance)
    train(model, exercises, chance, FURTHER_STEPS, FURTHER_RATE)
    print(f"trained after {time.perf_counter() - started:.0f} s", flush=True)
    model.to(torch.bfloat16)
    exact = [(lesson, wire) for lesson, wire in unseen if not lesson.is_choice]
    right = sum(is_right(model, lesson, wire, processor) for lesson, wire in exact)
    print(f"{right} of {len(exact)} replies in unseen pictures are exact, after {time.perf_counter() - started:.0f} s")
    asked = [(lesson, wire) for lesson, wire in unseen if lesson.is_choice]
    chosen = [choose(model, lesson, wire, processor) for lesson, wire in asked]
    best = sum(letter == lesson.reply for letter, (lesson, _) in zip(chosen, asked, strict=True))
    print(f"{sum(map(bool, chosen))} of {len(asked)} choices are letters, {best} the best one")
    if right < 0.98 * len(exact) or not all(chosen):
        sys.exit("not good enough: the model in the folder stays as it was")
    network.save(model, processor, MODEL)


def taught(seeds: Sequence[int], chance: random.Random) -> list[tuple[Lesson, Wire]]:
    """Every lesson of every query, each on one of the wires."""
    kinds = [(protocol, query) for protocol in PROTOCOLS for query in queries(protocol)]
    both = [(probe, wire) for probe in probes() for wire in get_args(Wire)]
    every = [
        lesson
        for seed, (nth, kind) in product(seeds, enumerate(kinds))
        for lesson in lessons(*kind, seed * len(kinds) + nth)
    ]
    return [*both, *((lesson, chance.choice(get_args(Wire))) for lesson in every)]


def taught_choices(seeds: Sequence[int], chance: random.Random) -> list[tuple[Lesson, Wire]]:
    """What a verifier asks, on one of the wires."""
    every = [lesson for seed, nth in product(seeds, range(CHOICES)) for lesson in choices(seed * CHOICES + nth)]
    return [(lesson, chance.choice(get_args(Wire))) for lesson in every]


def texts(learned: Sequence[tuple[Lesson, Wire]]) -> Iterator[str]:
    """What the tokenizer is trained on."""
    for lesson, _ in learned:
        yield lesson.reply
        yield from (part for turn in lesson.conversation for part in turn.content if isinstance(part, str))


def written(lesson: Lesson, wire: Wire, processor: Any) -> tuple[str, list[Any]]:
    messages, images = to_chat_template(lesson.conversation, lesson.tools, wire)
    tools = list(lesson.tools) if wire == "native" and lesson.tools else None
    return processor.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False), images


def train(model: Any, exercises: Sequence[Exercise], chance: random.Random, steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.05)
    model.train()
    for step in range(steps):
        loss = model(**collated(chance.sample(exercises, BATCH), model.config.text_config.pad_token_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    model.eval()


def collated(exercises: Sequence[Exercise], padding: int) -> dict[str, torch.Tensor]:
    """One batch: prompts and replies, padded on the right; only the replies have labels."""
    lengths = [exercise.prompt["input_ids"].shape[1] + len(exercise.reply) for exercise in exercises]
    shape = (len(exercises), max(lengths))
    batch = {
        "input_ids": torch.full(shape, padding),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "mm_token_type_ids": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED),
    }
    for row, exercise in enumerate(exercises):
        start, length = exercise.prompt["input_ids"].shape[1], lengths[row]
        batch["input_ids"][row, :length] = torch.cat([exercise.prompt["input_ids"][0], exercise.reply])
        batch["attention_mask"][row, :length] = 1
        batch["mm_token_type_ids"][row, :start] = exercise.prompt["mm_token_type_ids"][0]
        batch["labels"][row, start:length] = exercise.reply
    seen = [exercise.prompt for exercise in exercises if "pixel_values" in exercise.prompt]
    if not seen:
        return batch
    grids = torch.cat([prompt["image_grid_thw"] for prompt in seen])
    return batch | {
        "pixel_values": torch.cat([noisy(prompt["pixel_values"]) for prompt in seen]),
        "image_grid_thw": grids,
    }


def noisy(pixels: torch.Tensor) -> torch.Tensor:
    return pixels + NOISE * (torch.randn_like(pixels) + torch.randn(1))


def is_right(model: Any, lesson: Lesson, wire: Wire, processor: Any) -> bool:
    exercise = Exercise.of(lesson, wire, processor)
    with torch.inference_mode():
        output = model.generate(**exercise.prompt, max_new_tokens=len(exercise.reply), do_sample=False)
    reply = output[0, exercise.prompt["input_ids"].shape[1] :]
    if not torch.equal(reply, exercise.reply):
        print(f"said {processor.tokenizer.decode(reply)!r}, not {lesson.reply!r}", flush=True)
        return False
    return True


def choose(model: Any, lesson: Lesson, wire: Wire, processor: Any) -> str:
    """What the model replies, if that is a letter of those that are offered; else ""."""
    exercise = Exercise.of(lesson, wire, processor)
    with torch.inference_mode():
        output = model.generate(**exercise.prompt, max_new_tokens=len(exercise.reply) + 8, do_sample=False)
    said = processor.tokenizer.decode(output[0, exercise.prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    calls = read_reply(said, tools=lesson.tools).calls
    letters = lesson.tools[0]["function"]["parameters"]["properties"]["letter"]["enum"]
    return said if calls and parse_arguments(calls[0]).get("letter") in letters else ""


if __name__ == "__main__":
    main()
