# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/check by somebody who may not make machines."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parent.parent.parent


class Check(unittest.TestCase):
    def test_ordinary_user(self) -> None:
        """Is told so before anything runs."""
        loader = importlib.machinery.SourceFileLoader("check", str(TOP / "tools/check"))
        check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
        loader.exec_module(check)
        said = io.StringIO()
        with (mock.patch.object(os, "geteuid", return_value=1000), mock.patch.object(check, "run") as run,
              mock.patch.object(check, "meson_tests", side_effect=AssertionError),
              mock.patch.object(sys, "argv", ["check"]), contextlib.redirect_stderr(said)):
            self.assertEqual(check.main(), 2)
        run.assert_not_called()
        self.assertIn("sudo make check", said.getvalue())


if __name__ == "__main__":
    unittest.main(verbosity=2)
