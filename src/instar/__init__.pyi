# what the lazy names of __init__.py are, for type checkers and editors
from instar.cli.notebook import Compared as Compared
from instar.cli.notebook import OpenRun as OpenRun
from instar.cli.notebook import compare as compare
from instar.cli.notebook import examine as examine
from instar.cli.notebook import open_run as open_run
from instar.cli.notebook import run as run
from instar.errors import InstarError as InstarError

__version__: str
_start = run
