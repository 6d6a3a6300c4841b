#!/usr/bin/python3
"""Proves that the tests bite: puts one fault at a time into a copy of the tree and expects the named tests to turn red.

Each NAME.patch beside this file is one fault. Before its diff stand
    # fault: what is wrong then, in a few words
    # test: PROGRAM GTEST_FILTER                a test program of the build
    # test: integration FILE Class.test_name    a test of tests/integration
and each of its `# test:` lines must catch it: by a test that fails. What does not compile, crashes, hangs or does not
get beyond its set-up catches nothing. First of all the same tests must pass without any fault.

The copy is a clone of HEAD with a build directory of its own, build/faults/tree; it is kept, so that the next run is
quick. What is not committed is not in it, but for the patches themselves. HIGGS_FAULTS_TREE names another clone.
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TREE = Path(os.environ.get("HIGGS_FAULTS_TREE", ROOT / "build" / "faults" / "tree"))
BUILD = TREE / "build" / "release"
GTEST_SECONDS, INTEGRATION_SECONDS = 120, 300
PROGRAMS = ("bosonserver", "higgsnode", "higgsvpn")


class Problem(Exception):
    """The fault could not be tried; the text says why."""


class Check:
    """One `# test:` line."""

    def __init__(self, line):
        words = line.split()
        self.integration = words[0] == "integration"
        if len(words) != (3 if self.integration else 2):
            raise Problem(f"cannot be read: test: {line}")
        self.words, self.targets = words, PROGRAMS if self.integration else (words[0],)

    def run(self):
        """(names of the tests that ran, names of those that failed)."""
        return self._integration() if self.integration else self._gtest()

    def _gtest(self):
        program, filter_ = self.words
        with tempfile.TemporaryDirectory(prefix="higgs-faults-") as folder:
            report = Path(folder) / "report.json"
            command = [BUILD / "bin" / program, f"--gtest_filter={filter_}", f"--gtest_output=json:{report}"]
            done = run(command, GTEST_SECONDS, cwd=folder)
            if not report.exists():
                raise Problem(f"{program} ended with {done.returncode} before its tests did:\n{tail(done)}")
            suites = json.loads(report.read_text(encoding="utf-8"))["testsuites"]
        tests = [(f"{suite['name']}.{test['name']}", "failures" in test) for suite in suites for test in suite["testsuite"]
                 if test["status"] == "RUN" and test["result"] != "SKIPPED"]
        return [name for name, _ in tests], [name for name, failed in tests if failed]

    def _integration(self):
        _, file, test = self.words
        folder = TREE / "tests" / "integration"
        done = run(["/usr/bin/python3", folder / "run.py", folder / file, test], INTEGRATION_SECONDS,
                   env={**os.environ, "HIGGS_BIN": str(BUILD / "bin")})
        ran = re.search(r"^Ran (\d+) test", done.stderr, re.M)
        if not ran or int(ran.group(1)) == 0 or "setUpClass" in done.stderr or ", in setUp\n" in done.stderr:
            raise Problem(f"{file} did not get beyond its set-up:\n{tail(done)}")
        if re.search(r"^ERROR: ", done.stderr, re.M):
            raise Problem(f"{test} ended with an error instead of a failure:\n{tail(done)}")
        return [test], [test] if re.search(r"^FAIL: ", done.stderr, re.M) else []


class Fault:
    def __init__(self, file):
        self.file, self.name = file, file.stem
        head = file.read_text(encoding="utf-8").split("\n--- ", 1)[0]
        titles = re.findall(r"^# fault: (.+)$", head, re.M)
        self.checks = [Check(line) for line in re.findall(r"^# test: (.+)$", head, re.M)]
        if len(titles) != 1 or not self.checks:
            raise Problem(f"{file.name} needs one `# fault:` line and at least one `# test:` line")
        self.title = titles[0]

    @contextlib.contextmanager
    def in_place(self):
        applied = run(["git", "-C", TREE, "apply", self.file])
        if applied.returncode != 0:
            raise Problem(f"the patch does not fit the tree any more:\n{applied.stderr}")
        try:
            yield
        finally:
            run(["git", "-C", TREE, "checkout", "--quiet", "--force", "."], check=True)

    def caught_by(self, jobs):
        """The tests that failed, one list for each check."""
        with self.in_place():
            build({target for check in self.checks for target in check.targets}, jobs)
            return [check.run()[1] for check in self.checks]


def run(command, seconds=None, check=False, **options):
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=seconds, check=check, **options)
    except subprocess.TimeoutExpired:
        raise Problem(f"{Path(str(command[0])).name} was not done within {seconds} s") from None


def tail(done, lines=25):
    return "\n".join((done.stdout + done.stderr).splitlines()[-lines:])


def build(targets, jobs):
    done = run(["cmake", "--build", BUILD, "--parallel", str(jobs), "--target", *sorted(targets)])
    if done.returncode != 0:
        raise Problem(f"it does not compile:\n{tail(done)}")


def prepare_tree():
    """The clone at HEAD, without any fault."""
    if not (TREE / ".git").exists():
        TREE.parent.mkdir(parents=True, exist_ok=True)
        run(["git", "clone", "--quiet", "--no-checkout", ROOT, TREE], check=True)
    run(["git", "-C", TREE, "fetch", "--quiet", ROOT, "HEAD"], check=True)
    run(["git", "-C", TREE, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"], check=True)
    run(["git", "-C", TREE, "clean", "--quiet", "--force", "-d"], check=True)
    if not (BUILD / "build.ninja").exists():
        done = run(["cmake", "--preset", "release"], cwd=TREE)
        if done.returncode != 0:
            raise Problem(f"cmake failed:\n{tail(done)}")


def check_without_fault(faults, jobs):
    """Problems of the tests themselves: what is red anyway proves nothing."""
    checks = {tuple(check.words): check for fault in faults for check in fault.checks}
    build({target for check in checks.values() for target in check.targets}, jobs)
    problems = []
    for words, check in sorted(checks.items()):
        try:
            ran, failed = check.run()
            if failed or not ran:
                problems.append(f"{' '.join(words)}: " + ("no such test" if not ran else f"fails: {', '.join(failed)}"))
        except Problem as problem:
            problems.append(f"{' '.join(words)}: {problem}")
    return problems


def try_fault(fault, jobs):
    """(caught, what to print)."""
    try:
        found = fault.caught_by(jobs)
    except Problem as problem:
        return False, f"not tried: {problem}"
    missed = [" ".join(check.words) for check, failed in zip(fault.checks, found) if not failed]
    if missed:
        return False, f"SURVIVED {'; '.join(missed)}"
    return True, "; ".join(failed[0] + (f" and {len(failed) - 1} more" if len(failed) > 1 else "") for failed in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these faults")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    files = sorted(Path(__file__).parent.glob("*.patch"))
    unknown = set(arguments.names) - {file.stem for file in files}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    try:
        faults = [Fault(file) for file in files if not arguments.names or file.stem in arguments.names]
        prepare_tree()
        problems = check_without_fault(faults, arguments.jobs)
    except Problem as problem:
        problems = [str(problem)]
    if problems:
        print("without any fault:\n" + "\n".join(problems), file=sys.stderr)
        return 1
    passed = 0
    # Those of one test program together: it is linked once for each and not twice.
    for fault in sorted(faults, key=lambda fault: (fault.checks[0].words, fault.name)):
        caught, text = try_fault(fault, arguments.jobs)
        passed += caught
        print(f"{'ok  ' if caught else 'FAIL'} {fault.title} ({fault.name}) -> {text}", flush=True)
    print(f"faults: {passed} passed, {len(faults) - passed} failed")
    return 0 if passed == len(faults) and faults else 1


if __name__ == "__main__":
    sys.exit(main())
