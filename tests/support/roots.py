# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Guix machines, each with a store and a guix-daemon of its own, by tools/guix-root."""

import atexit
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from .programs import TOP, Program, end_all
from .waiting import TIME_FACTOR, wait_until

GUIX_ROOT = TOP / "tools" / "guix-root"
BASE = pathlib.Path(os.environ.get("PANOPLY_GUIX_BASE", TOP / ".guix-root" / "base"))
# Short, since sockets lie below it; not in /tmp, which may be too small or no place for an overlay.
SESSIONS = pathlib.Path("/var/tmp/panoply-tests")
BASE_SECONDS = 3600  # for what a slow network takes

_session: pathlib.Path | None = None


def guix_root(*arguments: object, seconds: float = 900) -> None:
    command = " ".join(["guix-root", *map(str, arguments)])
    try:
        done = subprocess.run([GUIX_ROOT, *map(str, arguments)], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command}: no end after {seconds:g} seconds") from None
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{done.stderr.rstrip()}")


def session_folder() -> pathlib.Path:
    """This process's folder for everything that tests make. Deleted at the end; what a killed
    process left behind is deleted by the next one that starts."""
    global _session
    if _session is None:
        SESSIONS.mkdir(parents=True, exist_ok=True)
        _delete_left_behind()
        _session = SESSIONS / str(os.getpid())
        _session.mkdir()
        atexit.register(delete_session)
    return _session


def temporary_folder(name: str) -> pathlib.Path:
    """A new folder, deleted with the session (or before, by its maker)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=session_folder()))
    folder.chmod(0o755)  # PostgreSQL runs as another account
    return folder


def _delete_left_behind() -> None:
    for session in SESSIONS.iterdir():
        if session.name.isdigit() and not pathlib.Path("/proc", session.name).exists():
            _end_left_behind(session)
            _delete_tree(session)


def _end_left_behind(session: pathlib.Path) -> None:
    """Kills the programs of a run that is gone: those with its folder on their command line."""
    def has_session(process: pathlib.Path) -> bool:
        try:
            return f"{session}/" in (process / "cmdline").read_text(errors="replace")
        except OSError:
            return False  # it has ended

    for process in pathlib.Path("/proc").glob("[0-9]*"):
        if has_session(process):
            os.kill(int(process.name), signal.SIGKILL)


def delete_session() -> None:
    """Ends what was started, unmounts and deletes what was made. Runs at the end anyway."""
    global _session
    end_all()
    if _session is not None:
        _delete_tree(_session)
        _session = None


def _delete_tree(session: pathlib.Path) -> None:
    for merged in session.glob("*/merged"):
        guix_root("delete", merged.parent)
    # Nothing may be mounted below it now; if something is, rather fail than delete its files.
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    assert f" {session}/" not in mounts, f"still mounted below {session}"
    shutil.rmtree(session, ignore_errors=True)


def ensure_base() -> pathlib.Path:
    """The Debian with Guix below all machines, made at the first use."""
    if not (BASE / "usr/bin/guix").exists():
        print(f"making a Guix root in {BASE}, once: about a minute (log: {BASE}.new.log)",
              flush=True)
        guix_root("base", BASE, seconds=BASE_SECONDS)
    return BASE


class Machine:
    """A machine with Guix, up as soon as it exists. `root` is what --store-root wants."""

    def __init__(self, name: str, daemon: bool = True, daemon_options: tuple[str, ...] = (),
                 folder: pathlib.Path | None = None, network=None):
        """FOLDER: stays after the test, with the store; one that is there is taken up again.
        NETWORK: of support.hosts; unless told, this machine's."""
        self.name = name
        self.network = network
        self.enter = network.enter if network else []
        self.kept = folder is not None
        self.folder = folder or temporary_folder(name)
        self.root = self.folder / "merged"
        self.daemon_log = self.folder / "guix-daemon.log"
        self.daemon: Program | None = None
        try:
            guix_root("machine", ensure_base(), self.folder)
            if daemon:
                self.start_daemon(*daemon_options)
        except BaseException:
            self.delete()
            raise

    @property
    def socket(self) -> pathlib.Path:
        return self.root / "var/guix/daemon-socket/socket"

    def start_daemon(self, *options: str) -> None:
        """Starts guix-daemon and waits until it serves."""
        self.socket.unlink(missing_ok=True)
        self.daemon = Program(f"guix-daemon of {self.name}",
                              [*self.enter, GUIX_ROOT, "daemon", self.folder, *options], self.daemon_log)
        self.daemon.start()
        wait_until(self._serves, 20, f"guix-daemon of {self.name} serves")

    def _serves(self) -> bool:
        """Has guix-daemon answered a whole greeting? Its first connection makes the store's
        database; a second one at the same moment would fail with "database is locked"."""
        with socket.socket(socket.AF_UNIX) as connection:
            if connection.connect_ex(str(self.socket)) != 0:
                return False
            hello, version, no_affinity, no_reserve = 0x6e697863, 0x163, 0, 0
            connection.sendall(struct.pack("<4Q", hello, version, no_affinity, no_reserve))
            with connection.makefile("rb") as answer:
                words = struct.unpack("<3Q", answer.read(24))
            return words[0] == 0x6478696f and words[2] == 0x616c7473

    def stop_daemon(self) -> None:
        """Ends guix-daemon; connections that are open stay until their clients leave."""
        if self.daemon is not None:
            self.daemon.stop()

    def end_connections(self) -> None:
        """Kills the guix-daemon's processes that serve clients; it goes on to accept new ones."""
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended
            if int(fields[1]) == self.daemon.process.pid:
                os.kill(int(process.name), signal.SIGKILL)

    def run(self, *command: object, given: str = "", check: bool = True,
            seconds: float = 120) -> subprocess.CompletedProcess:
        """Runs COMMAND inside, to its end, with GIVEN on standard input. Raises when its status
        is not 0, unless CHECK is false. The result's `stdout` and `stderr` are texts."""
        done = subprocess.run([*self.enter, "chroot", str(self.root), *map(str, command)], text=True,
                              input=given, capture_output=True, timeout=seconds * TIME_FACTOR)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                               f"{done.stderr[-4000:]}")
        return done

    def has(self, item: str) -> bool:
        """Is the store item (a full path) valid here?"""
        return self.run("guix", "gc", "--references", item, check=False).returncode == 0

    def outside(self, path: str) -> pathlib.Path:
        """The name, outside, of a PATH as the machine sees it."""
        return self.root / path.lstrip("/")

    def delete(self) -> None:
        """Ends all that runs in it, unmounts and, unless it is kept, deletes it."""
        if self.daemon is not None:
            self.daemon.kill()
        guix_root("stop" if self.kept else "delete", self.folder)
