#!/usr/bin/env python3
"""The walk-through of README.md, run as it is written, line by line, by bash; and once more where it can be compared with an undisturbed run.

Usage: walk_through.py KEVOLVE. Needs root and network namespaces (exits 77, skipped, without). First the lines as they stand: both sessions must end with a verified leader, all evaluations counted. Then two sessions
of a model that proposes the same whatever is measured, one of its proposals decidedly the best: with the faults of the walk-through both end with the leaders that they have without them.
Python's standard library alone.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from fleet import need, skip

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = pathlib.Path(__file__).resolve().parent / "models" / "fixed.awk"
FAULTS = ("kill ", "sleep 2 && ./kevolve agents drain", "scheduler=$!", "./kevolve serve")


def lines_of_the_readme():
    chapter = (ROOT / "README.md").read_text().split("### A walk through it\n", 1)[1]
    return re.search(r"```bash\n(.*?)```", chapter, re.S).group(1)


def undisturbed(script):
    """The same without what is done to agents and scheduler between the submission and the end."""
    before, after = script.split("sleep 5 && ./kevolve sessions list\n")
    kept = [line for line in after.splitlines(True) if not line.startswith(FAULTS) or "jobs -p" in line]
    return before + "".join(kept)


def walk(kevolve, script, about):
    """Runs the lines in a folder of their own; what `kb list --json` has then, by operator."""
    at = pathlib.Path(tempfile.mkdtemp(prefix="kevolve-walk-", dir="/var/tmp"))
    os.chmod(at, 0o755)
    try:
        (at / "kevolve").symlink_to(kevolve)
        (at / "build/release").mkdir(parents=True)
        (at / "build/release/bin").symlink_to(kevolve.parent)
        (at / "config.toml").write_text(f'[llm.providers.fixed]\nkind = "exec"\ncommand = ["awk", "-f", "{MODEL}"]\n[[llm.models]]\nname = "fixed"\nprovider = "fixed"\n')
        with open(at / "log", "w") as log:
            shell = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", script], cwd=at, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            try:
                shell.wait(600)
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
                    shell.wait()
        text = (at / "log").read_text(errors="replace")
        if os.environ.get("KEVOLVE_WALK_LOG"):
            pathlib.Path(os.environ["KEVOLVE_WALK_LOG"]).write_text(text)
        if shell.returncode not in (0, 143):  # 143: `wait` tells of the daemons that SIGTERM ended
            raise AssertionError(f"{about}: bash ended with {shell.returncode}\n{text[-6000:]}")
        listed = json.loads(subprocess.run([kevolve, "sessions", "list", "--data", at / "walk/data", "--json"], capture_output=True, text=True, check=True).stdout)
        found = []
        for each in listed:
            shown = json.loads(subprocess.run([kevolve, "sessions", "show", each["session"], "--data", at / "walk/data", "--json"], capture_output=True, text=True, check=True).stdout)
            best = shown["best"] or {}
            assert shown["stopped_by"] == "evaluations" and shown["evaluations"] == each["evaluations"], shown
            assert best.get("verified") is True, (about, shown)
            found.append((shown["operator"], shown["evaluations"], best["candidate"][:12], best["speedup"], shown["resumed"]))
        subprocess.run([kevolve, "kb", "check", "--data", at / "walk/data"], capture_output=True, text=True, check=True)
        assert not subprocess.run(["pgrep", "-f", str(at)], capture_output=True, text=True).stdout.strip(), "a daemon outlived the walk-through"
        return sorted(found)
    finally:
        subprocess.run(["ip", "netns", "del", "far"], capture_output=True)
        shutil.rmtree(at, ignore_errors=True)


def show(about, found):
    for operator, evaluations, candidate, gain, resumed in found:
        print(f"{about}: {operator}: {evaluations} evaluations, resumed {resumed} times, leader {candidate} verified, {gain:.2f}x over plain", flush=True)


def main():
    kevolve = pathlib.Path(sys.argv[1]).resolve()
    if os.geteuid() != 0:
        skip("network namespaces need root")
    need("ip", "pgrep")
    if subprocess.run(["ip", "netns", "add", "kevolve-probe"], capture_output=True).returncode != 0:
        skip("this host lets nobody make network namespaces")
    subprocess.run(["ip", "netns", "del", "kevolve-probe"])
    script = lines_of_the_readme()
    found = walk(kevolve, script, "as written")
    show("as written", found)
    assert [(f[0], f[1]) for f in found] == [("rms_norm_h4096", 40), ("softmax_n4096", 40)], found
    submit = next(line for line in script.splitlines(True) if line.startswith("./kevolve submit"))
    fixed = script.replace(submit, "".join(f"./kevolve submit matmul_k512_n512 --workload {w} --baselines none --synthesizer fixed --evaluations 24 --plateau 24 --seed 7\n" for w in ("rows_512", "rows_2048")))
    assert fixed != script
    disturbed, calm = walk(kevolve, fixed, "with faults"), walk(kevolve, undisturbed(fixed), "undisturbed")
    show("fixed proposals, with faults", disturbed)
    show("fixed proposals, undisturbed", calm)
    assert [f[:3] for f in disturbed] == [f[:3] for f in calm], "other leaders"


main()
