# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch PostgreSQL that carries our migrations, kept between runs.

One cluster a build folder, in there where that can be; in it one database, named by
a hash of the migrations. The server runs only while a generator holds the lock,
as the account `postgres` when we are root, and dies with us."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator

from libpq import Connection, PqError
from source import SourceError, read_text

START_SECONDS = 60
SOCKET_PATH_MAX = 107  # bytes
SOCKET_NAME = ".s.PGSQL.5432"
OWNER_NAME = "build-folder"  # in a folder that lies elsewhere: whose it is
PR_SET_PDEATHSIG = 1
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "autovacuum": "off", "max_connections": "10", "shared_buffers": "4MB", "max_wal_senders": "0",
    "wal_level": "minimal", "max_worker_processes": "0", "huge_pages": "off", "jit": "off",
}


class ScratchError(Exception):
    """The server cannot be had; no fault of a statement."""


def account() -> pwd.struct_passwd:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ScratchError("PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody'")


def programs() -> Path:
    """The folder with `initdb` and `postgres`."""
    candidates: list[Path] = []
    if os.environ.get("PANOPLY_POSTGRESQL_BIN"):
        candidates.append(Path(os.environ["PANOPLY_POSTGRESQL_BIN"]))
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(said.stdout.strip()))
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(versions, key=lambda folder: -float(folder.parent.name))
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ScratchError("no PostgreSQL server programs found; install PostgreSQL 15 or newer, "
                       "or set PANOPLY_POSTGRESQL_BIN to the folder that holds initdb")


def everybody_can_enter(folder: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in [folder, *folder.parents])


class Scratch:
    def __init__(self, build_folder: Path, library_folder: str):
        self.account = account()
        self.programs = programs()
        self.library_folder = library_folder
        self.build_folder = build_folder.resolve()
        key = hashlib.sha256(f"{self.build_folder} {self.programs}".encode()).hexdigest()[:12]
        name = f"panoply-sqlgen-{os.geteuid()}-{key}"
        self.folder = self.build_folder / name
        if not self.can_be_used(self.folder):
            self.folder = self.temporary_base() / name
            self.remove_orphans()
        self.data = self.folder / "data"

    def can_be_used(self, folder: Path) -> bool:
        """Its socket's path is short enough, and the server's account can reach it."""
        return (len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_MAX
                and (os.geteuid() != 0 or everybody_can_enter(folder.parent)))

    def temporary_base(self) -> Path:
        base = Path(tempfile.gettempdir())
        return base if self.can_be_used(base / self.folder.name) else Path("/tmp")

    def remove_orphans(self) -> None:
        """Ours beside the folder whose build folders are gone."""
        for folder in self.folder.parent.glob(f"panoply-sqlgen-{os.geteuid()}-*"):
            with contextlib.suppress(OSError):
                owner = os.fsdecode((folder / OWNER_NAME).read_bytes())
                if folder.lstat().st_uid == self.account.pw_uid and not os.path.exists(owner):
                    shutil.rmtree(folder, ignore_errors=True)

    def conninfo(self, database: str) -> str:
        return f"host={self.folder} user=panoply dbname={database}"

    def make_folder(self) -> None:
        """Ours alone: its name can be guessed, so what is there already is not trusted."""
        if not self.folder.exists():
            # Whole at once: another generator of the same build may look at this moment. And
            # with something in it, or the next one's would take its place.
            fresh = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.", dir=self.folder.parent))
            (fresh / "lock").touch()
            if self.folder.parent != self.build_folder:
                (fresh / OWNER_NAME).write_bytes(os.fsencode(self.build_folder))
            os.chown(fresh, self.account.pw_uid, self.account.pw_gid)
            try:
                fresh.rename(self.folder)
            except OSError:
                shutil.rmtree(fresh)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.account.pw_uid or found.st_mode & 0o077:
            raise ScratchError(f"{self.folder} is not a folder of '{self.account.pw_name}' alone; remove it")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        self.make_folder()
        with open(self.folder / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start_child(self, command: list[str]) -> subprocess.Popen[bytes]:
        """As the server's account, in a session of its own (Ctrl-C is for us),
        stopped by the kernel should we be killed."""
        libc = ctypes.CDLL(None)

        def become() -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(self.account.pw_gid)
                os.setuid(self.account.pw_uid)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

        with open(self.folder / "log", "wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd=self.folder, start_new_session=True, preexec_fn=become,
                                    env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"})

    def log_tail(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])

    def make_cluster(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        command = [str(self.programs / "initdb"), f"--pgdata={self.data}", "--username=panoply", "--auth=trust",
                   "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        if self.start_child(command).wait() != 0:
            raise ScratchError(f"initdb failed: {self.log_tail()}")

    def start_server(self) -> subprocess.Popen[bytes]:
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        server = self.start_child(command)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                Connection(self.library_folder, self.conninfo("postgres")).close()
                return server
            except PqError as error:
                if server.poll() is not None:
                    raise ScratchError(f"PostgreSQL did not start: {self.log_tail()}") from error
                if time.monotonic() > deadline:
                    stop_server(server)
                    raise ScratchError(f"PostgreSQL does not answer: {error}") from error
                time.sleep(0.005)

    def start_or_remake(self) -> subprocess.Popen[bytes]:
        """A cluster without fsync may not survive a crash of the machine: then anew."""
        if (self.data / "PG_VERSION").exists():
            with contextlib.suppress(ScratchError):
                return self.start_server()
        self.make_cluster()
        return self.start_server()

    def make_database(self, migrations: list[Path]) -> str:
        """The database with exactly these migrations; older ones are dropped."""
        content = b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in migrations)
        name = "schema_" + hashlib.sha256(content).hexdigest()[:16]
        with Connection(self.library_folder, self.conninfo("postgres")) as connection:
            present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            if name in present:
                return name
            for old in present - {"postgres", "template0", "template1"}:
                connection.execute(f'DROP DATABASE "{old}"')
            connection.execute("CREATE DATABASE unfinished")
            self.migrate("unfinished", migrations)
            connection.execute(f"ALTER DATABASE unfinished RENAME TO {name}")
        return name

    def migrate(self, database: str, migrations: list[Path]) -> None:
        with Connection(self.library_folder, self.conninfo(database)) as connection:
            for file in migrations:
                text = read_text(file)
                try:
                    connection.execute(text)
                except PqError as error:
                    before = text[:error.position - 1] if error.position else ""
                    raise SourceError(file, before.count("\n") + 1, str(error)) from error

    @contextlib.contextmanager
    def database(self, migrations: list[Path]) -> Iterator[Connection]:
        """A connection to a running server that has the migrations."""
        with self.locked():
            server = self.start_or_remake()
            try:
                name = self.make_database(migrations)
                with Connection(self.library_folder, self.conninfo(name)) as connection:
                    yield connection
            finally:
                stop_server(server)


def stop_server(server: subprocess.Popen[bytes]) -> None:
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
            return
