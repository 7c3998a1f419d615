"""Commands and functions in children of one process, which has imported the package once.

Loading it takes ten seconds and attacks are hundreds. A child has a folder, a session (so a process
group) and streams of its own, ends as Python ends, and may be watched: what it opens outside the
places it may look at, what it connects to and starts is an `Ended.event`.
"""

import atexit
import importlib
import os
import pkgutil
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent
ROOM = 6 << 30  # bytes of addresses that a child may take beside those of its parent
OTHER_PROGRAMS = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn",
}  # fmt: skip
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"}
CONTROL = {chr(code) for code in (*range(32), *range(127, 160))} - {"\n"}


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    code
        Exit status; negative, the signal that ended it; None where its time was up.
    seconds, peak_mib
        What it took, the memory that it shares with its parent included.
    out, said
        Standard output and standard error.
    events
        What it should not have done, where it was watched: ``network ...``, ``started ...``,
        ``wrote ...``, ``read ...``.
    """

    code: int | None
    seconds: float
    peak_mib: float
    out: str
    said: str
    events: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """What that is for a user: ``accepted``, ``refused`` in one sentence, or what is wrong."""
        if self.code is None:
            return "hang"
        if "Traceback (most recent" in self.said or "a mistake of layerfusion" in self.said:
            return "traceback"
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        if self.code == 0:
            return "accepted"
        sentences = [line for line in self.said.splitlines() if line.startswith("error: ")]
        return "refused" if len(sentences) == 1 or "Usage: " in self.said else "no sentence"

    @property
    def last_line(self) -> str:
        """The last line that it said, printable; of a traceback also our innermost line in it."""
        lines = self.said.strip().splitlines() or [""]
        ours = re.findall(r'File ".*?/(layerfusion/[^"]*)", line (\d+)', self.said)
        where = " at {}:{}".format(*ours[-1]) if ours else ""
        return ascii(lines[-1])[1:-1] + where


class Child:
    """Work that a child does in a folder, from the moment that this is made.

    Parameters
    ----------
    work
        What it does; a `SystemExit` is its exit status.
    folder
        Where; its streams are kept beside it.
    variables
        Of its environment.
    looks_at
        What it may open; None to watch nothing.
    streams
        What its streams are called; None: as the folder.
    """

    def __init__(
        self, work: Callable[[], object], folder: Path, *, variables: dict[str, str] | None = None,
        looks_at: Sequence[Path] | None = None, streams: str | None = None,
    ) -> None:  # fmt: skip
        named = streams or folder.name
        self._files = {
            name: folder.with_name(f"{named}.{name}") for name in ("out", "said", "events")
        }
        for file in self._files.values():
            file.write_bytes(b"")
        self._began = time.perf_counter()
        sys.stdout.flush(), sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(work, folder, variables or {}, looks_at)

    def _become(
        self, work: Callable[[], object], folder: Path, variables: dict[str, str],
        looks_at: Sequence[Path] | None,
    ) -> None:  # fmt: skip
        os.setsid()
        for number, name in ((1, "out"), (2, "said")):
            file = os.open(self._files[name], os.O_WRONLY | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
        os.chdir(folder)
        os.environ.update(variables)
        _limit_memory()
        if looks_at is not None:
            _watch(self._files["events"], [*looks_at, folder])
        os._exit(_status_of(work))

    def wait(self, seconds: float) -> Ended:
        """Return how it ended, by itself or, when its time is up, by SIGKILL to its group."""
        end, code, usage = self._began + seconds, None, None
        while code is None and time.perf_counter() < end:
            code, usage = self._poll(os.WNOHANG)
            time.sleep(0.01)
        took = time.perf_counter() - self._began
        if code is None:
            os.killpg(self.pid, signal.SIGKILL)
            _, usage = self._poll(0)
        texts = [file.read_text("utf-8", "surrogateescape") for file in self._files.values()]
        events = tuple(dict.fromkeys(texts[2].splitlines()))
        return Ended(code, took, usage.ru_maxrss / 1024, texts[0], texts[1], events)

    def _poll(self, options: int) -> tuple[int | None, resource.struct_rusage | None]:
        pid, status, usage = os.wait4(self.pid, options)
        return (os.waitstatus_to_exitcode(status), usage) if pid else (None, None)


def load_package() -> None:
    """Import what the children will need; their parent computes nothing, so it has no threads."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import layerfusion

    for module in pkgutil.walk_packages(layerfusion.__path__, "layerfusion."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def command_line(*words: object) -> Callable[[], object]:
    """Return the work of a command of layerfusion."""

    def work() -> None:
        from layerfusion.cli.main import main

        sys.argv = ["layerfusion", *map(str, words)]
        main()

    return work


def reading(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """Return the work of a function of the library; its `UserError` is its one sentence."""

    def work() -> None:
        from layerfusion.errors import UserError
        from layerfusion.progress import one_line

        try:
            function(*arguments)
        except UserError as error:
            sys.exit(one_line(f"error: {error}"))

    return work


def control_characters(text: str) -> set[str]:
    """Return the characters in a text that a terminal obeys, line ends apart, escaped."""
    return {ascii(c)[1:-1] for c in text if c in CONTROL}


def _status_of(work: Callable[[], object]) -> int:
    """Do the work; return the exit status with which Python would end."""
    code: object = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except OSError:
        code = 120
    return code if isinstance(code, int) else int(code is not None)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(log: Path, looks_at: Sequence[Path]) -> None:
    """Write down, a line each, what this process does outside of what it may look at."""
    import layerfusion

    own = [sys.prefix, sys.base_prefix, Path(layerfusion.__file__).parents[2], PROGRAMS]
    system = ["/usr", "/lib", "/proc", "/sys", "/dev/null", "/dev/urandom", "/dev/shm"]  # noqa: S108
    allowed = tuple(os.path.realpath(place) for place in [*own, *system, *looks_at])
    file = os.open(log, os.O_WRONLY | os.O_APPEND)

    def note(kind: str, what: object) -> None:
        os.write(file, f"{kind} {ascii(str(what))[1:-1][:120]}\n".encode())

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in OTHER_PROGRAMS:
            note("started", arguments[0])
        elif event in NETWORK:
            note("network", arguments[-1] if event == "socket.connect" else arguments[0])
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not path.startswith(allowed):
                writes = int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                note("wrote" if writes else "read", path)

    sys.addaudithook(hook)
