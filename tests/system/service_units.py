#!/usr/bin/env python3
"""What ships for unattended operation: the daemons speak systemd's protocol, systemd accepts the units, and the Kubernetes manifest fits together.

Usage: service_units.py KEVOLVE. Exits 77 (skipped) after the rest where systemd-analyze or Python's yaml is missing.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from fleet import Fleet, free_port, skip, until

DEPLOY = pathlib.Path(__file__).parents[2] / "scheduler" / "deploy"


class Manager:
    """The socket of a service manager."""

    def __init__(self, path):
        self.socket, self.path = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard = []

    def listen(self):
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return self.heard

    def environment(self):
        return {**os.environ, "NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "1500000"}


def daemon_speaks(fleet, name, line):
    manager = Manager(fleet.at / f"{name}.notify")
    daemon = fleet.start(name, line, env=manager.environment())
    until(lambda: any(m.startswith("READY=1") for m in manager.listen()), 120, f"{name} is ready")
    until(lambda: manager.listen().count("WATCHDOG=1") >= 3, 20, f"{name} is alive")
    assert manager.heard[0].startswith("READY=1\nSTATUS=serves"), manager.heard[0]
    daemon.send_signal(signal.SIGSTOP)  # one that hangs says nothing
    time.sleep(0.5)
    before = len(manager.listen())
    time.sleep(3)
    assert len(manager.listen()) == before, manager.heard[before:]
    daemon.send_signal(signal.SIGCONT)
    until(lambda: len(manager.listen()) > before, 20, f"{name} is alive again")
    daemon.terminate()
    assert daemon.wait(60) == 0
    assert "STOPPING=1" in manager.listen(), manager.heard
    print(f"{name}: ready, {manager.heard.count('WATCHDOG=1')} pings, none while stopped, stopping")


def units_are_accepted(fleet):
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        text = unit.read_text()
        programs = re.findall(r"^ExecStart=(\S+)", text, re.M)
        assert len(programs) == 1 and "Type=notify" in text and "WatchdogSec=" in text, unit
        copy = fleet.at / unit.name  # the programs need not be installed for the rest to be checked
        copy.write_text(text.replace(programs[0], "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
        assert done.returncode == 0 and unit.name not in done.stderr, done.stderr
    broken = fleet.at / "broken.service"
    broken.write_text("[Service]\nType=notify\nWatchdogSec=soon\nExecStart=/bin/true\n")
    assert "broken.service" in subprocess.run(["systemd-analyze", "verify", "--man=no", broken], capture_output=True, text=True).stderr, "it finds nothing at all"
    print("systemd accepts both units")


def manifest_fits(yaml):
    things = {(t["kind"], t["metadata"]["name"]): t for t in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
    service, scheduler, agents = (things[k] for k in (("Service", "kevolve-scheduler"), ("StatefulSet", "kevolve-scheduler"), ("DaemonSet", "kevolve-agent")))
    for each in (scheduler, agents):
        assert each["apiVersion"] == "apps/v1" and each["spec"]["selector"]["matchLabels"] == each["spec"]["template"]["metadata"]["labels"]
        pod = each["spec"]["template"]["spec"]
        volumes = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in each["spec"].get("volumeClaimTemplates", [])}
        for container in pod["containers"] + pod.get("initContainers", []):
            assert {m["name"] for m in container["volumeMounts"]} <= volumes, container["name"]
    assert service["spec"]["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]
    assert scheduler["spec"]["serviceName"] == service["metadata"]["name"] and scheduler["spec"]["replicas"] == 1
    serve = scheduler["spec"]["template"]["spec"]["containers"][0]
    port = int(serve["command"][serve["command"].index("--listen") + 1].rsplit(":")[-1])
    assert [p["port"] for p in service["spec"]["ports"]] == [port, port + 1]
    http = int(serve["command"][serve["command"].index("--http") + 1].rsplit(":")[-1])
    assert {(serve[p]["httpGet"]["path"], serve[p]["httpGet"]["port"]) for p in ("livenessProbe", "readinessProbe")} == {("/healthz", http), ("/readyz", http)}
    agent = agents["spec"]["template"]["spec"]["containers"][0]["command"]
    assert agent[agent.index("--scheduler") + 1] == f"tcp://{service['metadata']['name']}:{port}"
    print("the manifest fits together")


def main():
    with Fleet(sys.argv[1]) as fleet:
        beside = pathlib.Path(fleet.kevolve).parent
        daemon_speaks(fleet, "agent", [beside / "kevolve-agent", "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "agent-cache", "--compiler", "g++-none"])
        daemon_speaks(fleet, "second", [fleet.kevolve, "serve", "--listen", f"tcp://127.0.0.1:{free_port(2)}", "--data", fleet.at / "second-data", "--cache", fleet.at / "cache"])
        missing = []
        if shutil.which("systemd-analyze"):
            units_are_accepted(fleet)
        else:
            missing.append("systemd-analyze")
        try:
            import yaml
            manifest_fits(yaml)
        except ImportError:
            missing.append("Python's yaml (Debian: python3-yaml)")
    if missing:
        skip(f"parts of it: {', '.join(missing)} missing; the rest passed")


main()
