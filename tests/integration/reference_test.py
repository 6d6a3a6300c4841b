"""Man pages and shell completion are made of what the programs say of themselves."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "reference.py"
sys.path.insert(0, str(SCRIPT.parent))

import reference  # noqa: E402  (the path above is needed first)


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        subprocess.run([sys.executable, SCRIPT, "--bin", os.environ["HIGGS_BIN"], "--out", cls.folder.name], check=True, timeout=300)
        cls.out = Path(cls.folder.name)

    def complete(self, program, *words):
        script = (f"source {self.out}/completions/{program}; COMP_WORDS=({' '.join((program, *words))!s}); "
                  f"[[ ${{#COMP_WORDS[@]}} -gt {len(words)} ]] || COMP_WORDS+=(''); COMP_CWORD={len(words)}; _{program}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        return subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, timeout=60).stdout.split()

    def test_every_command_has_a_page(self):
        for page in ("bosonserver", "bosonserver-run", "bosonserver-user-add", "higgsnode-run", "higgsvpn-connect", "higgs-wg"):
            text = (self.out / "man" / f"{page}.8").read_text(encoding="utf-8")
            self.assertTrue(text.startswith(".TH "), page)
            self.assertIn(".SH NAME", text)
        self.assertIn("\\-\\-kill\\-switch", (self.out / "man" / "higgsvpn-connect.8").read_text(encoding="utf-8"))

    def test_every_help_has_examples(self):
        for program in reference.PROGRAMS:
            for words, text in reference.walk([program], os.path.join(os.environ["HIGGS_BIN"], program)):
                self.assertRegex(text, r"(?m)^Examples?:", " ".join(words))

    def test_commands_and_options_are_completed(self):
        self.assertEqual(self.complete("higgsvpn", "disc"), ["disconnect"])
        self.assertEqual(self.complete("higgsvpn", "connect", "--no-kill"), ["--no-kill-switch"])
        self.assertEqual(self.complete("bosonserver", "user", "ad"), ["add"])
        self.assertEqual(self.complete("higgsvpn", "login", "--nothing-like-it"), [])


if __name__ == "__main__":
    unittest.main()
