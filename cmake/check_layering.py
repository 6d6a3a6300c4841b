#!/usr/bin/python3
"""Fails when the sources break a rule of docs/architecture.md that a compiler cannot see.

Checked: the arrows between modules; pure and sans-IO modules neither include an input/output header nor read the
clock or entropy; the programs do not include one another; main.cpp stays short; no unfinished work is left in words.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Module -> the modules it may include. Keep this table equal to the drawing in docs/architecture.md.
PURE = {
    "base": set(),
    "crypto": {"base"},
    "trace": {"base"},
    "stun": {"base", "crypto"},
    "turn": {"base", "crypto", "stun"},
    "ice": {"base", "crypto", "stun"},
    "relay": {"base", "crypto", "trace"},
    "wireguard": {"base", "crypto"},
    "jwt": {"base", "crypto"},
    "path": {"base", "crypto", "stun", "turn", "ice", "relay"},
    "api": {"base", "crypto", "jwt"},
    "config": {"base"},
    "mmdb": {"base"},
}
SANS_IO = set(PURE)
RUNTIME = {"runtime": set(PURE), "net": set(PURE) | {"runtime"}, "tunnel": set(PURE) | {"runtime", "net"}}
LIBRARY = set(PURE) | set(RUNTIME)
PROGRAMS = {"bosonserver", "higgsnode", "higgsvpn"}
ARROWS = {**PURE, **RUNTIME, **{program: LIBRARY for program in PROGRAMS}, "tools": LIBRARY}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]')
IO_HEADER = re.compile(r"^(boost/asio|boost/beast|spdlog/|sys/socket\.h|netinet/|arpa/inet\.h|netdb\.h|linux/|sys/epoll\.h|sys/random\.h)")
# The one place where the library takes entropy from the system, as an implementation of an interface handed down.
ENTROPY_SOURCE = {"libs/base/random.cpp", "libs/base/random.h"}
# Headers of the families above that do no input or output in these files: inet_pton and the entropy source.
EXCEPTIONS = {("libs/base/ip.cpp", "arpa/inet.h"), ("libs/base/random.cpp", "sys/random.h")}
CLOCK_OR_ENTROPY = re.compile(r"::now\(\)|\brandom_device\b|\bclock_gettime\b|\bgettimeofday\b|\bgetentropy\b|\bgetrandom\b|\bRAND_bytes\b|\brandombytes_buf\b|\btime\(nullptr\)")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK", "not " + "implemented"]) + r")\b")
MAIN_LINES = 100


def sources():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.cpp", "*.h", "*.py", "*.sh", "*.cmake"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def module_of(path):
    parts = path.split("/")
    if parts[0] == "libs" and len(parts) > 2:
        return parts[1]
    return parts[0] if parts[0] in PROGRAMS | {"tools"} else None


def check_file(path, text):
    module = module_of(path)
    test = path.endswith(("_test.cpp", "_bench.cpp", "_fuzz.cpp")) or "/testing/" in path
    if path.endswith("/main.cpp") and text.count("\n") >= MAIN_LINES:
        yield 1, f"main.cpp only wires: under {MAIN_LINES} lines"
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield number, "unfinished work; finish it or open an issue"
        if module is None or path.endswith(".py"):
            continue
        if module not in ARROWS:
            yield 1, f"module '{module}' is not in the table of arrows"
            return
        include = INCLUDE.match(line)
        if include:
            quoted, target = include.group(1) == '"', include.group(2)
            head = target.split("/")[0]
            if quoted and head in LIBRARY | PROGRAMS | {"tools"} and head != module and head not in ARROWS[module]:
                yield number, f"{module} must not include {head}"
            if quoted and module not in PROGRAMS and head in PROGRAMS:
                yield number, f"{module} must not include a program"
            if module in SANS_IO and not test and IO_HEADER.match(target) and (path, target) not in EXCEPTIONS:
                yield number, f"{module} does no input or output: <{target}>"
        elif module in SANS_IO and not test and path not in ENTROPY_SOURCE:
            code = line.split("//")[0]
            if CLOCK_OR_ENTROPY.search(code):
                yield number, f"{module} is handed time and randomness; it never reads them"


def main():
    failures = 0
    for path in sources():
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        for number, message in check_file(path, text):
            print(f"{path}:{number}: {message}")
            failures += 1
    print(f"layering: {failures} violation(s)" if failures else "layering: ok")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
