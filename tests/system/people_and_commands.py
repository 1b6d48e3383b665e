#!/usr/bin/env python3
"""Real sessions whose candidates a person writes (the provider `manual`: prompts in a folder, answers picked up from it) or a command (`exec`).

Usage: people_and_commands.py KEVOLVE. The person is a thread of this script that reads prompts and writes answers as files, as anybody would: a kernel of its
own, a schedule, talk without code that it is asked again for, and a kernel that is wrong. Needs Python's standard library alone.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEVOLVE = sys.argv[1]

KERNEL = """```cpp
#include "kevolve.h"
#include <math.h>

extern "C" int kevolve_run(const kevolve_tensor* inputs, kevolve_tensor* outputs, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 rows = axes[0], n = axes[1];
  #pragma omp parallel for schedule(static, GRAIN)
  for (kevolve_int64 r = 0; r < rows; ++r) {
    const float* x = static_cast<const float*>(inputs[0].data) + r * n;
    float* y = static_cast<float*>(outputs[0].data) + r * n;
    float most = x[0], sum = 0;
    bool nan = false;
    for (kevolve_int64 i = 0; i < n; ++i) {
      most = x[i] > most ? x[i] : most;
      nan = nan || x[i] != x[i];
    }
    for (kevolve_int64 i = 0; i < n; ++i)
      sum += y[i] = nan ? NAN : expf(x[i] - most);
    for (kevolve_int64 i = 0; i < n; ++i)
      y[i] = y[i] FINISH sum;
  }
  return 0;
}
```
"""


class place:
    """A data directory, a settings file, and kevolve run there."""

    def __init__(self, folder, settings):
        self.folder = folder
        with open(os.path.join(folder, "config.toml"), "w") as file:
            file.write(settings)

    def start(self, *arguments):
        line = [KEVOLVE, *arguments, "--data", os.path.join(self.folder, "data"), "--config", os.path.join(self.folder, "config.toml")]
        return subprocess.Popen(line, env={**os.environ, "KEVOLVE_PYTHON": "none", "KEVOLVE_BASELINES": "none"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def run(self, *arguments):
        child = self.start(*arguments)
        out, err = child.communicate()
        assert child.returncode == 0, (arguments, child.returncode, out[-2000:], err[-2000:])
        return out

    def turns(self):
        """What models were asked and said in the newest session, with what came of it."""
        rows = [json.loads(line) for line in self.run("export", "--trajectories", "kto", "--session", "last").splitlines()]
        return [r for r in rows if r["kind"] == "turn"]


class person(threading.Thread):
    """Answers each prompt of a folder once, by `answer(text, step)`; a text of None: not yet."""

    def __init__(self, folder, answer):
        super().__init__(daemon=True)
        self.folder, self.answer, self.over = folder, answer, False
        self.start()

    def prompts(self):
        names = sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else []
        return [name for name in names if re.fullmatch(r"\d+\.prompt\.md", name)]

    def run(self):
        while not self.over:
            for name in self.prompts():
                to = os.path.join(self.folder, name.replace("prompt", "answer"))
                if os.path.exists(to):
                    continue
                with open(os.path.join(self.folder, name)) as file:
                    said = self.answer(file.read())
                if said is None:
                    continue
                with open(to + ".part", "w") as file:
                    file.write(said)
                os.rename(to + ".part", to)
            time.sleep(0.05)

    def end(self):
        self.over = True
        self.join()


def ada(prompt):
    number = int(re.findall(r"This is proposal (\d+)", prompt)[0])
    asked_again = "That cannot be taken" in prompt
    if number == 1 and not asked_again:
        return "I would rather think about it for a while."
    if number == 1:
        assert "no code" in prompt.lower() or "found no" in prompt.lower() or "block" in prompt, prompt[-600:]
        return "IDEA: a kernel of my own\n" + KERNEL.replace("GRAIN", "1").replace("FINISH", "/")
    if number == 2:
        return "IDEA: a schedule\n```schedule\nfuse(*); rows(*); vectorize(*, width=8); parallel(*)\n```\n"
    if number == 3:
        return "IDEA: not divided\n" + KERNEL.replace("GRAIN", "2").replace("FINISH", "*")
    return f"IDEA: grains of {number}\n" + KERNEL.replace("GRAIN", str(number)).replace("FINISH", "/ (0 + 1) /" if number % 2 else "/")


def a_person_writes():
    with tempfile.TemporaryDirectory() as folder:
        prompts = os.path.join(folder, "prompts")
        p = place(folder, f'[llm.providers.ada]\nkind = "manual"\nfolder = "{prompts}"\n')
        somebody = person(prompts, ada)
        answer = json.loads(p.run("optimize", "softmax_n4096", "--synthesizer", "ada", "--evaluations", "5", "--in-flight", "2", "--seed", "1", "--json"))
        somebody.end()
        asked = somebody.prompts()
        assert answer["stopped_by"] == "evaluations" and answer["evaluations"] == 5, answer
        assert answer["outcomes"]["passed"] >= 3 and answer["outcomes"]["incorrect_numerical"] == 1, answer["outcomes"]
        assert answer["best"]["verified"], answer["best"]
        wrote = answer["synthesizers"][0]
        assert wrote["name"] == "ada" and wrote["proposals"] >= 4 and wrote["passed"] >= 2 and wrote["cost_usd"] == 0, wrote
        turns = p.turns()
        assert {(t["number"], t["step"], t["outcome"]) for t in turns} >= {(1, 0, "refused"), (1, 1, "passed"), (2, 0, "passed"), (3, 0, "incorrect_numerical")}, [(t["number"], t["step"], t["outcome"]) for t in turns]
        assert all(t["provider"] == "ada" and t["synthesizer"] == "ada" for t in turns)
        assert answer["models"]["asked"] == len(asked) >= len(turns), (answer["models"], asked)
        said = p.run("explain", next(t["candidate"] for t in turns if t["number"] == 3), "--prompt")
        assert "Asked ada" in said and "It said" in said and "not divided" in said, said[-2000:]
        print(f"a person: {len(asked)} prompts, {answer['outcomes']['passed']} passed")


def a_person_is_away():
    """Killed while a prompt waits for its answer; resumed, the same prompt is found and its answer taken: nobody is asked twice."""
    with tempfile.TemporaryDirectory() as folder:
        prompts = os.path.join(folder, "prompts")
        p = place(folder, f'[llm.providers.ada]\nkind = "manual"\nfolder = "{prompts}"\n')
        away = person(prompts, lambda prompt: None)
        child = p.start("optimize", "softmax_n4096", "--synthesizer", "ada", "--evaluations", "3", "--in-flight", "1", "--seed", "2", "--json")
        while not away.prompts() and child.poll() is None:
            time.sleep(0.05)
        assert child.poll() is None, child.communicate()
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        before = away.prompts()
        away.end()
        back = person(prompts, lambda prompt: ada(prompt.replace("This is proposal 1 ", "This is proposal 5 ")))
        answer = json.loads(p.run("optimize", "--resume", "last", "--json"))
        back.end()
        assert answer["evaluations"] == 3 and answer["resumed"] == 1, answer
        texts = []
        for name in back.prompts():
            with open(os.path.join(prompts, name)) as file:
                texts.append(re.findall(r"This is proposal (\d+)", file.read())[0])
        assert len(before) == 1 and texts.count("1") == 1, (before, texts)
        assert {(t["number"], t["step"]) for t in p.turns()} >= {(1, 0), (2, 0)}
        print(f"a person who was away: {len(texts)} prompts, none twice")


def a_command_writes():
    with tempfile.TemporaryDirectory() as folder:
        p = place(folder, f'[llm.providers.recombine]\nkind = "exec"\ncommand = ["{sys.executable}", "{HERE}/models/recombine.py"]\n')
        answer = json.loads(p.run("optimize", "softmax_n4096", "--synthesizer", "recombine", "--evaluations", "6", "--seed", "1", "--json"))
        assert answer["stopped_by"] == "evaluations" and answer["evaluations"] == 6, answer
        wrote = answer["synthesizers"][0]
        assert wrote["name"] == "recombine" and wrote["passed"] >= 1 and wrote["proposals"] >= 5, wrote
        turns = p.turns()
        assert turns and all(t["provider"] == "recombine" and "```schedule" in t["completion"][0]["content"] for t in turns)
        assert answer["models"]["asked"] >= len(turns) and answer["models"]["failed"] == 0, answer["models"]
        print(f"a command: {len(turns)} answers, {wrote['passed']} passed")


def a_command_hangs():
    """At its deadline the whole process group is killed, and the generator goes on."""
    with tempfile.TemporaryDirectory() as folder:
        pids = os.path.join(folder, "pids")
        hang = f"sleep 1000 & echo $! >>{pids}; echo $$ >>{pids}; wait"
        p = place(folder, f'[llm.providers.hangs]\nkind = "exec"\ncommand = ["sh", "-c", "{hang}"]\ntimeout_s = 1\n')
        answer = json.loads(p.run("optimize", "softmax_n4096", "--synthesizer", "generator,hangs", "--evaluations", "6", "--in-flight", "2", "--seed", "1", "--json"))
        assert answer["evaluations"] == 6 and answer["models"]["failed"] >= 1, answer
        assert next(s for s in answer["synthesizers"] if s["name"] == "hangs")["passed"] == 0
        with open(pids) as file:
            started = [int(pid) for pid in file.read().split()]
        assert len(started) >= 2
        for pid in started:
            try:
                with open(f"/proc/{pid}/stat") as file:
                    assert file.read().rsplit(")", 1)[1].split()[0] == "Z", f"process {pid} of a command that hangs is still there"
            except FileNotFoundError:
                pass
        print(f"a command that hangs: {len(started)} processes, none left")


if __name__ == "__main__":
    a_person_writes()
    a_person_is_away()
    a_command_writes()
    a_command_hangs()
