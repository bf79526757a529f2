"""An event pattern matcher, written from docs/routing.md and docs/compatibility.md.

usage: match_patterns.py SEED COUNT

Makes random pairs of a pattern and an event. Prints one JSON object a line: the text of both, and
whether they match. It works as AWS describes its own matcher: it multiplies out every `$or`, makes
a list of the event's scalars with the array elements around each, and searches for a choice without
two elements of one array. The router does none of that.
"""

import decimal
import ipaddress
import json
import random
import re
import sys


class Number(str):
    """A JSON number as it is written."""

    @property
    def value(self):
        return decimal.Decimal(self)


def read(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def write(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


# Values


def fold(text):
    """Simple case folding: a character becomes one character."""

    def one(c):
        for folded in (c.casefold(), c.lower()):
            if len(folded) == 1:
                return folded
        return c

    return "".join(map(one, text))


def is_text(value):
    return isinstance(value, str) and not isinstance(value, Number)


def same(a, b):
    if isinstance(a, Number) and isinstance(b, Number):
        return a.value == b.value
    return type(a) is type(b) and a == b


def address(text):
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def network(text):
    found = ipaddress.ip_network(text, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.ip_network(f"{mapped}/{found.prefixlen - 96}")
    return found


def in_network(text, wanted):
    found, wanted = address(text), network(wanted)
    return found is not None and found.version == wanted.version and found in wanted


def wildcard(pattern, text):
    parts = re.findall(r"\\[*\\]|\*|[^*\\]", pattern, re.DOTALL)
    expression = "".join(".*" if p == "*" else re.escape(p[-1]) for p in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def numeric(number, range_):
    tests = {
        "=": lambda a, b: a == b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    pairs = zip(range_[::2], range_[1::2])
    return all(tests[sign](number.value, limit.value) for sign, limit in pairs)


def affix(wanted, text, test):
    if isinstance(wanted, dict):
        return test(fold(text), fold(wanted["equals-ignore-case"]))
    return test(text, wanted)


def accepts(alternative, value):
    if not isinstance(alternative, dict):
        return same(alternative, value)
    ((name, wanted),) = alternative.items()
    if name == "exists":
        return wanted
    if name == "exactly":
        return same(wanted, value)
    if name == "numeric":
        return isinstance(value, Number) and numeric(value, wanted)
    if name == "anything-but":
        if isinstance(wanted, dict):
            ((inner, texts),) = wanted.items()
            texts = texts if isinstance(texts, list) else [texts]
            return not any(accepts({inner: text}, value) for text in texts)
        wanted = wanted if isinstance(wanted, list) else [wanted]
        return not any(same(one, value) for one in wanted)
    if not is_text(value):
        return False
    if name == "prefix":
        return affix(wanted, value, str.startswith)
    if name == "suffix":
        return affix(wanted, value, str.endswith)
    if name == "equals-ignore-case":
        return fold(value) == fold(wanted)
    if name == "wildcard":
        return wildcard(wanted, value)
    if name == "cidr":
        return in_network(value, wanted)
    raise ValueError(name)


# Structure


def rules(pattern, path=()):
    """The pattern as lists of (path, alternatives), one of which must hold."""
    found = [[]]
    for key, value in pattern.items():
        if key == "$or" and isinstance(value, list):
            here = [rule for branch in value for rule in rules(branch, path)]
        elif isinstance(value, list):
            here = [[((*path, key), value)]]
        else:
            here = rules(value, (*path, key))
        found = [a + b for a in found for b in here]
    return found


def scalars(value, path=(), place="", chosen=()):
    """The scalars of an event: path, value, and the array elements around it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from scalars(inner, (*path, key), f"{place}.{key}", chosen)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            # A scalar has no fields, so it is no element that two fields must share.
            own = ((place, n),) if isinstance(item, (dict, list)) else ()
            yield from scalars(item, path, f"{place}[{n}]", chosen + own)
    else:
        yield path, value, dict(chosen)


def compatible(a, b):
    return all(b.get(array, element) == element for array, element in a.items())


def holds(rule, leaves, chosen, absent):
    if not rule:
        return not any(
            path in absent and compatible(chosen, places) for path, _, places in leaves
        )
    (path, alternatives), *rest = rule
    for own, value, places in leaves:
        if own == path and compatible(chosen, places):
            if any(accepts(one, value) for one in alternatives):
                if holds(rest, leaves, {**chosen, **places}, absent):
                    return True
    missing = any(isinstance(one, dict) and one.get("exists") is False for one in alternatives)
    return missing and holds(rest, leaves, chosen, absent | {path})


def matches(pattern, event):
    leaves = list(scalars(event))
    return any(holds(rule, leaves, {}, frozenset()) for rule in rules(pattern))


# Random pairs

TEXTS = [
    "", "a", "A", "ab", "AB", "aB", "b", "ba", "aab", "abab", "a*b", "a\\b", "ß", "ẞ", "ss", "SS",
    "ſ", "ı", "I", "i", "İ", "admin", "admın", "σ", "ς", "Σ", "K", "k", "É", "é", "Ꭰ", "ꭰ", "ﬁ",
    "fi", "😀", "a😀b", "10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "::1", "2001:db8::1", "10.0.0",
    "1", "null", "300",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "0.0", "1e-400", "1", "1.0", "10e-1", "1.00000000000000000001", "2", "-1", "-1.5",
    "300", "3.0e2", "300.00000000000001", "72153723311011100", "72153723311011100.0",
    "20000000000000000000", "20000000000000000001", "2e19", "9007199254740993", "1E300", "0.1",
    "0.10", "12345678901234567890123",
]  # fmt: skip
NETWORKS = [
    "10.0.0.0/8", "10.0.0.7/24", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", "::ffff:0:0/96",
    "2001:db8::/32", "10.0.0.1/32", "::1/128",
]  # fmt: skip
WILDCARDS = ["*", "a*", "*a", "a*b", "*ab*", "*a*a*", "a\\*b", "a\\\\*", "*😀*", "ab", "*b*a*b"]
KEYS = ["a", "b", "c"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, make, low, high):
        return [make() for _ in range(self.random.randint(low, high))]

    def text(self):
        return self.random.choice(TEXTS)

    def number(self):
        return Number(self.random.choice(NUMBERS))

    def scalar(self):
        kind = self.random.randrange(10)
        if kind < 4:
            return self.text()
        return self.number() if kind < 8 else self.random.choice([True, False, None])

    def range(self):
        if self.random.random() < 0.6:
            return [self.random.choice(["=", "<", "<=", ">", ">="]), self.number()]
        low, high = sorted((self.number(), self.number()), key=lambda n: n.value)
        if low.value == high.value:
            return ["=", low]
        return [self.random.choice([">", ">="]), low, self.random.choice(["<", "<="]), high]

    def affix(self):
        text = self.text()
        return {"equals-ignore-case": text} if self.random.random() < 0.4 else text

    def but(self):
        kind = self.random.randrange(4)
        if kind == 0:
            return self.some(self.text, 1, 3)
        if kind == 1:
            return self.some(self.number, 1, 3)
        if kind == 2:
            return self.random.choice([self.text, self.number])()
        name = self.random.choice(["prefix", "suffix", "equals-ignore-case", "wildcard"])
        make = self.text
        if name == "wildcard":
            make = lambda: self.random.choice(WILDCARDS)  # noqa: E731
        elif name in ("prefix", "suffix"):
            make = lambda: self.text() or "a"  # noqa: E731
        return {name: make() if self.random.random() < 0.5 else self.some(make, 1, 3)}

    def alternative(self):
        kind = self.random.randrange(18)
        if kind < 6:
            return self.scalar()
        return [
            lambda: {"exists": self.random.random() < 0.4},
            lambda: {"exists": False},
            lambda: {"prefix": self.affix()},
            lambda: {"suffix": self.affix()},
            lambda: {"equals-ignore-case": self.text()},
            lambda: {"wildcard": self.random.choice(WILDCARDS)},
            lambda: {"numeric": self.range()},
            lambda: {"numeric": self.range()},
            lambda: {"cidr": self.random.choice(NETWORKS)},
            lambda: {"anything-but": self.but()},
            lambda: {"anything-but": self.but()},
            lambda: {"exactly": self.scalar()},
        ][kind - 6]()

    def pattern(self, depth=0):
        keys = self.random.sample(KEYS, self.random.randint(1, 2))
        pattern = {}
        for key in keys:
            if depth < 2 and self.random.random() < 0.35:
                pattern[key] = self.pattern(depth + 1)
            else:
                pattern[key] = self.some(self.alternative, 1, 3)
        if depth < 2 and self.random.random() < 0.2:
            pattern["$or"] = [self.pattern(depth + 1), self.pattern(depth + 1)]
        return pattern

    def value(self, depth):
        kind = self.random.random()
        if depth >= 3 or kind < 0.45:
            return self.scalar()
        if kind < 0.7:
            return self.some(lambda: self.value(depth + 1), 0, 3)
        return self.event(depth + 1)

    def event(self, depth=0):
        keys = self.random.sample(KEYS, self.random.randint(0, 3))
        return {key: self.value(depth) for key in keys}

    def near(self, pattern):
        """An event in the shape of the pattern, so that many pairs match."""
        event = self.event(2)
        for key, value in pattern.items():
            if key == "$or":
                event.update(self.near(self.random.choice(value)))
            elif isinstance(value, dict):
                inner = [self.near(value) for _ in range(self.random.randint(1, 2))]
                event[key] = inner[0] if self.random.random() < 0.5 else inner
            elif self.random.random() < 0.9:
                event[key] = self.fitting(self.random.choice(value))
        return event

    def fitting(self, alternative):
        """A value that the alternative often accepts."""
        if not isinstance(alternative, dict):
            return self.random.choice([alternative, self.scalar(), [alternative, self.scalar()]])
        candidates = [self.scalar() for _ in range(12)]
        fits = [value for value in candidates if accepts(alternative, value)]
        return self.random.choice(fits or candidates)


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    maker = Maker(seed)
    for _ in range(count):
        pattern = maker.pattern()
        event = maker.near(pattern) if maker.random.random() < 0.7 else maker.event()
        # What is written is what is matched.
        pair = {"pattern": write(pattern), "event": write(event)}
        pair["matches"] = matches(read(pair["pattern"]), read(pair["event"]))
        print(json.dumps(pair))


main()
