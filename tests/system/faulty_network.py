#!/usr/bin/env python3
"""Agents behind a network that fails: what is between them and the scheduler is delayed, held back, cut (FIN and RST) and swallowed for longer than a heartbeat may be missing; and an agent in a network namespace
loses its cable for longer than that. Each session ends with exactly its evaluations and a verified leader, results that come too late are told and not counted, the store is whole.

Usage: faulty_network.py KEVOLVE [--seed 1] [--rounds 1]. Two agents on loopback, each through a proxy of its own; a round has each kind of fault, the order and whom they meet drawn from the seed; sessions are submitted one after the other
until all have been. The cable needs root and network namespaces: without, the rest is run all the same, and shown as skipped at the end. Python's standard library alone.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from fleet import Fleet, skip, until

BEYOND_A_HEARTBEAT = 8.0   # seconds; an agent that is silent for five is dead
EVALUATIONS = 12


class Proxy:
    """Passes connections on, as well as `how` lets it: pass, delay (each piece, up to two seconds), hold (until it passes again), swallow (what comes is gone, so that the connection cannot live on)."""

    def __init__(self, to, draw):
        self.to, self.draw, self.how = to, draw, "pass"
        self.met = {"delay": 0, "hold": 0, "swallow": 0}   # pieces of the stream, by what was done to them
        self.pairs, self.half_open, self.lock = [], set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            agent, _ = self.listener.accept()
            try:
                scheduler = socket.create_connection(self.to)
            except OSError:
                agent.close()
                continue
            with self.lock:
                self.pairs.append((agent, scheduler))
            for a, b in ((agent, scheduler), (scheduler, agent)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                if self.how in self.met:
                    self.met[self.how] += 1
                if self.how == "delay":
                    time.sleep(2 * self.draw.random())
                while self.how == "hold":
                    time.sleep(0.05)
                if self.how == "swallow" or source in self.half_open:
                    continue
                try:
                    sink.sendall(data)
                except OSError:
                    if source not in self.half_open:
                        break
        except OSError:
            pass
        with self.lock:
            self.pairs = [pair for pair in self.pairs if source not in pair]
        for each in {source, sink} - (self.half_open if sink in self.half_open else set()):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self, reset, half=False):
        """Every connection: with FIN, or with RST, which throws away what is under way; `half`: the scheduler is not told, for it the agent just says nothing more."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            if half:
                self.half_open.add(pair[1])
            for each in pair[:1] if half else pair:
                try:
                    if reset:
                        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)   # wakes whoever reads
                    each.close()
                except OSError:
                    pass
        return len(pairs)


def lasting(proxy, how, seconds):
    """The pieces that met it."""
    before = proxy.met[how]
    proxy.how = how
    time.sleep(seconds)
    proxy.how = "pass"
    return proxy.met[how] - before


def swallow(proxy):
    met = lasting(proxy, "swallow", BEYOND_A_HEARTBEAT)
    proxy.end(reset=True)   # what is missing in the middle of it cannot be made good
    return met


# What is done, to a proxy; each gives the pieces or connections that it met.
KINDS = {
    "delayed": lambda proxy: lasting(proxy, "delay", 4),
    "held back": lambda proxy: lasting(proxy, "hold", BEYOND_A_HEARTBEAT),
    "swallowed": swallow,
    "cut": lambda proxy: proxy.end(reset=False),
    "reset": lambda proxy: proxy.end(reset=True),
    "half open": lambda proxy: proxy.end(reset=True, half=True),   # the agent is back on a new connection while the old one lives on at the scheduler
}


