"""The English stemmer of the campaign's BLEU: Porter's second stemmer ("Porter2"), as NLTK runs it.

Written from the published algorithm (https://snowballstem.org/algorithms/english/stemmer.html, as it was in 2017), with the
places where NLTK departs from it, since scores depend on them. The package ``snowballstemmer`` would be a dependency for one
function and can't be relied on for it: its version 3 follows a newer algorithm, which leaves "internal" and "lateral" whole.

Two regions of a word limit what is removed: R1 is what follows the first consonant behind a vowel, R2 the same within R1. Both
are ends of the word, so their lengths say all.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_VOWELS = frozenset("aeiouy")  # a "y" that acts as a consonant is written "Y" on the way
_APOSTROPHES = str.maketrans(dict.fromkeys("\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}\u201b", "'"))
_DOUBLES = ("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt")
_BEFORE_LI = frozenset("cdeghkmnrt")
_PREFIXES = {"gener": 5, "commun": 6, "arsen": 5}  # where R1 starts behind these

_KEPT = "sky news howe atlas cosmos bias andes proceed exceed succeed".split()
_KEPT_WITHOUT_S = "inning outing canning herring earring".split()
_IRREGULAR = {
    **dict(zip("skis skies dying lying tying".split(), "ski sky die lie tie".split(), strict=True)),
    **{word: word[:-1] for word in ("idly", "gently", "singly")},
    **{word: word[:-1] + "i" for word in ("ugly", "early", "only")},
    **{word: word for word in (*_KEPT, *_KEPT_WITHOUT_S)},
    **{word + "s": word for word in _KEPT_WITHOUT_S},
    **{word + ending: word for word in ("proceed", "exceed", "succeed") for ending in ("s", "ed", "ing")},
}


def _rules(text: str) -> dict[str, tuple[int, str]]:
    """Read rules ``suffix:letters that go:what comes instead``, to be tried in this order, which is longest first."""
    rules = (rule.split(":") for rule in text.split())
    return {suffix: (int(count), ending) for suffix, count, ending in rules}


_STEP_2 = _rules(
    "ization:7:ize ational:7:ate fulness:4: ousness:7:ous iveness:7:ive tional:2: biliti:6:ble lessli:2: entli:2: ation:5:ate "
    "alism:5:al aliti:5:al ousli:5:ous iviti:5:ive fulli:2: enci:1:e anci:1:e abli:1:e izer:4:ize ator:4:ate alli:4:al "
    "bli:3:ble ogi:1: li:2:"
)
_STEP_3 = _rules("ational:7:ate tional:2: alize:3: icate:5:ic iciti:5:ic ative:5: ical:4:ic ness:4: ful:3:")
_STEP_4 = "ement ance ence able ible ment ant ent ism ate iti ous ive ize ion al er ic".split()

_State = tuple[str, int, int]  # the word, and the lengths of R1 and R2


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the stem of a word in lower case; words of at most two letters stay as they are.

    >>> [stem(word) for word in ("abnormality", "hemorrhages", "lateral", "dying", "skis")]
    ['abnorm', 'hemorrhag', 'later', 'die', 'ski']
    """
    if len(word) <= 2:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    word = _mark_consonants(word.translate(_APOSTROPHES).removeprefix("'"))
    state: _State = (word, *_regions(word))
    for step in (_step_0, _step_1a, _step_1b, _step_1c, _step_2, _step_3, _step_4):
        state = step(state)
    return _step_5(state).replace("Y", "y")


def _mark_consonants(word: str) -> str:
    """Write "Y" for each "y" at the start and behind a vowel."""
    letters = list(word)
    for index, letter in enumerate(letters):
        if letter == "y" and (index == 0 or letters[index - 1] in _VOWELS):
            letters[index] = "Y"
    return "".join(letters)


def _regions(word: str) -> tuple[int, int]:
    """Return the lengths of R1 and R2."""
    start = next((length for prefix, length in _PREFIXES.items() if word.startswith(prefix)), None)
    first = len(word) - start if start is not None else _after_syllable(word)
    return first, _after_syllable(word[len(word) - first :])


def _after_syllable(text: str) -> int:
    """Return how many letters follow the first consonant that is behind a vowel; 0 if there is none."""
    for index in range(1, len(text)):
        if text[index] not in _VOWELS and text[index - 1] in _VOWELS:
            return len(text) - index - 1
    return 0


