#!/usr/bin/env python3
"""A model that knows nothing: it answers a prompt (stdin) with a schedule put together from what the prompt shows, and nothing else.

For experiments on whether the search learns from feedback. Every step that the prompt names is a candidate for the next change, weighed by what the
prompt says of it: what gained here counts by its gain, what helped like operators by its wins, what was not tried as a thing that may be good; what
lost or failed is left out. Where the prompt says nothing (blank_feedback), every step weighs the same. The same prompt gives the same answer.
"""
import hashlib
import random
import re
import sys

STEP = re.compile(r"([a-z_]+)\(([^()]*)\)")
UNTRIED = 1.0       # the weight of a step of which nothing is said
MOST = 3.0          # of any: or a lucky step is drawn again and again, and what is not known yet never
NEW_VERB = 2.0      # a kind of step that the schedule has none of teaches more than another number for one that it has
LOST = 0.98         # a ratio of times below this is a loss
NO_NOVELTY = 50     # draws that changed nothing, then whatever came last is the answer


def steps_of(text):
    return [(verb, tuple(p.strip() for p in parts.split(",") if p.strip())) for verb, parts in STEP.findall(text)]


def show(steps):
    return "; ".join(f"{verb}({', '.join(parts)})" for verb, parts in steps)


def place_of(step):
    """What a step replaces: the verb and what it is applied to."""
    verb, parts = step
    return verb, parts[:1]


def with_other_number(step, draw):
    verb, parts = step
    numbered = [i for i, p in enumerate(parts) if re.fullmatch(r"\w+=\d+", p)]
    if not numbered:
        return step
    at = draw.choice(numbered)
    name, value = parts[at].split("=")
    value = max(1, int(value) * 2 if draw.random() < 0.5 else int(value) // 2)
    return verb, parts[:at] + (f"{name}={value}",) + parts[at + 1:]


def menu_of(prompt):
    """The steps that the schedule language's section shows as examples."""
    language = prompt.split("## The schedule language", 1)
    steps = steps_of(language[1].split("\n## ", 1)[0]) if len(language) > 1 else []
    return [s for s in steps if s[0] not in ("verb", "split")]


def said_of(prompt, verbs):
    """(step, kind, value) for each step of a line that says what came of it: "here" with the ratio of times, "elsewhere" with the share of wins."""
    for line in prompt.splitlines():
        tried = re.match(r"- (.*): passed, ([0-9.]+)x of its parent's speed", line)
        helped = re.match(r"- (.*): faster in (\d+) of (\d+) tries", line)
        failed = re.match(r"- (.*): (compile_error|incorrect\w*|runtime_error|timeout)", line)
        about = tried or helped or failed
        if not about:
            continue
        kind, value = ("here", float(tried[2])) if tried else ("elsewhere", (int(helped[2]) + 1) / (int(helped[3]) + 2)) if helped else ("here", 0.0)
        for step in steps_of(about[1]):
            if step[0] in verbs:
                yield step, kind, value


def weights_of(prompt, base):
    """Each step that may be drawn, with its weight; those that the prompt says lost, and those that are in the schedule as they are, weigh nothing."""
    menu = menu_of(prompt)
    verbs = {verb for verb, _ in menu}
    shown = [s for block in re.findall(r"```schedule\n(.*?)```", prompt, re.S)[1:] for s in steps_of(block)]
    weights = {s: UNTRIED for s in menu + [s for s in shown if s[0] in verbs]}
    lost, here, elsewhere = set(), {}, {}
    for step, kind, value in said_of(prompt, verbs):
        if not step[1] or "=" in step[1][0]: # a skill is told without what it was applied to: everything
            step = (step[0], ("*",) + step[1])
        if kind == "here" and value < LOST:
            lost.add(step)
        else:
            known = here if kind == "here" else elsewhere
            known[step] = max(known.get(step, 0), min(MOST, value if kind == "here" else 2 * UNTRIED * value)) # won half of the time: as good as what nobody tried
    weights.update(elsewhere)
    weights.update(here) # what was seen here says more
    has = {verb for verb, _ in base}
    return {s: w * (1 if s[0] in has else NEW_VERB) for s, w in weights.items() if s not in lost and s not in base}, lost


def answer(prompt):
    draw = random.Random(hashlib.sha256(prompt.encode()).digest())
    shown = [steps_of(block) for block in re.findall(r"```schedule\n(.*?)```", prompt, re.S)]
    base = list(shown[0]) if shown else []
    weights, lost = weights_of(prompt, base)
    idea, result = "nothing to go by", list(base)
    for _ in range(NO_NOVELTY):
        result = list(base)
        how = draw.random()
        if how < 0.2 and result:
            at = draw.randrange(len(result))
            result[at] = with_other_number(result[at], draw)
            idea = f"another number in {show([result[at]])}"
        elif how < 0.25 and len(result) > 1:
            gone = result.pop(draw.randrange(len(result)))
            idea = f"without {show([gone])}"
        elif weights:
            step = draw.choices(list(weights), list(weights.values()))[0]
            if draw.random() < 0.25:
                step = with_other_number(step, draw)
            result = [s for s in result if place_of(s) != place_of(step)] + [step]
            idea = show([step])
        if result != base and not lost.intersection(s for s in result if s not in base):
            break
    return f"IDEA: {idea}\n```schedule\n{show(result)}\n```"


if __name__ == "__main__":
    print(answer(sys.stdin.read()))
