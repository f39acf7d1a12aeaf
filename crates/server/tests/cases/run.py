"""Runs the cases, a few at once, each with an installation of its own: `python3 run.py [word…]`."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
PATIENCE_SECONDS = 150


def run(case):
    began = time.monotonic()
    try:
        done = subprocess.run([sys.executable, case], cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PATIENCE_SECONDS)
        status, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        said = said.decode(errors="replace") if isinstance(said, bytes) else said
        status, said = 1, f"{said}\nWRONG not done within {PATIENCE_SECONDS} s"
    word = {0: "ok", 77: "SKIP"}.get(status, "FAILED")
    print(f"{word} {case.stem} ({time.monotonic() - began:.1f} s)", flush=True)
    if word == "FAILED":
        print("".join(f"    {line}\n" for line in said.splitlines()), end="", flush=True)
    return word


def main():
    os.environ.setdefault("TENON", "tenon")
    others = {"run.py", "support.py"}
    cases = sorted(case for case in HERE.glob("*.py") if case.name not in others)
    words = sys.argv[1:]
    cases = [case for case in cases if not words or any(word in case.stem for word in words)]
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("CASES_AT_ONCE", "2"))) as pool:
        outcomes = list(pool.map(run, cases))
    passed, failed = outcomes.count("ok"), outcomes.count("FAILED")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not cases else 0)


main()
