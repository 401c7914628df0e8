"""Commands about the weights of DeepSeek-OCR, and reading with it."""

from __future__ import annotations

from pathlib import Path

from ..processes import run_command
from . import test_cli


def test_whole_files_are_verified_without_loading_them(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """With what they would take."""
    report = test_cli.run_json("models", "verify", str(tiny_checkpoint), cwd=tmp_path)
    assert report["name"] == "tiny"
    assert report["tensors"] > 50
    assert report["memory"] > report["parameters"]


def test_broken_files_fail_with_what_is_wrong(tmp_path: Path) -> None:
    """One JSON object, exit code 1."""
    (tmp_path / "config.json").write_text("{}")
    done = run_command("models", "verify", str(tmp_path), "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert '"checkpoint_mismatch"' in done.stdout


def test_known_models_are_listed_with_their_commit(tmp_path: Path) -> None:
    """Whether they are here or not."""
    (model,) = test_cli.run_json("models", "list", cwd=tmp_path)["models"]
    assert model["repo"] == "deepseek-ai/DeepSeek-OCR"
    assert len(model["revision"]) == 40


def test_offline_the_way_to_the_weights_is_shown(tmp_path: Path) -> None:
    """Instead of a stack trace."""
    done = run_command("models", "verify", cwd=tmp_path)
    assert done.returncode == 1
    assert "opticalrag models download" in done.stderr


def test_pages_are_parsed_with_a_checkpoint_of_ones_own(
    tiny_checkpoint: Path, sample: Path, tmp_path: Path
) -> None:
    """Mode, tries and compression are in the JSON."""
    options = ["--engine", "deepseek-ocr", "--ocr-model", str(tiny_checkpoint), "--device", "cpu"]
    options += ["--max-output-tokens", "40"]
    (page,) = test_cli.run_json(
        "parse", str(sample), "--pages", "4", "--mode", "small", *options, cwd=tmp_path
    )["pages"]
    assert page["engine"] == "deepseek-ocr"
    assert page["optical"]["attempts"][0]["vision_tokens"] == 100


def test_a_mode_that_does_not_exist_is_wrong_usage(
    tiny_checkpoint: Path, sample: Path, tmp_path: Path
) -> None:
    """Exit code 2, with the names that do."""
    options = ["--engine", "deepseek-ocr", "--ocr-model", str(tiny_checkpoint)]
    done = run_command("parse", str(sample), "--mode", "huge", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "gundam" in done.stderr
