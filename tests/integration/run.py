#!/usr/bin/python3
"""Runs one file of integration tests inside namespaces of its own:  run.py FILE [TestClass.test_name …]"""
import importlib.util
import os
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(os.path.abspath(__file__))]

from lab import enter  # noqa: E402  (the path above is needed first)


def main():
    try:
        enter.enter()
    except enter.CannotEnter as problem:
        print(f"no laboratory here: {problem}", file=sys.stderr)
        return 1
    path = os.path.abspath(sys.argv[1])
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(sys.argv[2:], module) if sys.argv[2:] else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
