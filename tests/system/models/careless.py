#!/usr/bin/env python3
"""A model for the test of trajectories: it leaks secrets into every place that text can come from, and writes good kernels, bad ones and none.

It answers by the proposal's number in the prompt: a schedule; talk without code and, asked again, a schedule; or a kernel that does not compile however
often it is asked, with a secret in its text, so that compilers say it back and the last one is evaluated as it is.
"""
import re
import sys

TOKEN = "sk-planted-answer-0123456789abcdef"
COMPILED = "planted_compiler_secret_0123456789"
HOME = "/home/planted/notes.txt"


def kernel(number, body):
    return ("```cpp\n#include \"kevolve.h\"\nextern \"C\" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {\n"
            f"  // version {number}\n  {body}\n  return 0;\n}}\n```\n")


def main():
    prompt = sys.stdin.read()
    number, step = int(re.findall(r"This is proposal (\d+)", prompt)[0]), prompt.count("That cannot be taken:")
    leak = f"My key is {TOKEN}, sent as Authorization: Bearer {TOKEN}; see {HOME}.\n"
    if number % 3 == 0:
        print(f"IDEA: version {number}\n{leak}" + kernel(number, f"return {COMPILED}(in[0].data, {number} + {step});"))
    elif number % 3 == 1 and step == 0:
        print(leak + "I would rather talk.")
    else:
        print(f"IDEA: a schedule, says {TOKEN}\n{leak}```schedule\nfuse(*); rows(*); vectorize(*, width={4 << number % 3}); unroll(*, factor={1 + number % 5})\n```")


if __name__ == "__main__":
    main()
