"""The ``models`` commands, and parsing with DeepSeek-OCR."""

from __future__ import annotations

from pathlib import Path

from ..processes import run_command
from . import test_cli


def test_complete_files_are_verified_without_loading_them(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The report has the memory that they would need."""
    report = test_cli.run_json("models", "verify", str(tiny_checkpoint), cwd=tmp_path)
    assert report["name"] == "tiny"
    assert report["tensors"] > 50
    assert report["memory"] > report["parameters"]


def test_broken_files_are_an_error(tmp_path: Path) -> None:
    """One JSON object, exit code 1."""
    (tmp_path / "config.json").write_text("{}")
    done = run_command("models", "verify", str(tmp_path), "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert '"checkpoint_mismatch"' in done.stdout


def test_known_models_are_listed_with_their_commit(tmp_path: Path) -> None:
    """Even if their files are not on this machine."""
    (model,) = test_cli.run_json("models", "list", cwd=tmp_path)["models"]
    assert model["repo"] == "deepseek-ai/DeepSeek-OCR"
    assert len(model["revision"]) == 40


def test_missing_weights_name_the_download_command(tmp_path: Path) -> None:
    """The message says how to get them."""
    done = run_command("models", "verify", cwd=tmp_path)
    assert done.returncode == 1
    assert "opticalrag models download" in done.stderr


def test_pages_are_parsed_with_a_local_checkpoint(
    tiny_checkpoint: Path, sample: Path, tmp_path: Path
) -> None:
    """The JSON has the attempts and their vision tokens."""
    options = ["--engine", "deepseek-ocr", "--ocr-model", str(tiny_checkpoint), "--device", "cpu"]
    options += ["--max-output-tokens", "40"]
    (page,) = test_cli.run_json(
        "parse", str(sample), "--pages", "4", "--mode", "small", *options, cwd=tmp_path
    )["pages"]
    assert page["engine"] == "deepseek-ocr"
    assert page["optical"]["attempts"][0]["vision_tokens"] == 100


def test_an_unknown_mode_is_wrong_usage(
    tiny_checkpoint: Path, sample: Path, tmp_path: Path
) -> None:
    """Exit code 2; the message lists the modes."""
    options = ["--engine", "deepseek-ocr", "--ocr-model", str(tiny_checkpoint)]
    done = run_command("parse", str(sample), "--mode", "huge", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "gundam" in done.stderr
