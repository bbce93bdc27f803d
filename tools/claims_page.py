"""Write the figures of docs/claims.md anew, and its list of verdicts.

python tools/claims_page.py            all claims: some minutes
python tools/claims_page.py C4 C13     these, and the list
python tools/claims_page.py --check C4 only say whether the page has what is computed
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from clonesim.planning.claims import NAMES, claim, claim_frame  # noqa: E402

PAGE = ROOT / "docs" / "claims.md"
SECTION = re.compile(r"^## (C\d+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
TABLE = "<!-- figures -->\n{rows}\n<!-- end of figures -->"
FIGURES = re.compile(r"<!-- figures -->\n(.*?)\n<!-- end of figures -->", re.DOTALL)
LIST = re.compile(r"(<!-- verdicts -->\n).*?(\n<!-- end of verdicts -->)", re.DOTALL)
VERDICT = re.compile(
    r"^\*\*Verdict: (holds if|holds|does not hold|cannot be told)\.?\*\* ?(.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Section:
    """One claim as the page tells it.

    Attributes
    ----------
    name : str
        Such as "C4".
    claim, rests_on, again : str
        Its paragraphs, in one line each; empty if there is none.
    word, verdict : str
        Which of the four verdicts, and what is said of it; empty if there is none.
    figures : dict of str to str
        Value by name, as they are told.
    """

    name: str
    claim: str
    rests_on: str
    again: str
    word: str
    verdict: str
    figures: dict[str, str]


def sections(text: str) -> dict[str, Section]:
    """Claims of the page, by name."""
    return {hit[1]: _section(hit[1], hit[2]) for hit in SECTION.finditer(text)}


def _section(name: str, body: str) -> Section:
    told = FIGURES.search(body)
    rows = [line.strip("| ").split(" | ") for line in (told[1].splitlines() if told else [])]
    figures = {row[0]: row[1] for row in rows[2:] if len(row) == 2}

    def paragraph(word: str) -> str:
        found = re.search(rf"^\*\*{word}\*\*:? ?(.*?)(?=\n\n|\Z)", body, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    found = VERDICT.search(body)
    verdict = (found[1], " ".join(found[2].split())) if found else ("", "")
    told_of = [paragraph(word) for word in ("Claim", "Rests on", "Again")]
    return Section(name, *told_of, *verdict, figures)


def with_figures(text: str, name: str, figures: dict[str, str]) -> str:
    """The page with one claim's figures in place of what stands there."""
    rows = "\n".join(["| figure | value |", "|---|---:|", *(f"| {key} | {value} |" for key, value in figures.items())])

    def filled(hit: re.Match[str]) -> str:
        if hit[1] != name:
            return hit[0]
        return FIGURES.sub(lambda _: TABLE.format(rows=rows), hit[0])

    return SECTION.sub(filled, text)


def with_verdicts(text: str) -> str:
    """The page with its list of verdicts made anew from the sections."""
    rows = ["| claim | | verdict |", "|---|---|---|"]
    for name, section in sections(text).items():
        rows.append(f"| [{name}](#{name.lower()}) | {claim(name).title} | {section.word} |")
    return LIST.sub(lambda hit: hit[1] + "\n".join(rows) + hit[2], text)


def computed(name: str) -> dict[str, str]:
    """Figures of a claim, as they are told."""
    frame = claim_frame([name])
    return dict(zip(frame["figure"], frame["text"], strict=True))


def main(argv: list[str]) -> int:
    """Write or check the page."""
    asked = [word for word in argv if not word.startswith("-")] or list(NAMES)
    found = {name: computed(name) for name in asked}
    text = PAGE.read_text(encoding="utf-8")
    wrong = [name for name in asked if found[name] != sections(text)[name].figures]
    for name in asked:
        text = with_figures(text, name, found[name])
    if "--check" in argv:
        for name in wrong:
            print(f"docs/claims.md: figures of {name} are others now: run python tools/claims_page.py {name}")
        return int(bool(wrong))
    PAGE.write_text(with_verdicts(text), encoding="utf-8")
    print(f"wrote docs/claims.md, {len(asked)} claims anew, {len(wrong)} of them changed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
