"""Measures the token cache against plain safetensors files and SQLite blobs.

    python -m benchmarks.decoding.token_cache [--pages 60] [--checkpoint FOLDER] [--output FILE]

All three write durably: a file is synced together with its folder, a row is committed with
``synchronous = FULL``. Reads are in random order, warm from memory and cold from disk (the kernel
drops the file first). With a checkpoint, real pages are encoded, and the greedy tokens after int8
and int4 are compared with those after bfloat16. Without one, the numbers are random and only their
error is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.modes import MODES, tile_grid
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.records import DocumentRef, PageRef
from opticalrag.ingest.core.vision import (
    DecodeRequest,
    TokenKey,
    VisionTokens,
    bfloat16_bits,
    float32_values,
)
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.token_cache.cache import TokenCache
from opticalrag.ingest.token_cache.codecs import CODECS, Codec
from opticalrag.ingest.token_cache.file import decode_tokens, encode_tokens

from ..machine import describe

A4 = (1190, 1684)  # pixels at 144 dpi
SIDES = {"tiny": 8, "small": 10, "base": 16, "large": 20, "gundam-6": 16}
DOCUMENT = DocumentRef("doc", "0" * 64, "report.pdf", "/report.pdf", 10**6)
Read = Callable[[int], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": describe(), "pages": options.pages, "modes": {}}
    for mode in SIDES:
        pages = [random_page(mode, seed) for seed in range(options.pages)]
        figures["modes"][mode] = measure(pages, options.folder)
        show(mode, figures["modes"][mode])
    figures["error"] = {codec: relative_error(random_page("base", 0), codec) for codec in CODECS}
    if options.checkpoint:
        figures["agreement"] = agreement(options.checkpoint)
    print(json.dumps({k: figures[k] for k in ("error", "agreement") if k in figures}, indent=2))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def random_page(mode: str, seed: int) -> VisionTokens:
    """Make normally distributed bfloat16 tokens in the shape of an A4 page in a mode."""
    rng = np.random.default_rng(seed)
    chosen = MODES[mode]
    grid = tile_grid(*A4, chosen.max_tiles)
    tiles = grid[0] * grid[1] if chosen.max_tiles else 0
    shapes = ((SIDES[mode] ** 2, 1280), (tiles, 100 if tiles else 0, 1280))
    whole, parts = (bfloat16_bits(rng.standard_normal(s, np.float32)) for s in shapes)
    return VisionTokens(whole, parts, grid, mode, "bfloat16", "random", "0" * 16, "none")


def key(number: int, page: VisionTokens) -> TokenKey:
    """Make a unique key."""
    return TokenKey(f"{number:064x}", "none", page.mode, page.weights, page.preprocessing)


def measure(pages: Sequence[VisionTokens], folder: Path | None) -> dict[str, Any]:
    """Measure every way to store the pages of one mode."""
    ways: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for codec in CODECS:
            ways[f"ours, {codec}"] = ours(pages, codec, Path(place) / codec)
        ways["safetensors files"] = plain_files(pages, Path(place) / "plain")
        ways["SQLite blobs"] = sqlite_blobs(pages, Path(place) / "blobs.sqlite")
    raw = pages[0].nbytes
    for way in ways.values():
        way["size"] = way["bytes"] / raw
    return {"raw_bytes": raw, "ways": ways}


def ours(pages: Sequence[VisionTokens], codec: Codec, folder: Path) -> dict[str, float]:
    """Measure the token cache."""
    with TokenCache(TokenCacheConfig(str(folder), codec=codec)) as cache:

        def write(number: int) -> None:
            page = pages[number]
            cache.store(key(number, page), page, PageRef(DOCUMENT, number, ""))

        def read(number: int) -> object:
            return cache.find(key(number, pages[number]))

        def path(number: int) -> Path:
            name = key(number, pages[number]).digest
            return folder / name[:2] / f"{name}.safetensors"

        times = timed(len(pages), write, read, path)
        return {**times, "bytes": cache.totals().bytes / len(pages)}


def plain_files(pages: Sequence[VisionTokens], folder: Path) -> dict[str, float]:
    """Measure one safetensors file per page."""
    folder.mkdir()

    def write(number: int) -> None:
        page = pages[number]
        unfinished = folder / "unfinished"
        with unfinished.open("wb") as file:
            file.write(save({"global_view": page.global_view, "tiles": page.tiles}))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / str(number))
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    def read(number: int) -> object:
        return load((folder / str(number)).read_bytes())

    times = timed(len(pages), write, read, lambda number: folder / str(number))
    return {**times, "bytes": sum(f.stat().st_size for f in folder.iterdir()) / len(pages)}


def sqlite_blobs(pages: Sequence[VisionTokens], path: Path) -> dict[str, float]:
    """Measure one SQLite row per page."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = 0")  # so that a cold read reads the disk
    db.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, tokens BLOB)")

    def write(number: int) -> None:
        page = pages[number]
        blob = save({"global_view": page.global_view, "tiles": page.tiles})
        with db:
            db.execute("INSERT INTO pages VALUES (?, ?)", (number, blob))
        if number == len(pages) - 1:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(number: int) -> object:
        query = "SELECT tokens FROM pages WHERE number = ?"
        return load(db.execute(query, (number,)).fetchone()[0])

    times = timed(len(pages), write, read, lambda number: path)
    db.close()
    return {**times, "bytes": path.stat().st_size / len(pages)}


