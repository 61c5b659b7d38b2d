"""The language of shapes: what a pattern takes, what its names mean then, and what follows from them."""

from __future__ import annotations

import pytest

from purenet.spec.patterns import Pattern, infer, match, match_example, parse, render, size_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Pattern("", (), "float", False)),
        ("batch in", Pattern("", ("batch", "in"), "float", False)),
        ("... in/groups", Pattern("", ("...", "in/groups"), "float", False)),
        ("batch *space 4*hidden: number", Pattern("", ("batch", "*space", "4*hidden"), "number", False)),
        ("mask = batch time: bool?", Pattern("mask", ("batch", "time"), "bool", True)),
        (" lengths=batch:int ?", Pattern("lengths", ("batch",), "int", True)),
        ("batch 3: any", Pattern("", ("batch", "3"), "any", False)),
        ("n?", Pattern("", ("n",), "float", True)),
    ],
)
def test_a_pattern_is_taken_apart(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["batch -1", "batch: complex", "a*b*c", "**space", "batch:", "a = b = c", "?n", "in+1"]
)
def test_what_is_no_pattern(text):
    with pytest.raises(ValueError, match="is no pattern: write the names of the axes"):
        parse(text)


@pytest.mark.parametrize("text", ["... ...", "*a *b", "... n *space"])
def test_only_one_axis_stands_for_several(text):
    with pytest.raises(ValueError, match="has two axes that stand for several"):
        parse(text)


MATCHES = [  # pattern, shape, what is known, what is known then
    ("", (), {}, {}),
    ("", (1,), {}, None),
    ("batch in", (4, 3), {}, {"batch": 4, "in": 3}),
    ("batch in", (4, 3), {"in": 3}, {"batch": 4, "in": 3}),
    ("batch in", (4, 3), {"in": 2}, None),
    ("batch in", (4,), {}, None),
    ("batch in", (4, 3, 2), {}, None),
    ("n n", (3, 3), {}, {"n": 3}),
    ("n n", (3, 4), {}, None),
    ("batch 3", (4, 3), {}, {"batch": 4}),
    ("batch 3", (4, 2), {}, None),
    ("... in", (3,), {}, {"in": 3, "...": ()}),
    ("... in", (5, 4, 3), {}, {"in": 3, "...": (5, 4)}),
    ("... in", (5, 4, 3), {"...": (7,)}, {"in": 3, "...": (5, 4)}),  # of each array another
    ("... in", (5, 4, 3), {"in": 2}, None),
    ("... in", (), {}, None),
    ("batch ...", (4,), {}, {"batch": 4, "...": ()}),
    ("batch ... n", (4, 5, 6, 7), {}, {"batch": 4, "...": (5, 6), "n": 7}),
    ("batch ... n m", (4, 7, 8), {}, {"batch": 4, "...": (), "n": 7, "m": 8}),
    ("batch *space in", (4, 3), {}, None),
    ("batch *space in", (4, 5, 3), {}, {"batch": 4, "space": (5,), "in": 3}),
    ("batch *space in", (4, 5, 6, 3), {"space": (5, 6)}, {"batch": 4, "space": (5, 6), "in": 3}),
    ("batch *space in", (4, 5, 6, 3), {"space": (6, 5)}, None),
    ("4*hidden", (8,), {}, {"hidden": 2}),
    ("hidden*4", (8,), {}, {"hidden": 2}),
    ("4*hidden", (9,), {}, None),
    ("4*hidden", (8,), {"hidden": 2}, {"hidden": 2}),
    ("4*hidden", (8,), {"hidden": 3}, None),
    ("heads*size", (6,), {"heads": 2}, {"heads": 2, "size": 3}),
    ("heads*size", (6,), {"size": 2}, {"heads": 3, "size": 2}),
    ("heads*size", (7,), {"size": 2}, None),
    ("heads*size", (6,), {}, None),
    ("in/groups", (3,), {"groups": 2}, {"groups": 2, "in": 6}),
    ("in/groups", (3,), {"groups": 2, "in": 6}, {"groups": 2, "in": 6}),
    ("in/groups", (3,), {"groups": 2, "in": 4}, None),
    ("in/groups", (3,), {}, None),
]


@pytest.mark.parametrize(("text", "shape", "known", "expected"), MATCHES)
def test_a_shape_gives_the_names_a_meaning(text, shape, known, expected):
    before = dict(known)
    assert match(text, shape, known) == expected
    assert known == before


