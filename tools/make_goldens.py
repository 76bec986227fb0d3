"""Make the golden vectors with the publisher's own stack.   (checkpoint, golden_texts.json → goldens, stages)

    python tools/make_goldens.py CHECKPOINT_FOLDER

Needs numpy, torch, transformers >= 4.57 (older ones ignore use_bidirectional_attention) and a sentence-transformers
that does not strip white space from its inputs (6.x; 5.x strips, and then " " and "" are one text). Everything runs in
float32 with eager attention, one text at a time, so that no padding and no fused kernel has a part in it. It writes

    src/gemlet/goldens/goldens.json   the texts with their prompts, the versions used, the checkpoint's digests
    src/gemlet/goldens/goldens.npz    vectors [texts, 768] float32; input_ids [all tokens] int32, cut by cu_seqlens
    tests/parity/stages.npz           intermediate values of two texts, sampled

and then runs reference/embedding_gemma.py over every text and prints how far it is from the vectors.
"""

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentence_transformers
import tokenizers
import torch
import transformers
from transformers.models.gemma3 import modeling_gemma3

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ROOT / "tools" / "golden_texts.json"
GOLDENS = ROOT / "src" / "gemlet" / "goldens"
STAGES = ROOT / "tests" / "parity" / "stages.npz"
LIMIT = 2048
CJK = ("lang-ja", "lang-ko", "lang-zh", "lang-zh-Hant")
STAGE_TEXTS = {"short": "lang-te", "long": "len-300"}  # 300 tokens: the ends do not see each other in sliding layers
STAGE_COLUMNS = 24

Array = npt.NDArray[Any]
Entry = dict[str, Any]


