#!/usr/bin/env python3
"""Writes core/tokenizer/tokenizer_class_table.c: which classes and model types of the installed Hugging Face transformers build the
stages of a tokenizer of their own, which ones obey tokenizer.json, and which class a model type stands for.

Run: make_tokenizer_classes.py | clang-format-14 --assume-filename=x.c > core/tokenizer/tokenizer_class_table.c
"""

import os

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import transformers  # noqa: E402
from transformers.models.auto import tokenization_auto as auto  # noqa: E402
from transformers.tokenization_utils_tokenizers import TokenizersBackend  # noqa: E402

UNDERSTOOD = {"GPT2": ["CodeGenTokenizer", "GPT2Tokenizer"], "NEOX": ["GPTNeoXTokenizer"], "QWEN2": ["Qwen2Tokenizer"]}
# LlamaTokenizer: with a byte-level tokenizer.json, the only one that is read here, AutoTokenizer obeys the file.
OBEYING = ["BloomTokenizer", "LlamaTokenizer", "PreTrainedTokenizer", "PythonBackend", "TokenizersBackend"]
WIDTH = 104


def words(names):
    lines, line = [], ""
    for name in sorted(set(names)):
        if len(line) + len(name) + 1 > WIDTH:
            lines.append(line)
            line = ""
        line += " " + name
    return "\n".join(f'"{line}"' for line in [*lines, line + " "])


def table(name, lists):
    rows = "".join(f"{{PIPELINE_{pipeline}, {words(names)}}},\n" for pipeline, names in lists.items())
    return f"const struct pipeline_words {name}[] = {{\n{rows}{{PIPELINE_UNKNOWN, NULL}}}};\n\n"


def class_lists(registered):
    understood = [name for names in UNDERSTOOD.values() for name in names]
    lists = {"FILE": list(OBEYING), **UNDERSTOOD, "OTHER": []}
    public = {name.removesuffix("Fast") for name in dir(transformers) if name.endswith(("Tokenizer", "TokenizerFast"))}
    for name in sorted((public | registered) - set(understood) - set(OBEYING) - {"AutoTokenizer"}):
        found = auto.tokenizer_class_from_name(name) or auto.tokenizer_class_from_name(name + "Fast")
        obeys = found is not None and issubclass(found, TokenizersBackend) and "__init__" not in found.__dict__
        lists["FILE" if obeys else "OTHER"].append(name)
    return lists


def main():
    # None: a class whose library is not installed.
    registered = {model: (name or "none").removesuffix("Fast") for model, name in auto.TOKENIZER_MAPPING_NAMES.items()}
    kinds = {name: kind for kind, names in UNDERSTOOD.items() for name in names} | {"TokenizersBackend": "FILE"}
    kinds["MistralCommonBackend"] = "FILE"
    models = {kind: [] for kind in ("FILE", "GPT2", "NEOX", "QWEN2", "OTHER")}
    for model, name in registered.items():
        models[kinds.get(name, "OTHER")].append(model)
    print(f"/* Written by tools/make_tokenizer_classes.py from transformers {transformers.__version__}; not edited by hand. */")
    print('#include "tokenizer/tokenizer_class_table.h"\n\n#include <stddef.h>\n')
    print(table("tokenizer_class_words", class_lists(set(registered.values()) - {"none", "MistralCommonBackend"})))
    print(table("tokenizer_model_words", models))
    print(f"const char tokenizer_overruling_models[] = {words(auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS)};")


if __name__ == "__main__":
    main()
