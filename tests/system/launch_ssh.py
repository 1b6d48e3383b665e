#!/usr/bin/env python3
"""kevolve agents launch --ssh against a real sshd on loopback, with keys, port and configuration of the test's own.

Usage: launch_ssh.py KEVOLVE. Exits 77 (skipped) where there is no sshd or the test may not run one.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys

from fleet import Fleet, free_port, need, skip, until


def begin_sshd(fleet):
    at, port = fleet.at / "ssh", free_port()
    at.mkdir(mode=0o755)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at / name], check=True)
    os.chmod(at / "user.pub", 0o644)
    (at / "sshd_config").write_text(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\nStrictModes no\n"
                                    f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 100\n")
    host = f"HostName 127.0.0.1\n Port {port}\n IdentityFile {at}/user\n IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile {at}/known\n LogLevel ERROR\n"
    (at / "config").write_text(f"Host one\n {host}Host stranger\n {host.replace(f'{at}/user', f'{at}/host')}Host nowhere\n HostName 127.0.0.1\n Port 9\n")
    if os.geteuid() == 0 and not os.path.isdir("/run/sshd"):
        os.makedirs("/run/sshd", mode=0o755)  # for its child without privileges; /run does not outlive the machine's start
    sshd = fleet.start("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", at / "sshd_config"])
    until(lambda: subprocess.run(["ssh", "-F", at / "config", "one", "true"], capture_output=True).returncode == 0 or sshd.poll() is not None, 20, "sshd answers")
    if sshd.poll() is not None:
        skip(f"sshd does not run here: {(fleet.at / 'sshd.log').read_text()[-300:]}")
    return at / "config"


def stop_agents(directory):
    for file in pathlib.Path(directory).glob("run/*/pid"):
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}") or "State:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text(), 40, "the agent ends")


def main():
    need("sshd", "ssh", "ssh-keygen", "g++")
    with Fleet(sys.argv[1]) as fleet:
        config, directory = begin_sshd(fleet), fleet.at / "on host's disk"  # words that a shell would take apart
        package = fleet.at / "package.tar.gz"
        fleet.run("agents", "package", "--output", package)
        base = ("--ssh-config", config, "--dir", directory, "--package", package, "--agent-option=--compile-slots=1", "--timeout", "120")

        def launch(hosts, *more):
            done = fleet.launch("--ssh", hosts, *base, *more, check=False)
            assert done.stdout, done.stderr
            return done.returncode, {h["host"]: h for h in json.loads(done.stdout)["hosts"]}

        try:
            code, hosts = launch("one,stranger,nowhere,one")
            print(json.dumps(hosts, indent=1))
            assert code == 1 and list(hosts) == ["one", "stranger", "nowhere"], hosts
            assert hosts["one"]["state"] == "connected" and hosts["one"]["unpacked"], hosts
            assert "ssh could not come in" in hosts["stranger"]["failure"] and "denied" in hosts["stranger"]["failure"], hosts
            assert "ssh could not come in" in hosts["nowhere"]["failure"] and "refused" in hosts["nowhere"]["failure"], hosts
            assert len(fleet.agents()) == 1
            code, again = launch("one")
            assert code == 0 and again["one"]["state"] == "running" and not again["one"]["unpacked"] and again["one"]["pid"] == hosts["one"]["pid"], again
            # Its environment is its own: nothing tells compilers or candidates where the package's libraries are.
            assert b"LD_LIBRARY_PATH" not in pathlib.Path(f"/proc/{again['one']['pid']}/environ").read_bytes()
            code, other = launch("one", "--agent-option=--name=renamed")
            assert code == 0 and other["one"]["state"] == "connected" and other["one"]["pid"] != hosts["one"]["pid"], other
            until(lambda: [a["agent"] for a in fleet.agents()] == ["fleet.renamed"], 30, "the one before has drained")
            code, wrong = launch("one", "--agent-option=--no-such-option")
            assert code == 1 and "starting the agent: " in wrong["one"]["failure"] and "no-such-option" in wrong["one"]["failure"], wrong
            code, kept = launch("one", "--agent-option=--name=renamed")  # an agent that cannot start costs nothing
            assert code == 0 and kept["one"]["state"] == "running" and kept["one"]["pid"] == other["one"]["pid"], kept
            print("launched, left alone, replaced, and told by host what failed")
        finally:
            stop_agents(directory)


main()
