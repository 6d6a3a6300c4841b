#!/usr/bin/python3
"""Writes man pages and bash completions from what the built programs say of themselves with --help.

  scripts/reference.py --bin build/release/bin --out build/reference
    man/PROGRAM.8, man/PROGRAM-COMMAND.8     troff; `man -l FILE` shows one
    completions/PROGRAM                      for /usr/share/bash-completion/completions
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("bosonserver", "higgsnode", "higgsvpn", "higgs-wg")
DEPTH = 3  # program, command, sub-command


def help_of(words, binary):
    answer = subprocess.run([binary, *words[1:], "--help"], capture_output=True, text=True, timeout=60)
    text = answer.stdout or answer.stderr
    if answer.returncode or not text.strip():
        raise SystemExit(f"{' '.join(words)} --help failed with status {answer.returncode}")
    return text.replace(binary, words[0])


def section(text, heading):
    """The indented lines below `Heading:`."""
    found = re.search(rf"^{heading}:\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", text, re.M)
    return found.group(1) if found else ""


def commands_of(text):
    return re.findall(r"^  ([a-z][a-z-]*)(?:\s|$)", section(text, "Subcommands"), re.M)


def options_of(text):
    spellings = re.findall(r"^  (-\S+)", section(text, "Options"), re.M)
    return sorted({option for spelling in spellings for option in re.findall(r"(?<![\w-])--?[a-zA-Z][a-zA-Z-]*", spelling)})


def walk(words, binary):
    """Every command of the program with its help, outermost first."""
    text = help_of(words, binary)
    yield words, text
    if len(words) < DEPTH:
        for command in commands_of(text):
            yield from walk([*words, command], binary)


def roff(text):
    return "\n".join(("\\&" if line.startswith((".", "'")) else "") + line for line in text.replace("\\", "\\e").replace("-", "\\-").splitlines())


def man_page(words, text, others):
    name = "-".join(words)
    title, _, rest = text.partition("\n")
    summary = title.split(":", 1)[-1].strip() or name
    page = [f'.TH {name.upper()} 8 "" Higgs', ".SH NAME", f"{roff(name)} \\- {roff(summary)}", ".SH DESCRIPTION", ".nf", roff(rest.strip("\n")), ".fi"]
    if others:
        page += [".SH SEE ALSO", ", ".join(f".BR {roff(other)} (8)" if index == 0 else f"{roff(other)}(8)" for index, other in enumerate(others))]
    return "\n".join(page) + "\n"


def completion(program, tree):
    """One case for each command: what may follow it."""
    function = "_" + program.replace("-", "_")
    cases = [f'    "{" ".join(words[1:])}") words="{" ".join(commands_of(text) + options_of(text))}" ;;' for words, text in tree]
    depth = max(len(words) for words, _ in tree)
    return f"""# bash completion of {program}
{function}() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word words=""
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [[ $word == -* || $(wc -w <<<"$path") -ge {depth - 1} ]] || path="${{path:+$path }}$word"
  done
  case $path in
{chr(10).join(cases)}
    *) compopt -o default; return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -F {function} {program}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("build/release/bin"))
    parser.add_argument("--out", type=Path, default=Path("build/reference"))
    arguments = parser.parse_args()
    man, completions = arguments.out / "man", arguments.out / "completions"
    man.mkdir(parents=True, exist_ok=True)
    completions.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        tree = list(walk([program], str(arguments.bin / program)))
        for words, text in tree:
            others = ["-".join([*words, command]) for command in commands_of(text)] if len(words) < DEPTH else []
            (man / f"{'-'.join(words)}.8").write_text(man_page(words, text, others), encoding="utf-8")
        (completions / program).write_text(completion(program, tree), encoding="utf-8")
    print(f"{len(list(man.iterdir()))} man pages and {len(PROGRAMS)} completions in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
