"""`python -m tests.compose`: the containers for real, from .env.example to signed-in page with SMS moving, and on.

Builds the image from the working tree and brings docker-compose.yml up under a name, with volumes and on ports of the
run's own, by docker where its engine answers, else by podman; all of it is gone afterwards. Each part is told with its
seconds. Ends with 1 if anything is not as it has to be, with 2 where no containers can be run.
"""

from __future__ import annotations

import argparse
import os
import sys

from bench.figures import Report, main

from . import engine, killing, living, making, sheltering, upgrading, walking
from .course import Course, at_provider, provider, use_django
from .project import Project

QUESTION = "Containers: up, SMS, three workers, kill -9 of each, backup, upgrade and back, end to end, TLS"
LIFE = ("up", "scale", "kill", "backup")
PARTS = (*LIFE, "upgrade", "browser", "tls")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--image", default="", metavar="NAME", help="use this one instead of building it")
    parser.add_argument("--only", action="append", default=[], metavar="TEST", help="of tests/browser, for `browser`")


def measure(report: Report, options: argparse.Namespace) -> None:
    if unknown := set(options.parts) - set(PARTS):
        print(f"There is no part {sorted(unknown)[0]!r}.", file=sys.stderr)
        sys.exit(2)
    try:
        found = engine.find()
    except engine.NoEngine as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    report.remark(f"by {' '.join(found.compose)}")
    course = Course(found, options.image or f"localhost/anosim-dashboard-run:{os.getpid()}", report)
    try:
        making.make(course, build=not options.image)
        if set(LIFE) & set(options.parts):
            live(course, options.parts)
        if "upgrade" in options.parts:
            upgrading.upgrade(course)
        if "browser" in options.parts:
            walking.walk(course, options.only)
        if "tls" in options.parts:
            sheltering.shelter(course)
    finally:
        course.remove_images()


def live(course: Course, parts: list[str]) -> None:
    """Parts b, c, d and f, in one project. What is not up is not looked at further."""
    with provider() as sandbox:
        variables = at_provider(sandbox) | killing.VARIABLES
        with Project(course.engine, course.image, variables) as project:
            living.come_up(course, project)
            living.see_sms(course, project, sandbox)
            use_django(project)
            acts = {"scale": living.scale, "kill": killing.kill_each, "backup": living.back_up}
            for name in (name for name in acts if name in parts):
                acts[name](course, project, sandbox)


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
