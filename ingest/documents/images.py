"""Makes PDFs from image files, so that every later stage reads a PDF on disk."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Final

import pymupdf
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from ..core.config import PageLimits
from ..core.errors import DamagedDocument, LimitExceeded, UnsupportedSource

__all__ = ["pdf_of_image"]

_DEFAULT_DPI: Final = 96.0  # of images without a resolution: the reference pixel of CSS
_IMAGE_FORMATS: Final = ("PNG", "JPEG", "TIFF", "WEBP")


def pdf_of_image(path: Path, name: str, limits: PageLimits, target: Path) -> None:
    """Make a PDF from an image file: one page per frame, upright, transparency on white.

    The resolution of the image decides the size of the pages. ``name`` is for messages.

    Raises:
        UnsupportedSource: the file is not an image of a supported format.
        DamagedDocument: the image is truncated or malformed.
        LimitExceeded: a frame has too many pixels, or there are too many frames.
        OSError: the PDF cannot be written.
    """
    document = pymupdf.open()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning: PageLimits.pixels decides
            with Image.open(path, formats=_IMAGE_FORMATS) as image:
                _check_image(image, name, limits)
                for frame in ImageSequence.Iterator(image):
                    _check_image(frame, name, limits)
                    _add_page(document, frame)
    except UnidentifiedImageError as error:
        raise UnsupportedSource(
            f"{name} is neither a PDF nor a supported image ({', '.join(_IMAGE_FORMATS)})"
        ) from error
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"{name}: {error}; raise PageLimits.pixels to read it") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, LimitExceeded | UnsupportedSource):
            raise
        raise DamagedDocument(f"{name} is a damaged image: {error}") from error
    else:
        _save(document, name, target)
    finally:
        document.close()


def _save(document: Any, name: str, target: Path) -> None:
    try:
        document.save(target)
    except pymupdf.mupdf.FzErrorSystem as error:  # not an OSError, and without the path
        raise OSError(
            f"cannot write the pages of {name} to {target.parent}: {error};"
            " free disk space there, or set TMPDIR to another folder"
        ) from error


def _check_image(image: Image.Image, name: str, limits: PageLimits) -> None:
    pixels = image.width * image.height
    frames = getattr(image, "n_frames", 1)
    if pixels > limits.pixels:
        raise LimitExceeded(
            f"{name} has {image.width} x {image.height} pixels, the limit is {limits.pixels:,};"
            " raise PageLimits.pixels to read it"
        )
    if frames > limits.pages:
        raise LimitExceeded(
            f"{name} has {frames} frames, the limit is {limits.pages} pages;"
            " raise PageLimits.pages to read it"
        )


def _add_page(document: Any, frame: Image.Image) -> None:
    picture = _rgb(ImageOps.exif_transpose(frame))
    dpi = [_sane_dpi(v) for v in (*frame.info.get("dpi", ()), 0, 0)[:2]]
    packed = io.BytesIO()
    picture.save(packed, "PNG", compress_level=1)
    width, height = picture.width * 72 / dpi[0], picture.height * 72 / dpi[1]
    page = document.new_page(width=width, height=height)
    page.insert_image(page.rect, stream=packed.getvalue())


def _sane_dpi(value: float) -> float:
    # Cameras and scanners write 0, 1 or garbage, which would make pages miles wide.
    return float(value) if 30 <= value <= 2400 else _DEFAULT_DPI


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow clips 16 bits to white instead of scaling them.
        return image.point(lambda value: value / 256, "L").convert("RGB")
    return image.convert("RGB")
