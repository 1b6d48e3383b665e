#!/usr/bin/env python3
"""Mutation testing of judge, sandbox and statistics, or of the cluster's leases: small mechanical changes of the sources, drawn with a seed, each of which a test must notice.

    tests/hostile/mutants.py --work DIR [--count 200] [--seed 1]      draws mutants and tests each; goes on where it was stopped
    tests/hostile/mutants.py --work DIR --again                       tests the survivors once more, against this checkout's tests
    tests/hostile/mutants.py --work DIR --table                       prints the counts and survivors as Markdown
    tests/hostile/mutants.py --set cluster --work OTHER …             of lease, dispatch and log code: by simulation (2,000 seeds), then by their tests; --set leases: without the log's

DIR gets a clone of this checkout's last commit and a build of it; results are appended to DIR/mutants.jsonl (the last line about a mutant counts).
Mutants are drawn in turn from four kinds: comparison flipped (with logic and arithmetic), call dropped, constant changed, return forced; within a
kind each site of the files is equally likely. One that does not compile is not counted. Each file has its own list of tests, the cheap and near
ones first; a mutant is dead when one fails, fails again by itself, and passes without the mutant (every 40 mutants all tests must pass unchanged).
Tests run in namespaces and a control group of their own, since a mutant of what kills processes may kill whatever it can reach: needs root.
Exits 1 below 90 % killed.
"""
import argparse
import atexit
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS, HONEST = ROOT / "tests/hostile/programs", ROOT / "tests/hostile/honest"
KINDS = ["comparison flipped", "call dropped", "constant changed", "return forced"]
SWAPS = {" < ": " >= ", " > ": " <= ", " <= ": " > ", " >= ": " < ", " == ": " != ", " != ": " == ", " && ": " || ", " || ": " && ", " + ": " - ", " - ": " + ",
         " * ": " / ", " |= ": " &= "}

# Of evaluate_test: most of it looks at evaluate.cpp, compile.cpp and process.cpp.
TIMED = ["an honest candidate*", "a leader is measured*", "work that is skipped*"]
WHOLE = ["an honest candidate*", "a leader is measured*", "the sandbox that*", "a baseline that*", "an evaluation that is cancelled*", "a crash is*", "work that is skipped*"]

# file: tests of its own, cases of evaluate_test, attacks by the defences that they meet, whether the honest corpus matters
FILES = {
    "statistics": (["measure_test"], TIMED, ["spots"], False),
    "measure": (["measure_test"], TIMED, ["spots", "audit"], False),
    "compare": (["oracle_inputs_test", "case_set_test"], TIMED, ["comparison", "spots", "odd_cases"], True),
    "task_lint": (["task_lint_test"], [], [], False),
    "diagnose": (["diagnose_test"], TIMED, ["physics"], False),
    "objects": (["objects_test"], [], ["symbols"], True),
    "flags": (["flags_test"], ["flags that*", "source paths*"], ["flags"], True),
    "compile_jail": (["compile_jail_test"], ["what does not compile*"], ["compile_jail", "flags"], False),
    "cgroup": (["cgroup_test", "program_test"], ["the sandbox that*"], ["group", "limits"], False),
    "namespaces": (["sandbox_test"], ["the sandbox that*"], ["namespaces"], True),
    "system_calls": (["system_calls_test"], ["the sandbox that*"], ["seccomp"], True),
    "sandbox": (["sandbox_test"], WHOLE, ["identity", "namespaces", "group", "limits", "seccomp", "landlock", "descriptors"], False),
    "program": (["program_test", "sandbox_test", "deadline_test"], WHOLE, ["identity", "group", "limits", "descriptors", "reply_numbers", "read_only", "deadline"], False),
    "case_set": (["case_set_test"], WHOLE, ["comparison", "spots", "poison", "fresh_content", "odd_cases"], False),
    "judge": (["judge_test"], WHOLE, ["deadline", "poison", "fresh_content", "odd_cases", "canaries"], False),
    "judge_timing": (["judge_test"], WHOLE, ["spots", "second_clock", "audit", "final_check"], False),
}
CLUSTER = {name: (tests, [], [], False) for name, tests in {
    **{f"dispatch_{part}.cpp": ["search_dispatch_test", "dispatch_writing_test", "authentication_test"] for part in ("logic", "agents", "lines")}, "agent_leases.cpp": ["agent_leases_test"], "settlements.hpp": ["search_dispatch_test", "engine_test"],
    "agent_introduction.hpp": ["agent_leases_test", "engine_test"]}.items()}
