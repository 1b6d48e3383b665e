#!/usr/bin/env python3
"""A synthesizer that migrates: a scheduler without models, two agents that have one, and what is killed while it writes.

Usage: migrating_synthesizer.py KEVOLVE. The model is a command that takes about a second. The agent that is writing is killed with -9: the proposal is written on the other one. Then the scheduler is killed with -9
while the agents write: what they finish meanwhile is counted when it is back, and asked for once. Each session ends with a verified leader; no proposal is lost, none has two candidates.
Then the generator, sent away by a label, grows on the agent that has it the tree that it grows at home. Python's standard library alone.
"""
import collections
import json
import pathlib
import signal
import sys

from fleet import SESSION, Fleet, until

HERE = pathlib.Path(__file__).resolve().parent
KEVOLVE = sys.argv[1]


class Writers(Fleet):
    def agent(self, name, *more):
        settings = self.at / f"{name}.toml"
        settings.write_text(f'[llm.providers.steady]\nkind = "exec"\ncommand = ["python3", "-B", "{HERE}/models/steady.py", "{self.at}/notes", "{name}"]\n')
        program = pathlib.Path(self.kevolve).parent / "kevolve-agent"
        return self.start(name, [program, "--scheduler", self.endpoint, "--key", self.at / "fleet.key", "--name", name, "--cache", self.at / f"cache-{name}", "--compile-slots", "1", "--models", settings,
                                 "--writing-slots", "2", *more])

    def serve(self):
        self.start("scheduler", [self.kevolve, "serve", "--listen", self.endpoint, "--data", self.at / "data", "--cache", self.at / "cache"])
        until(lambda: self.ask("sessions", "list", check=False).returncode == 0, 30, "the scheduler answers")

    def notes(self):
        """(begins or ends, who, proposal, step), in order."""
        file = self.at / "notes"
        return [(w[0], w[1], int(w[2]), int(w[3])) for w in (line.split() for line in file.read_text().splitlines())] if file.exists() else []

    def under_way(self):
        """Who writes what now."""
        return collections.Counter((who, number, step) for what, who, number, step in self.notes() if what == "begins") - collections.Counter(
            (who, number, step) for what, who, number, step in self.notes() if what == "ends")

    def writers(self):
        return {a["agent"] for a in self.agents() if any(w["name"] == "steady" for w in a["writers"])}

    def kill(self, name):
        daemon = next(d for n, d in reversed(self.daemons) if n == name and d.poll() is None)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()

    def end_of(self, session, evaluations):
        self.ask("sessions", "watch", session)
        shown = self.show(session)
        assert shown["stopped_by"] == "evaluations" and shown["evaluations"] == evaluations, shown
        assert shown["best"]["verified"] is True and shown["outcomes"]["infrastructure"] == 0, shown
        return shown

    def submitted(self, synthesizer, evaluations, *more):
        return json.loads(self.ask(*SESSION, "--evaluations", evaluations, "--synthesizer", synthesizer, *more).stdout)[0]["session"]


with Writers(KEVOLVE) as fleet:
    wrong = fleet.ask(*SESSION, "--evaluations", 5, "--synthesizer", "steady", check=False)
    assert wrong.returncode == 4 and "found 'steady', expected generator" in wrong.stdout + wrong.stderr, wrong
    one = fleet.agent("one")
    two = fleet.agent("two", "--generator", "--label", "spare")
    until(lambda: fleet.writers() == {"fleet.one", "fleet.two"}, 60, "both agents offer the model")

    # 1. killed with its host, finishes elsewhere
    session = fleet.submitted("steady", 14)
    until(lambda: fleet.show(session)["evaluations"] >= 4, 60, "the session gets on")
    writes = until(lambda: [key for key in fleet.under_way() if key[0] == "one"], 60, "agent one writes")
    fleet.kill("one")
    lost = {(number, step) for who, number, step in writes}
    print(f"agent one is killed while it writes proposals {sorted(number for number, _ in lost)}")
    shown = fleet.end_of(session, 14)
    assert shown["written_on"].get("fleet.two", 0) >= len(lost) and shown["moved"] >= 1, shown
    begun = collections.Counter((number, step) for what, _, number, step in fleet.notes() if what == "begins")
    again = {key for key, times in begun.items() if times > 1}
    assert again <= {(number, step) for what, who, number, step in fleet.notes() if what == "ends" and who == "two"}
    assert len(again) <= 2 and max(begun.values()) <= 2, begun  # what its two slots held, and nothing else
    print(f"session: {shown['evaluations']} evaluations, candidates written on {shown['written_on']}, {shown['moved']} moved; asked for again: {sorted(again)}; leader {shown['best']['candidate'][:12]} verified")

    # 2. the scheduler is killed while an agent writes
    (fleet.at / "notes").unlink()
    session = fleet.submitted("steady", 10)
    until(lambda: len(fleet.under_way()) > 0 and fleet.show(session)["evaluations"] >= 2, 60, "agent two writes")
    fleet.kill("scheduler")
    held = set(fleet.under_way())
    until(lambda: not fleet.under_way(), 30, "agent two finishes what it writes")
    fleet.serve()
    until(lambda: fleet.writers() == {"fleet.two"}, 60, "agent two is back")
    shown = fleet.end_of(session, 10)
    begun = collections.Counter((number, step) for what, _, number, step in fleet.notes() if what == "begins")
    assert max(begun.values()) == 1, begun
    print(f"scheduler killed while {len(held)} proposals were written: {sum(begun.values())} requests of {len(begun)} different ones; leader {shown['best']['candidate'][:12]} verified")

    # 3. the generator where a label says
    home = fleet.end_of(fleet.submitted("generator", 8), 8)
    away = fleet.end_of(fleet.submitted("generator@spare", 8), 8)
    assert "written_on" not in home and set(away["written_on"]) == {"fleet.two"}, (home, away)
    nobody = fleet.ask(*SESSION, "--evaluations", 5, "--synthesizer", "generator@nowhere", check=False)
    assert nobody.returncode == 4 and "generator@fleet.two" in nobody.stdout + nobody.stderr, nobody
    print(f"generator@spare: {away['written_on']}")
    for name, daemon in reversed(fleet.daemons):
        if name == "scheduler" and daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
    checked = json.loads(fleet.run("kb", "check", "--data", fleet.at / "data", "--json").stdout)
    assert checked["damage"] == [], checked
    print(f"kb check: {checked['records']} records, no damage")
