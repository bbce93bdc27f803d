"""Which kind of guest activity a file of a Windows guest belongs to, told from its name.

The sources are those of clonesim's catalog (topic "activity"). Names say what a file is for, not who wrote it, so this
is a way to sort measured bytes, not a measurement of the sources themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

METADATA: Final = "file-system metadata"
OTHER: Final = "other"

# The first pattern that is found in a path in lower case, backslashes made slashes, decides.
_PATTERNS: Final = (
    (
        METADATA,
        r"/\$(mft|mftmirr|logfile|bitmap|extend|secure|boot|badclus|upcase|volume|attrdef)\b|^\$mft|/\$directory",
    ),
    ("page-file", r"/(pagefile|swapfile)\.sys$"),
    ("hibernation-file", r"/hiberfil\.sys$"),
    ("shadow-copies", r"/system volume information/.*\{[0-9a-f-]{36}\}"),
    ("system-restore", r"/system volume information/"),
    ("registry-backup", r"/config/regback/"),
    ("registry-hives", r"/windows/system32/config/|/serviceprofiles/[^/]+/ntuser\.dat"),
    ("user-hive", r"/(ntuser|usrclass)\.dat"),
    ("event-logs", r"/winevt/logs/|\.evtx$"),
    ("diagnostics", r"/logfiles/wmi/|/wdi/|\.etl$|/programdata/microsoft/diagnosis/"),
    ("prefetch", r"/windows/prefetch/.*\.pf$"),
    ("superfetch", r"/windows/prefetch/"),
    ("search-index-log", r"/search/data/applications/windows/.*\.(log|jrs|chk|jcp)$"),
    ("search-index", r"/search/data/"),
    ("antivirus-definitions", r"/windows defender/definition updates/|/defender/.*\.vdm$"),
    ("antivirus-scan", r"/windows defender/"),
    ("patch-download", r"/softwaredistribution/download/|/windows/ccmcache/"),
    ("update-store", r"/softwaredistribution/"),
    ("feature-update", r"/\$windows\.~(bt|ws)/"),
    ("patch-installation", r"/windows/(winsxs|servicing|installer)/"),
    ("service-logs", r"/windows/logs/|/windows/system32/logfiles/"),
    ("print-spool", r"/spool/printers/"),
    ("state-databases", r"/system32/(sru|wbem|catroot2)/|/connecteddevicesplatform/|/notifications/wpndatabase"),
    (
        "browser-database",
        r"/(chrome|edge|firefox|chromium|brave-browser)/.*(history|cookies|places\.sqlite|favicons|web data)",
    ),
    (
        "browser-cache",
        r"/(chrome|edge|chromium|brave-browser)/user data/.*(cache|code cache|gpucache|service worker)"
        r"|/firefox/profiles/.*/cache2?/|/inetcache/|/temporary internet files/|/webcache/",
    ),
    ("web-app-cache", r"/(teams|slack|discord|code|msteams[^/]*)/.*(cache|service worker)"),
    ("web-app-database", r"/(teams|slack|discord|code|msteams[^/]*)/.*(indexeddb|leveldb|local storage|\.db)"),
    ("mail-cache", r"\.(ost|pst|nst)$"),
    ("office-temp", r"/~(\$|wr[dlsf])[^/]*$|/unsavedfiles/|/content\.mso/"),
    ("file-sync", r"/onedrive[^/]*/"),
    ("temp-files", r"/temp/|/tmp/|\.tmp$"),
    ("office-save", r"\.(docx?|xlsx?|pptx?|xlsb|docm|xlsm|pptm|vsdx?)$"),
    ("documents", r"/users/[^/]+/(documents|desktop|downloads|pictures|videos|music)/"),
)
_ALL: Final = [(source, re.compile(pattern)) for source, pattern in _PATTERNS]
SOURCES: Final = tuple(source for source, _ in _PATTERNS)


def source_names(files: Sequence[str]) -> list[str]:
    """Source of each file; "other" where its name tells nothing."""
    return [_source(file) for file in files]


def is_metadata(file: str) -> bool:
    """Whether a path is one of the volume's own files."""
    return "\\$" in file and _source(file) == METADATA


def _source(file: str) -> str:
    path = file.lower().replace("\\", "/")
    for source, pattern in _ALL:
        if pattern.search(path):
            return source
    return OTHER
