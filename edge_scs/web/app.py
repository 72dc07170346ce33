"""The page's server: every address that it answers, and what it says there. Files are found by number, never by name.

POST   /sessions                          a new session: its token, and what the network can do
POST   /s/TOKEN/end                       end it; nothing of it is left
GET    /s/TOKEN/state                     how far its images are
POST   /s/TOKEN/images?name=old.jpg       upload one (the file itself is the body)
DELETE /s/TOKEN/images/N                  forget it
GET    /s/TOKEN/images/N/view             it, as the browser shows it
POST   /s/TOKEN/images/N/preview?kind=    settings -> a preview, "colours" or "detail"
POST   /s/TOKEN/images/N/colours?x=&y=    settings -> likely colours of a pixel
POST   /s/TOKEN/images/N/job              settings -> it is queued; DELETE cancels
GET    /s/TOKEN/images/N/result           the finished file; .../result/view: as the browser shows it
POST   /s/TOKEN/references?name=          upload a reference
"""

import errno
import json
import shutil
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from edge_scs import __version__
from edge_scs.archive.folder import UNFORESEEN
from edge_scs.errors import InputError
from edge_scs.files import printable
from edge_scs.images import MAX_MEGABYTES, SUFFIXES
from edge_scs.imaging.arrays import ImageArray, shrink_reference
from edge_scs.imaging.scans import read_reference
from edge_scs.imaging.sizes import check_scale, target_size
from edge_scs.inference.monochrome import NO_COLOUR, is_monochrome
from edge_scs.inference.request import MAX_VIVIDNESS
from edge_scs.web.engines import Engines
from edge_scs.web.guard import Guard, NamesUs
from edge_scs.web.jobs import Queue
from edge_scs.web.previews import Preview, read_preview, view_of
from edge_scs.web.sessions import GoneError, Session, Sessions, Upload
from edge_scs.web.settings import KEYS, MAX_BYTES, Settings, parse_json, parse_settings

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Page:
    """The server's parts behind its addresses. ``close`` cancels what runs and removes what was uploaded."""

    def __init__(self, engines: Engines, folder: Path, max_megabytes: int = MAX_MEGABYTES):
        self.engines, self.max_bytes = engines, max_megabytes << 20
        self.sessions = Sessions(folder)
        self.queue = Queue(engines, self.sessions.expire)
        self._reading = CapacityLimiter(1)  # one large image in memory at a time
        self._colouring, self._detailing = CapacityLimiter(1), CapacityLimiter(1)  # colours do not wait for detail
        self._static = {
            file.name: (file.read_bytes(), KINDS[Path(file.name).suffix])
            for file in files("edge_scs.web").joinpath("page").iterdir()
            if Path(file.name).suffix in KINDS
        }

    def close(self) -> None:
        self.sessions.close()
        self.queue.close()

    def app(self, names: NamesUs) -> Guard:
        """The ASGI application, for a server whose names are ``names`` (``guard.names_of``)."""
        image = "/s/{token}/images/{number:int}"
        routes = [
            Route("/", self.static, name="index.html"),
            Route("/page/{name}", self.static),
            Route("/sessions", self.begin, methods=["POST"]),
            Route("/s/{token}/end", self.end, methods=["POST"]),
            Route("/s/{token}/state", self.state),
            Route("/s/{token}/images", self.upload, methods=["POST"]),
            Route("/s/{token}/references", self.reference, methods=["POST"]),
            Route(image, self.remove, methods=["DELETE"]),
            Route(f"{image}/view", self.view),
            Route(f"{image}/preview", self.preview, methods=["POST"]),
            Route(f"{image}/colours", self.colours, methods=["POST"]),
            Route(f"{image}/job", self.restore, methods=["POST"]),
            Route(f"{image}/job", self.cancel, methods=["DELETE"]),
            Route(f"{image}/result", self.result),
            Route(f"{image}/result/view", self.result_view),
        ]
        handlers: dict[Any, Callable[[Request, Exception], Response]] = {
            InputError: lambda _, error: _message(str(error), 422),
            GoneError: lambda _, error: _message("is no longer here; load the page again", 410),
            HTTPException: lambda _, error: _message(getattr(error, "detail", ""), getattr(error, "status_code", 400)),
            ClientDisconnect: lambda _, error: Response(status_code=400),
            MemoryError: lambda _, error: _message("not enough memory; crop the image first", 507),
            Exception: lambda _, error: _message(f"{UNFORESEEN} ({type(error).__name__}); please report it", 500),
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), names)

    async def static(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in self._static:
            raise HTTPException(404, "no such page")
        content, kind = self._static[name]
        return Response(content, media_type=kind)

    async def begin(self, request: Request) -> Response:
        about = self.engines.abilities.to_dict() | {
            "version": __version__, "suffixes": SUFFIXES, "max_megabytes": self.max_bytes >> 20,
            "max_vividness": MAX_VIVIDNESS,
        }  # fmt: skip
        return _json({"token": self.sessions.begin().token} | about)

    async def end(self, request: Request) -> Response:
        await to_thread.run_sync(self.sessions.end, request.path_params["token"])
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        uploads = list(self._session(request).uploads.values())
        return _json({"images": {upload.number: self._progress(upload) for upload in uploads}})

    async def upload(self, request: Request) -> Response:
        session, name = self._session(request), _name(request)
        number, path = await self._receive(request, session, name)
        preview: Preview = await self._read(read_preview, path, name)
        upload = Upload(number, name, path.parent, path, preview)
        session.uploads[number] = upload
        if session.ended:
            session.remove(upload)
            raise GoneError
        h, w = preview.size
        return _json({"number": number, "name": name, "width": w, "height": h, "bits": preview.bits,
                      "notes": preview.notes, "shown_width": preview.small.shape[1]})  # fmt: skip

    async def reference(self, request: Request) -> Response:
        session, name = self._session(request), _name(request)
        number, path = await self._receive(request, session, name)
        pixels = await self._read(_reference, path, name)
        shutil.rmtree(path.parent, ignore_errors=True)
        if pixels is None:
            raise InputError(f"{name}: {NO_COLOUR}")
        session.references[number] = pixels
        return _json({"number": number, "name": name})

    async def remove(self, request: Request) -> Response:
        session, upload = self._found(request)
        await to_thread.run_sync(session.remove, upload)
        return Response(status_code=204)

    async def view(self, request: Request) -> Response:
        return Response(self._found(request)[1].preview.view, media_type="image/jpeg")

    async def preview(self, request: Request) -> Response:
        session, upload = self._found(request)
        settings, _ = await _settings(request)
        guide = session.guide(settings)
        engine = await to_thread.run_sync(self.engines.at, settings.restoration)
        if request.query_params.get("kind") == "colours":
            work, limiter = partial(upload.preview.coloured, engine, settings, guide), self._colouring
        else:
            turn = upload.preview.turn()
            work, limiter = partial(upload.preview.restored, engine, settings, guide, turn), self._detailing
        content = await to_thread.run_sync(work, limiter=limiter)
        return Response(status_code=204) if content is None else Response(content, media_type="image/jpeg")

    async def colours(self, request: Request) -> Response:
        session, upload = self._found(request)
        settings, _ = await _settings(request)
        guide = session.guide(settings)
        try:
            x, y = (float(request.query_params[key]) for key in "xy")
        except (KeyError, ValueError) as error:
            raise InputError("colours: give a pixel, x and y") from error
        h, w = upload.preview.size
        if not (0 <= x < w and 0 <= y < h):
            raise InputError(f"colours: pixel {x:g},{y:g} lies outside the image, which is {w}x{h}")

        def work() -> list[str]:
            return upload.preview.likely(self.engines.at(settings.restoration), settings, guide, x, y)

        return _json({"colours": await to_thread.run_sync(work, limiter=self._colouring)})

    async def restore(self, request: Request) -> Response:
        session, upload = self._found(request)
        settings, given = await _settings(request)
        check_scale(settings.scale)
        engine = await to_thread.run_sync(self.engines.at, settings.restoration)
        engine.check_options(settings.options, settings.reference is not None, settings.scale)
        await to_thread.run_sync(session.restore, upload, settings, given, self.queue)
        return _json(self._progress(upload))

    async def cancel(self, request: Request) -> Response:
        upload = self._found(request)[1]
        if upload.job is not None:
            upload.job.cancel()
        return _json(self._progress(upload))

    async def result(self, request: Request) -> Response:
        upload = self._found(request)[1]
        path = upload.result()
        assert upload.job is not None
        return FileResponse(path, filename=upload.result_name(upload.job.settings))

    async def result_view(self, request: Request) -> Response:
        upload = self._found(request)[1]
        content = await self._read(view_of, upload.result(), upload.name, keep=True)
        return Response(content, media_type="image/jpeg")

    def _session(self, request: Request) -> Session:
        return self.sessions.get(request.path_params["token"])

    def _found(self, request: Request) -> tuple[Session, Upload]:
        session = self._session(request)
        return session, session.upload(request.path_params["number"])

    def _progress(self, upload: Upload) -> dict[str, Any] | None:
        job = upload.job
        if job is None:
            return None
        h, w = target_size(upload.preview.size, job.settings.scale)
        return {
            "state": job.state, "share": job.share, "seconds": job.seconds, "place": self.queue.place(job),
            "message": _plain(job.message, upload), "notes": job.notes, "settings": job.given,
            "width": w, "height": h, "file": upload.result_name(job.settings),
        }  # fmt: skip

    async def _receive(self, request: Request, session: Session, name: str) -> tuple[int, Path]:
        """The body as a file. Raises InputError for one that is too large, or for which there is no room."""
        large = InputError(f"{name}: larger than {self.max_bytes >> 20} MB; crop or shrink it first")
        if int(request.headers.get("content-length", "0")) > self.max_bytes:
            raise large
        number, path = session.place(name)
        try:
            with path.open("wb") as file:
                size = 0
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > self.max_bytes:
                        raise large
                    file.write(chunk)
        except BaseException as error:
            shutil.rmtree(path.parent, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(f"{name}: no room for it ({error.strerror}); make room, or set TMPDIR") from error
            raise
        return number, path

    async def _read(self, reader: Callable[[Path], Any], path: Path, name: str, keep: bool = False) -> Any:
        """``reader`` on a file, in a thread; the message of its InputError names the file as the user does."""
        try:
            return await to_thread.run_sync(reader, path, limiter=self._reading)
        except BaseException as error:
            if not keep:
                shutil.rmtree(path.parent, ignore_errors=True)
            if isinstance(error, InputError):
                raise InputError(str(error).replace(str(path), name)) from error
            raise


def _reference(path: Path) -> ImageArray | None:
    """What networks see of a reference, or None for one without colours."""
    pixels = read_reference(path)
    return None if is_monochrome(pixels) else shrink_reference(pixels)


def _name(request: Request) -> str:
    """The uploaded file's name, for messages and for the result's name."""
    name = printable(request.query_params.get("name", "").replace("\\", "/").rpartition("/")[2])[-120:]
    return name if name.strip(". ") else "image"


def _plain(message: str, upload: Upload) -> str:
    """A message about files on this machine in the names that the user knows."""
    for path in (upload.source, upload.job.target if upload.job else upload.source):
        message = message.replace(str(path), upload.name)
    return printable(message)


async def _settings(request: Request) -> tuple[Settings, dict[str, Any]]:
    """The body's settings, and as they were given."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise InputError(f"settings: larger than {MAX_BYTES >> 10} KB")
    given = parse_json(bytes(content), KEYS)
    return parse_settings(given), given


def _json(value: dict[str, Any] | None) -> Response:
    return Response(json.dumps(value), media_type="application/json")  # ASCII: names may hold what is no text


def _message(text: str, status: int) -> Response:
    return Response(json.dumps({"message": printable(text)}), status, media_type="application/json")
