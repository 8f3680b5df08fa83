"""Names that look alike, in every script of Unicode's table; and the names of honest rosters, which do not."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest

from latentarena.arena.names import Names, clean_name, looks_like

ALIKE = """
alpha αlpha | marco mаrco | BETA ВЕТА | beta вета | hot հօt | never ոever | Quark Ԛuark | wave ѡave | king κing
ALPHA ᎪᏞᏢᎻᎪ | alpha ꭺꮮꮲꮋꭺ | GO ᏀᎾ | Beta Ᏼeta | RACE ᎡᎪᏟᎬ | CASE ᏟᎪᏚᎬ
BETA ꓐꓰꓔꓮ | Beta ꓐeta | beta ꓐꓰꓔꓮ | LISU ꓡꓲꓢꓴ | Zen ꓜen | DOGS ꓓꓳꓖꓢ
HOT ⲎⲞⲦ | hot ⲏⲟⲧ | Mock ⲙock | nice ⲛice | ivy ⲓvy | yoyo ⲩⲟⲩⲟ | COPY ⲤⲞⲢⲨ | joy յoy
Alpha Ⲁlpha | alpha ⲁlpha | Blue Ⲃlue | Zebra Ⲍebra
bold bołd | oslo øslø | data đata | hat ħat | tram ŧram | ubu ʉbʉ | beta ƀeta | alpha ⱥlphⱥ | jam ɉam | zebra ƶebra
goat ɠoat | kiwi ƙiwi | TEAM ᴛᴇᴀᴍ | see ꜱee | hello ℎello | file ﬁle | Team Ｔｅａｍ
paypal PayPaI | PayPal paypa1 | Chris CHR1S | Inside 1nside | stars 5tars | stars $tars | zebra 2ebra | Orange 0range
Paypal Paypaӏ | Alpha Λlpha | alpha alƿha | One Oᥒe | Boole 8oole | Boole ßoole | Rocket Яocket | Rocket Roςket
Viking5 VikingS | Wolve5 wolves | Team2 TeamZ | Lab8 LabB | Alpha ∀lpha | Alpha 🅰lpha | Team-A Team—A
"""
PAIRS = [pair.split() for line in ALIKE.strip().splitlines() for pair in line.split("|")]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda name: ascii(name))
def test_look_alikes_of_every_script_are_told(one: str, other: str) -> None:
    for name, taken in ((one, other), (other, one)):
        assert looks_like(clean_name(name), ["Nobody", clean_name(taken)]) == clean_name(taken)


def test_single_letters_and_digits_are_told_from_what_looks_like_them_only() -> None:
    alike = ("Team l", "Team 1"), ("Team I", "Team l"), ("Team I", "Team 1"), ("Team I", "team i"), ("Team O", "Team 0")
    other = ("Team I", "Team L"), ("Team 1", "Team L"), ("team i", "team l"), ("Team 5", "Team S"), ("Team 2", "Team Z")
    assert [looks_like(one, [two]) for one, two in alike] == [two for _, two in alike]
    assert [looks_like(one, [two]) for one, two in other] == [None] * len(other)


def roman(number: int) -> str:
    signs = ((90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    written = ""
    for value, sign in signs:
        written += sign * (number // value)
        number %= value
    return written


def rosters() -> Iterator[list[str]]:
    """Names as course systems and teachers number their groups."""
    for letters in (string.ascii_uppercase, string.ascii_lowercase):
        yield [f"Team {letter}" for letter in letters]
        yield [f"Team{letter}" for letter in letters]
        yield [f"Lab {letter}{number}" for letter in letters for number in range(1, 30)]
        yield [f"{number}{letter}" for letter in letters for number in range(1, 30)]
    yield [f"Group {number}" for number in range(130)]
    yield [f"{one}{sign}{other}" for one in range(1, 13) for other in range(1, 13) for sign in "-"]
    yield [f"Section {one}.{other}" for one in range(1, 13) for other in range(1, 13)]
    yield [f"Team {roman(number)}" for number in range(1, 90)]
    yield [f"Ομάδα {letter}" for letter in "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"]
    yield [f"команда {letter}" for letter in "абвгдежзиклмнопрстуфхцчшщэюя"]
    yield [f"チーム{letter}" for letter in "かがきぎはばぱひびぴ"]
    yield [f"टीम {letter}" for letter in ("क", "कि", "की", "कु", "कू", "के")]
    yield [f"فريق {letter}" for letter in "ابتثجحخدذرزسشصضطظعغ"]


@pytest.mark.parametrize("roster", list(rosters()), ids=lambda roster: ascii(roster[0]))
def test_numbered_teams_do_not_look_alike(roster: list[str]) -> None:
    taken = Names()
    for name in map(clean_name, roster):
        assert taken.like(name) is None
        taken.add(name)
        assert taken.like(name) == name


def test_names_in_one_other_alphabet_are_read_by_those_who_know_it() -> None:
    """A name that mixes alphabets, or stands in another one than its like, is not."""
    assert looks_like("Ομάδα Θ", ["Ομάδα Ο"]) is None
    assert looks_like("ОМАМА", ["OMAMA"]) == "OMAMA"
    assert looks_like("Комaндa", ["Команда"]) == "Команда"  # with two Latin letters
    assert looks_like("команда", ["Команда"]) == "Команда"
