#!/usr/bin/python3
"""Runs every fuzz target for a while, starting from its seeds, and fails on the first finding of any of them.

New inputs go to build/fuzz/corpus/NAME and are used again next time; a finding is kept in build/fuzz/findings/.
"""
import argparse
import concurrent.futures
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run_target(program, build, seconds):
    name = program.name
    corpus, findings = build / "corpus" / name, build / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "fuzz" / "corpus" / name
    command = [str(program), str(corpus)] + ([str(seeds)] if seeds.is_dir() else []) + [
        f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
        f"-artifact_prefix={findings}/{name}-"]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    executed = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    return name, run.returncode, int(executed.group(1)) if executed else 0, run.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    programs = sorted(path for path in (build / "fuzz").glob("*_fuzz") if not arguments.names or path.name in arguments.names)
    if not programs:
        print("no fuzz targets were built", file=sys.stderr)
        return 1
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, status, executed, log in pool.map(lambda program: run_target(program, build, arguments.seconds), programs):
            ok = status == 0 and executed > 0
            print(f"{'ok  ' if ok else 'FAIL'} {name}: {executed} inputs", flush=True)
            if not ok:
                bad += 1
                print("\n".join(log.splitlines()[-60:]))
    print(f"fuzz: {len(programs)} targets, {arguments.seconds} s each, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
