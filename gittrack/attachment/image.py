"""Writes images as PNG: arrays of pixels and those of Pillow. Knows nothing of runs or of where the bytes go."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

from ..errors import InvalidInput, Unsupported

# What PNG holds as it is, and what is turned into RGB without a choice to make.
_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_RGB_MODES = ("CMYK", "YCbCr", "HSV", "RGBX")
_CHANNELS = (1, 3, 4)


def render_image(image: Any, path: str) -> bytes:
    """Return an image as PNG.

    An array is H x W, or H x W x 1, 3 or 4 (grey, RGB, RGBA), of uint8, of booleans, or of floats from 0 to 1. Anything
    that numpy reads as one will do, as a tensor on the CPU. Raises InvalidInput for any other array or image or a path
    that does not end in .png, Unsupported without Pillow.
    """
    if PurePosixPath(path).suffix.lower() != ".png":
        name = PurePosixPath(path).with_suffix(".png") if PurePosixPath(path).name else "image.png"
        raise InvalidInput(f"an image is kept as PNG, so its path ends in .png: {path!r:.100}", hint=f"{name}")
    try:
        from PIL import Image
    except ImportError:
        hint = 'pip install "gittrack[image]"'
        raise Unsupported("images are written by Pillow, which is not installed", hint=hint) from None
    if not isinstance(image, Image.Image):
        image = Image.fromarray(_read_pixels(image))
    if image.mode in _RGB_MODES:
        image = image.convert("RGB")
    if image.mode not in _PNG_MODES:
        raise InvalidInput(f"PNG has no pixels of mode {image.mode!r:.20}", hint='image.convert("RGB")')
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _read_pixels(image: Any) -> Any:
    """Return an array of uint8, H x W or H x W x 3 or 4."""
    if not hasattr(image, "__array__"):
        raise InvalidInput(f"neither an array of pixels nor an image of Pillow: {type(image).__name__}")
    import numpy

    try:
        pixels = numpy.asarray(image)
    except Exception as error:
        raise InvalidInput(f"this {type(image).__name__} cannot be read as an array: {error}"[:300]) from error
    shape = "x".join(map(str, pixels.shape)) or "a number"
    if pixels.ndim not in (2, 3) or not pixels.size or (pixels.ndim == 3 and pixels.shape[2] not in _CHANNELS):
        first = pixels.ndim == 3 and pixels.shape[0] in _CHANNELS
        raise InvalidInput(
            f"an image is H x W, or H x W x 1, 3 or 4, not {shape}", hint="image.transpose(1, 2, 0)" if first else None
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return numpy.ascontiguousarray(_scale(pixels, numpy))


def _scale(pixels: Any, numpy: Any) -> Any:
    kind = pixels.dtype.kind
    if pixels.dtype == numpy.uint8:
        return pixels
    if kind == "b":
        return pixels.astype(numpy.uint8) * 255
    if kind != "f":
        raise InvalidInput(
            f"pixels are uint8, or floats from 0 to 1, not {pixels.dtype}", hint="image.astype(numpy.uint8)"
        )
    least, most = float(pixels.min()), float(pixels.max())
    if not (least >= 0 and most <= 1):  # of NaN neither is true
        raise InvalidInput(
            f"pixels that are floats go from 0 to 1, these from {least:g} to {most:g}",
            hint="image.clip(0, 1), or image / 255",
        )
    return (pixels * 255.0 + 0.5).astype(numpy.uint8)
