"""Waiting for a condition with a deadline: the only kind of waiting that tests do."""
import os
import time

# Sanitized binaries are slower; deadlines stretch, what is measured does not.
SCALE = {"address": 3.0, "thread": 5.0}.get(os.environ.get("HIGGS_SANITIZER", ""), 1.0)


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, seconds, what, every=0.02, at_most=0.2):
    """Calls `condition` until it returns something true, and returns that. OSError counts as not yet."""
    deadline = time.monotonic() + seconds * SCALE
    pause, problem = every, None
    while True:
        try:
            result = condition()
            if result:
                return result
            problem = result
        except OSError as error:
            problem = error
        if time.monotonic() >= deadline:
            raise Timeout(f"not within {seconds * SCALE:.1f} s: {what}" + (f" (last: {problem!r})" if problem else ""))
        time.sleep(pause)  # between two looks at the condition, never instead of one
        pause = min(pause * 1.5, at_most)