SEEDS = 2000  # of the simulation, for each mutant
LOG = {f"kb/{name}.cpp": (tests, [], [], False) for name, tests in {
    "log_writer": ["kb_writer_test", "kb_store_test", "kb_durability_test"], "record": ["kb_record_test", "kb_store_test", "kb_damage_test"]}.items()}
SETS = {"judge": {f"node-agent/{name}.cpp": what for name, what in FILES.items()}, "cluster": {f"actors/{name}": what for name, what in CLUSTER.items()} | LOG,
        "leases": {f"actors/{name}": what for name, what in CLUSTER.items()}}
COMPILES = {"objects", "flags", "compile_jail"}  # nothing that was compiled before may hide these
TYPES = r"(?:static |inline |virtual |constexpr |\[\[nodiscard\]\] )*(?:const )?[A-Za-z_][\w:]*(?:<[^;{}]*>)?[&*]? [\w:~]+\([^;{}]*\)(?: const)?(?: noexcept)?"


def sites_of(text):
    """Every (line, column, length, replacement, kind, words for it) that could be changed."""
    for number, line in enumerate(text.split("\n")):
        code = line.split("//")[0]
        if not code.strip() or code.lstrip().startswith("#"):
            continue
        outside = re.sub(r'"(\\.|[^"\\])*"', lambda m: "\x00" * len(m.group()), code)
        for old, new in SWAPS.items():
            for m in re.finditer(re.escape(old), outside):
                if not (old == " * " and re.search(r"\w\s*\*\s*$", outside[: m.start()])):
                    yield number, m.start(), len(old), new, KINDS[0], f"'{new.strip()}' for '{old.strip()}'"
        for m in re.finditer(r"(?<![\w!=])!(?=[a-z(:])", outside):
            yield number, m.start(), 1, "", KINDS[0], "negation dropped"
        for m in re.finditer(r"\b(true|false)\b", outside):
            other = "false" if m.group() == "true" else "true"
            yield number, m.start(), len(m.group()), other, KINDS[2] if "return" not in outside else KINDS[3], f"'{other}' for '{m.group()}'"
        for m in re.finditer(r"(?<![\w.'])(\d+(?:\.\d+)?(?:e-?\d+)?)(?=(?:ull|u)?\b)(?![.'x])", outside):
            if re.search(r"\bchar \w+\[$|std::array<[\w:]+, $", outside[: m.start()]):
                continue  # the size of a buffer
            value = float(m.group())
            whole = re.fullmatch(r"\d+", m.group())
            yield number, m.start(), len(m.group()), ("0" if whole else "0.0") if value else "1", KINDS[2], f"{'0' if value else '1'} for {m.group()}"
            if value:
                bigger = str(int(value) * 3 + 1) if whole else repr(value * 3)
                yield number, m.start(), len(m.group()), bigger, KINDS[2], f"{bigger} for {m.group()}"
        if re.fullmatch(r"\s+(?:\(void\)!?)?[A-Za-z_:.>\-\[\]()*]*[a-z_]\([^;{}]*\)[,;]?.*;\s*", outside) and not re.match(r"\s+(return|if|for|while|else|throw|break)\b", outside):
            yield number, 0, len(code.rstrip()), "  ;", KINDS[1], "dropped"
        m = re.fullmatch(r"\s*((?:if|for|while) \(.*\)|else) ((?:::)?[a-z_][\w.>:-]*\([^;{}]*\));\s*", outside)
        if m:
            yield number, m.start(2), len(m.group(2)), "{}", KINDS[1], "dropped"
        m = re.match(r"\s*" + TYPES + r" \{", outside) or re.match(r"\s*(?:[\w:]+::)?~\w+\(\) \{", outside)
        if m and not re.match(r"\s*(return|if|for|while|else|switch|struct|class|namespace|new)\b", outside):
            nothing = re.match(r"\s*(?:static |virtual )*void\b", outside) or "~" in outside
            yield number, m.end(), 0, " if (true) return;" if nothing else " if (true) return {};", KINDS[3], "returns at once"
        m = re.search(r"\breturn ([^;{}]+);", outside)
        if m and not re.fullmatch(r"true|false", m.group(1)):
            forced = ["true", "false"] if re.search(r"[=<>!]=| [<>] |&&|\|\||(any|all|none)_of|^!", m.group(1)) else ["{}"]
            for value in forced:
                yield number, m.start(1), len(m.group(1)), value, KINDS[3], f"returns {value}"


