"""Suites of our own for clients that ship no tests: a driver with scenarios, each one a test and a process."""

from concurrent.futures import ThreadPoolExecutor

from harness.process import ProcessFailed, run
from harness.suite import FAILED, PASSED, Bench


def run_scenarios(bench: Bench, argv: list, at_once: int = 2, seconds: float = 120, **more) -> dict[str, str]:
    """`argv --list` names them, `argv NAME BOOTSTRAP` plays one; it has passed if that ends with 0."""
    bootstrap = bench.bootstrap
    names = run([*argv, "--list"], 60, **more).out.split()
    if bench.selected is not None:
        names = [name for name in names if name in bench.selected]

    def one(name: str) -> str:
        try:
            result = run([*argv, name, bootstrap], seconds, check=False, **more)
            code, text = result.code, result.out + result.err
        except ProcessFailed as problem:
            code, text = 1, str(problem)
        (bench.folder / f"{name}.txt").write_text(text)
        return FAILED if code else PASSED

    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(names, pool.map(one, names)))
