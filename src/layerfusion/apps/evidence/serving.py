"""Inspections on a local page: pictures are dropped on it, and a report comes back.

Only this machine can reach it, and of the pages that a browser here has open only this one.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from waitress import create_server
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from layerfusion.apps.evidence.inspection import InspectionReport, Inspector, report_html
from layerfusion.apps.evidence.pages import page
from layerfusion.errors import UserError
from layerfusion.images.finding import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page's own says the rest
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form's Origin would be null
    "X-Content-Type-Options": "nosniff",
}
_OTHER_FIELDS = 8  # fields of the form that are no files, generously


class Limits(NamedTuple):
    """What one request may bring.

    Attributes
    ----------
    files
        Number of pictures.
    megabytes
        Of the whole request, 10^6 bytes each.
    """

    files: int
    megabytes: int


@dataclass(frozen=True)
class Service:
    """The page as a WSGI application: GET shows the form, POST answers with the report.

    Parameters
    ----------
    inspector
        Used by one request at a time.
    limits
        Of each request.
    """

    inspector: Inspector
    limits: Limits
    _one_at_a_time: Lock = field(default_factory=Lock)
    # Gone when the program ends, if the picture in it is not by then.
    _folder: "TemporaryDirectory[str]" = field(
        default_factory=lambda: TemporaryDirectory(prefix="layerfusion-")
    )

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        response = self._answer(Request(environ))
        response.headers.update(_HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        own = request.environ["SERVER_PORT"]
        port = "" if own == "80" else f":{own}"  # browsers leave it out
        hosts = {f"{name}{port}" for name in (LOOPBACK, "localhost")}
        if request.headers.get("Host") not in hosts:  # the request came by a foreign name
            return Response("This page is for this machine only.\n", status=403)
        if request.path != "/":
            return Response("There is only one page here: /\n", status=404)
        if request.method in ("GET", "HEAD"):
            return self._form()
        if request.method != "POST":
            return Response("GET or POST\n", status=405, headers={"Allow": "GET, HEAD, POST"})
        if request.headers.get("Origin") != f"http://{request.headers['Host']}":
            return Response("Pictures are taken from this page's own form only.\n", status=403)
        return self._report(request)

    def _form(self, trouble: str = "", status: int = 200) -> Response:
        notice = self.inspector.detector.notice or ""
        html = page(
            "serve.html.j2", script="serve.js", limits=self.limits, notice=notice, trouble=trouble
        )
        return Response(html, status=status, mimetype="text/html")

    def _report(self, request: Request) -> Response:
        if (request.content_length or 0) > self.limits.megabytes * 1_000_000:
            return self._form(
                f"These files have more than {self.limits.megabytes} MB; choose fewer, or start "
                "with a larger --max-mb.",
                413,
            )
        request.max_form_parts = self.limits.files + _OTHER_FIELDS
        too_many = (
            f"These are more than {self.limits.files} files; choose fewer, or start with a larger "
            "--max-files."
        )
        try:
            sent = [one for one in request.files.getlist("pictures") if one.filename]
        except RequestEntityTooLarge:
            return self._form(too_many, 413)
        except HTTPException as error:
            return Response("The form cannot be read.\n", status=error.code)
        if len(sent) > self.limits.files:
            return self._form(too_many, 413)
        if not sent:
            return self._form("No file was chosen.", 400)
        occlusion = "occlusion" in request.form
        with self._one_at_a_time:
            found = [self._inspect(one, occlusion=occlusion) for one in sent]
        html = report_html(found, self.inspector.about(), again="/")
        return Response(html, mimetype="text/html")

    def _inspect(self, sent: FileStorage, *, occlusion: bool) -> InspectionReport:
        """Inspect a file that was sent, which lies on disk for so long only."""
        path = Path(self._folder.name) / "picture"
        try:
            sent.save(path)
            return self.inspector.inspect(path, name=sent.filename, occlusion=occlusion)
        except OSError as error:  # of the disk, which may be full
            trouble = (error.strerror or str(error)).lower()
            name = printable(str(sent.filename))
            return InspectionReport(name, error=f"it cannot be kept here: {trouble}")
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave no picture on the disk; end the program if one is being inspected at this moment.

        Its thread cannot be stopped, and torch aborts if the interpreter goes while it computes.
        """
        self._folder.cleanup()
        if self._one_at_a_time.locked():
            os._exit(0)


class Server(NamedTuple):
    """A service that listens on this machine.

    Attributes
    ----------
    address
        What a browser opens.
    run
        Answers requests until a KeyboardInterrupt; then leaves no picture on the disk.
    close
        Stops listening.
    """

    address: str
    run: Callable[[], None]
    close: Callable[[], None]


def listen(inspector: Inspector, limits: Limits, *, port: int) -> Server:
    """Open a port of this machine, reachable from it only.

    Parameters
    ----------
    port
        0 for any that is free.

    Raises
    ------
    UserError
        If the port is taken.
    """
    inspector.about()  # fails now, not at the first picture
    service = Service(inspector, limits)
    try:
        server = create_server(
            service,
            host=LOOPBACK,
            port=port,
            ident=None,
            # What is somewhat too large is read, so that a browser gets to see why it is refused.
            max_request_body_size=4 * limits.megabytes * 1_000_000,
        )
    except OSError as error:
        raise UserError(
            f"port {port} cannot be used ({(error.strerror or str(error)).lower()}); choose "
            "another with --port, or 0 for any"
        ) from None

    def run() -> None:
        server.run()  # returns at KeyboardInterrupt
        service.close()

    return Server(f"http://{LOOPBACK}:{server.effective_port}/", run, server.close)
