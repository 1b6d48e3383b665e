#!/usr/bin/env python3
"""The standing list unattended, under faults: a scheduler and an agent as real processes, six standing operators, a fault every so often.

Usage: endurance.py KEVOLVE [--minutes 60] [--fault-every 60] [--session 20] [--pair 25] [--seed 1] [--report FILE.json]

Faults come in an order drawn from a seed, each kind as often as the others: scheduler, agent or a judge killed with -9; scheduler or agent stopped for ten seconds; the agent drained and started again; the scheduler's
disk filled for ten seconds (where this user may mount a tmpfs). On the way a session is submitted (is it served at once?), two users submit a session each at the same
time (do they get equal shares?), and the device changes (its cores are shared out among two slots, which halves its peak: are leaders revisited?). What fails the run: a result that is lost or
counted twice (`kb check`, and every evaluation against its proposal), a process that nobody owns, a submitted session that does not end, an operator that was never tried.
The figures (where the time went; memory, descriptors, processes, disk and their slopes) are printed, and judged by whoever reads them. Python's standard library alone.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from fleet import Fleet, until

# weight: what a gain is worth. The first two differ in weight alone, as far as operators can.
OPERATORS = {"rms_norm_h4096": 8, "rms_norm_h8192": 1, "softmax_n4096": 4, "gelu_tanh_bias_n3072": 2, "transpose_n2048": 2, "matmul_k512_n512": 1}
SUBMITTED = "layer_norm_h1024"
SHARED = "silu_and_mul_bf16_n11008"  # by two users: far from the roof, where sessions would end


def children_of(roots):
    """Every process below these, themselves included: pid -> (name, resident bytes, descriptors)."""
    parents, found = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat[stat.rindex(")") + 2:].split()[1])
            except OSError:
                pass
    for pid in parents:
        up = pid
        while up in parents and up not in roots:
            up = parents[up]
        if up in roots:
            try:
                pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
                found[pid] = (pathlib.Path(f"/proc/{pid}/comm").read_text().strip(), pages * 4096, len(os.listdir(f"/proc/{pid}/fd")))
            except OSError:
                pass
    return found


def ours(folder):
    """Every process that runs one of the programs of this build."""
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if pathlib.Path(os.readlink(entry / "exe")).parent == folder and pathlib.Path(os.readlink(entry / "exe")).name.startswith("kevolve"):
                    found.add(int(entry.name))
            except OSError:
                pass
    return found


def disk_of(folder):
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            pass
    return total


def slope(samples, what):
    """Least squares, per hour."""
    points = [(s["at_s"] / 3600, s[what]) for s in samples if what in s]
    if len(points) < 3:
        return None
    mx, my = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / spread if spread else None


class Endurance(Fleet):
    def __enter__(self):
        self.disk = self.at / "data"
        self.disk.mkdir()
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(self.disk)], capture_output=True).returncode == 0
        super().__enter__()
        self.run("keys", "new", "friend", "--role", "client", "--out", self.at / "friend.key", "--data", self.at / "data")
        return self

    def start(self, name, line, **more):
        if name == "scheduler" and "--standing-session" not in line:
            line = [*line, "--standing-session", str(chosen.session)]
        self.daemons = [(n, d) for n, d in self.daemons if n != name]
        self.lines = getattr(self, "lines", {}) | {name: line}
        return super().start(name, line, **more)

    def pid(self, name):
        return next(d for n, d in self.daemons if n == name)

    def again(self, name):
        return self.start(name, self.lines[name])

    def standing(self):
        answer = self.ask("sessions", "standing", check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def listed(self):
        answer = self.ask("sessions", "list", check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None


def kill(fleet, name):
    daemon = fleet.pid(name)
    daemon.kill()
    daemon.wait()
    fleet.again(name)


def stop(fleet, name):
    daemon = fleet.pid(name)
    daemon.send_signal(signal.SIGSTOP)
    time.sleep(10)
    daemon.send_signal(signal.SIGCONT)


def drain(fleet, name):
    daemon = fleet.pid(name)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(120)
    fleet.again(name)


def kill_judge(fleet, _):
    judges = [pid for pid, (name, *_) in children_of({fleet.pid("agent").pid}).items() if name.startswith("kevolve-judge")]
    if not judges:
        return False
    os.kill(judges[0], signal.SIGKILL)
    return True


def fill(fleet, _):
    if not fleet.mounted:
        return False
    filler = fleet.disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        block = bytes(1 << 20)
        try:
            while True:
                file.write(block)
        except OSError:
            pass
    time.sleep(10)
    filler.unlink()
    return True


FAULTS = [("the scheduler is killed", kill, "scheduler"), ("the agent is killed", kill, "agent"), ("a judge is killed", kill_judge, ""), ("the scheduler stands still for 10 s", stop, "scheduler"),
          ("the agent stands still for 10 s", stop, "agent"), ("the agent is drained and started", drain, "agent"), ("the disk is full for 10 s", fill, "")]


def share_cores(fleet):
    """The device changes, by configuration and truly: its cores are shared out among two slots, so that its peak is half of what it was. Roofs halved in a file would not last: the first leader beyond one
    makes the agent measure them again."""
    daemon = fleet.pid("agent")
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(120)
    fleet.lines["agent"] = [*fleet.lines["agent"], "--device-slots", "2"]
    fleet.again("agent")


def evaluations_of(fleet, session):
    return (share_of(fleet, session) or [None])[0]


def share_of(fleet, session):
    """Its evaluations, and the seconds that they took of their host: what users share by."""
    answer = fleet.ask("sessions", "show", session, check=False)
    if answer.returncode != 0:
        return None
    shown = json.loads(answer.stdout)
    return shown["evaluations"], sum(shown["stages"][stage] for stage in ("compile_s", "check_s", "measure_s", "profile_s"))


def submit(fleet, who, operator, evaluations, seed):
    words = ["submit", operator, "--plateau", evaluations, "--baselines", "none", "--seed", seed, "--evaluations", evaluations, "--scheduler", fleet.endpoint, "--key", fleet.at / f"{who}.key", "--json"]

    def tried():
        answer = fleet.run(*words, check=False)
        return answer.returncode == 0 and json.loads(answer.stdout)[0]["session"]

    return until(tried, 120, f"{who} submits")


def main():
    draw = random.Random(chosen.seed)
    problems, notes, samples, faults = [], [], [], []
    folder = pathlib.Path(chosen.kevolve).resolve().parent
    with Endurance(chosen.kevolve) as fleet:
        fleet.start("agent", [folder / "kevolve-agent", "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "agent-cache", "--python", "none", "--name", "one",
                              "--golden-every", "0"])
        until(lambda: fleet.agents(), 180, "the agent registers")
        weights = fleet.at / "weights.txt"
        weights.write_text("".join(f"{name} {weight}\n" for name, weight in OPERATORS.items()))
        fleet.ask("submit", *OPERATORS, "--standing", "--weights", weights, "--baselines", "none")
        began, end = time.monotonic(), chosen.minutes * 60
        at = lambda: time.monotonic() - began
        next_fault, next_sample = chosen.fault_every, 0.0
        plan = [(0.25 * end, "one"), (0.45 * end, "two"), (0.7 * end, "cores")]
        waiting, shares, before_change = None, None, None
        submitted, kinds = [], []
        while at() < end:
            if at() >= next_sample:
                sample = {"at_s": at(), "disk": disk_of(fleet.disk), "agent_disk": disk_of(fleet.at / "agent-cache")}
                for name in ("scheduler", "agent"):
                    below = children_of({fleet.pid(name).pid})
                    if fleet.pid(name).pid in below:
                        sample[f"{name}_rss"], sample[f"{name}_descriptors"] = below[fleet.pid(name).pid][1:]
                        sample[f"{name}_processes"] = len(below)
                samples.append(sample)
                next_sample += max(5.0, end / 240)
            if waiting:
                got = evaluations_of(fleet, waiting[0])
                if got:
                    notes.append(f"a submitted session had its first evaluation after {at() - waiting[1]:.1f} s, while the standing list was at work")
                    waiting = None
            if shares and not shares.get("counts"):
                had = [share_of(fleet, s) for s in shares["sessions"]]
                if not shares.get("before") and None not in had and min(count for count, _ in had) > 0:
                    shares["before"] = had, at()  # from here on both have work: what one did before the other was there is no share
                if shares.get("before") and None not in had and sum(count for count, _ in had) >= 6 * chosen.pair // 5:
                    before, since = shares["before"]
                    shares["counts"] = [count for count, _ in had]
                    both = [(count - first, seconds - spent) for (count, seconds), (first, spent) in zip(had, before)]
                    notes.append(f"two users' sessions, submitted together: {had[0][0]} and {had[1][0]} evaluations after {at() - shares['at']:.0f} s; in the last {at() - since:.0f} s, when both had "
                                 f"begun, {both[0][0]} and {both[1][0]}, which took {both[0][1]:.1f} and {both[1][1]:.1f} s of compiling and measuring")
            if plan and at() >= plan[0][0]:
                kind = plan.pop(0)[1]
                if kind == "one":
                    submitted.append(submit(fleet, "person", SUBMITTED, 12, 1))
                    waiting = (submitted[-1], at())
                elif kind == "two":
                    pair = [submit(fleet, "person", SHARED, chosen.pair, 2), submit(fleet, "friend", SHARED, chosen.pair, 3)]
                    submitted += pair
                    shares = {"sessions": pair, "at": at()}
                else:
                    rows = until(fleet.standing, 60, "the standing list answers")
                    before_change = {row["name"]: row["sessions"] for row in rows}
                    resting = [row["name"] for row in rows if row["worth"] == 0]
                    share_cores(fleet)
                    notes.append(f"the device changed after {at():.0f} s: {len(resting)} of {len(rows)} rested then")
            if at() >= next_fault:
                if not kinds:
                    kinds = draw.sample(FAULTS, len(FAULTS))
                words, act, whom = kinds.pop()
                if act(fleet, whom) is False:
                    words += ": could not be made here"
                faults.append({"at_s": round(at(), 1), "what": words})
                print(f"{at():7.0f} s  {words}", flush=True)
                next_fault = max(next_fault + chosen.fault_every, at() + 5)
                owned = set(children_of({fleet.pid("scheduler").pid, fleet.pid("agent").pid}))
                late = ours(folder) - owned
                if late:
                    time.sleep(10)  # what was killed has this long to take its own along
                    late &= ours(folder) - set(children_of({fleet.pid("scheduler").pid, fleet.pid("agent").pid}))
                if late:
                    problems.append(f"{len(late)} processes that nobody owns after: {words}")
            time.sleep(0.5)
        for session in submitted:
            until(lambda: (fleet.listed() and next((s for s in fleet.listed() if s["session"] == session), {}).get("state") == "finished"), 300, f"session {session} ends")
        rows = until(fleet.standing, 60, "the standing list answers")
        if before_change is not None:
            notes.append("sessions since the device changed: " + ", ".join(f"{row['name']} {row['sessions'] - before_change[row['name']]}" for row in rows))
        sessions = until(fleet.listed, 60, "the scheduler answers")
        for name, daemon in fleet.daemons:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(120)
        time.sleep(2)
        left = ours(folder)
        if left:
            problems.append(f"{len(left)} processes live on after the end")
        check = fleet.run("kb", "check", "--data", fleet.at / "data", "--json", check=False)
        if check.returncode != 0:
            problems.append(f"kb check: {check.stdout[-600:]}")
        evaluations = 0
        for session in sessions:
            shown = json.loads(fleet.run("sessions", "show", session["session"], "--data", fleet.at / "data", "--json").stdout)
            evaluations += shown["evaluations"]
            if shown["evaluations"] > shown["proposals"]:
                problems.append(f"{session['session']}: {shown['evaluations']} evaluations of {shown['proposals']} proposals")
        for row in rows:
            if row["sessions"] == 0 and chosen.minutes >= 10:
                problems.append(f"{row['name']} was never tried")
    report = {"minutes": chosen.minutes, "faults": faults, "evaluations": evaluations, "sessions": len(sessions), "standing": rows, "notes": notes, "problems": problems,
              "slopes_per_hour": {what: slope(samples, what) for what in samples[-1] if what != "at_s"}, "samples": samples}
    if chosen.report:
        pathlib.Path(chosen.report).write_text(json.dumps(report, indent=1))
    made = sum("could not" not in fault["what"] for fault in faults)
    print(f"\n{chosen.minutes:g} minutes, {made} faults, {len(sessions)} sessions, {evaluations} evaluations")
    print(f"\n{'operator':24} {'weight':>6} {'sessions':>8} {'seconds':>8} {'speedup':>8} {'of the roof':>11} {'no gain':>8}")
    for row in sorted(rows, key=lambda r: -r["seconds"]):
        print(f"{row['name']:24} {row['weight']:6g} {row['sessions']:8} {row['seconds']:8.0f} {row['speedup']:7.2f}x {100 * row['roofline_fraction']:10.0f}% {row['without_gain']:8}")
    print()
    for note in notes:
        print(note)
    print(f"\n{'figure':24} {'first':>12} {'last':>12} {'most':>12} {'slope per hour':>15}")
    for what in report["slopes_per_hour"]:
        values = [s[what] for s in samples if what in s]
        rise = report["slopes_per_hour"][what]
        print(f"{what:24} {values[0]:12} {values[-1]:12} {max(values):12} {'' if rise is None else f'{rise:15.4g}'}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kevolve")
options.add_argument("--minutes", type=float, default=60)
options.add_argument("--fault-every", type=float, default=60)
options.add_argument("--session", type=int, default=20, help="seconds of each session of the standing list")
options.add_argument("--pair", type=int, default=25, help="evaluations of each of the two users' sessions")
options.add_argument("--seed", type=int, default=1)
options.add_argument("--report")
chosen = options.parse_args()
sys.exit(main())
