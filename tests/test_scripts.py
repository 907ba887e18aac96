"""`script/server` and `script/test` before Python of ours runs: what they install when, and what they say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.streaming import wait_until

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sh", "dirname", "sed", "cmp", "cp", "cat", "sleep")

# Stands in for the interpreter: writes down how it was called, and does as pip what PIP_DOES says.
PYTHON = """#!/bin/sh
echo "$*" >>calls
case "$*" in *"pip "*) ${PIP_DOES:-true} ;; esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone on a machine that has a few programs, and no Python yet."""
    clone = tmp_path / "a clone"
    shutil.copytree(ROOT / "script", clone / "script")
    (clone / "tests").mkdir()
    for name in ("requirements.txt", "tests/requirements.txt"):
        (clone / name).write_text(f"# {name}\n")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return clone


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def with_venv(clone: Path) -> None:
    program(clone / ".venv/bin/python", PYTHON)
    (clone / ".venv/complete").touch()


def calls(clone: Path) -> list[str]:
    file = clone / "calls"
    return [line for line in file.read_text().splitlines() if line.startswith("-m")] if file.exists() else []


def run(clone: Path, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clone / "script" / script), *arguments],
        cwd="/",
        env={"PATH": str(clone.parent / "bin"), **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_without_a_python_it_says_which_is_needed(clone: Path) -> None:
    done = run(clone, "server")
    assert done.returncode == 2
    assert done.stderr == "Python 3.11 or newer is needed and was not found: install it, or set PYTHON to its path.\n"


def test_an_old_python_is_passed_over(clone: Path) -> None:
    program(clone.parent / "bin/python3", "#!/bin/sh\nexit 1\n")
    assert run(clone, "server").stderr.startswith("Python 3.11 or newer is needed")


def test_a_python_without_venv_is_told_with_the_package_that_is_missing(clone: Path) -> None:
    program(clone.parent / "bin/python3", '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n')
    done = run(clone, "server")
    assert done.returncode == 2
    assert done.stderr == "Python's venv module is missing: install it (Debian and Ubuntu: apt install python3-venv).\n"


def test_a_first_start_makes_the_venv_installs_with_hashes_and_runs(clone: Path) -> None:
    make = f'#!/bin/sh\n[ "$2" = venv ] && mkdir -p "$4/bin" && cp {clone.parent}/interpreter "$4/bin/python"\nexit 0\n'
    program(clone.parent / "interpreter", PYTHON)
    program(clone.parent / "bin/python3", make)
    (clone.parent / "bin/mkdir").symlink_to(shutil.which("mkdir") or "mkdir")
    assert run(clone, "server").returncode == 0
    install, start = calls(clone)
    assert install.startswith("-m pip ")
    assert install.endswith("--no-deps --require-hashes -r requirements.txt")
    assert start == "-m anosim_dashboard.supervisor"


def test_a_second_start_installs_nothing_until_a_byte_of_the_requirements_changes(clone: Path) -> None:
    with_venv(clone)
    for _ in range(3):
        assert run(clone, "server").returncode == 0
    assert sum("pip" in call for call in calls(clone)) == 1
    (clone / "requirements.txt").write_text("# changed\n")
    assert run(clone, "server").returncode == 0
    assert sum("pip" in call for call in calls(clone)) == 2


def test_what_could_not_be_installed_is_tried_again_and_nothing_is_started(clone: Path) -> None:
    with_venv(clone)
    for times in (1, 2):
        done = run(clone, "server", PIP_DOES="false")
        assert done.returncode == 2
        assert "is the package index reachable?" in done.stderr
        assert len(calls(clone)) == times
    assert not any("supervisor" in call for call in calls(clone))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_it_installs_ends_the_installer_too(clone: Path, number: signal.Signals) -> None:
    with_venv(clone)
    program(clone / ".venv/bin/python", PYTHON.replace("true}", "exec sleep 600}"))
    with subprocess.Popen(
        [str(clone / "script/server")], env={"PATH": str(clone.parent / "bin")}, start_new_session=True
    ) as process:
        wait_until(lambda: any("pip" in call for call in calls(clone)), 10)
        process.send_signal(number)
        assert process.wait(10) == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_server_takes_no_arguments_and_says_what_it_does(clone: Path) -> None:
    asked = run(clone, "server", "--help")
    assert (asked.returncode, asked.stdout.splitlines()[0]) == (
        0,
        "Runs the whole dashboard in the foreground: web, worker, beat and a Redis-compatible server of its own.",
    )
    assert run(clone, "server", "--port", "1").returncode == 2


def test_the_browser_tests_are_left_out_with_a_word_where_there_is_no_chromium(clone: Path) -> None:
    with_venv(clone)
    done = run(clone, "test", "-q")
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].startswith("No Chromium was found: the browser tests are left out.")
    assert calls(clone)[-1] == "-m pytest -m not browser -q"
    assert [call.split()[-1] for call in calls(clone)[:2]] == ["requirements.txt", "tests/requirements.txt"]


def test_in_ci_a_missing_chromium_is_an_error_and_with_one_nothing_is_left_out(clone: Path) -> None:
    with_venv(clone)
    done = run(clone, "test", CI="true")
    assert done.returncode == 1
    assert "in CI the browser tests must run" in done.stderr
    program(clone.parent / "bin/chromium", "#!/bin/sh\n")
    assert run(clone, "test", "-q", CI="true").returncode == 0
    assert calls(clone)[-1] == "-m pytest -q"
