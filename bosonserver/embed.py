#!/usr/bin/env python3
"""Writes the C++ sources that carry files inside the program.

embed.py migrations OUT.cpp DIRECTORY...  the numbered migrations of each kind of store, one directory each
embed.py openapi OUT.cpp openapi.yaml     the API document, as JSON
"""
import json
import pathlib
import sys

CHUNK = 8000  # compilers limit the length of one literal


def literal(text: str) -> str:
    data = text.encode()
    chunks = [data[i:i + CHUNK] for i in range(0, len(data), CHUNK)] or [b""]
    return "\n      ".join(
        '"' + "".join(f"\\{byte:03o}" if byte < 32 or byte > 126 or byte in b'"\\?' else chr(byte) for byte in chunk) + '"'
        for chunk in chunks)


def migrations(directories: list[str]) -> str:
    return ('#include "bosonserver/migrations/migrations.h"\n\nnamespace higgs::boson {\n'
            + "".join(migrations_of(pathlib.Path(directory)) for directory in directories) + "}  // namespace higgs::boson\n")


def migrations_of(directory: pathlib.Path) -> str:
    entries = []
    for expected, path in enumerate(sorted(directory.glob("*.sql")), start=1):
        number, name = path.stem.split("_", 1)
        if int(number) != expected:
            sys.exit(f"{path}: migration {expected} was expected: numbers have no gaps")
        entries.append(f'    {{{expected}, "{name}",\n      {literal(path.read_text())}}},')
    return (f"std::span<const Migration> {directory.name}_migrations() {{\n"
            "  static constexpr Migration kAll[] = {\n" + "\n".join(entries) + "\n  };\n"
            "  return kAll;\n}\n")


def openapi(files: list[str]) -> str:
    import yaml
    document = yaml.safe_load(pathlib.Path(files[0]).read_text())
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return ('#include "bosonserver/api/openapi.h"\n\nnamespace higgs::boson {\n'
            f"std::string_view openapi_json() {{\n  return {literal(text)};\n}}\n"
            "}  // namespace higgs::boson\n")


if __name__ == "__main__":
    kind, out, *inputs = sys.argv[1:]
    pathlib.Path(out).write_text({"migrations": migrations, "openapi": openapi}[kind](inputs))
