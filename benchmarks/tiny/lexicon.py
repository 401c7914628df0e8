"""Words for drawn pages: common English words, invented ones, names and numbers.

Some words are held out from training: a model that reads them reads letters and not a word list.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["HELD_OUT", "WORDS", "Writer"]

_COMMON: Final = """
able about above across act add after again age agree air all allow almost along also always
amount animal another answer any appear apple area arm army around arrive art as ask at away
baby back bad bag ball band bank bar base basket bath bear beat beauty bed before begin behind
believe bell below best better between big bird black blood blue board boat body bone book both
bottle bottom box boy branch bread break bridge bright bring broken brother brown build burn
business busy but butter button buy by cake call camera can car card care carry case cat catch
cause center century certain chair chance change charge cheap check cheese chief child church
circle city clean clear clock close cloth cloud coal coast coat coffee cold color come comfort
common company complete condition connect contain control cook copper copy corn corner cost
cotton could country course cover cow cream credit crowd cry cup current curtain cut damage dance
danger dark day dead deal dear decide deep degree delay demand desert design desk detail develop
dinner direct dirty discover distance divide do doctor dog door doubt down draw dream dress
drink drive drop dry dust each ear early earth east easy eat edge education effect egg eight
either electric end engine enough enter equal even evening event ever every exact example
exchange exist expect expert eye face fact fall family famous far farm fast father fear feather
feed feel few field fight figure fill find fine finger finish fire first fish fit five fix flag
flat flight floor flower fly fold follow food foot for force foreign forest form forward four
frame free fresh friend from front fruit full future game garden gas general get girl give glad
glass go goat gold good govern grain grand grass gray great green ground group grow guide half
hammer hand happen happy harbor hard harmony hat have head health hear heart heat heavy help here
high history hold hole holiday home hope horse hospital hot hour house how human hundred hunt
ice idea if important in inch increase industry ink insect inside instrument interest into iron
island it join journey judge jump just keep key kind king kitchen knee knife know lake lamp land
language large last late laugh law lead leaf learn leather leave left leg length less letter
level library lift light like limit line lion liquid list listen little live local long look
loose lost loud love low machine main make man manager many map mark market mass match material
matter may meal mean measure meat medical meet member memory metal method middle might mile milk
mind mine minute mirror miss mix modern moment money month moon more morning most mother motion
mountain mouth move much music must name narrow nation nature near neck need needle never new
next night nine no noise normal north nose not note nothing now number object ocean of off offer
office often oil old on once one only open operate opinion orange order organ other our out oven
over own page pain paint pair paper parallel parcel parent part party pass past path pay peace
pen people perfect period person picture piece pig pin pipe place plain plan plane plant plate
play please pocket point police poor position possible pot potato powder power present press
price print private probable process produce profit proof property protect provide public pull
pump pure purpose push put quality question quick quiet quite rail rain raise range rate reach
read ready real reason receive record red regular relation remember repeat reply report request
rest result rice rich ride right ring rise river road rock roll roof room root rough round row
rule run safe sail salt same sand say scale school science sea seat second secret see seed seem
sell send sense separate serious serve seven shade shake shape sharp sheep shelf ship shirt shock
shoe shop short should show side sign silk silver simple since sing sister six size skin sky
sleep slow small smell smile smoke smooth snow so soap society soft soil some son song soon sort
sound soup south space special speed spoon spring square stage stamp stand star start state
station stay steam steel step still stone stop store storm story straight strange street stretch
strong structure study such sudden sugar suit summer sun supply support sure surface sweet swim
system table tail take talk tall taste tax teach team tell ten test than that the their them
then theory there they thick thin thing think this though thought thread three through thumb
thunder ticket tight time tin tired to today together tomorrow tongue too tooth top total touch
toward tower town trade train transport travel tree trick trouble true trust try turn twist two
under unit until up use valley value verse very view village violent voice wait walk wall want
war warm wash waste watch water wave wax way weather week weight well west wet what wheel when
where which while whistle white who wide will wind window wine winter wire wise with woman wood
wool word work world worm would write wrong year yellow yes yet you young zero
"""
_ENDINGS: Final = ("s", "ed", "ing", "er", "ly")
_KEPT: Final = """
harbor copper lantern meadow whistle orange thunder velvet saddle marble pepper cabin
ribbon walnut timber beacon cellar pigeon candle hammer orchard quarry sparrow tunnel
"""
HELD_OUT: Final = frozenset(_KEPT.split())
WORDS: Final = tuple(sorted(set(_COMMON.split()) - HELD_OUT))
_ONSETS: Final = "b br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w y z"
_VOWELS: Final = "a e i o u ai ea oo ou ie"
_CODAS: Final = "n r s t l d m ck ng st nd rk sh p x gh"
_PLACES: Final = "Oslo Lima Kyoto Bern Quito Delhi Accra Turin Perth Cairo Dublin Zagreb Jaffa"
_NAMES: Final = "Anna Boris Clara David Emma Felix Greta Hugo Irene Jonas Kira Leo Maria Victor"


class Writer:
    """Writes random text.

    Args:
        random: decides everything.
        held_out: whether the words kept from training may appear.
    """

    def __init__(self, random: np.random.Generator, *, held_out: bool = False) -> None:
        self._random = random
        self._words = (*WORDS, *sorted(HELD_OUT)) if held_out else WORDS

    def word(self) -> str:
        """A word inside a sentence."""
        kind = self._random.random()
        if kind < 0.66:
            return self._one(self._words)
        if kind < 0.76:
            return self._one(self._words) + self._one(_ENDINGS)
        if kind < 0.88:
            return self._invented()
        if kind < 0.93:
            return self._one(f"{_PLACES} {_NAMES}".split())
        return self.number()

    def number(self) -> str:
        """A number, a price, a share or a code."""
        n = int(self._random.integers(1, 10 ** int(self._random.integers(1, 5))))
        forms = (f"{n}", f"{n}", f"{n % 100}.{n % 10}", f"{n % 100}%", f"{_letter(n)}-{n % 1000}")
        return self._one(forms)

    def sentence(self, words: int) -> str:
        """A sentence of this many words, with a capital and a final mark."""
        parts = [self.word() for _ in range(words)]
        if words > 5 and self._random.random() < 0.4:
            parts[words // 2] += self._one((",", ",", ";", ":"))
        parts[0] = parts[0][0].upper() + parts[0][1:]
        return " ".join(parts) + self._one((".", ".", ".", ".", "!", "?"))

    def heading(self, words: int) -> str:
        """A few words with capitals."""
        parts = [self._one(self._words) for _ in range(words)]
        every = self._random.random() < 0.5
        return " ".join(w.capitalize() if every or i == 0 else w for i, w in enumerate(parts))

    def _invented(self) -> str:
        parts = []
        for _ in range(int(self._random.integers(1, 4))):
            parts += [self._one(_ONSETS.split()), self._one(_VOWELS.split())]
        return "".join(parts) + self._one(_CODAS.split())

    def _one(self, choices: tuple[str, ...] | list[str]) -> str:
        return choices[int(self._random.integers(len(choices)))]


def _letter(number: int) -> str:
    return chr(ord("A") + number % 26)
