"""`python -m dashboard.sandbox`: the stand-in provider without Django."""

from __future__ import annotations

import argparse
import sys

from .program import add_arguments, serve

parser = argparse.ArgumentParser(prog="python -m dashboard.sandbox")
add_arguments(parser)
sys.exit(serve(parser.parse_args()))