def _replace(state: _State, count: int, ending: str = "") -> _State:
    """Replace the last ``count`` letters; a region that was shorter than these is empty then."""
    word, *regions = state
    first, second = (length - count + len(ending) if length >= count else 0 for length in regions)
    return word[: len(word) - count] + ending, first, second


def _suffix(word: str, suffixes: Iterable[str]) -> str:
    """Return the first of the suffixes that the word ends with, or an empty string."""
    return next((suffix for suffix in suffixes if word.endswith(suffix)), "")


def _has_vowel(text: str) -> bool:
    return not _VOWELS.isdisjoint(text)


def _step_0(state: _State) -> _State:
    return _replace(state, len(_suffix(state[0], ("'s'", "'s", "'"))))


def _step_1a(state: _State) -> _State:
    """Remove the plural."""
    word = state[0]
    suffix = _suffix(word, ("sses", "ied", "ies", "us", "ss", "s"))
    if suffix == "sses":
        return _replace(state, 2)
    if suffix in {"ied", "ies"}:
        return _replace(state, 2 if len(word) > 4 else 1)
    if suffix == "s" and _has_vowel(word[:-2]):
        return _replace(state, 1)
    return state


def _step_1b(state: _State) -> _State:
    """Remove -ed and -ing, and mend what is left."""
    word, first, _ = state
    suffix = _suffix(word, ("eedly", "ingly", "edly", "eed", "ing", "ed"))
    if suffix in {"eed", "eedly"}:
        return _replace(state, len(suffix), "ee") if first >= len(suffix) else state
    if not suffix or not _has_vowel(word[: -len(suffix)]):
        return state
    word, first, second = state = _replace(state, len(suffix))
    if word.endswith(("at", "bl", "iz")):
        # Here NLTK departs: the new letter belongs to R1 in any case, and to R2 if the word is long.
        return word + "e", first + 1, second + (len(word) > 4 or first >= 2)
    if word.endswith(_DOUBLES):
        return _replace(state, 1)
    if first == 0 and _ends_short(word):
        return word + "e", first, second
    return state


def _ends_short(word: str) -> bool:
    """Whether the word ends with a short syllable: consonant, vowel, consonant; at the word's start vowel, consonant."""
    if len(word) == 2:
        return word[0] in _VOWELS and word[1] not in _VOWELS
    return len(word) > 2 and _closes_short(word[-3:])


def _closes_short(text: str) -> bool:
    """Whether three letters are a consonant, a vowel, and a consonant other than w, x and Y."""
    before, vowel, after = tuple(text)
    return before not in _VOWELS and vowel in _VOWELS and after not in _VOWELS and after not in "wxY"


def _step_1c(state: _State) -> _State:
    """Turn a final y behind a consonant into i."""
    word = state[0]
    return _replace(state, 1, "i") if len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWELS else state


def _step_2(state: _State) -> _State:
    word, first, second = state
    suffix = _suffix(word, _STEP_2)
    if not suffix or first < len(suffix):
        return state
    if (suffix == "ogi" and word[-4] != "l") or (suffix == "li" and word[-3] not in _BEFORE_LI):
        return state
    count, ending = _STEP_2[suffix]
    changed = _replace(state, count, ending)
    if ending in {"ate", "ive"} and second < count:
        return changed[0], changed[1], 1  # NLTK: the e of the new ending is in R2 even if the old one was not
    return changed


def _step_3(state: _State) -> _State:
    word, first, second = state
    suffix = _suffix(word, _STEP_3)
    if not suffix or first < len(suffix) or (suffix == "ative" and second < len(suffix)):
        return state
    return _replace(state, *_STEP_3[suffix])


def _step_4(state: _State) -> _State:
    word, _, second = state
    suffix = _suffix(word, _STEP_4)
    if second < len(suffix) or (suffix == "ion" and word[-4] not in "st"):
        return state
    return _replace(state, len(suffix))


def _step_5(state: _State) -> str:
    """Remove a final e, or one l of two."""
    word, first, second = state
    if second and word.endswith("ll"):
        return word[:-1]
    if not first or not word.endswith("e"):
        return word
    if second or (len(word) >= 4 and (not _closes_short(word[-4:-1]))):
        return word[:-1]
    return word
