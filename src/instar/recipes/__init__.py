"""The published methods, a page each."""

from instar.recipes.recipe import Recipe
from instar.recipes.rest_em import RECIPE as REST_EM

RECIPES: dict[str, Recipe] = {r.name: r for r in (REST_EM,)}