def main(checkpoint: Path) -> None:
    model = sentence_transformers.SentenceTransformer(
        str(checkpoint), device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"}
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    entries = read_entries(tokenizer, model.prompts)
    ids = [tokenizer.encode(entry["prompt"] + entry["text"]).ids for entry in entries]
    vectors = np.empty((len(entries), 768), np.float32)
    for row, entry in enumerate(entries):
        entry["tokens"] = len(ids[row])
        if len(ids[row]) > LIMIT:
            ids[row] = [*ids[row][: LIMIT - 1], ids[row][-1]]
        full = entry["prompt"] + entry["text"]
        if model.preprocess([full])["input_ids"][0].tolist() != ids[row]:
            raise SystemExit(f"{entry['id']}: sentence-transformers changed the text before its tokenizer saw it")
        vectors[row] = model.encode([full], batch_size=1)[0]
        print(f"{row + 1}/{len(entries)} {entry['id']} {entry['tokens']} tokens", flush=True)

    GOLDENS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    made = f'"made_with": {json.dumps(versions())},\n"checkpoint": {json.dumps(digests(checkpoint), indent=2)}'
    (GOLDENS / "goldens.json").write_text(f'{{\n{made},\n"texts": [\n{lines}\n]\n}}\n', encoding="utf-8")
    cu_seqlens = np.cumsum([0, *map(len, ids)], dtype=np.int32)
    np.savez_compressed(
        GOLDENS / "goldens.npz", vectors=vectors, input_ids=np.concatenate(ids).astype(np.int32), cu_seqlens=cu_seqlens
    )
    rows = {entry["id"]: row for row, entry in enumerate(entries)}
    save_stages(model, {name: ids[rows[entry_id]] for name, entry_id in STAGE_TEXTS.items()})
    check_reference(checkpoint, entries, ids, vectors)


def read_entries(tokenizer: tokenizers.Tokenizer, prompts: dict[str, str]) -> list[Entry]:
    """Every golden text in order, with `prompt` spelled out and the composed ones composed."""
    source = json.loads(TEXTS.read_text(encoding="utf-8"))
    texts = source["texts"]
    parts = {
        "prose": (" ", source["prose"]),
        "mixed": (" ", [entry["text"] for entry in texts if entry["id"].startswith("lang-")]),
        "cjk": ("", [entry["text"] for entry in texts if entry["id"] in CJK]),
        "code": ("\n\n", [entry["text"] for entry in texts if entry["language"] == "code"]),
    }
    entries = []
    for entry in texts + source["composed"]:
        prompt = entry.get("prompt", prompts.get(entry.get("prompt_name"), ""))
        if "title" in entry:
            prompt = f"title: {entry['title']} | text: "
        if "from" in entry:
            separator, sentences = parts[entry["from"]]
            language = {"prose": "en"}.get(entry["from"], entry["from"])
            text = compose(tokenizer, prompt, sentences, separator, entry["tokens"], entry["seed"])
        else:
            language, text = entry["language"], entry["text"]
        kept = {key: entry[key] for key in ("prompt_name", "title", "control") if key in entry}
        entries.append({"id": entry["id"], "language": language, **kept, "prompt": prompt, "text": text})
    return entries


def compose(
    tokenizer: tokenizers.Tokenizer, prompt: str, sentences: list[str], separator: str, tokens: int, seed: int
) -> str:
    """Sentences in a seeded order, cut in the last one so that prompt and text have exactly `tokens` tokens."""

    def count(text: str) -> int:
        return len(tokenizer.encode(prompt + text).ids)

    rng, parts, text = random.Random(seed), [], ""
    while count(text) < tokens:
        parts += rng.sample(sentences, len(sentences))
        text = separator.join(parts)
    low, high = 0, len(text)
    while low < high:  # the shortest prefix that has enough tokens, give or take a few characters
        middle = (low + high) // 2
        low, high = (low, middle) if count(text[:middle]) >= tokens else (middle + 1, high)
    for end in range(low + 8, low - 40, -1):
        if count(text[:end]) == tokens and not text[:end].endswith(" "):
            return text[:end]
    raise SystemExit(f"no cut gives {tokens} tokens; take another seed than {seed}")


def save_stages(model: sentence_transformers.SentenceTransformer, texts: dict[str, list[int]]) -> None:
    """Three token rows (first, middle, last) and 24 columns of each intermediate, and each row's norm.

    tokens_<text>   [stages, 3, 24] float32, norms_<text> [stages, 3]; names in token_stages
    vectors_<text>  [3, 24] float32: pooled, dense.0, dense.1, in that order; norms_vectors_<text> [3]
    columns_<width> which columns of a value that is `width` wide (heads end to end) were kept
    """
    arrays: dict[str, Any] = {}
    for text, ids in texts.items():
        trace = run_with_trace(model, ids)
        rows = [0, len(ids) // 2, len(ids) - 1]
        names = [name for name, value in trace.items() if value.ndim == 2]
        vectors = [value for value in trace.values() if value.ndim == 1]
        arrays["token_stages"] = np.array(names)
        arrays[f"tokens_{text}"] = np.stack([trace[name][rows][:, columns(trace[name].shape[1])] for name in names])
        arrays[f"norms_{text}"] = np.stack([np.linalg.norm(trace[name][rows], axis=1) for name in names])
        arrays[f"vectors_{text}"] = np.stack([value[columns(len(value))] for value in vectors])
        arrays[f"norms_vectors_{text}"] = np.array([np.linalg.norm(value) for value in vectors])
        for value in trace.values():
            arrays[f"columns_{value.shape[-1]}"] = columns(value.shape[-1])
    STAGES.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(STAGES, **arrays)


def columns(width: int) -> Array:
    return np.arange(STAGE_COLUMNS) * width // STAGE_COLUMNS


def run_with_trace(model: sentence_transformers.SentenceTransformer, ids: list[int]) -> dict[str, Array]:
    """Intermediates of one text under the names of reference/embedding_gemma.py; heads lie end to end."""
    trace: dict[str, Array] = {}
    body = model[0].auto_model

    def first(output: Any) -> Any:
        return output if torch.is_tensor(output) else output[0]

    def keep(name: str, pick: Callable[[Any], Any] = first) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
            trace[name] = pick(output)[0].numpy().copy()

        return hook

    hooks = [body.embed_tokens.register_forward_hook(keep("embed"))]
    for number, layer in enumerate(body.layers):
        name = f"layers.{number}."
        hooks += [
            layer.input_layernorm.register_forward_hook(keep(name + "attn_input")),
            layer.self_attn.register_forward_hook(keep(name + "attn_out")),
            layer.pre_feedforward_layernorm.register_forward_hook(keep(name + "mlp_input")),
            layer.mlp.register_forward_hook(keep(name + "mlp_out")),
            layer.register_forward_hook(keep(name + "output")),
        ]
    hooks.append(body.norm.register_forward_hook(keep("final_norm")))
    for name, module in {"pooled": model[1], "dense.0": model[2], "dense.1": model[3]}.items():
        hooks.append(module.register_forward_hook(keep(name, lambda features: features["sentence_embedding"])))
    features = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    with torch.inference_mode(), attention_traced(trace):
        model(features)
    for hook in hooks:
        hook.remove()
    return trace


@contextmanager
def attention_traced(trace: dict[str, Array]) -> Iterator[None]:
    """Record q and k after norm and RoPE, v, and the attention before o_proj."""
    original = modeling_gemma3.eager_attention_forward

    def attention(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        output = original(module, query, key, value, *args, **kwargs)
        tokens = query.shape[2]
        for name, tensor in {"q": query, "k": key, "v": value}.items():  # each [1, heads, tokens, head_dim]
            trace[f"layers.{module.layer_idx}.{name}"] = tensor[0].transpose(0, 1).reshape(tokens, -1).numpy().copy()
        trace[f"layers.{module.layer_idx}.context"] = output[0].reshape(tokens, -1).numpy().copy()
        return output

    modeling_gemma3.eager_attention_forward = attention
    try:
        yield
    finally:
        modeling_gemma3.eager_attention_forward = original


def versions() -> dict[str, str]:
    modules = (sentence_transformers, transformers, tokenizers, torch, np)
    return {module.__name__: module.__version__ for module in modules} | {"dtype": "float32", "attention": "eager"}


def digests(checkpoint: Path) -> dict[str, str]:
    """SHA-256 of each file of the checkpoint that has a part in the vectors."""
    names = ["config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"]
    names += ["tokenizer.json", "model.safetensors", "1_Pooling/config.json"]
    names += [f"{dense}/{name}" for dense in ("2_Dense", "3_Dense") for name in ("config.json", "model.safetensors")]
    found = {}
    for name in names:
        with (checkpoint / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_reference(checkpoint: Path, entries: list[Entry], ids: list[list[int]], vectors: Array) -> None:
    sys.path.insert(0, str(ROOT / "reference"))
    from embedding_gemma import EmbeddingGemma

    reference, worst = EmbeddingGemma(checkpoint), (0.0, "", 0)
    for entry, text_ids, vector in zip(entries, ids, vectors, strict=True):
        difference = float(np.abs(reference.forward(text_ids)["embedding"] - vector).max())
        worst = max(worst, (difference, entry["id"], len(text_ids)))
    print(f"the NumPy reference is within {worst[0]:.2g} of every vector (worst: {worst[1]}, {worst[2]} tokens)")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
