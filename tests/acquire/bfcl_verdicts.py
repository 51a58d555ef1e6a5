"""BFCL's own verdicts on answers, right and spoiled: writes ``bfcl_verdicts.json`` beside this file.

    pip download --no-deps bfcl-eval==2026.3.23 && unzip bfcl_eval-*.whl -d w
    python tests/acquire/bfcl_verdicts.py w

Its checker is loaded without its package's imports, which need 40 other packages: what it takes from them are a list of
languages and of models, put in their places here.
"""

from __future__ import annotations

import copy
import json
import random
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Any


class Language(Enum):
    PYTHON, JAVA, JAVASCRIPT = 1, 2, 3


class Anything(dict[str, Any]):
    def __missing__(self, key: str) -> Any:
        return types.SimpleNamespace(underscore_to_dot=False)


def checker(folder: Path) -> Any:
    """Its function ``ast_checker``."""
    parts = {
        "bfcl_eval": {}, "bfcl_eval.constants": {}, "bfcl_eval.eval_checker": {},
        "bfcl_eval.eval_checker.ast_eval": {}, "bfcl_eval.eval_checker.ast_eval.type_convertor": {},
        "bfcl_eval.constants.enums": {"Language": Language},
        "bfcl_eval.constants.model_config": {"MODEL_CONFIG_MAPPING": Anything()},
        "bfcl_eval.constants.type_mappings": {"JAVA_TYPE_CONVERSION": {}, "JS_TYPE_CONVERSION": {}},
        "bfcl_eval.eval_checker.ast_eval.type_convertor.java_type_converter": {"java_type_converter": None},
        "bfcl_eval.eval_checker.ast_eval.type_convertor.js_type_converter": {"js_type_converter": None},
    }  # fmt: skip
    for name, said in parts.items():
        module = types.ModuleType(name)
        module.__dict__.update(said)
        sys.modules[name] = module
    found: dict[str, Any] = {}
    # run, not imported: its package wants 40 others. The peer's own code, out of the wheel that the caller unpacked
    exec((folder / "bfcl_eval/eval_checker/ast_eval/ast_checker.py").read_text(), found)  # noqa: S102 - see above
    return found["ast_checker"]


def first(accepted: list[Any], luck: random.Random) -> Any:
    value = luck.choice([a for a in accepted if a != ""] or [""])
    if isinstance(value, dict):
        return {k: first(v, luck) for k, v in value.items() if "" not in v}
    if isinstance(value, list):
        return [first([v], luck) if isinstance(v, dict) else v for v in value]
    return value


def answer(calls: list[dict[str, Any]], functions: list[dict[str, Any]], luck: random.Random) -> list[dict[str, Any]]:
    """Right calls: one of the right values each, what may be left out by lot."""
    made = []
    for item in calls:
        ((name, values),) = item.items()
        required = next(f for f in functions if f["name"] == name)["parameters"].get("required", [])
        given = {p: v for p, v in values.items() if p in required or "" not in v or luck.random() < 0.5}
        made.append({name: {p: first(v, luck) for p, v in given.items()}})
    return made


def spoil(calls: list[dict[str, Any]], how: str, luck: random.Random) -> list[dict[str, Any]]:
    """The same, spoiled in one way where it can be."""
    calls = copy.deepcopy(calls)
    ((name, given),) = luck.choice(calls).items()
    p = luck.choice(list(given)) if given else None
    value = given[p] if p else None
    if how == "order":
        calls.reverse()
    elif how == "twice":
        calls.append(copy.deepcopy(calls[0]))
    elif how == "name":
        calls[0] = {name + "_of": given}
    elif how == "more":
        given["unknown"] = 1
    elif p is None:
        pass
    elif how == "less":
        del given[p]
    elif how == "text":
        given[p] = str(value)
    elif how == "case" and isinstance(value, str):
        given[p] = value.upper().replace(" ", "-")
    elif how == "other":
        given[p] = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, (int, float)) else "no"
    elif how == "float" and type(value) is int:
        given[p] = float(value)
    elif how == "short" and isinstance(value, list):
        given[p] = value[:-1]
    elif how == "turned" and isinstance(value, list):
        given[p] = value[::-1]
    return calls


HOW = ("right", "order", "twice", "name", "more", "less", "text", "case", "other", "float", "short", "turned")


def main(folder: Path) -> None:
    check, rows = checker(folder), []
    data = folder / "bfcl_eval/data"
    for category, size in (("simple_python", 60), ("multiple", 20), ("parallel", 30), ("parallel_multiple", 20)):
        luck = random.Random(category)
        asked = [json.loads(x) for x in (data / f"BFCL_v4_{category}.json").read_text().splitlines()]
        told = [json.loads(x) for x in (data / f"possible_answer/BFCL_v4_{category}.json").read_text().splitlines()]
        right = {row["id"]: row["ground_truth"] for row in told}
        for row in luck.sample(asked, size):
            calls = right[row["id"]]
            hows = luck.sample(HOW, 3)
            for how in hows:
                made = spoil(answer(calls, row["function"], luck), how, luck)
                try:
                    verdict = bool(
                        check(row["function"], copy.deepcopy(made), calls, Language.PYTHON, category, "m")["valid"]
                    )
                except Exception as e:  # it fails on some kinds: no verdict
                    verdict = type(e).__name__
                functions = [
                    {"name": f["name"], "parameters": {
                        "properties": {p: {k: v for k, v in s.items() if k in ("type", "items")}
                                       for p, s in f["parameters"]["properties"].items()},
                        "required": f["parameters"].get("required", [])}}
                    for f in row["function"] if any(f["name"] in c for c in calls)
                ]  # fmt: skip
                rows.append({"id": row["id"], "how": how, "functions": functions, "calls": calls, "made": made,
                             "valid": verdict})  # fmt: skip
    text = "[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n"
    (Path(__file__).parent / "bfcl_verdicts.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
