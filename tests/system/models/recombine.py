#!/usr/bin/env python3
"""A model that knows nothing: it answers a prompt (stdin) with a schedule put together from what the prompt shows, and nothing else.

For experiments on whether the search learns from feedback: where the prompt says what was tried and what it gained, steps that gained are
kept and steps that lost are left out; where it says nothing (blank_feedback), steps are drawn evenly. The same prompt gives the same answer.
"""
import hashlib
import random
import re
import sys

STEP = re.compile(r"([a-z_]+)\(([^()]*)\)")


def steps_of(text):
    return [(verb, [p.strip() for p in parts.split(",") if p.strip()]) for verb, parts in STEP.findall(text)]


def show(steps):
    return "; ".join(f"{verb}({', '.join(parts)})" for verb, parts in steps)


def with_other_number(step, draw):
    verb, parts = step
    numbered = [i for i, p in enumerate(parts) if re.fullmatch(r"\w+=\d+", p)]
    if not numbered:
        return step
    at = draw.choice(numbered)
    name, value = parts[at].split("=")
    value = int(value)
    value = max(1, value * 2 if draw.random() < 0.5 else value // 2)
    return verb, parts[:at] + [f"{name}={value}"] + parts[at + 1:]


def main():
    prompt = sys.stdin.read()
    draw = random.Random(hashlib.sha256(prompt.encode()).digest())
    verbs = set()
    language = prompt.split("## The schedule language", 1)
    menu = steps_of(language[1]) if len(language) > 1 else []
    menu = [s for s in menu if s[0] != "verb" and s[0] != "split"]
    verbs = {verb for verb, _ in menu}
    shown = [steps_of(block) for block in re.findall(r"```schedule\n(.*?)```", prompt, re.S)]
    base = list(shown[0]) if shown else []
    gains = []  # (gain, steps) of what the prompt says was tried
    for line in prompt.splitlines():
        tried = re.match(r"- (.*): passed, ([0-9.]+)x of its parent's speed", line)
        helped = re.match(r"- (.*): faster in (\d+) of (\d+) tries", line)
        failed = re.match(r"- (.*): (compile_error|incorrect|runtime_error|timeout)", line)
        if tried:
            gains.append((float(tried[2]), steps_of(tried[1])))
        elif helped:
            gains.append((0.8 + 0.6 * (int(helped[2]) + 0.5) / (int(helped[3]) + 1), steps_of(helped[1])))
        elif failed:
            gains.append((0.1, steps_of(failed[1])))
    pool = [(1.0, s) for s in menu] + [(1.0, s) for other in shown[1:] for s in other]
    for gain, steps in gains:
        pool += [(gain, s) for s in steps if s[0] in verbs]
    lost = {show([s]) for gain, s in pool if gain < 0.99}
    idea, result = "nothing to go by", list(base)
    for _ in range(50):
        result = list(base)
        how = draw.random()
        if how < 0.25 and result:
            at = draw.randrange(len(result))
            result[at] = with_other_number(result[at], draw)
            idea = f"another number in {show([result[at]])}"
        elif how < 0.35 and len(result) > 1:
            gone = result.pop(draw.randrange(len(result)))
            idea = f"without {show([gone])}"
        elif pool:
            weights = [gain ** 8 for gain, _ in pool]
            step = draw.choices([s for _, s in pool], weights)[0]
            if draw.random() < 0.3:
                step = with_other_number(step, draw)
            result = [s for s in result if s[0] != step[0] or s[1][:1] != step[1][:1]] + [step]
            idea = show([step])
        if show(result) != show(base) and not (lost & {show([s]) for s in result if s not in base}):
            break
    print(f"IDEA: {idea}\n```schedule\n{show(result)}\n```")


if __name__ == "__main__":
    main()
