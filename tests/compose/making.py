"""The image: how large it is, who runs in it, and what it lacks on purpose."""

from __future__ import annotations

import json
import re

from .course import Course
from .project import ROOT

MOST_MB = 200  # over the base image, which other projects share
TOOLS = ("gcc", "cc", "g++", "make", "ld", "pip", "pip3", "git", "curl", "wget")
INSIDE = f"""
import importlib.util, json, os, shutil
found = {{name: shutil.which(name) for name in {TOOLS!r}}}
found["pip as module"] = importlib.util.find_spec("pip")
found["sources of tests"] = os.path.exists("/app/tests") or None
print(json.dumps({{"uid": os.getuid(), "found": [name for name, where in found.items() if where]}}))
"""


def make(course: Course, *, build: bool = True) -> None:
    """Build it, and look into it."""
    with course.part("a. image"):
        if build:
            course.report.add("build", course.build(course.image, ROOT), "s")
        base = re.findall(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
        size, shared = (
            int(course.engine.run("image", "inspect", "-f", "{{.Size}}", image)) for image in (course.image, base)
        )
        course.report.add("image", size / 1e6, "MB")
        course.report.add("image over its base", (size - shared) / 1e6, "MB", MOST_MB)
        said = json.loads(course.engine.run("run", "--rm", "-i", course.image, "python", "-", given=INSIDE))
        course.hold("runs as nobody special", *([] if said["uid"] else ["as root"]))
        course.hold("nothing to build or fetch with", *said["found"])
