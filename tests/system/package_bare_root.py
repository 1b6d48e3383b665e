#!/usr/bin/env python3
"""The agent's package in a bare Debian root, nothing installed: it starts with one command, registers, says that it has no compiler, and is given nothing; once a neighbour compiles
for it, a session ends there with a verified leader, under the full sandbox of the package's own bubblewrap. With g++ in the root the same without a neighbour.

Usage: package_bare_root.py KEVOLVE. KEVOLVE_BARE_ROOT names a root made by debootstrap --variant=minbase, KEVOLVE_COMPILER_ROOT one that has g++, too; without them one is
made, which needs root and a Debian mirror. Exits 77 (skipped) where that cannot be done.
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


def inside_root(root, folder, options):
    """A command line that starts the package's agent there. A real root, not a chroot: the kernel lets nobody make a user namespace inside one."""
    return ["unshare", "--mount", "/bin/sh", "-c", f"""set -e
mount --make-rprivate / && mount --bind {root} {root} && cd {root}
mkdir -p old dev proc sys
mount --rbind /dev dev && mount --rbind /sys sys && mount -t proc proc proc
pivot_root . old
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c 'umount -l /old; cd {folder};
  exec kevolve-agent-*/kevolve-agent {options}'"""]


def by_a_neighbour(fleet, root, inside):
    """Nothing but the package in the root; the host beside it has a compiler and no device to offer."""
    agent = fleet.start("bare_served", inside_root(root, inside, f"--scheduler {fleet.endpoint} --key fleet.key --cache cache --name bare --require-sandbox full"))
    neighbour = fleet.start("neighbour", [pathlib.Path(fleet.kevolve).parent / "kevolve-agent", "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "neighbour",
                                          "--name", "neighbour", "--compile-only"])
    until(lambda: any(a["compiled_elsewhere"] for a in fleet.agents()), 120, "the neighbour compiles for the bare agent")
    session = fleet.submit(6)
    fleet.ask("sessions", "watch", session)
    end = fleet.show(session)
    assert end["evaluations"] == 6 and end["outcomes"]["passed"] == 6 and end["best"]["verified"] is True, end
    print(f"in the bare root, compiled by a neighbour: full sandbox, outcomes {end['outcomes']}, its leader verified")
    for daemon in (agent, neighbour):
        daemon.terminate()
        assert daemon.wait(60) == 0
    print((fleet.at / "bare_served.log").read_text(), end="")


def with_compiler(fleet, root):
    """A host that has a compiler and nothing else: the package's own bubblewrap, all layers of the sandbox, a session."""
    given = os.environ.get("KEVOLVE_COMPILER_ROOT")
    if given:
        root = pathlib.Path(given)
    else:
        line = "apt-get update && apt-get install -y --no-install-recommends g++"
        done = subprocess.run(["chroot", root, "sh", "-c", line], capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode != 0:
            skip(f"the bare root is good; no g++ could be installed into it: {done.stderr.splitlines()[-1:]}")
    assert (root / "usr/bin/g++").exists() and not (root / "usr/bin/bwrap").exists(), root
    opened = root / "opt" / f"kevolve-test-{os.getpid()}"
    inside = "/" + str(opened.relative_to(root))
    opened.mkdir(parents=True)
    try:
        subprocess.run(["tar", "xzf", fleet.at / "package.tar.gz", "-C", opened], check=True)
        shutil.copy(fleet.at / "fleet.key", opened / "fleet.key")
        agent = fleet.start("whole", inside_root(root, inside, f"--scheduler {fleet.endpoint} --key fleet.key --cache cache --name whole --compile-slots 1 --require-sandbox full"))
        agents = until(fleet.agents, 120, "the agent registers")
        assert agents[0]["agent"] == "fleet.whole" and agents[0]["compiles"] is True, agents
        session = fleet.submit(4)
        fleet.ask("sessions", "watch", session)
        end = fleet.show(session)
        assert end["evaluations"] == 4 and end["outcomes"]["passed"] == 4 and end["best"]["verified"] is True, end
        print(f"with a compiler: full sandbox, outcomes {end['outcomes']}")
        agent.terminate()
        assert agent.wait(60) == 0
    finally:
        shutil.rmtree(opened)


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
            assert not (root / "proc/self").exists(), "the root's /proc is mounted already"
            mute = subprocess.run(["chroot", root, "/bin/sh", "-c", f"cd {inside} && tar xzf package.tar.gz && kevolve-agent-*/kevolve-agent --help"], capture_output=True, text=True)
            assert mute.returncode == 4 and "/proc is not mounted" in mute.stderr, mute
            # /proc as every host has it; nothing else is added to the root.
            line = f"mount -t proc proc /proc && cd {inside} && tar xzf package.tar.gz && (cd kevolve-agent-*/ && sha256sum --quiet -c MANIFEST) && " \
                   f"exec kevolve-agent-*/kevolve-agent --scheduler {fleet.endpoint} --key fleet.key --cache {inside}/cache --name bare"
            fleet.start("bare", ["unshare", "--mount", "chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/bin/sh", "-c", line])
            agents = until(fleet.agents, 60, "the agent registers")
            assert [a["agent"] for a in agents] == ["fleet.bare"] and agents[0]["compiles"] is False, agents
            said = (fleet.at / "bare.log").read_text()
            assert "'g++' is not on PATH: other agents of the scheduler compile for this one" in said, said
            refused = fleet.ask("submit", "rms_norm_h4096", "--evaluations", "2", "--baselines", "none", "--wait", check=False)
            assert refused.returncode == 6 and "which has no compiler" in refused.stderr, (refused.returncode, refused.stderr)
            print("the package starts in a bare root, registers, and is given nothing to compile")
            print(said, end="")
            for name, daemon in fleet.daemons:
                if name == "bare":
                    daemon.terminate()
                    assert daemon.wait(30) == 0
            until(lambda: not fleet.agents(), 30, "the scheduler has seen it go")
            if shutil.which("g++"):
                by_a_neighbour(fleet, root, inside)
            else:
                print("skipped: no g++ here, so no neighbour compiles")
        finally:
            shutil.rmtree(opened)
        with_compiler(fleet, root)


main()
