#!/usr/bin/env python3
"""kevolve agents launch --slurm on a real one-node Slurm (slurmctld, slurmd, munged) with configuration, keys and state of the test's own.

An agent registers; while a session runs its job is requeued by scontrol, in the middle of an evaluation; the job comes back and the session ends with every evaluation
counted once. Then a job drains on the signal before its time limit. Usage: launch_slurm.py KEVOLVE. Exits 77 (skipped) where Slurm is not installed or cannot run.
"""
import json
import os
import re
import socket
import subprocess
import sys
import time

from fleet import Fleet, free_port, need, skip, until


class Slurm:
    def __init__(self, fleet):
        self.fleet, self.at = fleet, fleet.at / "slurm-itself"
        for folder in ("state", "spool", "munge"):
            (self.at / folder).mkdir(parents=True)
        os.chmod(self.at / "munge", 0o755)
        host, port = socket.gethostname().split(".")[0], free_port(2)
        key = self.at / "munge" / "key"
        key.write_bytes(os.urandom(128))
        os.chmod(key, 0o400)
        self.start("munged", ["/usr/sbin/munged", "--foreground", "--force", f"--socket={self.at}/munge/socket", f"--key-file={key}", f"--pid-file={self.at}/munge/pid",
                              f"--log-file={self.at}/munge/log", f"--seed-file={self.at}/munge/seed", "--num-threads=2"])
        until(lambda: (self.at / "munge" / "socket").exists(), 20, "munged")
        config = self.at / "slurm.conf"
        config.write_text(f"""ClusterName=kevolve
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={port + 1}
AuthType=auth/munge
AuthInfo=socket={self.at}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={self.at}/state
SlurmdSpoolDir={self.at}/spool
SlurmctldPidFile={self.at}/slurmctld.pid
SlurmdPidFile={self.at}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SchedulerParameters=requeue_delay=1,bf_interval=1,sched_interval=1
MpiDefault=none
ReturnToService=2
KillWait=5
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
""")
        self.environment = {**os.environ, "SLURM_CONF": str(config)}
        self.start("slurmctld", ["/usr/sbin/slurmctld", "-D", "-c", "-f", config])
        self.start("slurmd", ["/usr/sbin/slurmd", "-D", "-c", "-f", config, "-N", host])
        until(lambda: self.says("sinfo", "--noheader", "--format=%T").strip() == "idle", 60, "the node is idle")

    def start(self, name, line):
        daemon = self.fleet.start(name, line)
        time.sleep(0.5)
        if daemon.poll() is not None:
            skip(f"{name} does not run here: {(self.fleet.at / f'{name}.log').read_text()[-300:]}")

    def says(self, *line):
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=60).stdout

    def state(self, job):
        found = re.search(r"JobState=(\S+)", self.says("scontrol", "show", "job", job))
        return found.group(1) if found else "gone"

    def restarts(self, job):
        return int(re.search(r"Restarts=(\d+)", self.says("scontrol", "show", "job", job)).group(1))


def launch(fleet, slurm, *more):
    done = fleet.launch("--slurm", "--dir", fleet.at / "shared", "--package", fleet.at / "package.tar.gz", "--agent-option=--compile-slots=1", *more, env=slurm.environment)
    return json.loads(done.stdout)["job"] + "_1"


def main():
    need("slurmctld", "slurmd", "munged", "sbatch", "g++")
    if os.geteuid() != 0:
        skip("slurmd needs root")
    with Fleet(sys.argv[1]) as fleet:
        fleet.run("agents", "package", "--output", fleet.at / "package.tar.gz")
        slurm = Slurm(fleet)
        job = launch(fleet, slurm, "--time", "30")
        agents = until(fleet.agents, 120, "an agent registers")
        print(f"registered: {agents[0]['agent']} from job {job}, {slurm.state(job)}")
        assert re.fullmatch(r"fleet\..+\.1", agents[0]["agent"]), agents

        session = fleet.submit(30)
        before = until(lambda: (shown := fleet.show(session))["evaluations"] >= 4 and shown["evaluations"], 200, "the session is under way")
        assert before < 30, "the session ended before its agent could be taken away"
        subprocess.run(["scontrol", "requeue", job], env=slurm.environment, check=True)
        until(lambda: slurm.restarts(job) == 1 and slurm.state(job) == "RUNNING", 120, "the job runs again")
        back = until(lambda: [a for a in fleet.agents() if a["incarnation"] != agents[0]["incarnation"]], 120, "its agent registers again")
        print(f"requeued after {before} evaluations; back as {back[0]['agent']}, restarts {slurm.restarts(job)}")
        fleet.ask("sessions", "watch", session)
        end = fleet.show(session)
        print(f"session: {end['evaluations']} evaluations, stopped by {end['stopped_by']}, outcomes {end['outcomes']}")
        assert end["evaluations"] == 30 and end["stopped_by"] == "evaluations", end
        assert sum(end["outcomes"].values()) == 30 and end["outcomes"]["infrastructure"] == 0, end["outcomes"]
        assert end["best"]["verified"] is True, end["best"]
        subprocess.run(["scancel", job], env=slurm.environment, check=True)
        until(lambda: slurm.state(job) in ("CANCELLED", "gone"), 60, "the job ends")
        until(lambda: not fleet.agents(), 30, "its agent is gone")

        # A limit of one minute and a signal 45 seconds before it: drained by then, and the job ends well.
        job = launch(fleet, slurm, "--time", "1", "--drain", "45")
        until(fleet.agents, 60, "an agent registers")
        until(lambda: slurm.state(job) in ("COMPLETED", "TIMEOUT", "FAILED"), 120, "the job ends")
        assert slurm.state(job) == "COMPLETED", slurm.says("scontrol", "show", "job", job)
        logs = sorted((fleet.at / "shared" / "slurm").glob("*.log"), key=lambda file: file.stat().st_mtime)
        assert "draining: takes nothing more" in logs[-1].read_text(), logs[-1].read_text()
        print("drained before the time limit: COMPLETED")


main()
