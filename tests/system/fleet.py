"""What the fleet's tests share: a scheduler of their own on loopback, people's commands, daemons that end with the test."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
SESSION = ["submit", "rms_norm_h4096", "--workload", "decode_256", "--baselines", "none", "--seed", "1"]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            skip(f"{program} is not installed")


def free_port(neighbours=1):
    """The first of so many neighbouring ports that nobody listens on."""
    for port in range(20000 + os.getpid() % 20000, 65000, neighbours):
        taken = []
        try:
            for each in range(port, port + neighbours):
                taken.append(socket.create_server(("127.0.0.1", each)))
            return port
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
    raise RuntimeError("no free port")


def until(what, seconds, about):
    """Waits for the first true answer."""
    for _ in range(int(seconds * 5)):
        answer = what()
        if answer:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{about}: not within {seconds} s")


class Fleet:
    def __init__(self, kevolve):
        self.kevolve = os.path.abspath(kevolve)
        self.at = pathlib.Path(tempfile.mkdtemp(prefix="kevolve-fleet-", dir="/var/tmp"))
        os.chmod(self.at, 0o755)
        self.daemons = []
        self.endpoint = f"tcp://127.0.0.1:{free_port(2)}"

    def __enter__(self):
        for name, role in (("fleet", "agent"), ("person", "client")):
            self.run("keys", "new", name, "--role", role, "--out", self.at / f"{name}.key", "--data", self.at / "data")
        self.start("scheduler", [self.kevolve, "serve", "--listen", self.endpoint, "--data", self.at / "data", "--cache", self.at / "cache"])
        until(lambda: self.ask("sessions", "list", check=False).returncode == 0, 30, "the scheduler answers")
        return self

    def __exit__(self, failure, *_):
        for name, daemon in reversed(self.daemons):
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(30)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        if failure:
            for log in sorted(self.at.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():  # disks of a test's own
            if line.split()[1].startswith(f"{self.at}/"):
                subprocess.run(["umount", "-l", line.split()[1]])
        shutil.rmtree(self.at, ignore_errors=True)

    def start(self, name, line, **more):
        with open(self.at / f"{name}.log", "ab") as log:
            daemon = subprocess.Popen([str(word) for word in line], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.daemons.append((name, daemon))
        return daemon

    def run(self, *words, check=True, **more):
        done = subprocess.run([self.kevolve, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"kevolve {words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ask(self, *words, check=True):
        return self.run(*words, "--scheduler", self.endpoint, "--key", self.at / "person.key", "--json", check=check)

    def agents(self):
        return json.loads(self.ask("agents", "list").stdout)

    def launch(self, *words, check=True, **more):
        return self.run("agents", "launch", *words, "--scheduler", self.endpoint, "--key", self.at / "fleet.key", "--cache", self.at / "cache", "--json", check=check, **more)

    def submit(self, evaluations):
        return json.loads(self.ask(*SESSION, "--evaluations", evaluations).stdout)[0]["session"]

    def show(self, session):
        return json.loads(self.ask("sessions", "show", session).stdout)