class Cable:
    """A namespace as a host of its own, and a veth pair to it."""

    def __init__(self):
        self.name, self.near = f"kevolve-far-{os.getpid()}", f"kvn{os.getpid() % 10**7}"
        self.net = f"10.78.{os.getpid() % 250 + 1}"
        self.is_there = os.geteuid() == 0 and subprocess.run(["ip", "netns", "add", self.name], capture_output=True).returncode == 0
        if not self.is_there:
            return
        far = f"kvf{os.getpid() % 10**7}"
        for words in (["link", "add", self.near, "type", "veth", "peer", "name", far, "netns", self.name], ["addr", "add", f"{self.net}.1/24", "dev", self.near], ["link", "set", self.near, "up"],
                      ["-n", self.name, "addr", "add", f"{self.net}.2/24", "dev", far], ["-n", self.name, "link", "set", far, "up"]):
            subprocess.run(["ip", *words], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_there:
            subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
            subprocess.run(["ip", "link", "del", self.near], capture_output=True)   # it goes with its other end, a moment later

    def pulled(self, seconds):
        subprocess.run(["ip", "link", "set", self.near, "down"], check=True)
        time.sleep(seconds)
        subprocess.run(["ip", "link", "set", self.near, "up"], check=True)


class Sessions:
    """There is always one that runs; each is looked at when it has ended."""

    def __init__(self, fleet):
        self.fleet, self.running, self.all = fleet, None, []

    def keep_busy(self):
        if self.running is None or self.ended(self.running):
            self.running = self.fleet.submit(EVALUATIONS)
            self.all.append(self.running)

    def ended(self, session):
        return self.fleet.show(session)["stopped_by"] not in (None, "")

    def at_work(self, agent):
        """Until this agent has something to lose."""
        def leased():
            self.keep_busy()
            return any(a["agent"] == agent and a["leases"] > 0 and a["silent_s"] < 2 for a in self.fleet.agents())
        until(leased, 180, f"{agent} has work")

    def check(self):
        late = 0
        for session in self.all:
            until(lambda: self.ended(session), 180, f"{session} ends")
            shown = self.fleet.show(session)
            assert shown["stopped_by"] == "evaluations" and shown["evaluations"] == EVALUATIONS, shown
            assert sum(shown["outcomes"].values()) == EVALUATIONS, shown["outcomes"]
            assert shown["best"]["verified"] is True, shown["best"]
            late += shown["discarded"]
        return late


def agent_of(fleet, name, endpoint, *before):
    program = pathlib.Path(fleet.kevolve).parent / "kevolve-agent"
    return fleet.start(name, [*before, program, "--scheduler", endpoint, "--key", fleet.at / "fleet.key", "--cache", fleet.at / "agents", "--name", name, "--python", "none"])


def main():
    draw = random.Random(chosen.seed)
    fleet = Fleet(chosen.kevolve)
    with Cable() as cable:
        if cable.is_there:
            fleet.endpoint = fleet.endpoint.replace("127.0.0.1", f"{cable.net}.1")
        host, port = fleet.endpoint.removeprefix("tcp://").split(":")
        with fleet:
            proxies = {name: Proxy((host, int(port)), random.Random(draw.random())) for name in ("one", "two")}
            for name, proxy in proxies.items():
                agent_of(fleet, name, proxy.endpoint)
                until(fleet.agents, 180, "an agent registers")   # what it has measured the others find
            if cable.is_there:
                agent_of(fleet, "far", fleet.endpoint, "ip", "netns", "exec", cable.name)
            until(lambda: len(fleet.agents()) == 2 + cable.is_there, 180, "the agents register")
            plan = [(draw.choice(list(proxies)), kind) for _ in range(chosen.rounds) for kind in KINDS] + [("far", "pulled")] * (chosen.rounds if cable.is_there else 0)
            draw.shuffle(plan)
            sessions = Sessions(fleet)
            for name, kind in plan:
                sessions.at_work(f"fleet.{name}")
                if kind == "pulled":
                    cable.pulled(BEYOND_A_HEARTBEAT)
                    met = "its cable, on a host of its own"
                else:
                    until(lambda: proxies[name].pairs, 60, f"{name} is connected again")
                    count = KINDS[kind](proxies[name])
                    assert count > 0, f"nothing of {name} was {kind}"
                    met = f"{count} pieces" if kind in ("delayed", "held back", "swallowed") else f"{count} connections"
                print(f"{name}: {kind} ({met})", flush=True)
            late = sessions.check()
            until(lambda: len(fleet.agents()) == 2 + cable.is_there and all(a["silent_s"] < 5 for a in fleet.agents()), 180, "all agents are back")
            for name, daemon in fleet.daemons[1:]:
                daemon.send_signal(signal.SIGTERM)
                assert daemon.wait(60) == 0, f"{name} ended with {daemon.returncode}"
            fleet.daemons[0][1].send_signal(signal.SIGTERM)
            assert fleet.daemons[0][1].wait(60) == 0
            fleet.run("kb", "check", "--data", fleet.at / "data")
            print(f"{len(plan)} faults, {len(sessions.all)} sessions of {EVALUATIONS} evaluations, all counted once, leaders verified; {late} results came too late and were not counted")
        if not cable.is_there:
            skip("only the cable: network namespaces need root, and a host that lets it make them")


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kevolve")
options.add_argument("--seed", type=int, default=1)
options.add_argument("--rounds", type=int, default=1)
chosen = options.parse_args()
main()
