#!/usr/bin/env python3
"""Mutation testing of judge, sandbox and statistics: small mechanical changes of the sources, drawn with a seed, each of which a test must notice.

    tests/hostile/mutants.py --work DIR [--count 200] [--seed 1] [--from 0]

DIR gets a clone of this checkout and a build of it; results are appended to DIR/mutants.jsonl, so that a run that was stopped goes on. A mutant
that does not compile is not counted. Prints survivors (file, line, change) and the share that was killed; exits 1 below 90%.
"""
import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ["judge", "judge_timing", "program", "sandbox", "cgroup", "namespaces", "system_calls", "compile_jail", "objects", "flags", "measure", "statistics",
         "compare", "case_set", "diagnose", "task_lint"]
TARGETS = ["kevolve", "kevolve-judge", "kevolve-harness", "measure_test", "oracle_inputs_test", "objects_test", "task_lint_test", "process_test", "evaluate_test", "deadline_test"]
# Cheap ones first: a mutant is dead at the first test that fails.
TESTS = [["measure_test"], ["oracle_inputs_test"], ["objects_test"], ["task_lint_test"], ["deadline_test"], ["evaluate_test"], ["kevolve", "bench", "hostile", "--quick"],
         ["kevolve", "bench", "hostile"]]
SWAPS = {" < ": " >= ", " > ": " <= ", " <= ": " > ", " >= ": " < ", " == ": " != ", " != ": " == ", " && ": " || ", " || ": " && ", "return true": "return false",
         "return false": "return true", " + ": " - ", " - ": " + ", " * ": " / "}


def sites_of(text):
    """Every (line, column, length, replacement, kind) that could be changed."""
    for number, line in enumerate(text.split("\n")):
        code = line.split("//")[0]
        if not code.strip() or code.lstrip().startswith("#") or '"' in code and "constexpr" in code:
            continue
        outside = re.sub(r'"(\\.|[^"\\])*"', lambda m: "\x00" * len(m.group()), code)
        for old, new in SWAPS.items():
            for m in re.finditer(re.escape(old), outside):
                yield number, m.start(), len(old), new, f"'{old.strip()}' for '{new.strip()}'"
        for m in re.finditer(r"(?<![\w.])(\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.'])", outside):
            value = float(m.group())
            yield number, m.start(), len(m.group()), "0" if value else "1", f"constant {m.group()}"
            if value:
                bigger = str(int(value * 3 + 1)) if re.fullmatch(r"\d+", m.group()) else repr(value * 3)
                yield number, m.start(), len(m.group()), bigger, f"constant {m.group()}"
        for m in re.finditer(r"(?<![\w!=])!(?=[a-z(])", outside):
            yield number, m.start(), 1, "", "negation dropped"
        if re.fullmatch(r"\s+[a-z_:.>\-\[\]()]*[a-z_]\([^;{}]*\);\s*", outside):
            yield number, 0, len(code), "  ;", "call dropped"


def draw(count, seed):
    chosen, sites = random.Random(seed), []
    for name in FILES:
        path = f"node-agent/{name}.cpp"
        for site in sites_of((ROOT / path).read_text()):
            sites.append((path, *site))
    chosen.shuffle(sites)
    return sites[: count * 3]  # some do not compile


def run(command, cwd, seconds):
    try:
        return subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return -1


def killed_by(build):
    for test in TESTS:
        if run([f"bin/{test[0]}", *test[1:]], build, 900) != 0:
            return " ".join(test)
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", required=True, type=pathlib.Path)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    clone = chosen.work / "clone"
    build = clone / "build" / "release"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        subprocess.run(["cmake", "-S", str(clone), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DKEVOLVE_TESTS=ON"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(build), *TARGETS], check=True, stdout=subprocess.DEVNULL)
    record = chosen.work / "mutants.jsonl"
    done = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    if not done:
        failing = killed_by(build)
        if failing:
            sys.exit(f"{failing} fails without any change")
    seen = {(d["file"], d["line"], d["column"], d["change"], d["new"]) for d in done}
    counted = sum(d["state"] != "does not compile" for d in done)
    for path, line, column, length, new, change in draw(chosen.count, chosen.seed):
        if counted >= chosen.count:
            break
        if (path, line + 1, column, change, new) in seen:
            continue
        original = (clone / path).read_text()
        lines = original.split("\n")
        lines[line] = lines[line][:column] + new + lines[line][column + length:]
        (clone / path).write_text("\n".join(lines))
        if run(["ninja", "-C", str(build), *TARGETS], clone, 900) != 0:
            state = "does not compile"
        else:
            by = killed_by(build)
            state = f"killed by {by}" if by else "survived"
            counted += 1
        (clone / path).write_text(original)
        with record.open("a") as out:
            out.write(json.dumps({"file": path, "line": line + 1, "column": column, "change": change, "new": new, "source": original.split("\n")[line].strip(), "state": state}) + "\n")
        print(f"{counted}/{chosen.count} {path}:{line + 1} {change}: {state}", flush=True)
    done = [json.loads(line) for line in record.read_text().splitlines()]
    survivors = [d for d in done if d["state"] == "survived"]
    counted = [d for d in done if d["state"] != "does not compile"]
    for d in survivors:
        print(f"survived: {d['file']}:{d['line']} {d['change']} -> '{d['new']}'\n    {d['source']}")
    share = 1 - len(survivors) / max(1, len(counted))
    print(f"{len(counted)} mutants, {len(survivors)} survived: {100 * share:.1f}% killed")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
