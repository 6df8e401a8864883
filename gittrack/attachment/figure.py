"""Renders matplotlib and plotly figures. Knows nothing of runs or of where the bytes go."""

from __future__ import annotations

import io
import warnings
from pathlib import PurePosixPath
from typing import Any

from ..errors import InvalidInput, Unsupported

_IMAGE_KINDS = ("png", "svg", "pdf", "jpg", "jpeg", "webp")


def render_figure(figure: Any, path: str) -> bytes:
    """Return a matplotlib or plotly figure in the format that path's ending names.

    Raises InvalidInput for anything that is no figure or a format the library does not write, Unsupported where
    plotly lacks what it needs to write images.
    """
    kind = PurePosixPath(path).suffix.lstrip(".").lower()
    if not kind:
        raise InvalidInput(f"a figure's artifact path needs an ending such as .png or .html: {path!r:.100}")
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        try:
            figure.savefig(buffer, format=kind, bbox_inches="tight")
        except ValueError as error:
            raise InvalidInput(f"cannot write the figure {path!r:.100}: {error}") from error
        return buffer.getvalue()
    if hasattr(figure, "to_html") and hasattr(figure, "to_image"):
        return _render_plotly(figure, kind)
    raise InvalidInput(f"neither a matplotlib nor a plotly figure: {type(figure).__name__}")


def _render_plotly(figure: Any, kind: str) -> bytes:
    if kind == "html":
        return str(figure.to_html(include_plotlyjs=True)).encode()
    if kind == "json":
        return str(figure.to_json()).encode()
    if kind not in _IMAGE_KINDS:
        raise InvalidInput(f"plotly does not write {kind!r:.20}: it writes html, json, {', '.join(_IMAGE_KINDS)}")
    try:
        from kaleido.scopes.plotly import PlotlyScope
    except ImportError:
        return _ask_plotly(figure, kind)
    return _ask_kaleido(PlotlyScope, figure, kind)


def _ask_kaleido(scope_class: Any, figure: Any, kind: str) -> bytes:
    """Return a plotly figure as an image, by a kaleido before 1.0, which brings a browser of its own.

    plotly 7 no longer talks to it, but the figure and the script that draws it are all it needs; both are at hand, so
    nothing is asked of the network. Its process ends with the call.
    """
    from importlib.resources import files

    script = files("plotly") / "package_data" / "plotly.min.js"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how it starts its thread
        scope = scope_class(plotlyjs=str(script))
        try:
            return bytes(scope.transform(figure.to_plotly_json(), format=kind))
        except (ValueError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise Unsupported(f"plotly cannot write {kind}: {reason:.200}") from error
        finally:
            scope.disable_gpu = True  # setting how its process is started ends the one there is


def _ask_plotly(figure: Any, kind: str) -> bytes:
    """Return a plotly figure as an image, by a newer kaleido, which needs a Chrome on this machine."""
    try:
        return bytes(figure.to_image(format=kind))
    except (ValueError, RuntimeError, ImportError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Unsupported(f"plotly cannot write {kind}: {reason:.200}", hint='pip install "kaleido==0.2.1"') from error
