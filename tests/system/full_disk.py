#!/usr/bin/env python3
"""Disks that are full for a while: the scheduler's, then an agent's, each a small tmpfs that is filled while a session runs and given room again. Nothing that was acknowledged is lost, whoever is concerned says
which folder is full, and the session ends with exactly its evaluations.

Usage: full_disk.py KEVOLVE. Needs root, to mount (exits 77, skipped, without). Python's standard library alone.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys

from fleet import SESSION, Fleet, skip, until

EVALUATIONS = 14


class Disk:
    """A small disk of its own at this folder."""

    def __init__(self, folder, mib):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir(parents=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], capture_output=True).returncode != 0:
            skip("this host lets nobody mount a tmpfs")

    def fill(self):
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def give_room(self):
        self.filler.unlink()


class FullFleet(Fleet):
    def __enter__(self):
        self.disks = {"data": Disk(self.at / "data", 64), "agent": Disk(self.at / "agent-cache", 128)}
        return super().__enter__()

    def log(self, name):
        return (self.at / f"{name}.log").read_text(errors="replace")

    def evaluations(self, session):
        return self.show(session)["evaluations"]

    def start(self, name, line, **more):
        self.lines = getattr(self, "lines", {}) | {name: line}
        return super().start(name, line, **more)

    def start_again(self, name):
        return self.start(name, self.lines[name])

    def now(self, name):
        return [daemon for each, daemon in self.daemons if each == name][-1]

    def begin(self, seed):
        session = json.loads(self.ask(*SESSION[:-1], seed, "--evaluations", EVALUATIONS).stdout)[0]["session"]
        until(lambda: self.evaluations(session) >= 3, 180, "three evaluations")
        return session

    def end_of(self, session):
        until(lambda: self.show(session)["stopped_by"] not in (None, ""), 180, f"{session} ends")
        shown = self.show(session)
        assert shown["stopped_by"] == "evaluations" and shown["evaluations"] == EVALUATIONS and sum(shown["outcomes"].values()) == EVALUATIONS, shown
        assert shown["best"]["verified"] is True, shown["best"]
        return shown


def fill_the_schedulers(fleet):
    session = fleet.begin(1)
    fleet.disks["data"].fill()
    full = f"{fleet.disks['data'].folder}/data.mdb: No space left on device; waiting for space"
    until(lambda: full in fleet.log("scheduler"), 60, "the scheduler says that its disk is full")
    had = fleet.evaluations(session)
    refused = fleet.ask(*SESSION, "--evaluations", 3, check=False)
    assert refused.returncode != 0 and full in refused.stderr, (refused.returncode, refused.stderr)
    kill(fleet, "scheduler")
    fleet.start_again("scheduler")
    until(lambda: fleet.log("scheduler").count(full) == 2, 120, "a scheduler that starts on a full disk takes its session up and waits")
    assert fleet.evaluations(session) >= had, (fleet.show(session), had)
    fleet.disks["data"].give_room()
    until(lambda: "the store takes writes again" in fleet.log("scheduler"), 60, "the scheduler goes on")
    shown = fleet.end_of(session)
    print(f"the scheduler's disk: full after {had} of {EVALUATIONS} evaluations, killed, started; {shown['outcomes']['passed']} passed, resumed {shown['resumed']} times")


def fill_the_agents(fleet):
    session = fleet.begin(2)
    folder = fleet.disks["agent"].folder
    fleet.disks["agent"].fill()
    until(lambda: f"the disk of '{folder}' is full" in fleet.log("agent"), 60, "the agent says that its disk is full")
    until(lambda: not fleet.agents(), 60, "the agent leaves")
    had = fleet.evaluations(session)
    kill(fleet, "agent")
    told = fleet.log("agent").count("is full")
    fleet.start_again("agent")
    until(lambda: fleet.log("agent").count("is full") > told, 180, "an agent that starts on a full disk says so")
    until(lambda: not fleet.agents(), 60, "the agent leaves again")
    shown = fleet.show(session)
    assert shown["stopped_by"] in (None, "") and shown["evaluations"] == had, shown
    fleet.disks["agent"].give_room()
    until(lambda: f"the disk of '{folder}' has room again" in fleet.log("agent"), 60, "the agent notices")
    shown = fleet.end_of(session)
    print(f"the agent's disk: full after {had} of {EVALUATIONS} evaluations, killed, started; {shown['outcomes']['passed']} passed")


def kill(fleet, name):
    daemon = fleet.now(name)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()


def main():
    if os.geteuid() != 0:
        skip("mounting needs root")
    with FullFleet(sys.argv[1]) as fleet:
        program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
        fleet.start("agent", [program, "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.disks["agent"].folder, "--name", "one", "--python", "none"])
        until(fleet.agents, 180, "the agent registers")
        fill_the_schedulers(fleet)
        fill_the_agents(fleet)
        for name in ("agent", "scheduler"):
            fleet.now(name).send_signal(signal.SIGTERM)
            assert fleet.now(name).wait(60) == 0, f"{name} ended with {fleet.now(name).returncode}"
        fleet.run("kb", "check", "--data", fleet.at / "data")


main()
