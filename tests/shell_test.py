# SPDX-License-Identifier: GPL-3.0-or-later
"""What shells and man(1) get from the program: completion in a real bash, zsh and fish, and pages
of the manual. All of it comes from the table of commands, and so does --help."""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import time
import unittest

from support.case import Case
from support.panoply import Client, Server, executable
from support.programs import BUILD
from support.waiting import TIME_FACTOR, deaf_port

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <({0} completion bash)"),
    "zsh": (["zsh", "-f", "-i"],
            "autoload -U compinit; compinit -D -u; source <({0} completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "{0} completion fish | source"),
}
GUIDES = ("api", "operating", "specification", "using")
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES",
            "SEE ALSO")
SPECIFICATION = {"name": "harbour", "period": 0,
                 "channels": [{"name": "harbour", "url": "file:///nowhere"}]}


def run(*words: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([executable(), *map(str, words)], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60 * TIME_FACTOR,
                          env={**os.environ, **environment})


def commands() -> list[str]:
    """As `panoply --help` lists them."""
    return re.findall(r"^  (\w+) +\S", run("--help").stdout, re.MULTILINE)


class Shell:
    """An interactive shell in a terminal, with completion of panoply."""

    def __init__(self, words: list[str], setup: str, environment: dict[str, str]):
        self.screen = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, environment)
        self.type(f"{setup}; echo rea''dy\n")
        self.wait_for("ready")

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], seconds)
        if ready:
            piece = os.read(self.terminal, 65536).decode(errors="replace")
            self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()].|\x1b[=>]|\r|\x07", "", piece)
        return bool(ready)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20 * TIME_FACTOR
        while text not in self.screen:
            if time.monotonic() > deadline or not self.read(deadline - time.monotonic()):
                raise AssertionError(f"{text!r} does not come: {self.screen!r}")
        self.screen = self.screen.partition(text)[2]

    def end(self) -> None:
        os.close(self.terminal)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


