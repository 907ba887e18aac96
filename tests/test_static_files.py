"""What the browser gets as files: vendored as told, complete, and nothing inline that the policy stops."""

import hashlib
import re
from pathlib import Path

import pytest

from dashboard import wording

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MARKUP = {path: path.read_text(encoding="utf-8") for path in TEMPLATES}


def symbols(name: str) -> set[str]:
    return set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "dashboard" / name).read_text(encoding="utf-8")))


def test_vendored_files_are_the_ones_that_the_list_names() -> None:
    table = (STATIC / "vendor" / "VENDOR.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w.-]+\.js)` .*`([0-9a-f]{64})` \|$", table, re.MULTILINE))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (STATIC / "vendor").glob("*.js")}
    assert found == listed
    for licence in re.findall(r"`(licences/[\w.-]+)`", table):
        assert (STATIC / "vendor" / licence).stat().st_size > 500


def test_no_file_asks_for_a_source_map_that_is_not_there() -> None:
    for path in STATIC.rglob("*.*s*"):
        assert b"sourceMappingURL" not in path.read_bytes() or path.suffix == ".md"


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    text = "\n".join(MARKUP.values())
    used = set(re.findall(r"(?:icons\.svg' %\}|\{\{ icons \}\})#([a-z0-9-]+)\"", text))
    used |= set(re.findall(r'\bicon="([a-z0-9-]+)"', text))
    for script in ("app.js", "telling.js"):
        used |= set(
            re.findall(
                r"'#(monitor|sun|moon|check|bell[a-z-]*)'", (STATIC / "dashboard" / script).read_text(encoding="utf-8")
            )
        )
    assert len(used) > 15
    assert used - symbols("icons.svg") == set()


def test_every_country_that_we_can_name_has_a_flag_and_the_unknown_one_too() -> None:
    assert set(wording._ISO.values()) | {wording.flag_code("Atlantis")} <= symbols("flags.svg")


def test_the_flags_of_all_countries_stay_one_small_file() -> None:
    assert (STATIC / "dashboard" / "flags.svg").stat().st_size < 40_000


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_inline_that_the_policy_would_stop(path: Path) -> None:
    text = MARKUP[path]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    # Filters of triggers ("click[ctrlKey]") and js: values are evaluated.
    assert not re.search(r"hx-(?:vals|headers)=['\"]js:|hx-trigger=['\"](?:[^'\"]*,\s*)?[\w:-]+\[", text)
