"""Signs that a text of a data set is odd: what readers and checks of captions, questions and answers look for alike."""

from __future__ import annotations

import re

from baselines.core.findings import Severity

# The rule of a finding, how grave it is, what the sign is, and what it looks like.
Sign = tuple[str, Severity, str, re.Pattern[str]]

# UTF-8 that was read as Latin-1 or Windows-1252, and as GBK, which makes Chinese characters of it.
_DECODED_WRONGLY = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac]|[\u4e00-\u9fff\ufffd]")

SIGNS: tuple[Sign, ...] = (
    ("ENCODING", Severity.WARNING, "signs of text that was decoded wrongly", _DECODED_WRONGLY),
    ("TEXT-CHAR", Severity.INFO, "no-break spaces", re.compile("\u00a0")),
    ("TEXT-CHAR", Severity.INFO, "curly quotes", re.compile("[\u2018-\u201f]")),
    ("TEXT-CHAR", Severity.INFO, "control characters", re.compile("[\x01-\x1f\x7f-\x9f\u2028\u2029]")),
    ("TEXT-CHAR", Severity.INFO, "double blanks", re.compile("  ")),
    ("TEXT-CHAR", Severity.INFO, "outer blanks", re.compile(r"^\s|\s$")),
)
