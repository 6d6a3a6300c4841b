#!/usr/bin/python3
"""Runs clang-tidy over the C++ sources in parallel, and only where something changed since the last clean result.

A result is kept under build/tidy/ by a hash of the file, every header of this repository that it reaches, and
.clang-tidy; so a second run costs a second. With --budget SECONDS no new file is begun after that time: what was
changed last is checked first, and the number of files left unchecked is printed.
"""
import argparse
import concurrent.futures
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.M)
SKIP_WITH_ARGUMENT = {"-include", "-o", "-MF", "-MT"}
SKIP = {"-fpch-preprocess", "-Winvalid-pch", "-Werror", "-MD"}


class Hasher:
    """Hash of a file and all headers of the repository that it reaches."""

    def __init__(self):
        self._reach = {}

    def _includes(self, path):
        if path not in self._reach:
            found = set()
            for raw in INCLUDE.findall(path.read_bytes()):
                name = raw.decode()
                for base in (path.parent, ROOT / "libs", ROOT):
                    if (base / name).is_file():
                        found.add((base / name).resolve())
                        break
            self._reach[path] = found
        return self._reach[path]

    def digest(self, path):
        seen, todo = set(), [path]
        while todo:
            here = todo.pop()
            if here not in seen:
                seen.add(here)
                todo += self._includes(here)
        total = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
        for item in sorted(seen):
            total.update(str(item.relative_to(ROOT)).encode() + b"\0" + item.read_bytes())
        return total.hexdigest()


def plain_command(entry, cache):
    """The compile command without the compiler's own precompiled header, which clang cannot read: its text is included instead."""
    words, result, skip, previous = shlex.split(entry["command"]), [], False, ""
    while words and not words[0].endswith(("g++", "clang++", "c++", "gcc", "cc")):
        words.pop(0)
    for word in words:
        if skip:
            skip = False
            if previous == "-include" and Path(word).is_file():
                copy = cache / "pch" / (hashlib.sha256(word.encode()).hexdigest()[:12] + ".hxx")
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not copy.is_file() or copy.read_bytes() != Path(word).read_bytes():
                    shutil.copyfile(word, copy)
                result += ["-include", str(copy)]
            continue
        if word in SKIP_WITH_ARGUMENT:
            skip, previous = True, word
        elif word not in SKIP:
            result.append(word)
    return result + ["-Wno-everything"]


def recently_changed():
    listed = subprocess.run(["git", "log", "-n", "30", "--name-only", "--format="], cwd=ROOT, capture_output=True, text=True).stdout
    dirty = subprocess.run(["git", "status", "--short", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout
    order = [line[3:] for line in dirty.splitlines()] + listed.split()
    return {name: position for position, name in reversed(list(enumerate(order)))}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="a configured build directory")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=None, metavar="SECONDS")
    parser.add_argument("paths", nargs="*", help="only files whose path contains one of these")
    arguments = parser.parse_args()

    cache = ROOT / "build" / "tidy"
    (cache / "clean").mkdir(parents=True, exist_ok=True)
    database = json.loads((ROOT / arguments.build / "compile_commands.json").read_text())
    commands, recent = {}, recently_changed()
    for entry in database:
        path = Path(entry["file"]).resolve()
        inside = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "build")
        if inside and path.suffix == ".cpp" and path.is_file():
            commands[path] = entry
    (cache / "compile_commands.json").write_text(json.dumps([
        {"directory": entry["directory"], "file": str(path), "arguments": plain_command(entry, cache)}
        for path, entry in commands.items()]))

    hasher, waiting = Hasher(), []
    wanted = [path for path in commands if not arguments.paths or any(part in str(path.relative_to(ROOT)) for part in arguments.paths)]
    for path in wanted:
        mark = cache / "clean" / hasher.digest(path)
        if not mark.exists():
            name = str(path.relative_to(ROOT))
            waiting.append((recent.get(name, 1 << 30), name, mark))
    waiting.sort()
    started, failed, unchecked = time.monotonic(), [], []

    def check(item):
        _, name, mark = item
        if arguments.budget is not None and time.monotonic() - started > arguments.budget:
            unchecked.append(name)
            return
        run = subprocess.run(["clang-tidy", "--quiet", "-p", str(cache), str(ROOT / name)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode == 0:
            mark.touch()
        else:
            failed.append(name)
            print(run.stdout + "\n".join(line for line in run.stderr.splitlines() if "warnings generated" not in line), flush=True)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(check, waiting))
    checked = len(waiting) - len(unchecked)
    print(f"tidy: {len(wanted)} files, {checked} checked in {time.monotonic() - started:.0f} s, "
          f"{len(wanted) - len(waiting)} unchanged, {len(unchecked)} left for `make lint`, {len(failed)} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
