#!/usr/bin/env python3
"""A model for the test of synthesizers that migrate: it takes a second or so, and notes when it begins and ends a request, so that a test sees what was asked
of whom, and how often.

Usage: steady.py NOTES WHO [SECONDS]. It answers by the proposal's number in the prompt, always the same: a schedule for the generator.
"""
import os
import re
import sys
import time


def note(file, *words):
    with open(file, "a") as notes:  # a line is written at once
        notes.write(" ".join(map(str, words)) + "\n")


def main():
    notes, who = sys.argv[1:3]
    prompt = sys.stdin.read()
    number, step = int(re.findall(r"This is proposal (\d+)", prompt)[0]), prompt.count("That cannot be taken:")
    note(notes, "begins", who, number, step)
    time.sleep(float(sys.argv[3]) if len(sys.argv) > 3 else 1.2)
    width, unroll, sums = 4 << number % 3, 1 + number // 3 % 4, 1 + number // 12 % 4 + step
    print(f"IDEA: version {number}\n```schedule\nfuse(*); rows(*); vectorize(*, width={width}); accumulators(*, n={sums}); parallel(*); unroll(*, factor={unroll})\n```")
    sys.stdout.flush()
    note(notes, "ends", who, number, step)


if __name__ == "__main__":
    main()
