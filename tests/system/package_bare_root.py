#!/usr/bin/env python3
"""The agent's package in a bare Debian root, nothing installed: it starts with one command, registers, says that it has no compiler, and is given nothing.

Usage: package_bare_root.py KEVOLVE. KEVOLVE_BARE_ROOT names a root made by debootstrap --variant=minbase; without it one is made, which needs root and a Debian
mirror. Exits 77 (skipped) where that cannot be done.
"""
import os
import pathlib
import shutil
import subprocess
import sys

from fleet import Fleet, need, skip, until


def bare_root(fleet):
    given = os.environ.get("KEVOLVE_BARE_ROOT")
    if given:
        return pathlib.Path(given)
    need("debootstrap")
    made = fleet.at / "root"
    done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", made], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(made, ignore_errors=True)
        skip(f"debootstrap made no root: {done.stdout.splitlines()[-1:]}")
    return made


def main():
    if os.geteuid() != 0:
        skip("a root of its own needs root")
    with Fleet(sys.argv[1]) as fleet:
        root = bare_root(fleet)
        for absent in ("usr/bin/g++", "usr/bin/bwrap", "usr/lib/x86_64-linux-gnu/libzmq.so.5", "usr/bin/python3", "usr/bin/zstd"):
            assert not (root / absent).exists(), f"{absent} is in the root: it is not bare"
        package = fleet.at / "package.tar.gz"
        fleet.run("agents", "package", "--output", package)
        again = fleet.at / "again.tar.gz"
        fleet.run("agents", "package", "--output", again)
        assert package.read_bytes() == again.read_bytes(), "equal programs gave two packages"
        opened = root / "opt" / f"kevolve-test-{os.getpid()}"
        inside = "/" + str(opened.relative_to(root))
        opened.mkdir(parents=True)
        try:
            shutil.copy(package, opened / "package.tar.gz")
            shutil.copy(fleet.at / "fleet.key", opened / "fleet.key")
            # /proc as every host has it; nothing else is added to the root.
            line = f"mount -t proc proc /proc && cd {inside} && tar xzf package.tar.gz && (cd kevolve-agent-*/ && sha256sum --quiet -c MANIFEST) && " \
                   f"exec kevolve-agent-*/kevolve-agent --scheduler {fleet.endpoint} --key fleet.key --cache {inside}/cache --name bare"
            fleet.start("bare", ["unshare", "--mount", "chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-c", line])
            agents = until(fleet.agents, 60, "the agent registers")
            assert [a["agent"] for a in agents] == ["fleet.bare"] and agents[0]["compiles"] is False, agents
            said = (fleet.at / "bare.log").read_text()
            assert "'g++' is not on PATH: this agent is given nothing that has to be compiled" in said, said
            refused = fleet.ask("submit", "rms_norm_h4096", "--evaluations", "2", "--baselines", "none", "--wait", check=False)
            assert refused.returncode == 6 and "which has no compiler" in refused.stderr, (refused.returncode, refused.stderr)
            print("the package starts in a bare root, registers, and is given nothing to compile")
            print(said, end="")
            for name, daemon in fleet.daemons:
                if name == "bare":
                    daemon.terminate()
                    assert daemon.wait(30) == 0
        finally:
            shutil.rmtree(opened)


main()
