#!/usr/bin/env python3
"""A device that is held back while it works is suspended and says why; its session waits, says for what, and ends verified once the device is as it was.

Usage: golden_runs.py KEVOLVE. Real processes on loopback: a scheduler and an agent that checks its device every second, in a control group of its own whose share of processor time is cut to a twentieth of two cores
(a tenth of one) while a session runs, and given back later. Needs root and a hierarchy of control groups with the controller for processor time, version 1 or 2. Python's standard library alone.
"""
import os
import pathlib
import signal
import sys
import urllib.request

from fleet import Fleet, free_port, need, skip, until

PERIOD_US, HELD_BACK_US = 100_000, 10_000


class Group:
    """A control group that limits processor time."""

    def __init__(self):
        self.path = None

    def __enter__(self):
        name = f"kevolve-golden-runs-{os.getpid()}"
        tried = []
        for root, limit in ((pathlib.Path("/sys/fs/cgroup"), "cpu.max"), (pathlib.Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us")):
            path = root / name
            try:
                path.mkdir()
            except OSError as why:
                tried.append(f"{path}: {why.strerror}")
                continue
            self.path, self.limit = path, path / limit
            if self.limit.exists():
                return self
            tried.append(f"{self.limit} is missing")
            path.rmdir()
        skip("no control group can limit processor time here: " + "; ".join(tried))

    def __exit__(self, *_):
        until(self.remove, 60, "the control group is empty")

    def remove(self):
        for each in sorted(self.path.rglob("*"), reverse=True):
            if each.is_dir():
                try:
                    each.rmdir()
                except OSError:
                    pass
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def hold_back(self, held):
        if self.limit.name == "cpu.max":
            self.limit.write_text(f"{HELD_BACK_US if held else 'max'} {PERIOD_US}")
        else:
            self.limit.write_text(str(HELD_BACK_US if held else -1))


def metric(page, name):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{page}/metrics", timeout=30) as answer:
        return [line.rsplit(" ", 1)[1] for line in answer.read().decode().splitlines() if line.startswith(name + "{")]


class Watched(Fleet):
    """A scheduler with a page of metrics."""

    def __init__(self, kevolve):
        super().__init__(kevolve)
        port = free_port(3)
        self.endpoint, self.page = f"tcp://127.0.0.1:{port}", f"127.0.0.1:{port + 2}"

    def start(self, name, line, **more):
        if name == "scheduler":
            line = [*line, "--http", self.page]
        return super().start(name, line, **more)


def main():
    need("g++")
    if os.geteuid() != 0:
        skip("control groups need root")
    with Group() as group, Watched(sys.argv[1]) as fleet:
        program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
        log = fleet.at / "agent.log"
        agent = fleet.start("agent", [program, "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "agent", "--name", "one", "--python", "none", "--golden-every", "1s"],
                            preexec_fn=group.enter)
        until(fleet.agents, 180, "the agent registers")
        session = fleet.submit(24)
        until(lambda: fleet.show(session)["evaluations"] >= 2, 180, "two evaluations")

        group.hold_back(True)
        shown = until(lambda: next((a for a in fleet.agents() if a["state"] == "suspended"), None), 300, "the agent's device is suspended")
        at = fleet.show(session)
        assert shown["devices"] == [] and [d["name"] for d in shown["found"]] == ["cpu0"], shown
        trouble = shown["found"][0]["trouble"]
        assert trouble.startswith("suspended: it drifts: computes ") and "throughout" in trouble and "golden runs in a row" in trouble, trouble
        assert f"cpu0: {trouble}" in log.read_text(), log.read_text()
        assert metric(fleet.page, "kevolve_agent_suspended_devices") == ["1"]
        until(lambda: fleet.agents()[0]["leases"] == 0, 120, "what it held is given back")
        waits = until(lambda: fleet.show(session).get("waits_for"), 60, "the session says what it waits for")
        assert "cpu0 of fleet.one" in waits and trouble in waits, waits
        people = fleet.run("agents", "list", "--scheduler", fleet.endpoint, "--key", fleet.at / "person.key").stdout
        assert "suspended: it drifts" in people, people
        print(f"held back after {at['evaluations']} of 24 evaluations: {trouble}")

        group.hold_back(False)
        until(lambda: fleet.agents()[0]["state"] == "working", 300, "the device serves again")
        assert "cpu0: serves again: computes " in log.read_text(), log.read_text()
        assert metric(fleet.page, "kevolve_agent_suspended_devices") == ["0"]
        fleet.ask("sessions", "watch", session)
        end = fleet.show(session)
        assert end["evaluations"] == 24 and end["best"]["verified"] is True and end["outcomes"].get("infrastructure", 0) == 0, end
        print(f"given back its time, it served again; session: {end['outcomes']}, its leader verified")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(120) == 0


main()
