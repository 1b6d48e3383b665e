#!/usr/bin/env python3
"""An agent that compiles nothing evaluates with programs that another agent made: a session ends with a verified leader though the compiling agent is killed with -9 in between and
though the connection is cut in the middle of a program, which then goes on at the piece that is missing.

Usage: compile_elsewhere.py KEVOLVE. Real processes on loopback; the agent without a compiler comes in through a proxy that counts the wire's frames (their sizes are not encrypted). Python's
standard library alone.
"""
import pathlib
import re
import signal
import socket
import sys
import threading
import time

from fleet import Fleet, need, until

PIECE_KIB = 1
GREETING = 64                      # of ZMTP 3
CURVE, ENVELOPE = 33, 144          # bytes of a frame around a piece, but for names and numbers


class Proxy:
    """Passes a connection on, frame by frame towards the agent; cuts it once, behind the third piece of a program of at least twelve."""

    def __init__(self, to, piece_frame):
        self.to, self.piece_frame = to, piece_frame
        self.cuts, self.pieces, self.armed = 0, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            agent, _ = self.listener.accept()
            scheduler = socket.create_connection(self.to)
            for each in (agent, scheduler):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.upward, args=(agent, scheduler), daemon=True).start()
            threading.Thread(target=self.downward, args=(scheduler, agent), daemon=True).start()

    @staticmethod
    def end(*connections):
        for each in connections:
            try:
                each.shutdown(socket.SHUT_RDWR) # what was passed on still arrives
            except OSError:
                pass

    def upward(self, agent, scheduler):
        try:
            while data := agent.recv(65536):
                scheduler.sendall(data)
        except OSError:
            pass
        self.end(agent, scheduler)

    def downward(self, scheduler, agent):
        stream = scheduler.makefile("rb")
        try:
            for _ in range(GREETING):                        # each side waits for the first half of the other's
                agent.sendall(stream.read(1))
            in_a_row = 0
            while head := stream.read(2):
                if head[0] & 2:                              # a long frame
                    head += stream.read(7)
                size = int.from_bytes(head[1:], "big")
                agent.sendall(head + stream.read(size))
                if size in self.piece_frame():
                    self.pieces += 1
                    in_a_row += 1
                    if self.armed and self.cuts == 0 and in_a_row >= 3:
                        self.cuts += 1
                        break
                    time.sleep(0.02 if self.armed else 0)    # the pieces that are under way are behind us, not at the agent
        except OSError:
            pass
        self.end(scheduler, agent)


def exchanged(log):
    """What an agent says of itself at its end."""
    found = re.search(r"compiled (\d+) candidates for other agents; fetched (\d+) programs in (\d+) pieces, (\d+) of them asked for again, (\d+) came twice", log.read_text())
    return dict(zip(("compiled", "programs", "pieces", "asked_again", "came_twice"), map(int, found.groups()))) if found else None


def main():
    need("g++")
    with Fleet(sys.argv[1]) as fleet:
        program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
        host, port = fleet.endpoint.removeprefix("tcp://").split(":")
        identity = [""]

        def piece_frame():
            length = CURVE + ENVELOPE + (PIECE_KIB << 10) + len(identity[0])
            return range(length + 3, length + 13)

        proxy = Proxy((host, int(port)), piece_frame)

        def whole(life):
            return fleet.start(f"whole{life}", [program, "--scheduler", fleet.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "whole", "--name", "whole", "--python", "none", "--compile-only"])

        bare = fleet.start("bare", [program, "--scheduler", proxy.endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "bare", "--name", "bare", "--python", "none",
                                    "--compile-elsewhere", "--piece-kib", PIECE_KIB])
        shown = until(fleet.agents, 60, "the agent registers")[0]
        assert shown["agent"] == "fleet.bare" and not shown["compiles"] and not shown["compiled_elsewhere"], shown
        refused = fleet.ask("submit", "rms_norm_h4096", "--evaluations", "2", "--baselines", "none", "--wait", check=False)
        assert refused.returncode == 6 and "no agent compiles for it" in refused.stderr, (refused.returncode, refused.stderr)
        identity[0] = shown["incarnation"]

        proxy.armed = True
        first = whole(1)
        until(lambda: any(a["compiled_elsewhere"] for a in fleet.agents()), 60, "somebody compiles for it")
        until(lambda: proxy.cuts == 1, 120, "the connection is cut in the middle of a program")
        at_cut = proxy.pieces
        until(lambda: "calibrated" in (fleet.at / "bare.log").read_text(), 180, "the agent is calibrated, by a kernel that came in two parts")
        assert proxy.pieces >= at_cut + 3, (at_cut, proxy.pieces) # it was in the middle
        print(f"cut behind piece {at_cut} of a program; calibrated by it all the same, after {proxy.pieces} pieces")
        proxy.armed = False

        session = fleet.submit(14)
        until(lambda: fleet.show(session)["evaluations"] >= 3, 180, "three evaluations")
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = fleet.show(session)["evaluations"]
        until(lambda: not any(a["compiled_elsewhere"] for a in fleet.agents()), 60, "the scheduler notices")
        time.sleep(3)
        second = whole(2)
        fleet.ask("sessions", "watch", session)
        end = fleet.show(session)
        assert end["evaluations"] == 14 and end["outcomes"]["passed"] >= 10 and end["best"]["verified"] is True, end
        print(f"the compiling agent killed after {before} of 14 evaluations; session: {end['outcomes']}, its leader verified")

        bare.send_signal(signal.SIGTERM)
        assert bare.wait(60) == 0
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
        took = exchanged(fleet.at / "bare.log")
        assert took and took["programs"] >= 8 and took["compiled"] == 0, took
        assert took["asked_again"] >= 1, took
        assert took["came_twice"] == 0, took
        made = exchanged(fleet.at / "whole2.log")
        assert made and made["compiled"] >= 5 and made["programs"] == 0, made
        print(f"agent without a compiler: {took}")
        kept = [path for path in (fleet.at / "bare" / "artifacts").rglob("*.so")]
        assert len(kept) == took["programs"], (len(kept), took)


main()
