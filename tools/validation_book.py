"""Run the checks of the validation book and write docs/validation.json and docs/validation.md.

python tools/validation_book.py                 all of them, some minutes
python tools/validation_book.py NAME ...        these
python tools/validation_book.py --cheap         those of a second or so
python tools/validation_book.py --list          names and claims
python tools/validation_book.py --page          only the page, from the results that are stored
python tools/validation_book.py --check NAME .. write nothing; fail where a repetition is off by more than its tolerance
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from validation_checks.chapters import ENTRIES
from validation_checks.entry import Entry
from validation_checks.page import TARGET, page
from validation_checks.results import Results, repeated, run


def main(argv: list[str]) -> int:
    """Run, check, list or write; 1 where a figure is out of its bounds, 2 for a name that no check has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--cheap", action="store_true", help="only checks of a second or so")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what stands there")
    parser.add_argument("--list", action="store_true", help="names and claims")
    parser.add_argument("--page", action="store_true", help="write the page from stored results")
    parser.add_argument("--seed", type=int, help="for checks that draw a fresh one")
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.names if name not in ENTRIES]
    if unknown:
        print(f"{unknown[0]}: no such check. Names: {', '.join(ENTRIES)}.", file=sys.stderr)
        return 2
    chosen = [ENTRIES[name] for name in asked.names] or [e for e in ENTRIES.values() if e.cheap or not asked.cheap]
    if asked.list:
        for entry in chosen:
            print(f"{entry.name:22} {entry.claim}")
        return 0
    results = Results.read()
    if asked.page:
        return _write(results)
    return _check(chosen, results, asked.seed) if asked.check else _run(chosen, asked.seed)


def _run(chosen: list[Entry], seed: int | None) -> int:
    wrong = 0
    for entry in chosen:
        result = run(entry, seed, say=_say)
        results = Results.read()  # another run may have written meanwhile
        results.take(entry, result)
        results.write(list(ENTRIES))
        if result.absent:
            _say(f"{entry.name}: not run: {result.absent}")
            continue
        wrong += not result.holds
        _say(f"{entry.name}: {'holds' if result.holds else 'DOES NOT HOLD'}, {result.seconds:.1f} s")
        for one in result.figures:
            _say(f"    {one.what}: {one.text}{f' (bound: {one.bound})' if one.judged else ''}")
    _write(Results.read())
    return int(wrong > 0)


def _check(chosen: list[Entry], results: Results, seed: int | None) -> int:
    wrong = []
    for entry in chosen:
        if entry.name not in results.entries:
            wrong.append(f"{entry.name}: never run: python tools/validation_book.py {entry.name}")
            continue
        found = run(entry, seed, say=_say)
        if found.absent:
            _say(f"{entry.name}: not run: {found.absent}")
        wrong += repeated(entry, found, results.entries[entry.name])
    for line in wrong:
        _say(line)
    return int(bool(wrong))


def _write(results: Results) -> int:
    TARGET.write_text(page(results), encoding="utf-8")
    _say(f"wrote docs/{TARGET.name}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no mount is left behind
    raise SystemExit(main(sys.argv[1:]))
