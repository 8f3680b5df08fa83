"""Names that look alike, in every script of Unicode's table; and the names of honest rosters, which do not."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterator

import pytest
from confusable_homoglyphs.confusables import confusables_data

from latentarena.arena.names import Names, clean_name, looks_like
from latentarena.errors import ConfigError

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
BE ᏴƐ | edge ɛdge | EDGE Ɛdge | elite εlite | Elite Єlite | Elite Əlite | gone gonǝ | ax ɐx | her ɥer
fun ⅎun | lab ꞁab | art aɹt | zen zɘn | Exit ∃xit | Tom ꓕom | Alpha ꓥlpha | pax ҏaӿ | Tea Ꚍea | owl ߋwl | Oslo Ꙩslo
Lab Լab | One 𐌏ne | XX ⵅⵅ
へ組 ヘ組 | Straße Straβe | Lake5 lakes | LilIy lilly | Room2O Room20
"""
PAIRS = [pair.split() for line in ALIKE.strip().splitlines() for pair in line.split("|")]
SPACED = ("Lab 1", "lab l"), ("Lab 0", "lab o"), ("Team ౨", "Team ೨"), ("Team ป", "Team ປ"), ("Team 2O", "Team 20")


@pytest.mark.parametrize(("one", "other"), [*PAIRS, *SPACED], ids=lambda name: ascii(name))
def test_look_alikes_of_every_script_are_told(one: str, other: str) -> None:
    for name, taken in ((one, other), (other, one)):
        assert looks_like(clean_name(name), ["Nobody", clean_name(taken)]) == clean_name(taken)


CLEANED = set("Ϲſ˛ͺ￨ﷲ¯˘‾﹉﹊﹋﹌˙ˢﱋﳒᵋᶟ︙－\ufb2a\ufb49\ufb2e\ufb2f\ufb30￣")
"""Letters of the table that a clean name holds no more: what they become looks like the others of their pairs less."""
LONG_VOWEL = {frozenset("—ー"), frozenset("―ー")}  # a dash says nothing in a name, and this letter lengthens a vowel


def alphabet(letters: str) -> str | None:
    """The one alphabet, not Latin, of a name's letters."""
    names = {unicodedata.name(letter).split(" ")[0] for letter in letters if unicodedata.category(letter)[0] == "L"}
    return names.pop() if len(names) == 1 and names != {"LATIN"} else None


def table() -> Iterator[tuple[str, str]]:
    for letters, others in confusables_data.items():
        for other in others:
            yield letters.strip("\u200e"), other["c"].strip("\u200e")


@pytest.mark.parametrize("form", ["Team {}", "{}", "Te{}am"])
def test_all_pairs_of_unicodes_table_are_told_but_letters_of_one_alphabet(form: str) -> None:
    passed, tried = [], 0
    for pair in sorted(table()):
        if CLEANED & set("".join(pair)) or set(pair) in LONG_VOWEL:
            continue
        try:
            one, other = (clean_name(form.format(letters)) for letters in pair)
        except ConfigError:
            continue
        tried += 1
        known = alphabet(one.removeprefix("Team ")), alphabet(other.removeprefix("Team "))
        read = form != "Te{}am" and known[0] and known[0] == known[1]
        if looks_like(one, [other]) is None and not read:
            passed.append(pair)
    assert tried > 10_000
    assert passed == []


def test_single_letters_and_digits_are_told_from_what_looks_like_them_only() -> None:
    alike = ("Team l", "Team 1"), ("Team I", "Team l"), ("Team I", "Team 1"), ("Team I", "team i"), ("Team O", "Team 0")
    other = ("Team I", "Team L"), ("Team 1", "Team L"), ("team i", "team l"), ("Team 5", "Team S"), ("Team 2", "Team Z")
    assert [looks_like(one, [two]) for one, two in alike] == [two for _, two in alike]
    assert [looks_like(one, [two]) for one, two in other] == [None] * len(other)


GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
CYRILLIC = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"


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
    for team in ("Team", "Ομάδα"):
        for letters in (GREEK, GREEK.lower()):
            yield [f"{team} {letter}" for letter in letters]
    for team in ("Team", "Команда"):
        for letters in (CYRILLIC, CYRILLIC.lower()):
            yield [f"{team} {letter}" for letter in letters]
    yield [f"Team {letter}" for letter in string.digits + string.ascii_uppercase.replace("O", "").replace("I", "")]
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
    assert looks_like("Team Α", ["Team A"]) == "Team A"  # the first is Greek
    assert looks_like("Team Λ", ["Tearn Λ"]) == "Tearn Λ"
    assert looks_like("Андреи", ["Андрей"]) == "Андрей"
    assert looks_like("Комaндa", ["Команда"]) == "Команда"  # with two Latin letters
    assert looks_like("команда", ["Команда"]) == "Команда"


@pytest.mark.parametrize(
    "roster",
    [["Ɛdem", "Ɔdo", "Ŋutsu"], ["ߒߞߏ", "ߋ", "߁"], ["Բարեվ", "Շատ", "Լույս"], ["ანი", "ინა"], ["ⵅⵎⵟ"], ["Əli", "Cəfər"]],
)
def test_names_in_letters_that_look_latin_are_taken_by_themselves(roster: list[str]) -> None:
    taken = Names(["Beta", "Team 1", "Owl"])
    for name in map(clean_name, roster):
        assert taken.like(name) is None
        taken.add(name)
