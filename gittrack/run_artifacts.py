"""What a live run can keep as artifacts: files, text, values, figures, images, tables, pages.

Decides what bytes each becomes. Knows nothing of journals, of commits and of where content lies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from . import attachment, layout
from .errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from .content import ContentStore
    from .model import Pointer
    from .scrub import Scrubber


class ArtifactRecorder(ABC):
    """Whoever keeps artifacts; how content is put and named is left to it."""

    scrubber: Scrubber

    @abstractmethod
    def _keep(self, path: str, put: Callable[[ContentStore], Pointer]) -> None:
        """Put content and name it as the artifact `path`."""

    def log_artifact(self, path: str | PathLike[str], directory: str = "", *, name: str | None = None) -> None:
        """Keep a file, or a directory with everything in it, as artifacts of the run.

        The content is copied now. `directory` places it below an artifact directory; `name` gives a file another name.
        Raises NotFound where there is no such file, InvalidInput for symlinks, devices and names that no platform can
        hold.
        """
        file = Path(path)
        if file.is_dir() and not file.is_symlink():
            self.log_artifacts(file, layout.artifact_name(name or file.resolve().name, directory))
            return
        self._keep_file(file, layout.artifact_name(name or file.name, directory))

    def log_artifacts(self, local_directory: str | PathLike[str], directory: str = "") -> None:
        """Keep every file below a local directory as an artifact; raises as log_artifact does, before any is kept."""
        root = Path(local_directory)
        for file, relative in attachment.list_files(root):
            self._keep_file(file, layout.artifact_name(relative, directory))

    def log_text(self, text: str, path: str) -> None:
        """Keep text as the artifact `path`, in UTF-8, secrets replaced."""
        if not isinstance(text, str):
            raise InvalidInput(f"log_text keeps a string, not {type(text).__name__}", hint="run.log_artifact(path)")
        clean = self.scrubber.text(text, where=f"artifacts.{path}")
        self._keep_bytes(clean.encode("utf-8", "backslashreplace"), path)

    def log_dict(self, value: object, path: str) -> None:
        """Keep a JSON-ready value as the artifact `path`: YAML where it ends in .yaml or .yml, else JSON."""
        self._keep_bytes(attachment.encode_dict(value, path), path)

    def log_figure(self, figure: object, path: str) -> None:
        """Keep a matplotlib or plotly figure as the artifact `path`, in the format its ending names."""
        self._keep_bytes(attachment.render_figure(figure, path), path)

    def log_image(self, image: object, path: str) -> None:
        """Keep an image as the artifact `path`, a PNG.

        Either one of Pillow, or an array of pixels: H x W, or H x W x 1, 3 or 4, of uint8 or of floats from 0 to 1.
        Raises InvalidInput for anything else, Unsupported where Pillow is not installed.
        """
        self._keep_bytes(attachment.render_image(image, path), path)

    def log_table(self, table: object, path: str) -> None:
        """Keep a table as the artifact `path`: .parquet, .csv, .json or .jsonl, as it ends.

        A table is a pandas or polars frame, an Arrow table, a mapping of names to columns, or a sequence of mappings,
        each a row. Raises InvalidInput for anything else, and for values that the format cannot hold.
        """
        self._keep_bytes(attachment.render_table(table, path), path)

    def log_html(self, text: str, path: str) -> None:
        """Keep a page as the artifact `path`, which ends in .html, in UTF-8, secrets replaced."""
        self.log_text(attachment.check_html(text, path), path)

    def _keep_file(self, file: Path, path: str) -> None:
        if not file.exists() and not file.is_symlink():
            raise NotFound(f"no file {str(file)!r:.300} to keep as an artifact")
        self._keep(path, lambda content: content.put_file(file))

    def _keep_bytes(self, data: bytes, path: str) -> None:
        self._keep(layout.check_artifact_path(path), lambda content: content.put_bytes(data))
