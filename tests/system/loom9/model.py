"""A model that knows nothing: it writes what the prompt shows it, changed by what the prompt says came of it. Reads the prompt on stdin."""
import re
import sys

prompt = sys.stdin.read()


def blocks(text):
    return re.findall(r"```loomasm\n(.*?)```", text, re.S)


def section(title):
    found = re.search(r"^## " + re.escape(title) + r"\n(.*?)(?=^## |\Z)", prompt, re.S | re.M)
    return found.group(1) if found else ""


def answer(idea, source):
    print(f"IDEA: {idea}\n\n```loomasm\n{source}```")
    sys.exit(0)


parent = blocks(section("Parent"))
came = section("What came of the parent")
samples = blocks(prompt[: prompt.find("## Parent")] if not parent else prompt.replace(section("Parent"), ""))
samples = [s for s in samples if "add s0 s1" in s]

if not parent:
    if not samples:
        print("I was shown no sample program.")
        sys.exit(0)
    answer("the first sample as it stands", samples[0])

source = parent[0]
if "outcome: passed" not in came:
    limit = re.search(r"a strip of (\d+) elements: at most (\d+)", came)
    if limit:
        answer(f"strips of {limit.group(2)}, as the message says", source.replace(limit.group(1), limit.group(2)))
    others = [s for s in samples if s != source]
    answer("another sample: the outputs were wrong", others[0])

width = re.search(r"wsum s0 in0\[i0\] (\d+)", source)
if not width and "wsum sD T[iA] W" in prompt:
    source = source.replace("  ld s1 in0[i0]\n  add s0 s1\n", "  wsum s0 in0[i0] 2\n")
    source = source.replace("addi i0 1", "addi i0 2").replace("addi i1 1", "addi i1 2")
    answer("strips of two in place of single loads", source)
now = int(width.group(1))
answer(f"strips of {2 * now}", re.sub(rf"\b{now}\b(?=\n)", str(2 * now), source))
