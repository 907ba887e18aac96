"""Imports run one way (design.md 3): read from the sources, not from what happens to be loaded."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dashboard"


def imported_by(path: Path) -> set[str]:
    """Absolute dotted names of all that a module imports, anywhere in it."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                kept = parts[: len(parts) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def modules(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


def breaks(paths: list[Path], *forbidden: str) -> list[str]:
    """ "module imports name" for each import below a forbidden name."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in sorted(imported_by(path))
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    ]


def everything_but(*folders: str) -> list[Path]:
    kept = [path for path in PACKAGE.rglob("*.py") if not any((PACKAGE / folder) in path.parents for folder in folders)]
    return sorted(kept)


def test_the_api_package_knows_neither_django_nor_us() -> None:
    ours = [path for path in modules("anosim") if breaks([path], "dashboard")]
    assert breaks(modules("anosim"), "django", "anosim_dashboard") == []
    for path in ours:
        names = [name for name in imported_by(path) if name.startswith("dashboard")]
        assert all(name.startswith("dashboard.anosim") for name in names), path


def test_only_the_api_package_imports_requests() -> None:
    paths = [*everything_but("anosim"), *sorted((ROOT / "anosim_dashboard").rglob("*.py"))]
    assert breaks(paths, "requests", "urllib3", "httpx") == []


def test_the_sandbox_imports_nothing_of_ours_and_no_library() -> None:
    import sys

    for path in modules("sandbox"):
        for name in imported_by(path):
            top = name.split(".")[0]
            assert top in sys.stdlib_module_names or name.startswith("dashboard.sandbox"), f"{path}: {name}"


@pytest.mark.parametrize("folder", ["views", "admin", "live", "models", "templatetags"])
def test_what_the_browser_asks_never_imports_the_api(folder: str) -> None:
    assert breaks(modules(folder), "dashboard.anosim") == []


def test_models_import_only_models_and_what_has_none() -> None:
    forbidden = [f"dashboard.{name}" for name in ("sync", "views", "tasks", "live", "anosim", "sandbox", "admin")]
    assert breaks(modules("models"), *forbidden) == []


def test_nothing_imports_the_views_but_the_urls_and_the_admin_pages() -> None:
    paths = [path for path in everything_but("views", "admin") if path.name not in ("urls.py", "admin_site.py")]
    assert breaks(paths, "dashboard.views") == []


def test_saving_never_touches_the_network_and_reading_goes_through_runs() -> None:
    saves = sorted((PACKAGE / "sync").glob("save_*.py"))
    assert saves
    assert breaks(saves, "dashboard.anosim.Client", "dashboard.sync.clients", "dashboard.sync.budget") == []