class Completion(Case):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server_ = Server("--no-fsync", "--roles", "web,scheduler")
        cls.addClassCleanup(cls.server_.stop)
        cls.server_.client.api("POST", "/specifications", SPECIFICATION)
        joining = Client(cls.server_.url, cls.server_.join_token_file().read_text().strip())
        joining.json("POST", "/agent/v1/enrol", {"name": "pier", "jobs": 1, "facts": {},
                                                 "systems": ["x86_64-linux"]})
        for name in ("the cellar", "$(touch never) :files `touch never`"):
            cls.server_.client.api("POST", "/agents/tokens", {"name": name})

        cls.tokens = [str(item["id"]) for item in
                      cls.server_.client.api("GET", "/agents/tokens")["items"]]

    def setUp(self) -> None:
        super().setUp()
        self.watch("server", self.server_.log)

    def offered(self, *words: str) -> list[str]:
        done = run("complete", *words, **self.server_.client_environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    def test_what_is_offered(self):
        for words, offered in (
                (("sp",), ["spec"]),
                (("",), [*commands(), "--help", "--version"]),
                (("spec", "e"), ["edit", "evaluate"]),
                (("agents", "t"), ["token"]),
                (("agents", "token", ""), ["create", "list", "revoke"]),
                (("spec", "show", ""), ["harbour"]),
                (("spec", "--json", "show", "h"), ["harbour"]),
                (("spec", "--url", "x", "show", "x"), []),
                (("spec", "show", "harbour", ""), []),
                (("spec", "edit", "harbour", ""), [":files"]),
                (("spec", "add", "x"), [":files"]),
                (("agents", "pause", ""), ["pier"]),
                (("agents", "token", "revoke", ""), self.tokens),
                (("evaluation", "list", ""), ["harbour"]),
                (("build", "show", ""), []),
                (("build", "list", "--st"), ["--state"]),
                (("build", "list", "--state", "f"), ["failed"]),
                (("build", "list", "--state=dep"), ["--state=dependency-failed"]),
                (("build", "list", "--state", "=", "dep"), ["dependency-failed"]),
                (("build", "list", "--state", "=", ), ["waiting", "running", "succeeded", "failed",
                                                      "dependency-failed", "cancelled"]),
                (("evaluation", "list", "--state", "dep"), []),
                (("key", "show", "--"), ["--url", "--token-file", "--json", "--help"]),
                (("serve", "--st"), ["--state", "--store-root"]),
                (("serve", "--state", ""), [":files"]),
                (("completion", ""), ["bash", "zsh", "fish"]),
                (("nosuch", ""), []),
                ((), [])):
            with self.subTest(words):
                self.assertEqual(self.offered(*words), offered)

    def test_a_server_that_is_away_offers_nothing(self):
        holder = deaf_port()
        self.addCleanup(holder.close)
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"
        started = time.monotonic()
        done = run("complete", "spec", "show", "", PANOPLY_URL=url)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertLess(time.monotonic() - started, 5 * TIME_FACTOR)

    def test_scripts(self):
        for shell in SHELLS:
            with self.subTest(shell):
                script = run("completion", shell)
                self.assertEqual((script.returncode, script.stderr), (0, ""))
                file = self.folder() / shell
                file.write_text(script.stdout)
                checked = subprocess.run([shell, "-n", file], capture_output=True, text=True)
                self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        for words in (("completion",), ("completion", "csh"), ("completion", "bash", "zsh")):
            self.assertEqual(run(*words).returncode, 2)

    def test_bash_asked_for_candidates(self):
        script = 'source "$1"; shift; COMP_WORDS=(panoply "$@"); COMP_CWORD=$#; _panoply; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        folder = self.folder()
        (folder / "script").write_text(run("completion", "bash").stdout)
        (folder / "a file").touch()
        (folder / "panoply").symlink_to(executable())
        path = f"{folder}:{os.environ['PATH']}"
        for words, offered in ((("agents", "re"), ["resume", "release"]),
                               (("spec", "show", ""), ["harbour"]),
                               (("build", "list", "--state", "=", "fa"), ["failed"]),
                               (("spec", "add", f"{folder}/a"), [f"{folder}/a file"])):
            with self.subTest(words):
                done = subprocess.run(
                    ["bash", "-c", script, "bash", folder / "script", *words], text=True,
                    capture_output=True, env={**self.server_.client_environment(), "PATH": path})
                self.assertEqual((done.stdout.splitlines(), done.stderr), (offered, ""))

    def test_shells_complete_what_is_typed(self):
        folder = self.folder()
        (folder / "panoply").symlink_to(executable())
        environment = {**self.server_.client_environment(), "TERM": "xterm", "HOME": str(folder),
                       "PATH": f"{folder}:{os.environ['PATH']}", "PS1": "> ", "COLUMNS": "100"}
        for name, (words, setup) in SHELLS.items():
            with self.subTest(name):
                shell = Shell(words, setup.format("panoply"), environment)
                try:
                    for typed, rest in (("panoply evalu\t", "ation "), ("canc\t", "el "),
                                        ("\x15panoply spec show har\t", "bour"),
                                        ("\x15panoply agents pause \t", "pier"),
                                        (f"\x15panoply agents token revoke {self.tokens[0]}\t",
                                         " ")):
                        shell.type(typed)
                        shell.wait_for(rest)
                finally:
                    shell.end()
        self.assertFalse((folder / "never").exists())


class Manual(unittest.TestCase):
    def test_every_command_has_a_page(self):
        names = {"panoply.1", *(f"panoply-{name}.1" for name in commands())}
        self.assertEqual({file.name for file in (BUILD / "src/cli").glob("*.1")}, names)
        installed = json.loads(subprocess.run(["meson", "introspect", "--installed", BUILD],
                                              capture_output=True, check=True).stdout)
        places = {place.rsplit("/share/", 1)[-1] for place in installed.values()}
        self.assertLessEqual({f"man/man1/{name}" for name in names}, places)
        self.assertLessEqual({"bash-completion/completions/panoply", "zsh/site-functions/_panoply",
                              "fish/vendor_completions.d/panoply.fish",
                              *(f"doc/panoply/{name}.md" for name in GUIDES)}, places)

    def test_pages_are_clean_and_whole(self):
        for name in ("panoply", *commands()):
            with self.subTest(name):
                page = run("manual", name).stdout
                lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page,
                                      text=True, capture_output=True)
                self.assertEqual((lint.returncode, lint.stdout), (0, ""))
                self.assertEqual(
                    [it for it in re.findall(r"^\.Sh (.*)$", page, re.MULTILINE)
                     if it != "OPTIONS"], list(SECTIONS))
                if name != "panoply":
                    said = set(re.findall(r"^  --([a-z-]+)|\[--([a-z-]+)",
                                          run(name, "--help").stdout, re.MULTILINE))
                    for option in {a or b for a, b in said}:
                        self.assertIn(f".It Fl -{option}", page)
        self.assertEqual(run("manual", "nosuch").returncode, 2)

    def test_examples_are_commands_that_exist(self):
        """Each parses: as far as it can be said without a server."""
        for name in commands():
            for example in re.findall(r'^\.It Li "(.*)"$', run("manual", name).stdout,
                                      re.MULTILINE):
                with self.subTest(example):
                    words = shlex.split(re.sub(r"^source <\(|\)$|[|>] .*$", "", example))
                    self.assertEqual(words[:2], ["panoply", name])
                    if name in ("serve", "agent"):
                        helped = run(name, "--help").stdout
                        for option in re.findall(r"--[a-z-]+", example):
                            self.assertIn(option, helped)
                        continue
                    told = run(*words[1:], "--url", "http://127.0.0.1:1") if name != "completion" else run(*words[1:])
                    self.assertNotIn("--help", told.stderr, example)
                    self.assertNotIn("usage", told.stderr, example)
