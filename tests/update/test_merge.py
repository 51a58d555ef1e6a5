"""Merging: the numbers of mergekit, a stretch of a tensor at a time; what does not fit together is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.errors import Cancelled, ConfigError, ModelError
from instar.records import Policy
from instar.scripted_world import START, weights_of
from instar.update.weights import parents
from instar.update.weights.merge import Merge
from instar.update.weights.merging import Piece, Rule, merged
from tests.update.tiny import Context, experience, make_model, policy_in

FIXTURES = Path(__file__).parent / "fixtures"
ABOUT: dict[str, Any] = json.loads((FIXTURES / "mergekit.json").read_text())


@pytest.fixture(scope="module")
def theirs() -> Mapping[str, Any]:
    return dict(np.load(FIXTURES / "mergekit.npz"))


@pytest.mark.parametrize("at_once", [1000, 4], ids=["whole", "in pieces"])
@pytest.mark.parametrize("name", ABOUT["rules"])
def test_it_gives_the_numbers_of_mergekit(name: str, at_once: int, theirs: Mapping[str, Any]) -> None:
    said = dict(ABOUT["rules"][name])
    of = said.pop("of", list("abc")[: len(said["weights"])])
    rule = Rule(**said)
    for tensor in ABOUT["tensors"]:
        if tensor == "equal sizes" and rule.method == "ties" and rule.density < 1:
            continue  # which of equally large changes it keeps is its sort's luck
        base, *others = (theirs[f"{tensor}/{who}"].ravel() for who in ("base", *of))
        found = np.concatenate(list(merged(rule, tensor, len(base), pieces(at_once, base, *others))))
        np.testing.assert_allclose(found, theirs[f"{tensor}/{name}"].ravel(), atol=1e-6, rtol=1e-6)


def pieces(at_once: int, base: Any, *others: Any) -> Any:
    cuts = range(0, len(base), at_once)
    return lambda: [Piece(base[i : i + at_once], [o[i : i + at_once] for o in others]) for i in cuts]


def test_of_equally_large_changes_ties_keeps_the_first_and_no_more_than_it_was_told() -> None:
    base = np.zeros(10, np.float32)
    change = np.array([1, -2, 2, 0, -2, 2, 1, 2, 0, 0], np.float32)
    for at_once in (10, 3):
        rule = Rule("ties", [1.0], density=0.3)
        found = np.concatenate(list(merged(rule, "t", 10, pieces(at_once, base, change))))
        assert found.tolist() == [0, -2, 2, 0, -2, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_keeps_a_share_by_lot_and_makes_it_larger_the_same_in_pieces(method: Any) -> None:
    base, change = np.zeros(4000, np.float32), np.ones(4000, np.float32)
    rule = Rule(method, [1.0], density=0.25, seed=3)
    (whole,) = merged(rule, "t", 4000, pieces(4000, base, change))
    assert set(whole.tolist()) == {0.0, 4.0}
    assert abs(float(whole.mean()) - 1.0) < 0.1
    cut = np.concatenate(list(merged(rule, "t", 4000, pieces(700, base, change))))
    assert np.array_equal(cut, whole)
    (other,) = merged(rule, "u", 4000, pieces(4000, base, change))
    assert not np.array_equal(other, whole)


# --- the operator ---------------------------------------------------------------------------------------------------


class Place:
    """An update context with three policies of one model: the base, and two with other numbers."""

    def __init__(self, folder: Path, **kinds: Any) -> None:
        self.context = Context(folder)
        self.folders = {
            name: make_model(folder / name, seed=seed, **kinds) for name, seed in (("base", 0), ("a", 1), ("b", 2))
        }
        self.policies = {name: policy_in(self.context, place) for name, place in self.folders.items()}

    def merged(self, op: Merge, *references: str, data: Any = (), context: Context | None = None) -> Policy:
        context = context or self.context
        context.references = {name: self.policies[name] for name in references}
        return asyncio.run(op(self.policies["a"], list(data), context))

    def tensors(self, policy: Policy) -> dict[str, Any]:
        from safetensors.numpy import load_file

        return dict(load_file(self.context.artefacts.open(policy.weights.digest) / "model.safetensors"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def test_half_way_is_the_mean_and_opens_as_a_model(place: Place) -> None:
    import torch

    from instar.model_folder.loading import load

    made = place.merged(Merge(weight=0.5), "base")
    assert (made.parent, made.made_by, made.system) == (place.policies["a"].id, "merge", "Add.")
    found, base, own = (place.tensors(p) for p in (made, place.policies["base"], place.policies["a"]))
    assert found.keys() == own.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, (base[name] + own[name]) / 2, atol=1e-7)
    folder = place.context.artefacts.open(made.weights.digest)
    model = load(folder, torch.float32)
    assert np.array_equal(model.model.norm.weight.detach().numpy(), found["model.norm.weight"])
    told = json.loads((folder / "training.json").read_text())
    assert told["parents"] == {n: place.policies[w].weights.digest for n, w in (("self", "a"), ("base", "base"))}
    assert place.context.told == []  # nothing was learned


def test_the_ends_of_the_way_are_the_parents(place: Place) -> None:
    for weight, parent in ((0.0, "base"), (1.0, "a")):
        for method in ("wise_ft", "slerp"):
            found = place.tensors(place.merged(Merge(method=method, weight=weight), "base"))
            for name, values in place.tensors(place.policies[parent]).items():
                np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_a_soup_weighs_by_name_and_the_cocktail_by_the_loss_on_the_data(place: Place) -> None:
    soup = place.tensors(place.merged(Merge(method="linear", weights={"self": 1, "b": 3}), "b"))
    a, b = (place.tensors(place.policies[n]) for n in "ab")
    for name, values in soup.items():
        np.testing.assert_allclose(values, (a[name] + 3 * b[name]) / 4, atol=1e-6)
    data = [experience("1+2", "3"), experience("2+2", "4")]
    context = Context(place.context.scratch.parent / "cocktail")
    context.artefacts = place.context.artefacts
    made = place.merged(Merge(method="lm_cocktail", temperature=0.5), "b", data=data, context=context)
    told = json.loads((context.artefacts.open(made.weights.digest) / "training.json").read_text())
    parts = {name: np.exp(-loss / 0.5) for name, loss in told["losses"].items()}
    share = parts["self"] / sum(parts.values())
    for name, values in place.tensors(made).items():
        np.testing.assert_allclose(values, share * a[name] + (1 - share) * b[name], atol=1e-5)


def test_stopped_in_the_middle_it_leaves_nothing_and_then_makes_the_same(place: Place, tmp_path: Path) -> None:
    whole = place.merged(Merge(method="ties", density=0.4), "base", "b")

    def watch(done: int) -> None:
        if done == 9:
            raise Cancelled("stopped.")

    context = Context(tmp_path, watch=watch)
    for p in place.policies.values():
        context.artefacts.root.mkdir(exist_ok=True)
        (context.artefacts.root / p.weights.digest).symlink_to(place.context.artefacts.open(p.weights.digest))
    with pytest.raises(Cancelled):
        place.merged(Merge(method="ties", density=0.4), "base", "b", context=context)
    assert not (context.scratch / "trained" / "training.json").exists()
    (context.scratch / "trained" / "left.safetensors").write_bytes(b"as a kill leaves it")
    context.watch = None
    again = place.merged(Merge(method="ties", density=0.4), "base", "b", context=context)
    assert again.id == whole.id
    assert (
        place.merged(Merge(method="ties", density=0.4), "base", "b", context=context).id == whole.id
    )  # from the journal
    assert context.done.count(9) == 2


@pytest.mark.parametrize(
    ("op", "references", "said"),
    [
        (Merge(), (), "needs the policy that the others were made from"),
        (Merge(method="ties"), ("b",), "no reference 'base'"),
        (Merge(method="linear"), (), "one policy alone"),
        (Merge(method="slerp"), ("base", "b"), "between the base and one policy"),
        (Merge(method="model_stock"), ("base",), "two policies beside the base"),
        (Merge(method="linear", weights={"c": 1}), ("b",), "a weight for 'c'"),
        (Merge(method="linear", weights={"self": 1, "b": -1}), ("b",), "sum to 0"),
        (Merge(method="lm_cocktail"), ("b",), "was handed none"),
    ],
)
def test_a_missing_parent_is_refused_in_a_sentence(
    place: Place, op: Merge, references: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        place.merged(op, *references)


def _other_vocabulary(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["vocab_size"]
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text())
    words = said["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    path.write_text(json.dumps(said))


def test_other_architectures_vocabularies_and_tying_are_refused_in_one_sentence(tmp_path: Path, place: Place) -> None:
    gpt2 = make_model(tmp_path / "gpt2", kind="gpt2")
    swapped = make_model(tmp_path / "swapped")
    _other_vocabulary(swapped)
    free = make_model(tmp_path / "free", tied=False)
    turned = make_model(tmp_path / "turned")
    config = json.loads((turned / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 77.0}
    (turned / "config.json").write_text(json.dumps(config))
    own = place.folders["a"]
    for other, said in (
        (gpt2, "self is a LlamaForCausalLM and x a GPT2LMHeadModel"),
        (swapped, "different tokenizers"),
        (free, "In self the head and the embedding are one matrix, in x they are two"),
        (turned, r"Positions turn otherwise in self than in x \(rope\)"),
    ):
        with pytest.raises(ModelError, match=said) as error:
            parents.refuse_unlike({"self": own, "x": other})
        assert error.value.message.count(".") == 1
    before = sorted(place.context.artefacts.root.iterdir())
    place.policies["x"] = policy_in(place.context, gpt2)
    with pytest.raises(ModelError, match="GPT2LMHeadModel"):
        place.merged(Merge(method="linear"), "x")
    assert len(sorted(place.context.artefacts.root.iterdir())) == len(before) + 1  # the GPT-2 alone


def test_the_scripted_model_merges_its_tables(tmp_path: Path) -> None:
    context = Context(tmp_path)
    tables = {"base": {}, "a": {"add": 0.9}, "b": {"multiply": 0.8}}
    made = {n: Policy(weights=weights_of({**START, **t})).identified() for n, t in tables.items()}

    def of(op: Merge, *references: str) -> Mapping[str, float]:
        context.references = {n: made[n] for n in references}
        return asyncio.run(op(made["a"], [], context)).weights.skills or {}

    assert of(Merge(weight=0.5), "base")["add"] == pytest.approx(0.6)
    both = of(Merge(method="task_arithmetic"), "base", "b")
    assert (both["add"], both["multiply"], both["subtract"]) == pytest.approx((0.9, 0.8, 0.3))
    real = Policy(weights=made["a"].weights.model_copy(update={"place": "artefact"})).identified()
    context.references = {"base": made["base"]}
    with pytest.raises(ModelError, match="different kinds"):
        asyncio.run(Merge()(real, [], context))


MEMORY = """
import asyncio, resource, sys
from pathlib import Path
from instar.update.weights.merge import Merge
from tests.update.tiny import Context, policy_in
from instar.records import Policy, Weights
context = Context(Path(sys.argv[1]))
names = sys.argv[3:]
made = [Policy(weights=Weights(place="artefact", digest=n)).identified() for n in names]
context.references = {"base": made[0], "b": made[2]}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(Merge(method=sys.argv[2], weights={})(made[1], [], context))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_more_than_a_stretch_of_each_parent_is_held(tmp_path: Path) -> None:
    """Sixteen matrices of 4 MB: the three parents are 192 MB, the merged one 64 MB; mapped pages count too."""
    store = Context(tmp_path).artefacts
    base = make_model(tmp_path / "base", kind="gpt2")
    for name in ("x", "y", "z"):
        _large(base, store.root / name)
    code = [sys.executable, "-c", MEMORY, str(tmp_path), "linear", "x", "y", "z"]
    done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=60)
    assert int(done.stdout) / 1024 < 60


def _large(like: Path, folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(like, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors |= {f"model.more.{i}.weight": np.full((512, 2048), i, np.float32) for i in range(16)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
