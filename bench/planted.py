"""Near-duplicates that are planted on purpose: typing errors, case, spaces and punctuation, sentences in another order.

(texts, seed → copies)
"""

import random
import string
from collections.abc import Callable

KINDS = ("typing errors", "case", "punctuation", "order")


def typing_errors(text: str, chance: random.Random) -> str:
    """One error for each 40 characters, at least one: a letter doubled, left out, changed, or two swapped."""
    letters = list(text)
    for _ in range(max(1, len(text) // 40)):
        places = [i for i in range(len(letters) - 1) if letters[i].isalpha() and letters[i + 1].isalpha()]
        if not places:
            break
        at, kind = chance.choice(places), chance.randrange(4)
        if kind == 0:
            letters[at : at + 2] = [letters[at + 1], letters[at]]
        elif kind == 1:
            letters[at : at + 1] = []
        elif kind == 2:
            letters[at : at + 1] = [letters[at], letters[at]]
        else:
            letters[at] = chance.choice(string.ascii_lowercase)
    return "".join(letters)


def case(text: str, chance: random.Random) -> str:
    """All small, all capitals, or each word with a capital."""
    return chance.choice((str.lower, str.upper, str.title))(text)


def punctuation(text: str, chance: random.Random) -> str:
    """Without its marks, and with another one at the end."""
    bare = "".join(c for c in text if c not in ",;:.!?\"'")
    return bare + chance.choice(("", "!", " .", "..."))


def order(text: str, chance: random.Random) -> str:
    """Its sentences in another order; a text of one sentence stays as it is."""
    sentences = [part.strip() for part in text.split(". ") if part.strip()]
    if len(sentences) < 2:
        return text
    turned = sentences[1:] + sentences[:1] if len(sentences) > 2 else sentences[::-1]
    return ". ".join(part.rstrip(".") for part in turned) + "."


MAKERS: dict[str, Callable[[str, random.Random], str]] = {
    "typing errors": typing_errors,
    "case": case,
    "punctuation": punctuation,
    "order": order,
}