def draw(seed, files):
    """All sites in the order in which they are taken: in turn from each kind, shuffled within a kind."""
    chosen, piles = random.Random(seed), {kind: [] for kind in KINDS}
    for path in files:
        text = (ROOT / path).read_text()
        function = functions_of(text)
        for line, column, length, new, kind, words in sites_of(text):
            source = text.split("\n")[line]
            piles[kind].append({"file": path, "line": line + 1, "column": column, "length": length, "new": new, "kind": kind, "change": words, "function": function[line],
                                "source": source.strip(), "indent": len(source) - len(source.lstrip())})
    for pile in piles.values():
        chosen.shuffle(pile)
    order = []
    while any(piles.values()):
        order += [piles[kind].pop() for kind in KINDS if piles[kind]]
    return order


def functions_of(text):
    """The name of the function or constant that each line lies in."""
    names, current = [], "at file scope"
    for line in text.split("\n"):
        m = re.match(r"(?!return|if|for|while|else|switch|using|case)(?:[\w:<>,&*\[\]()\" ]+ )?([\w:~]+)\([^;]*[{,]$", line) or re.match(
            r"  (?!return|if|for|while|else|switch|using|case)(?:[\w:<>,&*\[\]()\" ]+ )([\w~]+)\([^;=]*\{", line) or re.match(r"(?:struct|class) (\w+)", line) \
            or re.match(r"constexpr .*?(\w+)(?:\[\])?(?: =|\{)", line)
        if m:
            current = m.group(1)
        names.append(current)
        if line.startswith("}") or line.startswith("constexpr") and line.rstrip().endswith(";"):
            current = "at file scope"
    return names


def mutated(text, m):
    lines = text.split("\n")
    at = m["line"] - 1
    if at >= len(lines) or lines[at].strip() != m["source"]:  # the file has changed since: the nearest line that reads the same
        same = [i for i, line in enumerate(lines) if line.strip() == m["source"]]
        if not same:
            return None
        at = min(same, key=lambda i: abs(i - (m["line"] - 1)))
    column = m["column"] + len(lines[at]) - len(lines[at].lstrip()) - m["indent"]
    lines[at] = lines[at][:column] + m["new"] + lines[at][column + m["length"]:]
    return "\n".join(lines)