def timed(
    count: int, write: Callable[[int], None], read: Read, path: Callable[[int], Path]
) -> dict[str, float]:
    """Writes per second, and percentiles of warm and cold reads in milliseconds."""
    started = time.perf_counter()
    for number in range(count):
        write(number)
    figures = {"writes_per_s": count / (time.perf_counter() - started)}
    order = np.random.default_rng(0).integers(0, count, 4 * count).tolist()
    for name, cold in (("read", False), ("cold", True)):
        times = []
        for number in order:
            if cold:
                drop_from_memory(path(number))
            started = time.perf_counter()
            read(number)
            times.append(1000 * (time.perf_counter() - started))
        p50, p99 = np.percentile(times, [50, 99])
        figures |= {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99)}
    return figures


def drop_from_memory(path: Path) -> None:
    """Ask the kernel to drop a file from its page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def relative_error(page: VisionTokens, codec: Codec) -> float:
    """The root mean square error of a codec, relative to that of the page."""
    found = decode_tokens(encode_tokens(key(0, page), page, codec))
    exact, near = float32_values(page.global_view), float32_values(found.global_view)
    return float(np.sqrt(np.mean((exact - near) ** 2)) / np.sqrt(np.mean(exact**2)))


def agreement(checkpoint: Path, pages: int = 4, tokens: int = 32) -> dict[str, Any]:
    """The share of greedy tokens before the first one that differs from bfloat16."""
    model = DeepSeekOcr(checkpoint)
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {codec: {"error": [], "equal_tokens": []} for codec in CODECS}
    for _ in range(pages):
        pixels = rng.integers(0, 255, (*A4[::-1], 3), np.uint8)
        (page,) = model.encode([pixels], MODES["base"])
        name = replace(key(0, page), weights=page.weights)
        exact = DecodeRequest(page, PROMPTS["markdown"], tokens)
        wanted = model.decode([exact])[0].ids
        for codec in CODECS:
            near = decode_tokens(encode_tokens(name, page, codec))
            found = model.decode([replace(exact, tokens=near)])[0].ids
            equal = [a == b for a, b in zip(wanted, found, strict=False)]
            first = equal.index(False) if False in equal else len(wanted)
            results[codec]["equal_tokens"].append(first / max(len(wanted), 1))
            results[codec]["error"].append(relative_error(page, codec))
    return {
        codec: {name: float(np.mean(values)) for name, values in result.items()}
        for codec, result in results.items()
    }


def show(mode: str, figures: dict[str, Any]) -> None:
    """Print one table per mode."""
    print(f"\n{mode}: {figures['raw_bytes']:,} bytes in bfloat16")
    print(
        f"{'':20}{'size':>8}{'writes/s':>10}{'read p50':>10}{'p99 ms':>9}{'cold p50':>10}{'p99':>9}"
    )
    for name, way in figures["ways"].items():
        times = f"{way['writes_per_s']:10.0f}{way['read_p50_ms']:10.2f}{way['read_p99_ms']:9.2f}"
        cold = f"{way['cold_p50_ms']:10.2f}{way['cold_p99_ms']:9.2f}"
        print(f"{name:20}{way['size']:8.3f}{times}{cold}")


if __name__ == "__main__":
    main()
