"""The published methods, a page each."""

from instar.recipes.amie import RECIPE as AMIE
from instar.recipes.autoact import RECIPE as AUTOACT
from instar.recipes.consolidate import RECIPE as CONSOLIDATE
from instar.recipes.constitutional import RECIPE as CONSTITUTIONAL
from instar.recipes.critic import RECIPE as CRITIC
from instar.recipes.demonstrations import RECIPE as DEMONSTRATIONS
from instar.recipes.dpo import RECIPE as DPO
from instar.recipes.evol_instruct import RECIPE as EVOL_INSTRUCT
from instar.recipes.expel import RECIPE as EXPEL
from instar.recipes.from_documents import RECIPE as FROM_DOCUMENTS
from instar.recipes.full_loop import RECIPE as FULL_LOOP
from instar.recipes.gepa import RECIPE as GEPA
from instar.recipes.grpo import RECIPE as GRPO
from instar.recipes.lifelong import RECIPE as LIFELONG
from instar.recipes.memory_bank import RECIPE as MEMORY_BANK
from instar.recipes.proposer_solver import RECIPE as PROPOSER_SOLVER
from instar.recipes.recipe import Recipe
from instar.recipes.reflexion import RECIPE as REFLEXION
from instar.recipes.rest_em import RECIPE as REST_EM
from instar.recipes.rft import RECIPE as RFT
from instar.recipes.self_consistency import RECIPE as SELF_CONSISTENCY
from instar.recipes.self_debug import RECIPE as SELF_DEBUG
from instar.recipes.self_instruct import RECIPE as SELF_INSTRUCT
from instar.recipes.self_qa import RECIPE as SELF_QA
from instar.recipes.self_refine import RECIPE as SELF_REFINE
from instar.recipes.self_rewarding import RECIPE as SELF_REWARDING
from instar.recipes.spin import RECIPE as SPIN
from instar.recipes.star import RECIPE as STAR
from instar.recipes.v_star import RECIPE as V_STAR

_ALL = (
    REST_EM, STAR, SELF_CONSISTENCY, RFT, GRPO, FULL_LOOP, SELF_REFINE, CRITIC, SELF_DEBUG, CONSTITUTIONAL,
    DPO, SPIN, SELF_REWARDING, V_STAR, LIFELONG, DEMONSTRATIONS, CONSOLIDATE, MEMORY_BANK, EXPEL, REFLEXION, GEPA,
    PROPOSER_SOLVER, SELF_INSTRUCT, EVOL_INSTRUCT, FROM_DOCUMENTS, SELF_QA, AUTOACT, AMIE,
)  # fmt: skip
RECIPES: dict[str, Recipe] = {r.name: r for r in _ALL}
