"""The command line: which cases, on which target; one line per case and a last line of totals."""

import argparse
import importlib
import pkgutil
import random
import shutil
import signal
import sys
import time

import cases
from harness import broker as brokers
from harness import install, process
from harness.case import CASES, Case, Context, Failed
from harness.paths import RUN

# Modules in the order in which they run: quick ones first, those that read what others left last.
ORDER = ["kcat", "java_clients", "console_tools", "confluent", "franz", "streams",
         "connect", "mirror", "group_bad_input", "group_storm", "textbook",
         "compaction_tester", "flights", "head_and_tail", "hostile", "flipped_bit", "kill9",
         "bank", "members", "dump_log_segments", "takeover"]


class CaseTimeout(BaseException):
    """Raised in the main thread when a case is over its limit. Not an Exception: no case eats it."""


class Shared:
    """The broker that plain cases share: started on first use, started anew if a case broke it."""

    def __init__(self, target: str):
        self.target, self.current, self.count = target, None, 0
        self.finished = []

    def get(self) -> brokers.Broker:
        if self.current is None:
            self.count += 1
            self.current = brokers.make(self.target, RUN / self.target / f"shared{self.count}", {})
            self.current.start()
        return self.current

    def broken(self) -> str | None:
        """Why the shared broker can no longer be used, if so. It is then dropped."""
        if self.current is None:
            return None
        why = None
        if not self.current.alive():
            why = f"the broker died: {self.current.last_words()}"
        elif "panicked at" in self.current.said():
            why = "the broker panicked: " + next(
                line for line in self.current.said().splitlines() if "panicked at" in line)[:300]
        if why:
            self.current.kill9()
            self.current = None
        return why

    def stop(self) -> None:
        if self.current is not None:
            current, self.current = self.current, None
            current.stop()
            self.finished.append(current.data)


def load_cases() -> None:
    found = {module.name for module in pkgutil.iter_modules(cases.__path__)}
    for name in [n for n in ORDER if n in found] + sorted(found - set(ORDER)):
        importlib.import_module(f"cases.{name}")


def run_case(case: Case, target: str, fast: bool, shared: Shared) -> tuple[str | None, Context]:
    """Run one case; why it failed, or None."""
    folder = RUN / target / case.name
    folder.mkdir(parents=True)
    context = Context(case, target, fast, folder, shared)

    def over_time(*_):
        raise CaseTimeout()

    signal.signal(signal.SIGALRM, over_time)
    signal.setitimer(signal.ITIMER_REAL, case.seconds)
    why = None
    try:
        case.run(context)
    except CaseTimeout:
        why = f"not done within {case.seconds:.0f} s"
    except Failed as problem:
        why = str(problem)
    except Exception as problem:
        why = f"{type(problem).__name__}: {problem}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        context.close()
        if context.leaves_sound_files:
            shared.finished += [broker.data for broker in context.own if broker.name == target]
    except Failed as problem:
        why = why or str(problem)
    return why or shared.broken(), context


def run_target(target: str, chosen: list[Case], fast: bool, prefix: str) -> tuple[int, int]:
    shared = Shared(target)
    passed = failed = 0
    for case in chosen:
        if target not in case.targets:
            continue
        begin = time.monotonic()
        why, context = run_case(case, target, fast, shared)
        details = "; ".join([f"{time.monotonic() - begin:.1f} s", *context.notes])
        if why is None:
            passed += 1
            print(f"ok {prefix}{case.name} ({details})", flush=True)
        else:
            failed += 1
            notes = f" ({'; '.join(context.notes)})" if context.notes else ""
            print(f"FAILED {prefix}{case.name}: {' '.join(why.split())}{notes}", flush=True)
    try:
        shared.stop()
    except Exception as problem:
        failed += 1
        print(f"FAILED {prefix}clean_stop: {problem}", flush=True)
    return passed, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="compat/run", description=__doc__)
    parser.add_argument("--target", choices=["lastword", "kafka", "both"], default="lastword")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="a case, or the beginning of the names of several")
    parser.add_argument("--fast", action="store_true", help="smaller inputs, fewer rounds, and no long cases but those of --only")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    arguments = parser.parse_args()
    load_cases()
    chosen = [case for case in CASES
              if any(case.name.startswith(only) for only in arguments.only)
              or not arguments.only and not (arguments.fast and case.is_long)]
    if arguments.list:
        print("\n".join(case.name for case in chosen))
        return 0
    if not chosen:
        parser.error("no case has such a name; see --list")
    targets = ["kafka", "lastword"] if arguments.target == "both" else [arguments.target]

    def interrupted(*_):
        process.kill_all()
        sys.exit(130)

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    install.everything()
    if "lastword" in targets:
        brokers.Lastword.binary = install.lastword_binary()
    random.seed()
    passed = failed = 0
    try:
        for target in targets:
            shutil.rmtree(RUN / target, ignore_errors=True)
            one, other = run_target(
                target, chosen, arguments.fast, f"{target}/" if len(targets) > 1 else "")
            passed, failed = passed + one, failed + other
    finally:
        process.kill_all()
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
