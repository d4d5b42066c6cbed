from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.local.pubsub.filters import MAX_FILTER_BYTES, FilterError, compile_filter

COM = {"name": "com"}
ORG = {"name": "org"}
EMPTY = {"name": ""}
NONE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "passing", "failing"),
    [
        ("", [COM, NONE], []),
        ("attributes:name", [COM, EMPTY], [NONE, {"Name": "com"}]),
        ('attributes.name = "com"', [COM], [ORG, EMPTY, NONE, {"name": "COM"}]),
        ('attributes.name != "com"', [ORG, EMPTY, NONE], [COM]),
        ('hasPrefix(attributes.name, "co")', [COM, {"name": "co"}], [ORG, NONE, {"name": "c"}]),
        ('hasPrefix(attributes.name, "")', [COM, EMPTY], [NONE]),
        ("NOT attributes:name", [NONE], [COM]),
        ("-attributes:name", [NONE], [COM]),
        ("NOT NOT - - attributes:name", [COM], [NONE]),
        ('attributes:name AND attributes.name != "com"', [ORG], [COM, NONE]),
        ('attributes.name = "com" OR attributes.name = "org"', [COM, ORG], [EMPTY]),
        ('attributes:a AND NOT (attributes.name = "com" OR attributes:b)', [{"a": ""}], [{"a": "", "b": ""}, COM]),
        ("NOT attributes:a AND attributes:b", [{"b": ""}], [{"a": "", "b": ""}, NONE]),
        ("NOT (attributes:a AND attributes:b)", [{"b": ""}, NONE], [{"a": "", "b": ""}]),
        ("((((attributes:name))))", [COM], [NONE]),
        ("(attributes:a AND attributes:b) OR attributes:name", [COM, {"a": "", "b": ""}], [{"b": ""}, NONE]),
        ('attributes:"iana.org/language_tag"', [{"iana.org/language_tag": "en"}], [NONE]),
        ('attributes."a b" = "c d"', [{"a b": "c d"}], [{"a b": "c"}]),
        (
            'attributes.ce-type="raptorflow.payment.completed.v1"',
            [{"ce-type": "raptorflow.payment.completed.v1"}],
            [NONE],
        ),
        ("attributes:7_-x", [{"7_-x": ""}], [NONE]),
        (" attributes : name ", [COM], [NONE]),
        ('attributes.name="com"', [COM], [ORG]),
        ("attributes:AND OR attributes:NOT", [{"AND": ""}, {"NOT": ""}], [NONE]),
        (r'attributes.k = "\"\\\n\t"', [{"k": '"\\\n\t'}], [{"k": ""}]),
        (r'attributes.k = "\x41\101\u0041\U00000041"', [{"k": "AAAA"}], [{"k": "A"}]),
        ('attributes.k = "é → ✓"', [{"k": "é → ✓"}], [{"k": "e"}]),
        ('attributes.k = "NOT ("', [{"k": "NOT ("}], [NONE]),
    ],
)
def test_a_filter_passes_what_it_says(text: str, passing: list[dict[str, str]], failing: list[dict[str, str]]) -> None:
    passes = compile_filter(text)
    assert [passes(attributes) for attributes in passing] == [True] * len(passing)
    assert [passes(attributes) for attributes in failing] == [False] * len(failing)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (" ", "attributes or hasPrefix"),
        ("attributes", "'.'"),
        ("attributes.name", "'='"),
        ("attributes:", "the key of an attribute"),
        ('attributes.name == "com"', "double quotes"),
        ("attributes.name = com", "double quotes"),
        ("attributes.name = 'com'", "cannot read"),
        ('attributes.name < "com"', "cannot read"),
        ('attributes.name = "com', "cannot read"),
        ('attributes.a.b = "c"', "'='"),
        ('name = "com"', "attributes or hasPrefix"),
        ('"attributes":name', "attributes or hasPrefix"),
        ('hasSuffix(attributes.name, "m")', "attributes or hasPrefix"),
        ('hasPrefix(attributes:name, "m")', "'.'"),
        ('hasPrefix(attributes.name "m")', "','"),
        ("attributes:a attributes:b", "AND or OR"),
        ("attributes:a and attributes:b", "AND or OR"),
        ('attributes:a "AND" attributes:b', "AND or OR"),
        ("not attributes:a", "attributes or hasPrefix"),
        ("attributes:a AND", "found the end"),
        ("AND attributes:a", "attributes or hasPrefix"),
        ("NOT", "found the end"),
        ("attributes:a AND attributes:b OR attributes:c", "without parentheses"),
        ("attributes:a OR attributes:b AND attributes:c", "without parentheses"),
        ('(attributes.a = "b" OR "c")', "attributes or hasPrefix"),
        ("()", "attributes or hasPrefix"),
        ("(attributes:a", "without its )"),
        ("attributes:a)", "without its ("),
        (r'attributes.k = "\q"', "unknown escape"),
        (r'attributes.k = "\ud800"', "not a character"),
        (r'attributes.k = "\UFFFFFFFF"', "not a character"),
        ("(" * MAX_FILTER_BYTES, "attributes or hasPrefix"),
        ("NOT " * (MAX_FILTER_BYTES // 4), "attributes or hasPrefix"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(FilterError) as error:
        compile_filter(text)
    assert complaint in str(error.value)


def test_the_limit_is_in_bytes() -> None:
    start = 'attributes.k = "'
    fits = start + "é" * ((MAX_FILTER_BYTES - len(start) - 1) // 2) + '"'
    assert compile_filter(fits)(NONE) is False
    with pytest.raises(FilterError, match="maximum allowed is 256"):
        compile_filter(fits[:-1] + 'é"')


_PIECES = [
    "attributes",
    ":",
    ".",
    "=",
    "!=",
    "(",
    ")",
    ",",
    "-",
    "NOT",
    "AND",
    "OR",
    "hasPrefix",
    '"',
    "\\",
    "k",
    '"v"',
    " ",
]


@settings(deadline=None)  # the machine may be busy
@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(_PIECES)).map("".join), st.lists(st.sampled_from(_PIECES)).map(" ".join)
    )
)
def test_arbitrary_text_compiles_or_is_refused(text: str) -> None:
    try:
        passes = compile_filter(text)
    except FilterError:
        return
    assert passes({}) in {True, False}


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(deadline=None)
@given(key=_TEXTS, value=_TEXTS)
def test_any_key_and_value_can_be_written(key: str, value: str) -> None:
    assert compile_filter(f"attributes.{_quoted(key)} = {_quoted(value)}")({key: value})


_CONDITIONS = st.sampled_from(
    ["attributes:a", 'attributes.b = "x"', 'attributes.b != "x"', 'hasPrefix(attributes.c, "y")']
)
_EXPRESSIONS = st.recursive(
    _CONDITIONS,
    lambda inner: st.one_of(
        inner.map(lambda text: f"NOT ({text})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: "({}) {} ({})".format(*parts)),
    ),
    max_leaves=5,
)
_ATTRIBUTES = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "yes"]))


@settings(deadline=None)
@given(left=_EXPRESSIONS, right=_EXPRESSIONS, attributes=_ATTRIBUTES)
def test_operators_obey_de_morgan(left: str, right: str, attributes: dict[str, str]) -> None:
    try:
        neither = compile_filter(f"NOT (({left}) OR ({right}))")
        both_not = compile_filter(f"NOT ({left}) AND NOT ({right})")
    except FilterError as error:
        assert "bytes" in str(error)
        return
    assert neither(attributes) is both_not(attributes)
