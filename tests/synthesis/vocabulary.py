"""The generator against everything the oracle is tested with: traces references, then runs synthesis_campaign on their graphs.

    vocabulary.py SOURCE_ROOT CAMPAIGN [ARGUMENT of the campaign …]

The references: the problems below tests/system/kernelbench, and the cases of tests/node-agent/oracle_vs_torch.py. Exit codes: the campaign's;
2 a reference could not be traced (named on stderr); 77 torch is missing.
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

# What the generator does not write yet; the campaign would refuse them.
UNKNOWN = set()


def problems(root):
    for folder, _, files in sorted(os.walk(os.path.join(root, "tests", "system", "kernelbench"))):
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def main():
    root, campaign, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]
    try:
        import torch
    except ImportError:
        print("skipped: no torch in %s" % sys.executable)
        return 77
    warnings.filterwarnings("ignore")
    torch.manual_seed(20240817)
    sys.path[:0] = [os.path.join(root, "node-agent", "python"), os.path.join(root, "tests", "node-agent")]
    from oracle_vs_torch import CASES, lacks, run_case
    from tracing import kernelbench
    from tracing.definition import Definition
    failed, lacking, kept = [], [], []
    with tempfile.TemporaryDirectory(prefix="kevolve-vocabulary-") as directory, tempfile.TemporaryDirectory(prefix="kevolve-vocabulary-") as unused:
        def keep(name, trace):
            try:
                value = trace()
            except Exception as problem:
                (lacking if lacks(torch, problem) else failed).append("%s: %s: %s" % (name, type(problem).__name__, problem))
                return
            kept.append(name)
            with open(os.path.join(directory, value["name"] + ".json"), "w", encoding="utf-8") as file:
                json.dump(value, file)

        for path in problems(root):
            keep(path, lambda: kernelbench.trace(path, ""))
        for number, line in enumerate(CASES.strip().split("\n")):
            name = line.split(":")[0]
            if name not in UNKNOWN:
                keep(name, lambda: run_case(torch, torch.nn.functional, Definition, line, number, unused)["definition"])
        for problem in failed:
            print(problem, file=sys.stderr)
        for problem in lacking:
            print("not done by PyTorch %s: %s" % (torch.__version__, problem))
        if 10 * len(lacking) > len(kept):
            failed.append("more than a tenth of the cases")
        print("not generated: %s" % (", ".join(sorted(UNKNOWN)) or "nothing"), flush=True)
        return 2 if failed else subprocess.run([campaign, *arguments, directory]).returncode


if __name__ == "__main__":
    sys.exit(main())
