"""The answer in what a model wrote: where it is, what it says, whether two answers say the same."""

from instar.extract.numbers import is_number as is_number
from instar.extract.numbers import number as number
from instar.extract.reading import HOWS as HOWS
from instar.extract.reading import LOOK_AT as LOOK_AT
from instar.extract.reading import How as How
from instar.extract.reading import extract as extract
from instar.extract.same import same as same
from instar.extract.same import says as says
