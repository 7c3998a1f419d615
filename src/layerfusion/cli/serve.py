"""The command line's `layerfusion serve`: the answers of `inspect` on a local page."""

from contextlib import suppress
from typing import Annotated

import typer


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it listens; 0 for any that is free.")
    ] = 8765,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of a detector. [default: the package's, of photographs]"
        ),
    ] = None,
    max_files: Annotated[int, typer.Option(min=1, help="Files that may come at once.")] = 50,
    max_mb: Annotated[
        int, typer.Option("--max-mb", min=1, help="Megabytes that may come at once.")
    ] = 200,
) -> None:
    """Open a local page to drop pictures on; it answers with the report of `inspect`.

    Only this machine can reach it, and nothing that is dropped is kept. Ctrl-C ends it.

    Example: `layerfusion serve --port 9000`
    """
    from layerfusion.evidence.inspection import Inspector
    from layerfusion.evidence.serving import Limits, listen
    from layerfusion.evidence.words import Scale
    from layerfusion.model.detector import Detector
    from layerfusion.parallel.processes import open_fabric
    from layerfusion.progress import Reporter
    from layerfusion.scoring.reference import read_reference
    from layerfusion.scoring.shipped import detector_folder

    folder = detector_folder(detector)
    scale = Scale(read_reference(folder))
    loaded = Detector.load(folder).to(open_fabric("fp32").device)
    server = listen(Inspector(loaded, scale), Limits(max_files, max_mb), port=port)
    with suppress(KeyboardInterrupt):
        Reporter().say(f"open {server.address} (Ctrl-C ends it)")
        server.run()
