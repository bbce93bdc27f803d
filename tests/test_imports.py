"""`import clonesim` stays light, and imports only point down the house."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

HEAVY = {"numpy", "numba", "pandas", "pyarrow", "scipy", "matplotlib", "IPython", "pydantic", "typer", "rich"}
PACKAGE = ROOT / "clonesim"
LAYERS = [  # from the ground up; a module may import from its own layer and from below
    {"errors"},
    {"files"},
    {"units"},
    {"ops", "keys"},
    {"ingest"},
    {"scenario"},
    {"delta"},
    {"guest"},
    {"lun"},
    {"pool"},
    {"planning"},
    {"words", "strategy_words", "sensitivity_words", "pool_words"},
    {"plots", "report", "console"},
    {"app"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_stays_light():
    extra = HEAVY & loaded_by("import clonesim; dir(clonesim); clonesim.__version__")
    assert not extra, f"import clonesim pulls in {sorted(extra)}; import them where they are used"


def test_command_line_imports_nothing_heavy():
    extra = (HEAVY - {"typer"}) & loaded_by("import clonesim.cli")
    assert not extra, f"import clonesim.cli pulls in {sorted(extra)}; import them inside the commands"


def test_the_catalog_s_text_needs_no_models():
    extra = {"numpy", "pandas", "pydantic"} & loaded_by("from clonesim.console import catalog; catalog.presets()")
    assert not extra


def test_core_imports_no_matplotlib():
    extra = {"matplotlib", "IPython"} & loaded_by("import clonesim; clonesim.run_trace, clonesim.Volume")
    assert not extra


def modules():
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imported(path):
    """Dotted names that a module imports from clonesim, wherever in it, with the line."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # relative
                base = ".".join([*parts[: len(parts) - node.level], *([base] if base else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name.split(".")[0] == "clonesim")


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_only_point_down(path):
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert part in LEVEL, f"{part} has no layer: add it to LAYERS"
    for name, line in imported(path):
        target = name.split(".")[1]
        if target == "__version__":
            continue
        assert target in LEVEL, f"{path}:{line} imports {name}, which has no layer"
        assert LEVEL[target] <= LEVEL[part], f"{path}:{line}: {part} imports {name} from above"


def test_the_walk_sees_imports_inside_functions():
    file = ROOT / "clonesim" / "cli" / "runs.py"
    assert any(name.startswith("clonesim.pool") for name, _ in imported(file))
