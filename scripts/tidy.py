#!/usr/bin/python3
"""Runs clang-tidy over the C++ sources in parallel, and only where something changed since the last clean result.

A result is kept under build/tidy/ by a hash of the file, every header of this repository that it reaches, and
.clang-tidy; so a second run costs a second. With --budget SECONDS nothing new is begun after that time: what was
changed last is checked first, and the number of files left unchecked is printed.

Nearly all the time goes into the headers of libraries, which every check looks through. So files that are compiled alike
and define no name twice are checked together, as one; what cannot be compiled so is taken apart again.
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
# Names that a file gives to something, wherever: too many rather than too few.
DEFINED = re.compile(r"""\b(?:class|struct|enum\ class|enum|union)\s+(\w+)(?:\s+final)?\s*[:{]
                     |\busing\s+(\w+)\s*=
                     |\busing\s+[\w:]*::(\w+)\s*;
                     |\b(k[A-Z]\w*)\s*[{=\[]
                     |^[A-Za-z_][\w:<>,*&\ ]*?[\ *&](\w+)\(
                     |^(?:TEST|TEST_F|TEST_P)\((\w+)
                     |^\#define\s+(\w+)""", re.M | re.X)
TOGETHER = 12
FINDING = re.compile(r"^(/[^:]+):\d+:\d+: (?:warning|error): .*\[([^\]]+)\]$", re.M)
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


def names_in(path):
    return {next(filter(None, found.groups())) for found in DEFINED.finditer(path.read_text())}


def put_together(waiting, commands):
    """Lists of files that can be checked as one, in the order of the first of each."""
    groups = []
    for name in waiting:
        path = ROOT / name
        entry = commands[path]
        alike = tuple(word for word in entry["arguments"] if word != entry["file"]), name.endswith("_test.cpp")
        names = names_in(path)
        for group in groups:
            if group["alike"] == alike and len(group["files"]) < TOGETHER and not names & group["names"]:
                group["files"].append(name)
                group["names"] |= names
                break
        else:
            groups.append({"alike": alike, "files": [name], "names": names})
    return [group["files"] for group in groups]


class Tidy:
    def __init__(self, cache, commands):
        self._cache, self._commands = cache, commands
        (cache / "together").mkdir(parents=True, exist_ok=True)

    def _database(self, files):
        """Where clang-tidy finds how to compile them, and the one file to name to it."""
        entry = self._commands[ROOT / files[0]]
        source, arguments = ROOT / files[0], entry["arguments"]
        text = "".join(f'#include "{ROOT / name}"  // NOLINT(bugprone-suspicious-include)\n' for name in files)
        where = self._cache / "together" / hashlib.sha256(text.encode()).hexdigest()[:16]
        where.mkdir(exist_ok=True)
        if len(files) > 1:
            source = where / "together.cpp"
            source.write_text(text)
            arguments = [str(source) if word == entry["file"] else word for word in arguments]
        (where / "compile_commands.json").write_text(json.dumps([{"directory": entry["directory"], "file": str(source), "arguments": arguments}]))
        return where, source

    def check(self, files):
        """What was found, by file: nothing for those that are clean."""
        where, source = self._database(files)
        filters = ["--header-filter=/(libs|bosonserver|higgsnode|higgsvpn|tools|tests)/.*[.](h|cpp)$"] if len(files) > 1 else []
        run = subprocess.run(["clang-tidy", "--quiet", *filters, f"--config-file={ROOT / '.clang-tidy'}", "-p", str(where), str(source)],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode == 0:
            return {}
        text = run.stdout + "\n".join(line for line in run.stderr.splitlines() if "warnings generated" not in line)
        if len(files) > 1:
            # Whoever is suspected is looked at alone: what is there only beside others is no finding.
            guilty = {Path(path).resolve() for path, _ in FINDING.findall(text)}
            alone = [name for name in files if ROOT / name in guilty]
            if "clang-diagnostic-error" in text or not alone:
                middle = len(files) // 2
                return {**self.check(files[:middle]), **self.check(files[middle:])}
            return {name: found for one in alone for name, found in self.check([one]).items()}
        return {files[0]: text}


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
            commands[path] = {"directory": entry["directory"], "file": entry["file"], "arguments": plain_command(entry, cache)}

    hasher, marks = Hasher(), {}
    wanted = [path for path in commands if not arguments.paths or any(part in str(path.relative_to(ROOT)) for part in arguments.paths)]
    for path in wanted:
        mark = cache / "clean" / hasher.digest(path)
        if not mark.exists():
            marks[str(path.relative_to(ROOT))] = mark
    waiting = sorted(marks, key=lambda name: (recent.get(name, 1 << 30), name))
    tidy, started, failed, unchecked = Tidy(cache, commands), time.monotonic(), [], []

    def check(files):
        if arguments.budget is not None and time.monotonic() - started > arguments.budget:
            unchecked.extend(files)
            return
        found = tidy.check(files)
        for name in files:
            if name not in found:
                marks[name].touch()
                continue
            failed.append(name)
            print(found[name], flush=True)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(check, put_together(waiting, commands)))
    checked = len(waiting) - len(unchecked)
    print(f"tidy: {len(wanted)} files, {checked} checked in {time.monotonic() - started:.0f} s, "
          f"{len(wanted) - len(waiting)} unchanged, {len(unchecked)} left for `make lint`, {len(failed)} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
