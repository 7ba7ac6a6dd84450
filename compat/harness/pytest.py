"""Python suites: a virtual environment of their own, the sdist unpacked, pytest's report as outcomes by test."""

import sys
import tarfile
import xml.etree.ElementTree as xml
from pathlib import Path

from harness.install import once
from harness.process import run
from harness.suite import FAILED, PASSED, SKIPPED, Bench, work


def install(name: str, packages: list[str], sdist: str | None = None) -> None:
    """A virtual environment with `packages` (`name==version`), and the tests of the sdist `name==version`."""
    folder = work(name)

    def fetch():
        pip = [folder / "venv" / "bin" / "python", "-m", "pip"]
        run([sys.executable, "-m", "venv", "--clear", folder / "venv"], 120)
        run([*pip, "install", "-q", "--disable-pip-version-check", *packages], 900)
        if sdist:
            run([*pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", folder / "sdist", sdist], 600)
            for file in (folder / "sdist").glob("*.tar.gz"):
                with tarfile.open(file) as packed:
                    packed.extractall(folder / "source", filter="data")

    once(f"suites/{name}/venv", [], " ".join([*packages, sdist or ""]), folder / "venv", fetch)


def python(name: str) -> Path:
    return work(name) / "venv" / "bin" / "python"


def source(name: str) -> Path:
    """The folder of the unpacked sdist."""
    return next(path for path in (work(name) / "source").iterdir() if path.is_dir())


def run_tests(bench: Bench, name: str, files: list[str], more: list[str], env: dict) -> dict[str, str]:
    """pytest over `files`, from the folder of the sdist; `file::Class::test` of each, without the folders."""
    report = bench.folder / "report.xml"
    wanted = bench.selected and [test for test in bench.selected if "::" in test]
    chosen = [choice(files, test) for test in wanted] if wanted else files
    bench.run([python(name), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junitxml={report}",
               "-o", "junit_family=xunit1", *more, *chosen],
              env={"PYTHONDONTWRITEBYTECODE": "1", **env}, cwd=source(name))
    return outcomes(report)


def choice(files: list[str], test: str) -> str:
    """The argument of pytest for a test's name, which has lost its folder."""
    file, _, rest = test.partition("::")
    return next(path for path in files if path.endswith(file)) + "::" + rest


def outcomes(report: Path) -> dict[str, str]:
    """From pytest's JUnit report. A test that passes and whose clean-up fails has failed."""
    found: dict[str, str] = {}
    for case in xml.parse(report).getroot().iter("testcase"):
        file = (case.get("file") or "").rsplit("/", 1)[-1]
        inner = case.get("classname", "").partition(file.removesuffix(".py"))[2].strip(".")
        name = "::".join(part for part in (file, inner, case.get("name")) if part)
        kinds = {child.tag for child in case}
        result = FAILED if kinds & {"failure", "error"} else SKIPPED if "skipped" in kinds else PASSED
        found[name] = FAILED if FAILED in (result, found.get(name)) else result
    return found
