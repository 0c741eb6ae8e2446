# SPDX-License-Identifier: GPL-3.0-or-later
"""Git repositories made from examples/channel."""

import os
import pathlib
import shutil
import subprocess

from .programs import TOP

BUSYBOX = pathlib.Path(os.environ.get("PANOPLY_BUSYBOX", "/bin/busybox"))

# What the packages of the channel are for (see its README). For an x86_64-linux farm.
SUCCEEDING = {"tide-tables", "libtide", "tide-calendar", "harbour-clock", "moon-phases",
              "sunrise", "almanac", "sounding-log", "sea-floor-survey"}
FAILING = {"sextant"}
DEPENDING_ON_FAILING = {"navigator"}
UNSUPPORTED = {"sonar"}
IN_ERROR = {"lighthouse"}

_WITHOUT_CONFIGURATION = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada Example", "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Example", "GIT_COMMITTER_EMAIL": "ada@example.org",
}


class Channel:
    """A Git repository (branch `master`) with the example channel in its first commit."""

    def __init__(self, folder: pathlib.Path, survey_seconds: int = 1):
        """Makes it in FOLDER, which must not exist. SURVEY_SECONDS is how long the build of
        sea-floor-survey takes."""
        self.folder = folder
        shutil.copytree(TOP / "examples" / "channel", folder,
                        ignore=shutil.ignore_patterns("tools"))
        (folder / "tools").mkdir()
        shutil.copy(BUSYBOX, folder / "tools" / "busybox")
        (folder / "tools" / "busybox").chmod(0o755)
        self.set_survey_seconds(survey_seconds)
        self.git("init", "--quiet", "--initial-branch=master")
        self.commit("Example channel")

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(self.folder), *arguments], text=True,
                              capture_output=True, env={**os.environ, **_WITHOUT_CONFIGURATION})
        if done.returncode != 0:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commits all that has changed and returns the commit."""
        self.git("add", "--all", "--force", ".")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        """Replaces OLD, which must be there."""
        text = (self.folder / path).read_text()
        assert old in text, f"{path} holds no {old!r}"
        (self.folder / path).write_text(text.replace(old, new))

    def set_survey_seconds(self, seconds: int) -> None:
        path = self.folder / "example/packages/survey.scm"
        lines = [f"(define %survey-seconds {seconds})" if "define %survey-seconds" in line
                 else line for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")

    def set_version(self, package: str, version: str) -> None:
        """Changes the version of PACKAGE, and so its derivation and those that need it."""
        start = f'(name "{package}")\n    (version "'
        for path in (self.folder / "example/packages").glob("*.scm"):
            before, found, after = path.read_text().partition(start)
            if found:
                path.write_text(before + found + version + after[after.index('"'):])
                return
        raise AssertionError(f"there is no package {package}")

    def repair_sextant(self) -> None:
        """Mends the package that fails."""
        self.replace("example/packages/survey.scm",
                     "echo 'sextant.c:42: error: the mirror is broken' >&2\nexit 1",
                     "mkdir -p $out/bin\necho $sunrise > $out/bin/sextant")

    def add_package(self, name: str, script: str, inputs: str = "", version: str = "1.0",
                    modules: str = "", properties: str = "") -> None:
        """Adds a module with one package. SCRIPT as in examples/channel/README.md; INPUTS is
        Scheme, the names of variables of (example packages almanac) and of MODULES; PROPERTIES
        too, an association list."""
        quoted = script.replace("\\", "\\\\").replace('"', '\\"')
        self.write(f"example/packages/{name}.scm", f"""\
(define-module (example packages {name})
  #:use-module (example build-system busybox)
  #:use-module (example packages almanac){modules and " #:use-module " + modules}
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages))

(define-public {name}
  (package
    (name "{name}")
    (version "{version}")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list {inputs}))
    (arguments (list #:script "{quoted}"))
    (properties '({properties}))
    (home-page "https://example.org/{name}")
    (synopsis "Added by a test")
    (description "Added by a test.")
    (license license:gpl3+)))
""")

    def specification(self, name: str = "example", **fields) -> dict:
        """A specification (doc/specification.md) that builds this channel's packages."""
        return {"name": name, "channels": [{"name": "example", "url": self.url}],
                "build": {"channels": ["example"]}, "systems": ["x86_64-linux"], **fields}
