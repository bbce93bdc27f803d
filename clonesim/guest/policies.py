"""The allocation policies by name: what each claims, and where the claim comes from."""

from __future__ import annotations

from dataclasses import dataclass

from clonesim.guest import policy_kernel as kernel


@dataclass(frozen=True, slots=True)
class Policy:
    """How a driver picks free clusters."""

    name: str
    code: int
    rule: str
    source: str


POLICIES = {
    policy.name: policy
    for policy in (
        Policy(
            "fresh-first",
            int(kernel.FRESH_FIRST),
            "Never-written free clusters before freed ones, each first fit; the never-written ones of the MFT zone "
            "last.",
            "The field's folklore (vinternals.blogspot.com, December 2008). Not supported by published experiments: an "
            "upper bound.",
        ),
        Policy(
            "best-fit",
            int(kernel.BEST_FIT),
            "The shortest free run that holds the request; when none does, the longest, again and again.",
            "What Windows 7 and 10 mostly did in Karresand, Axelsson, Dyrkolbotn, MONET 25(1), 2020.",
        ),
        Policy(
            "first-fit",
            int(kernel.FIRST_FIT),
            "The lowest free run that holds the request; when none does, the lowest.",
            "Textbook alternative.",
        ),
        Policy(
            "next-fit",
            int(kernel.NEXT_FIT),
            "The first free run behind the previous allocation that holds the request, around the volume.",
            "Textbook alternative; the roving position of many drivers.",
        ),
        Policy(
            "worst-fit",
            int(kernel.WORST_FIT),
            "Behind the previous allocation where that is free, else the longest free run.",
            "The Linux ntfs3 driver (fs/ntfs3/bitmap.c, fsntfs.c), read in source code.",
        ),
        Policy(
            "windows",
            int(kernel.WINDOWS),
            "Appends go on behind the file's last cluster; else best fit over the cached runs, largest first when "
            "nothing fits; streams ask for growing units.",
            "MS-FSCC 2.3.12.2.5 (hint and cache); Karresand 2020 (best fit, decreasing and increasing fragments); unit "
            "sizes and the cache's size are assumed.",
        ),
        Policy(
            "ntfs3g",
            int(kernel.NTFS3G),
            "The longest free run in a 128 MiB window of $Bitmap at a roving position that skips 16 MiB after use; "
            "exhausted zones are skipped. With mkntfs's layout and the driver's own metadata rules.",
            "ntfs-3g 2022.10.3, checked step by step against the real driver (docs/ntfs-model.md).",
        ),
    )
}
