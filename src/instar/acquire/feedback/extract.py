"""``instar.extract`` under its former name: refinement reads answers too, and phases do not import each other."""

from instar.extract import HOWS as HOWS
from instar.extract import LOOK_AT as LOOK_AT
from instar.extract import How as How
from instar.extract import extract as extract
from instar.extract import is_number as is_number