EXAMPLES = [  # pattern, shape without the batch, what is known, what is known then
    ("batch in", (3,), {}, {"in": 3}),
    ("batch in", (), {}, None),
    ("batch in", (4, 3), {}, None),
    ("batch time in", (None, 3), {}, {"in": 3}),
    ("batch time in", (None, 3), {"time": 7}, {"time": 7, "in": 3}),
    ("batch time in", (..., 3), {}, {"in": 3}),
    ("batch time in", (..., 3), {"in": 2}, None),
    ("... in", (3,), {}, {"in": 3, "...": ()}),
    ("... in", (5, 3), {}, {"in": 3, "...": (5,)}),
    ("... in", (None, 3), {}, {"in": 3}),
    ("... in", (..., 3), {}, {"in": 3}),
    ("... in", (), {}, None),
    ("batch ...", (), {}, {"...": ()}),
    ("batch ...", (..., 3), {}, {"...": (..., 3)}),
    ("batch *space", (..., 3), {}, {"space": (..., 3)}),
    ("batch *space in", (5, 6, 3), {}, {"space": (5, 6), "in": 3}),
    ("batch *space in", (5, 3), {"space": (6,)}, None),
    ("batch *space in", (3,), {}, None),
    ("batch *space in", (5, None, 3), {}, {"in": 3}),
    ("batch", (), {}, {}),
    ("batch", (..., 3), {}, None),
    ("batch 4*hidden", (None,), {}, {}),
]


@pytest.mark.parametrize(("text", "in_shape", "known", "expected"), EXAMPLES)
def test_the_shape_of_an_example_may_be_known_in_part(text, in_shape, known, expected):
    assert match_example(text, in_shape, known) == expected


@pytest.mark.parametrize(
    ("text", "sizes", "expected"),
    [
        ("batch in", {"in": 3}, (3,)),
        ("batch", {}, ()),
        ("batch in", {}, None),
        ("batch time 2*in", {"in": 3, "time": 5}, (5, 6)),
        ("batch time 2*in", {"in": 3}, (..., 6)),
        ("batch time 2*in", {"time": 5}, None),
        ("batch in/groups", {"in": 6, "groups": 2}, (3,)),
        ("... out", {"out": 3, "...": (5, 6)}, (5, 6, 3)),
        ("... out", {"out": 3, "...": ()}, (3,)),
        ("... out", {"out": 3}, (..., 3)),
        ("batch *space out", {"out": 3, "space": (5, 6)}, (5, 6, 3)),
        ("batch *space out", {"out": 3}, (..., 3)),
        ("batch out ...", {"out": 3}, None),
    ],
)
def test_the_shape_of_an_example_follows(text, sizes, expected):
    assert infer(text, sizes) == expected


@pytest.mark.parametrize(
    ("text", "sizes", "example", "expected"),
    [
        ("batch in", {}, False, "(batch, in)"),
        ("batch in", {"in": 3}, False, "(batch, 3)"),
        ("batch in", {"in": 3}, True, "(3,)"),
        ("batch 4*hidden", {"hidden": 2}, False, "(batch, 8)"),
        ("batch 4*hidden", {}, True, "(4*hidden,)"),
        ("... in", {"...": (5,), "in": 3}, False, "(..., 3)"),
        ("batch *space in", {"space": (5,)}, False, "(batch, *space, in)"),
        ("batch ...", {}, False, "(batch, ...)"),
        ("batch ...", {}, True, "(...)"),
        ("", {}, False, "()"),
    ],
)
def test_a_pattern_in_words(text, sizes, example, expected):
    assert render(text, sizes, example) == expected


@pytest.mark.parametrize(
    ("axis", "sizes", "expected"),
    [
        ("n", {"n": 3}, 3),
        ("n", {}, None),
        ("7", {}, 7),
        ("2*n", {"n": 3}, 6),
        ("n*2", {"n": 3}, 6),
        ("n*m", {"n": 3, "m": 2}, 6),
        ("n*m", {"n": 3}, None),
        ("n*m", {"m": 3}, None),
        ("n/m", {"n": 6, "m": 2}, 3),
        ("n/2", {"n": 6}, 3),
        ("n/m", {"n": 6}, None),
    ],
)
def test_the_size_of_an_axis(axis, sizes, expected):
    assert size_of(axis, sizes) == expected


@pytest.mark.parametrize(
    ("text", "ranks"),
    [("", [0]), ("batch in", [2]), ("... in", [1, 2, 3, 4]), ("batch *space in", [3, 4]), ("batch ...", [1, 2, 3, 4])],
)
def test_the_numbers_of_axes_that_fit(text, ranks):
    assert [n for n in range(5) if parse(text).takes_rank(n)] == ranks


def test_the_place_of_the_axis_that_stands_for_several():
    assert [parse(text).rest for text in ("a b", "... a", "a *b c", "a ...")] == [None, 0, 1, 1]
