"""The command line's `layerfusion serve`: the report of `inspect` on a local page."""

import signal
from contextlib import suppress
from typing import Annotated

import typer

from layerfusion.cli.options import ReferenceDetectorOption
from layerfusion.progress import Reporter


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")
    ] = 8765,
    detector: ReferenceDetectorOption = None,
    max_files: Annotated[int, typer.Option(min=1, help="Most files of one request.")] = 50,
    max_mb: Annotated[
        int, typer.Option("--max-mb", min=1, help="Most megabytes of one request.")
    ] = 200,
) -> None:
    """Open a local page to drop pictures on; it answers with the report of `inspect`.

    Only this machine can reach it, and nothing that is dropped is kept. Ctrl-C ends it.

    Example: `layerfusion serve --port 9000`
    """
    from layerfusion.apps.evidence.inspection import Inspector
    from layerfusion.apps.evidence.serving import Limits, listen

    server = listen(Inspector.load(detector), Limits(max_files, max_mb), port=port)
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    former = {one: signal.signal(one, signal.default_int_handler) for one in asked}
    try:
        with suppress(KeyboardInterrupt):
            Reporter().say(f"open {server.address} (Ctrl-C ends it)")
            server.run()
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
