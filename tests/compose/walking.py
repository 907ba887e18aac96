"""The end-to-end part of the test-suite, tests/browser, against the containers; and the fixture that brings them up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from .course import Course
from .engine import find
from .project import ROOT, Project

IMAGE = "COMPOSE_IMAGE"  # the variable that puts tests/browser on containers of this image
MOST_SECONDS = 1800


def walk(course: Course, chosen: list[str]) -> None:
    """Run tests/browser: the same tests with the same asserts, none of them skipped."""
    with course.part("g. tests/browser"), tempfile.TemporaryDirectory(prefix="compose-") as folder:
        result = Path(folder, "result.xml")
        subprocess.run(
            [sys.executable, "-m", "pytest", *(chosen or ["tests/browser"]), "-q", f"--junit-xml={result}"],
            cwd=ROOT,
            env={**os.environ, IMAGE: course.image, "CI": "true"},
            timeout=MOST_SECONDS,
        )
        assert result.exists(), "the tests did not run to their end"
        suites = list(ElementTree.parse(result).getroot().iter("testsuite"))
        total, skipped = (sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "skipped"))
        failed = sum(int(suite.get(name, 0)) for suite in suites for name in ("failures", "errors"))
        course.report.add("passed", total - failed - skipped, "tests")
        course.report.add("failed", failed, "tests", 0)
        course.report.add("skipped", skipped, "tests", 0)
        assert total, "there were no tests"


def containers(variables: dict[str, str]) -> Project:
    """The project for tests/browser: `with containers(variables) as stack:`, then `stack.up()`."""
    return Project(find(), os.environ[IMAGE], variables)
