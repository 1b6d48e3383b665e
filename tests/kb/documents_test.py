"""Every document of the knowledge base is complete: front matter of the vocabulary, a line in index.md, samples that compile, and
situations that name documents that exist. Arguments: the repository's root. Plain Python; needs g++ for the samples."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
FOLDER = ROOT / "kb" / "documents"
KEYS = ["title", "platforms", "languages", "signals", "architectures", "sources", "status"]
PLATFORMS = {"cpu", "cuda", "hip", "mtia", "all"}
LANGUAGES = {"cpp", "cuda", "hip", "triton", "cutedsl", "tlx", "flydsl", "mtia-cpp", "all"}
KINDS = ("bound", "outcome", "operator", "error", "hint", "counter")
faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def vocabulary():
    """The signals in README.md: what stands in backquotes before the colon that ends the names of a list's item."""
    found = set()
    for line in (FOLDER / "README.md").read_text().splitlines():
        if line.startswith("- `"):
            found |= set(re.findall(r"`((?:%s):[a-z0-9_]+)`" % "|".join(KINDS), line))
    return found


def split(value):
    return [word.strip() for word in value.split(",")]


def check_words(where, key, words, allowed):
    for word in words:
        if word not in allowed:
            fault(where, f"{key}: found '{word}', expected one of {', '.join(sorted(allowed))}")
    if len(set(words)) != len(words):
        fault(where, f"{key}: a value stands twice")


def front_matter(where, lines):
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        fault(where, "no front matter between two lines '---'")
        return {}
    fields = {}
    for line in lines[1 : lines.index("---", 1)]:
        key, colon, value = line.partition(": ")
        if not colon or not value.strip():
            fault(where, f"front matter: found '{line}', expected 'key: value'")
        if key in fields:
            fault(where, f"front matter: '{key}' stands twice")
        fields[key] = value.strip()
    wanted = [key for key in KEYS if key in fields or key != "architectures"]
    if list(fields) != wanted:
        fault(where, f"front matter: found {', '.join(fields)}, expected {', '.join(wanted)}")
    return fields


def check_document(path, signals, index):
    name = path.relative_to(FOLDER).as_posix()
    text = path.read_text()
    lines = text.splitlines()
    fields = front_matter(name, lines)
    check_words(name, "platforms", split(fields.get("platforms", "")), PLATFORMS)
    check_words(name, "languages", split(fields.get("languages", "")), LANGUAGES)
    check_words(name, "signals", split(fields.get("signals", "")), signals)
    if fields.get("status") not in ("sourced", "assumption"):
        fault(name, f"status: found '{fields.get('status')}', expected 'sourced' or 'assumption'")
    if fields.get("title") and f"# {fields['title']}" not in lines:
        fault(name, "the title is not the first heading")
    if not 30 <= len(lines) <= 170:
        fault(name, f"found {len(lines)} lines, expected 30 to 170")
    if len([line for line in index if f"]({name}): " in line]) != 1:
        fault(name, "expected exactly one line in index.md, '- [Title](place): what it answers'")
    for number, line in enumerate(lines, 1):
        if len(line) > 200 and number > 9 and not line.startswith("|"):
            fault(name, f"line {number} has {len(line)} characters, expected at most 200 (outside of tables)")


def compile_samples():
    """C++ samples of the CPU hold one whole candidate each: the first block marked cpp."""
    compiled = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        (scratch / "kevolve.h").write_text((ROOT / "protocol" / "native_abi.h").read_text())
        for sample in sorted((FOLDER / "samples").glob("cpp-*.md")):
            block = re.search(r"^```cpp\n(.*?)^```$", sample.read_text(), re.S | re.M)
            if not block:
                fault(f"samples/{sample.name}", "holds no block marked cpp")
                continue
            (scratch / "kernel.cpp").write_text(block.group(1))
            for machine in ("x86-64-v3", "x86-64-v4"):
                command = ["g++", "-std=c++20", "-O3", f"-march={machine}", "-fopenmp", "-fPIC", "-Wall", "-Wextra", "-Wno-psabi", "-Werror", "-c", "kernel.cpp", "-o", "kernel.o"]
                done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
                if done.returncode != 0:
                    fault(f"samples/{sample.name}", f"does not compile for {machine}:\n{done.stderr[:2000]}")
            compiled += 1
    return compiled


def check_situations(signals):
    seen, count = set(), 0
    for name in ("tuned.json", "unseen.json"):
        path = ROOT / "tests" / "kb" / "situations" / name
        situations = json.loads(path.read_text())
        if len(situations) != 25:
            fault(name, f"found {len(situations)} situations, expected 25")
        for number, s in enumerate(situations, 1):
            where = f"{name}, situation {number}"
            if set(s) != {"platform", "architecture", "language", "signals", "words", "expected"}:
                fault(where, f"found the fields {', '.join(s)}")
                continue
            if s["words"] in seen:
                fault(where, "its words stand twice")
            seen.add(s["words"])
            check_words(where, "platform", [s["platform"]], PLATFORMS - {"all"})
            check_words(where, "language", [s["language"]], LANGUAGES - {"all"})
            check_words(where, "signals", s["signals"], signals)
            if not s["expected"]:
                fault(where, "expected at least one document")
            for document in s["expected"]:
                path = FOLDER / f"{document}.md"
                if not path.is_file():
                    fault(where, f"expects '{document}', which is no document")
                elif not {s["platform"], "all"} & set(split(re.search(r"^platforms: (.*)$", path.read_text(), re.M).group(1))):
                    fault(where, f"expects '{document}', which is not for {s['platform']}")
            count += 1
    return count


def main():
    signals = vocabulary()
    index = (FOLDER / "index.md").read_text().splitlines()
    documents = [p for p in sorted(FOLDER.rglob("*.md")) if p.relative_to(FOLDER).as_posix() not in ("README.md", "index.md")]
    for path in documents:
        check_document(path, signals, index)
    for line in index:
        for place in re.findall(r"\]\(([^)]*\.md)\)", line):
            if not (FOLDER / place).is_file():
                fault("index.md", f"names '{place}', which does not exist")
    for folder, least in (("hardware/cpu", 15), ("hardware/nvidia", 15), ("hardware/amd", 15), ("hardware/mtia", 15), ("constraints", 3), ("guidance", 3), ("samples", 5)):
        count = len(list((FOLDER / folder).glob("*.md")))
        if count < least:
            fault(folder, f"found {count} documents, expected at least {least}")
    samples = compile_samples()
    situations = check_situations(signals)
    for text in faults:
        print(text)
    print(f"{len(documents)} documents, {len(signals)} signals, {samples} C++ samples compiled, {situations} situations, {len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