def in_a_group_of_our_own():
    """Control groups of judges are made below ours, so that sweeping finds ours alone; memory and tasks are limited for all of them together."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for mount in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, point, kind, options, *_ = mount.split()
            if kind == "cgroup2" and not controllers or kind == "cgroup" and controllers in ("memory", "pids", "cpuacct") and controllers in options.split(","):
                group = pathlib.Path(point + path) / f"mutants-{os.getpid()}"
                try:
                    group.mkdir()
                    for file, value in (("memory.limit_in_bytes", 8 << 30), ("pids.max", 4000)):
                        if (group / file).exists():
                            (group / file).write_text(str(value))
                    (group / "cgroup.procs").write_text("0")
                    atexit.register(leave, group)
                except OSError as failed:
                    print(f"no group of our own in {point}: {failed}", file=sys.stderr)


def leave(group):
    (group.parent / "cgroup.procs").write_text("0")
    for folder in sorted(group.rglob("*"), reverse=True):
        if folder.is_dir():
            folder.rmdir()
    group.rmdir()


class Course:
    def __init__(self, chosen):
        self.work = chosen.work
        self.files = SETS[chosen.set]
        self.simulated = chosen.set in ("cluster", "leases")
        self.pause = chosen.pause_while
        self.clone = chosen.work / "clone"
        self.build = self.clone / "build" / "release"
        self.record = chosen.work / "mutants.jsonl"
        self.usual_s = {}
        self.unfit = set()  # attacks that fail without any change: this host is too busy for them

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.clone.exists():
            subprocess.run(["git", "clone", "-q", str(ROOT), str(self.clone)], check=True)
        subprocess.run(["git", "-C", str(self.clone), "fetch", "-q", str(ROOT), "HEAD"], check=True)
        subprocess.run(["git", "-C", str(self.clone), "checkout", "-q", "--force", "FETCH_HEAD"], check=True)
        self.commit = subprocess.run(["git", "-C", str(self.clone), "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["cmake", "-S", str(self.clone), "-B", str(self.build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DKEVOLVE_TESTS=ON"], check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(["ninja", "-C", str(self.build), "-t", "targets", "all"], capture_output=True, text=True).stdout
        self.targets = {line.split(":")[0] for line in made.splitlines()}
        everything = {"kevolve"} | {test for own, *_ in self.files.values() for test in own}
        if not self.simulated:
            everything |= {"kevolve-judge", "kevolve-harness", "evaluate_test"}
        if not self.make([t for t in sorted(everything) if t in self.targets]):
            sys.exit("the clone does not build")
        (self.work / "cache").mkdir(exist_ok=True)

    def make(self, targets):
        return subprocess.run(["ninja", "-j1", "-C", str(self.build), *targets], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def isolated(self, command, seconds, cache):
        """(exit status or None past the deadline, output): in a process, mount and IPC namespace of its own, which ends with all that is in it."""
        inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--ipc", "sh", "-c",
                  'mount -t tmpfs -o size=4g tmpfs /tmp && chmod 1777 /tmp && mount -t tmpfs -o size=1g tmpfs /dev/shm && "$@"', "sh", *command]
        environment = {"PATH": os.environ["PATH"], "HOME": "/root", "LC_ALL": "C", "KEVOLVE_PYTHON": "none", "KEVOLVE_TEST_SANDBOX": "full"}
        if cache:
            environment["KEVOLVE_TEST_CACHE"] = str(self.work / "cache")
        began = time.monotonic()
        process = subprocess.Popen(inside, cwd=self.build, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output.decode(errors="replace"), time.monotonic() - began
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.kill()
            output = b""
            try:
                output, _ = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                pass
            return None, output.decode(errors="replace"), time.monotonic() - began

    def checks_of(self, name):
        """(label, targets, command, how to repeat what failed) in the order in which they are tried."""
        own, cases, defences, honest = self.files[name]
        if self.simulated and name not in LOG:  # the simulation has a log of its own
            yield self.simulation()
        for test in own:
            if test in self.targets:
                yield self.doctest(test, [])
        if cases:
            yield self.doctest("evaluate_test", cases)
        chosen = []
        for file in sorted(PROGRAMS.iterdir()) if defences else []:
            head = file.read_text(errors="replace")
            listed = re.search(r"// stopped by: (.*)", head)
            if "// long" not in head and file.stem not in self.unfit and (listed and set(listed.group(1).split()) & set(defences)):
                chosen.append(file.stem)
        if honest:
            for file in sorted(HONEST.iterdir()):
                several = re.search(r"// variants: (.*)", file.read_text(errors="replace"))
                chosen.append(file.stem + ("/1" if several and "|" in several.group(1) else ""))
        if chosen:
            yield self.attacks(chosen, pathlib.Path(name).stem not in COMPILES)

    def simulation(self):
        common = ["bin/kevolve", "bench", "simulate", "--json"]

        def again(output):
            found = re.search(r"--replay (\d+)", output)
            return f"seed {found.group(1)}" if found else None, [*common, "--replay", found.group(1)] if found else [*common, "--seeds", str(SEEDS)]

        return f"bench simulate ({SEEDS} seeds)", ["kevolve"], [*common, "--seeds", str(SEEDS)], again, True

    def doctest(self, test, only):
        command = ["stdbuf", "-oL", f"bin/{test}", "--abort-after=1", "-d"]  # line by line: of one that hangs the last is wanted
        if only:
            command.append("-tc=" + ",".join(only))

        def failed(output):
            """The test case that failed, or was under way: as a filter (commas separate filters)."""
            cases = re.findall(r"TEST CASE:\s+(.*)", output)
            ended = re.findall(r"^[\d.]+ s: (.*)", output, re.M)
            if "ERROR" in output and cases:
                return cases[-1]
            listed = [line for line in subprocess.run([str(self.build / "bin" / test), "-ltc", *command[5:]], capture_output=True, text=True).stdout.splitlines()
                      if line and not line.startswith(("[doctest]", "="))]
            return next((case for case in listed if case not in ended), None)

        def again(output):
            case = failed(output)
            return case, [f"bin/{test}", "-tc=" + re.sub(r"[,\\\[\]]", "?", case)] if case else command

        return f"{test}{'/some' if only else ''}", [test] + (["kevolve-judge", "kevolve-harness"] if test in ("evaluate_test", "deadline_test", "judge_test", "sandbox_test") else []), command, again, True

    def attacks(self, names, cached):
        common = ["bin/kevolve", "bench", "hostile", "--json", "--quick", "--defended", "--stop"] + (["--keep", str(self.work / "cache")] if cached else [])

        def again(output):
            found = re.search(r'"program": "([^"]+)"', output)
            return found.group(1) if found else None, [*common, "--only", *([found.group(1)] if found else names)]

        label = f"bench hostile ({len(names)})"
        return label, ["kevolve", "kevolve-judge", "kevolve-harness"], [*common, "--only", *names], again, cached

    def tried(self, name, unchanged=False):
        """What killed the file's mutant, or None."""
        for label, targets, command, again, cached in self.checks_of(name):
            if unchanged and (label, tuple(command)) in self.seen:
                continue
            if not self.make(targets):
                return "does not compile"
            limit = 30 + 5 * self.usual_s.get(tuple(command), 15)
            status, output, took = self.isolated(command, limit, cached)
            if unchanged:
                self.seen.add((label, tuple(command)))
                if status == 0:
                    self.usual_s[tuple(command)] = max(took, self.usual_s.get(tuple(command), 0))
                    print(f"    {label}: {took:.0f} s", flush=True)
            if status == 0:
                continue
            what, repeated = again(output)
            status, output, took = self.isolated(repeated, limit if repeated == command else min(limit, 60), cached)
            if status != 0 and unchanged and "hostile" in label and what:
                self.unfit.add(what)
                print(f"    {label}: {what} fails without any change, and is left out from here on", flush=True)
                continue
            if status != 0:
                return f"{label}: {what or 'as a whole'}"
            print(f"    {label}: {what} failed once only", flush=True)
        return None

    def unchanged(self, why):
        self.seen = set()
        began = time.monotonic()
        for name in self.files:
            by = self.tried(name, unchanged=True)
            if by:
                sys.exit(f"without any change: {by}")
        with self.record.open("a") as out:
            out.write(json.dumps({"unchanged": "passes", "why": why, "seconds": round(time.monotonic() - began), "commit": self.commit}) + "\n")
        print(f"unchanged: all tests pass ({time.monotonic() - began:.0f} s)", flush=True)

    def wait(self):
        while self.pause and self.pause.exists():
            time.sleep(2)

    def test(self, m):
        path = self.clone / m["file"]
        original = path.read_text()
        changed = mutated(original, m)
        began = time.monotonic()
        if changed is None:
            state = "its line is gone"
        else:
            path.write_text(changed)
            try:
                by = self.tried(m["file"])
                state = by if by == "does not compile" else f"killed by {by}" if by else "survived"
            finally:
                path.write_text(original)
        m = {**m, "state": state, "seconds": round(time.monotonic() - began, 1), "commit": self.commit}
        with self.record.open("a") as out:
            out.write(json.dumps(m) + "\n")
        return m

    def results(self):
        found = {}
        for line in self.record.read_text().splitlines() if self.record.exists() else []:
            m = json.loads(line)
            if "file" in m:
                found[key_of(m)] = m
        return found


