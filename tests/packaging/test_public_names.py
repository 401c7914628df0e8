"""The public names of opticalrag.ingest and opticalrag.retrievers: complete, lazy, and visible."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from opticalrag.ingest import (
    Bm25Encoder,
    DocumentExaminer,
    EngineConfig,
    IngestPipeline,
    LayoutConfig,
    QdrantStore,
    SourceConfig,
    StoreConfig,
    make_embedder,
    make_engine,
    open_journal,
    open_pipeline,
    open_store,
)
from opticalrag.retrievers import Query, cite, search

from ..conftest import REPOSITORY

PACKAGES = ["opticalrag.ingest", "opticalrag.retrievers"]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_can_be_loaded(name: str) -> None:
    """``__all__`` and ``dir()`` list the same names, and an unknown name is an error."""
    module = import_module(name)

    assert dir(module) == sorted(module.__all__)
    assert all(getattr(module, public) is not None for public in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


@pytest.mark.parametrize("name", PACKAGES)
def test_type_checkers_see_the_names_that_are_loaded(name: str) -> None:
    """``__all__``, the table of lazy names and the imports under TYPE_CHECKING agree."""
    module = import_module(name)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    (guarded,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    imported = {
        node.module: " ".join(alias.name for alias in node.names)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
    }

    assert imported == module._EXPORTS
    assert sorted(module.__all__) == sorted(n for names in imported.values() for n in names.split())


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_name_is_the_name_of_a_submodule(name: str) -> None:
    """Importing a submodule sets it as an attribute, which would hide a name loaded lazily."""
    module = import_module(name)
    submodules = {found.name for found in pkgutil.iter_modules(module.__path__)}

    assert not submodules & set(module.__all__)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_public_names_only(notebook: Path) -> None:
    """A notebook shows what users can rely on."""
    imported = set(_imports(notebook))

    assert imported
    assert imported <= set(PACKAGES)


def _imports(notebook: Path) -> Iterator[str]:
    """The opticalrag modules that a notebook imports."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            yield from (name for name in names if name.split(".")[0] == "opticalrag")


def test_a_pipeline_can_be_built_from_public_names(tmp_path: Path, sample: Path) -> None:
    """Every part of the pipeline is public, and so is the search in its store."""
    location = StoreConfig(str(tmp_path / "store"))
    embedder, sparse = make_embedder(), Bm25Encoder()
    engine = make_engine(EngineConfig("layout", layout=LayoutConfig(ocr="off")))
    with QdrantStore(location.location) as store, DocumentExaminer() as examiner:
        store.ensure(embedder, sparse)
        journal = open_journal(location, create=True)
        pipeline = IngestPipeline(
            engine, embedder, sparse, store, examiner=examiner, journal=journal
        )
        report = pipeline.run([sample], SourceConfig(pages="3"))
        hits = search(store, embedder, sparse, Query("energy of turbine T2 in May"))
        engine.close()
        journal.close()

    assert (report.pages, report.failures) == (1, [])
    assert (cite(hits[0]).file, cite(hits[0]).page) == ("report.pdf", 3)


def test_open_pipeline_puts_the_same_parts_together(tmp_path: Path, sample: Path) -> None:
    """What it stores is found through ``open_store``."""
    location = StoreConfig(str(tmp_path / "store"))
    with open_pipeline(location, EngineConfig("layout")) as pipeline:
        report = pipeline.run([sample], SourceConfig(pages="3"))
    with open_store(location) as store:
        hits = search(store, make_embedder(), Bm25Encoder(), Query("turbine T2"))

    assert report.points_written == report.chunks > 0
    assert hits[0].pages == (3,)


# -- what a user's tools see -----------------------------------------------------------------

PROGRAM = """\
from opticalrag.ingest import EngineConfig, StoreConfig, open_pipeline
from opticalrag.retrievers import Query, search

with open_pipeline(StoreConfig(":memory:"), EngineConfig("layout")) as pipeline:
    reveal_type(pipeline.run(["a.pdf"]).chunks)
reveal_type(Query("pump").top_k)
reveal_type(search)
from opticalrag.ingest import Nonsense
"""

# Following their imports takes a minute, and the program does not use their types.
MYPY = """\
[mypy]
strict = true
[mypy-torch.*,transformers.*,sentence_transformers.*,qdrant_client.*,pydantic.*,sqlalchemy.*]
follow_imports = skip
"""


@pytest.mark.slow
def test_mypy_knows_the_types_of_public_names(tmp_path: Path) -> None:
    """Types arrive in a user's program, and a misspelt name is an error."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mypy.ini").write_text(MYPY)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", "cache", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("program.py")]

    assert [line.split('"')[1] for line in lines[:2]] == ["int", "int"]
    assert "-> list[opticalrag.retrievers.query.Hit]" in lines[2]
    assert 'has no attribute "Nonsense"' in lines[3]
    assert len(lines) == 4
    assert "Found 1 error" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_editors_complete_public_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jedi, which IPython and editors use, lists them without running any code."""
    jedi = pytest.importorskip("jedi")  # comes with ipykernel
    monkeypatch.setattr(jedi.settings, "cache_directory", str(tmp_path))
    environment = jedi.InterpreterEnvironment()
    public = set(import_module(name).__all__)

    for program in (f"import {name} as package\npackage.", f"from {name} import "):
        script = jedi.Script(program, environment=environment)
        assert public <= {completion.name for completion in script.complete()}