def key_of(m):
    return m["file"], m["line"], m["column"], m["new"], m["kind"]


def counts(d):
    return d["state"] not in ("does not compile", "its line is gone")


def table(results):
    counted = [m for m in results.values() if counts(m)]
    for title, of in (("file", lambda m: pathlib.Path(m["file"]).name), ("kind", lambda m: m["kind"])):
        print(f"\n| {title} | mutants | killed | survived |\n|---|---|---|---|")
        for name in sorted({of(m) for m in counted}):
            group = [m for m in counted if of(m) == name]
            alive = sum(m["state"] == "survived" for m in group)
            print(f"| {name} | {len(group)} | {len(group) - alive} | {alive} |")
    print("\n| place | function | change | line |\n|---|---|---|---|")
    for m in sorted(counted, key=lambda m: (m["file"], m["line"])):
        if m["state"] == "survived":
            print(f"| {pathlib.Path(m['file']).name}:{m['line']} | {m['function']} | {m['change']} | `{m['source'].replace('|', chr(92) + '|')}` |")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", required=True, type=pathlib.Path)
    options.add_argument("--set", choices=sorted(SETS), default="judge")
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--again", action="store_true")
    options.add_argument("--table", action="store_true")
    options.add_argument("--unchanged-every", type=int, default=40)
    options.add_argument("--at-once", action="store_true", help="do not try the unchanged tree before the first mutant")
    options.add_argument("--share", default="0/1", help="I/N: every N-th mutant of the draw, for N processes that share the work in N folders")
    options.add_argument("--pause-while", type=pathlib.Path, help="between mutants, wait while this file exists")
    options.add_argument("--list", action="store_true", help="print the sites in the order in which they are drawn, and end")
    chosen = options.parse_args()
    if chosen.list:
        for m in draw(chosen.seed, SETS[chosen.set]):
            print(f"{m['file']}:{m['line']} {m['kind']}: {m['change']}\n    {m['source']}")
        return 0
    course = Course(chosen)
    if not chosen.table:
        if pathlib.Path("/tmp") in chosen.work.resolve().parents:
            sys.exit("--work must not lie below /tmp: tests get a /tmp of their own")
        if os.geteuid() != 0:
            sys.exit("needs root: a mutant may kill every process that it can reach, so tests run in namespaces of their own")
        in_a_group_of_our_own()
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        course.prepare()
        if not chosen.at_once:
            course.unchanged("before")
        results = course.results()
        if chosen.again:
            todo = [m for m in results.values() if m["state"] == "survived"]
        else:
            share, shares = map(int, chosen.share.split("/"))
            todo = (m for m in draw(chosen.seed, SETS[chosen.set])[share::shares] if key_of(m) not in results)
        done = sum(counts(m) for m in results.values())
        since = 0
        for m in todo:
            if not chosen.again and done >= chosen.count:
                break
            course.wait()
            m = course.test(m)
            done += 0 if chosen.again else counts(m)
            since += counts(m)
            print(f"{done}/{chosen.count} {m['file']}:{m['line']} {m['function']}: {m['change']}: {m['state']} ({m['seconds']:.0f} s)", flush=True)
            if since >= chosen.unchanged_every:
                since = 0
                course.unchanged(f"after {done}")
    results = course.results()
    table(results)
    counted = [m for m in results.values() if counts(m)]
    survived = sum(m["state"] == "survived" for m in counted)
    share = 1 - survived / max(1, len(counted))
    print(f"\n{len(counted)} mutants ({len(results) - len(counted)} more did not compile), {survived} survived: {100 * share:.1f}% killed")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
