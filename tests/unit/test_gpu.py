"""The model in PyTorch, on the tiny model and a processor: what a GPU runs, against gemlet's own engine.

Two orders of float32 sums over two layers: 2e-6 of a unit vector, as between the engine and the reference
(tests/parity/test_tiny.py); a wrong window, base or mask moves it by more than 1e-3.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from embedding_gemma import EmbeddingGemma
from tiny_model import CONFIG, body_tensors, write_safetensors, write_tiny_checkpoint

from gemlet import Embedder
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import (
    InputError,
    MissingExtra,
    OutputError,
    TruncationWarning,
    UnsupportedModel,
    WeightsError,
)  # fmt: skip
from gemlet.gguf import write_gguf
from gemlet.gpu import _check_cuda, check_device
from gemlet.index import Index
from gemlet.search import search
from gemlet.vectors import normalize

torch = pytest.importorskip("torch", reason="pip install 'gemlet[gpu]'")

from gemlet.gpu import attention  # noqa: E402 - it imports torch
from gemlet.gpu.layout import Layout  # noqa: E402 - it imports torch
from gemlet.gpu.steps import PLAIN, gated  # noqa: E402 - it imports torch

LENGTHS = [2, 3, 17, 256, 257, 258, 300, 513, 514, 600, 1500, 2048]
TOLERANCE = 2e-6
TEXTS = ["a text", "", "the red planet is seen " * 60, "x", "the red planet " * 20, "a cat sat on the mat", "one more"]
LONG = "the red planet is seen at night " * 200
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Embedder:
    return Embedder(tiny_checkpoint, device="torch:cpu", quantization="f32")


@pytest.fixture
def fresh(tiny_checkpoint: Path) -> Embedder:
    """One that a test may break."""
    return Embedder(tiny_checkpoint, device="torch:cpu", quantization="f32")


def ids_of(tokens: int) -> np.ndarray:
    return np.concatenate([[2], np.random.default_rng(tokens).integers(4, 512, tokens - 2), [1]]).astype(np.int32)


def batch(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([ids_of(n) for n in lengths]), np.cumsum([0, *lengths]).astype(np.int32)


def far(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


# The same vectors


def test_every_length_has_the_engines_vector(model: Embedder, tiny_f32: Embedder) -> None:
    own, here = (normalize(one._model.embed(*batch(LENGTHS))) for one in (tiny_f32, model))
    assert far(own, here) < TOLERANCE


@pytest.mark.parametrize("tokens", [300, 600])
def test_the_references_vector(model: Embedder, tiny_checkpoint: Path, tokens: int) -> None:
    expected = EmbeddingGemma(tiny_checkpoint).forward(ids_of(tokens))["embedding"]
    assert far(normalize(model._model.embed(*batch([tokens])))[0], expected) < TOLERANCE


@pytest.mark.parametrize("change", [{"window": 255}, {"window": 257}, {"query_pre_attn_scalar": 64}])
def test_a_wrong_setting_is_seen_by_these_tests(fresh: Embedder, tiny_f32: Embedder, change: dict[str, Any]) -> None:
    fresh._model.config = fresh._model.config | change  # type: ignore[attr-defined]
    own, here = (normalize(one._model.embed(*batch([600]))) for one in (tiny_f32, fresh))
    assert far(own, here) > 1e-4


def test_every_token_behind_the_final_norm(model: Embedder, tiny_f32: Embedder) -> None:
    texts = TEXTS[:4]
    for own, here in zip(
        tiny_f32.encode(texts, output_value="token_embeddings"),
        model.encode(texts, output_value="token_embeddings"),
        strict=True,
    ):
        assert own.shape == here.shape
        # Rows of 64 numbers around 1: ten times what the mean over tokens and the unit length leave of it.
        assert far(own, here) < 10 * TOLERANCE


def test_encode_and_its_kin_take_the_same_options(model: Embedder, tiny_f32: Embedder) -> None:
    for one in (
        lambda e: e.encode(TEXTS),
        lambda e: e.encode_query(TEXTS, truncate_dim=64),
        lambda e: e.encode_document(TEXTS, titles=["t", None] * 3 + ["u"]),
        lambda e: e.encode(TEXTS, prompt_name="clustering", batch_size=2),
        lambda e: e.encode("alone"),
        lambda e: e.encode(LONG, truncation="window"),
    ):
        own, here = one(tiny_f32), one(model)
        assert own.shape == here.shape
        assert own.dtype == here.dtype
        assert far(own, here) < TOLERANCE
    assert model.encode([]).shape == (0, 64)
    assert model.encode(TEXTS, precision="ubinary").shape == (7, 8)
    # Not of unit length: relative to the largest number.
    own, here = (one.encode(TEXTS, normalize_embeddings=False) for one in (tiny_f32, model))
    assert far(own, here) < TOLERANCE * np.abs(own).max()


def test_a_text_that_is_too_long_is_cut_at_the_same_place_with_the_same_words(
    model: Embedder, tiny_f32: Embedder
) -> None:
    with pytest.warns(TruncationWarning, match=r"1 of 2 texts are longer than 2048 tokens and were cut: text 1") as one:
        here, usage = model.encode(["short", LONG], return_usage=True)
    with pytest.warns(TruncationWarning) as two:
        own = tiny_f32.encode(["short", LONG])
    assert str(one[0].message) == str(two[0].message)
    assert far(own, here) < TOLERANCE
    assert usage.cut.tolist() == [0, usage.tokens[1] - 2048]


@pytest.mark.parametrize(
    ("ids", "ends"), [([2, 512, 1], [0, 3]), ([2, -1, 1], [0, 3]), ([2] * 2050, [0, 1, 2050]), ([2, 1], [0, 0, 2])]
)
def test_ids_and_lengths_that_cannot_be_are_refused_in_the_engines_words(
    model: Embedder, tiny_f32: Embedder, ids: list[int], ends: list[int]
) -> None:
    said = []
    for one in (model, tiny_f32):
        with pytest.raises(InputError) as caught:
            one._model.embed(np.array(ids, np.int32), np.array(ends, np.int32))
        said.append(str(caught.value))
    assert said[0] == said[1]


# Packed


def test_a_text_has_the_same_vector_alone_and_in_any_batch(model: Embedder) -> None:
    """Up to the order of sums in matrix products, which may depend on their size."""
    alone = np.stack([model.encode(text) for text in TEXTS])
    assert far(model.encode(TEXTS), alone) < TOLERANCE
    assert far(model.encode(TEXTS[::-1])[::-1], alone) < TOLERANCE
    assert far(model.encode(TEXTS, batch_size=1), alone) < TOLERANCE


@pytest.mark.parametrize("token_budget", [1, 40, 100_000])
def test_any_budget_gives_the_same(tiny_checkpoint: Path, model: Embedder, token_budget: int) -> None:
    other = Embedder(tiny_checkpoint, device="torch:cpu", quantization="f32", token_budget=token_budget)
    assert other.token_budget == token_budget
    assert far(other.encode(TEXTS), model.encode(TEXTS)) < TOLERANCE


def test_batches_are_in_the_order_of_length_and_rows_in_the_order_given(
    fresh: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    embed = fresh._model.embed
    monkeypatch.setattr(fresh._model, "embed", lambda ids, ends: (seen.extend(np.diff(ends)), embed(ids, ends))[1])
    fresh.token_budget = 64
    rows = fresh.encode(TEXTS)
    assert seen == sorted(fresh.count_tokens(TEXTS), reverse=True)
    for text, row in zip(TEXTS, rows, strict=True):
        assert far(fresh.encode(text), row) < TOLERANCE


def test_a_vector_that_is_not_finite_is_named_by_its_row(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = fresh._model.embed

    def broken(ids: Any, ends: Any) -> Any:
        rows = embed(ids, ends)
        rows[np.diff(ends) == fresh.count_tokens("a text")[0]] = np.nan
        return rows

    monkeypatch.setattr(fresh._model, "embed", broken)
    with pytest.raises(OutputError, match="the vector of text 2 is not finite"):
        fresh.encode(["a cat sat on the mat", "x", "a text"])


def test_threads_take_turns(model: Embedder) -> None:
    expected = model.encode(TEXTS)
    with ThreadPoolExecutor(3) as pool:
        for rows in pool.map(lambda _: model.encode(TEXTS), range(6)):
            assert np.array_equal(rows, expected)


# Attention


def naive(q: Any, k: Any, v: Any, layout: Layout, reach: int) -> Any:
    """Softmax in float64, text by text and head by head."""
    q, k, v = (x.double() for x in (q, k, v))
    out, ends = torch.empty_like(q), layout.cu_seqlens.tolist()
    for begin, end in pairwise(ends):
        places = torch.arange(end - begin)
        near = (places[:, None] - places).abs() <= reach
        for head in range(q.shape[1]):
            group = head * k.shape[1] // q.shape[1]
            scores = q[begin:end, head] @ k[begin:end, group].T * 0.2
            shares = scores.masked_fill(~near, -torch.inf).softmax(dim=1)
            out[begin:end, head] = shares @ v[begin:end, group]
    return out


@pytest.mark.parametrize("lengths", [[1], [5, 5, 5], [600, 580, 30, 1, 28, 257, 258], [2, 3, 4]])
@pytest.mark.parametrize("sliding", [False, True])
def test_groups_are_what_softmax_says(lengths: list[int], sliding: bool) -> None:
    layout = Layout(np.cumsum([0, *lengths]).astype(np.int32), 256, CPU)
    made = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(sum(lengths), heads, 16, generator=made) for heads in (6, 2, 2))
    given = attention.by_groups(q, k, v, layout, sliding, 0.2)
    assert far(given, naive(q, k, v, layout, 256 if sliding else 10_000)) < 1e-5  # float32 against float64


def right(q: Any, k: Any, v: Any, layout: Layout, sliding: bool, scale: float) -> Any:
    return attention.by_groups(q, k, v, layout, sliding, scale)


def too_narrow(q: Any, k: Any, v: Any, layout: Layout, sliding: bool, scale: float) -> Any:
    narrow = Layout(layout.cu_seqlens.numpy(), 255, CPU)
    return attention.by_groups(q, k, v, narrow, sliding, scale)


def causal(q: Any, k: Any, v: Any, layout: Layout, sliding: bool, scale: float) -> Any:
    out = attention.by_groups(q, k, v, layout, sliding, scale)
    out[layout.cu_seqlens[:-1].long()] = v[layout.cu_seqlens[:-1].long()].repeat_interleave(3, dim=1)
    return out


def not_there(*_: Any) -> Any:
    raise AttributeError("no such kernel in this version")


@pytest.mark.parametrize("wrong", [too_narrow, causal, not_there])
def test_a_kernel_that_is_wrong_or_not_there_is_not_taken(wrong: Any, tiny_checkpoint: Path) -> None:
    config = read_checkpoint(tiny_checkpoint).config
    assert attention.choose_attention((wrong, right), config, CPU, torch.bfloat16) is right
    assert attention.choose_attention((wrong,), config, CPU, torch.bfloat16) is attention.by_groups


def test_kernels_for_texts_end_to_end_are_for_gpus_in_16_bits() -> None:
    gpu = torch.device("cuda")
    assert attention.kernels_for(gpu, torch.bfloat16) == (attention.by_flash, attention.by_torch)
    assert attention.kernels_for(gpu, torch.float32) == ()
    assert attention.kernels_for(CPU, torch.bfloat16) == ()


@pytest.mark.parametrize("name", ["by_flash", "by_torch"])
def test_pytorch_takes_what_its_kernels_are_given(name: str) -> None:
    """Without a GPU: it looks at all arguments, and only then for a kernel of this device."""
    if name == "by_torch":
        pytest.importorskip("torch.nn.attention.varlen", reason="this PyTorch is older than the function")
    q, k = torch.zeros(602, 3, 8), torch.zeros(602, 1, 8)
    layout = Layout(np.array([0, 2, 602], np.int32), 256, CPU)
    with pytest.raises(NotImplementedError, match=r"_flash_attention_forward.* 'CPU' backend"):
        getattr(attention, name)(q, k, k, layout, True, 0.5)


@pytest.mark.parametrize(("lengths", "side"), [([2, 600], 256), ([2, 257], -1)])
def test_kernels_are_given_the_texts_ends_and_the_window(
    lengths: list[int], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window only where a text is so long that it hides something."""
    called: list[tuple[Any, dict[str, Any]]] = []

    def kernel(*given: Any, **options: Any) -> Any:
        called.append((given, options))
        return given[0]

    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", SimpleNamespace(varlen_attn=kernel))
    layout = Layout(np.cumsum([0, *lengths]).astype(np.int32), 256, CPU)
    q, k = torch.zeros(sum(lengths), 3, 8), torch.zeros(sum(lengths), 1, 8)
    for sliding in (True, False):
        assert attention.by_torch(q, k, k, layout, sliding, 0.5) is q
    (given, slides), (_, full) = called
    assert given[3].tolist() == given[4].tolist() == [0, 2, sum(lengths)]
    assert given[5:] == (lengths[1], lengths[1])
    assert slides == {"scale": 0.5, "window_size": (side, side), "enable_gqa": True}
    assert full["window_size"] == (-1, -1)


# Memory


def fails_over(model: Embedder, tokens: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make a device whose memory holds so many tokens; the list grows by the tokens of each try."""
    hidden, tried = model._model._hidden, []  # type: ignore[attr-defined]

    def limited(ids: Any, layout: Layout) -> Any:
        tried.append(len(ids))
        if len(ids) > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return hidden(ids, layout)

    monkeypatch.setattr(model._model, "_hidden", limited)
    return tried


def test_where_memory_is_full_half_of_it_runs_from_then_on(
    fresh: Embedder, model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"cat {i}" for i in range(40)]
    total = int(model.count_tokens(texts).sum())
    tried = fails_over(fresh, total // 3, monkeypatch)
    assert far(fresh.encode(texts), model.encode(texts)) < TOLERANCE
    assert tried[0] == total
    assert sum(tokens > total // 3 for tokens in tried) == 2  # all, a half
    before = len(tried)
    fresh.encode(texts)
    assert max(tried[before:]) <= total // 3


def test_one_text_that_does_not_fit_is_an_error_with_its_cure(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_over(fresh, 20, monkeypatch)
    with pytest.raises(InputError, match=r"one text of 784 tokens does not fit into the free memory of cpu: end "):
        fresh.encode(["a", "the red planet is seen " * 60])
    assert np.isfinite(fresh.encode("a")).all()


def test_after_ctrl_c_it_works_on(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fresh._model, "_hidden", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fresh.encode(TEXTS)
    assert fresh.encode(TEXTS).shape == (7, 64)


# Weights


def test_bfloat16_is_the_default_and_what_needs_precision_keeps_it(tiny_checkpoint: Path, tiny_f32: Embedder) -> None:
    half = Embedder(tiny_checkpoint, device="torch:cpu")
    assert half.quantization == "bf16"
    weights = half._model._weights  # type: ignore[attr-defined]
    layer = weights.layers[0]
    assert {layer.qkv_proj.dtype, layer.down_proj.dtype, weights.embed_tokens.dtype} == {torch.bfloat16}
    assert {layer.q_norm.dtype, weights.norm.dtype, weights.dense[0].dtype} == {torch.float32}
    # Eight significant bits: measured 3.0e-3. In float32 the same texts are 2e-7 apart.
    assert 1e-5 < far(half.encode(TEXTS), tiny_f32.encode(TEXTS)) < 1e-2


def test_a_file_of_ours_runs_too(tiny_checkpoint: Path, tmp_path: Path, tiny_f32: Embedder) -> None:
    exact, eight = tmp_path / "exact.gguf", tmp_path / "eight.gguf"
    write_gguf(tiny_checkpoint, exact, dtype="f32")
    write_gguf(tiny_checkpoint, eight, dtype="q8_0")
    expected = tiny_f32.encode(TEXTS)
    given = Embedder(exact, device="torch:cpu")
    assert given.quantization == "f32"
    assert far(given.encode(TEXTS), expected) < TOLERANCE
    given = Embedder(eight, device="torch:cpu")
    assert given.quantization == "q8_0"
    assert far(given.encode(TEXTS), expected) < 2e-2  # weights of 8 bits, products of 8 significant ones: 7.8e-3
    with pytest.raises(InputError, match="the file holds q8_0"):
        Embedder(eight, device="torch:cpu", quantization="f32")


def test_q8_0_of_a_folder_is_the_cached_file_as_on_the_processor(tiny_checkpoint: Path, tiny: Embedder) -> None:
    given = Embedder(tiny_checkpoint, device="torch:cpu", quantization="q8_0")
    assert (given.quantization, given.checkpoint.weights) == ("q8_0", tiny.checkpoint.weights)


def test_an_index_made_in_q8_0_is_searched_by_the_default_engine(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name, text in (("a", "Apples are red."), ("b", "Pears are green.")):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / f"{name}.txt").write_text(text, encoding="utf-8")
    eight = Embedder(tiny_checkpoint, device="torch:cpu", quantization="q8_0")
    with Index(tmp_path / "index.db", model=eight) as index:
        assert index.update([tmp_path / "docs"]).added == 2
    with Index(tmp_path / "index.db", model=tiny_checkpoint) as index:
        found = search(index, "Apples are red.", mode="semantic").hits
        assert sorted(Path(hit.path).name for hit in found) == ["a.txt", "b.txt"]
        assert index.update().unchanged == 2


def test_a_checkpoint_with_a_tensor_missing_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "model")
    tensors = body_tensors(CONFIG, np.random.default_rng(0))
    gone = {name: value for name, value in tensors.items() if name != "layers.1.mlp.up_proj.weight"}
    write_safetensors(folder / "model.safetensors", gone, "F32")
    with pytest.raises(WeightsError, match=r"has no tensor layers\.1\.mlp\.up_proj\.weight: the checkpoint is inc"):
        Embedder(folder, device="torch:cpu")
    gone["layers.1.mlp.up_proj.weight"] = np.zeros((64, 96), np.float32)
    write_safetensors(folder / "model.safetensors", gone, "F32")
    with pytest.raises(UnsupportedModel, match=r"up_proj\.weight has the shape \[64, 96\], not \[96, 64\]"):
        Embedder(folder, device="torch:cpu")


# Devices


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "mps", "", 0, None, "torch"])
def test_a_device_that_is_unknown_is_refused(tiny_checkpoint: Path, device: Any) -> None:
    with pytest.raises(InputError, match=r"device is .*; available: cpu, cuda, cuda:0 and so on, torch:cpu"):
        Embedder(tiny_checkpoint, device=device)


def test_without_a_gpu_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=r"PyTorch \S+ sees no GPU: check `nvidia-smi`, install PyTorch for CUDA"
    ) as it:
        Embedder("google/embeddinggemma-300m", device="cuda")  # before anything is fetched
    assert "\n" not in str(it.value)


def test_a_number_that_no_gpu_has_is_refused() -> None:
    with pytest.raises(InputError, match="device is 'cuda:2', but PyTorch sees 2: the last is cuda:1"):
        _check_cuda("cuda:2", 2, "2.10")
    _check_cuda("cuda:1", 2, "2.10")
    _check_cuda("cuda", 1, "2.10")


@pytest.mark.parametrize("device", ["cuda", "torch:cpu"])
def test_without_pytorch_the_extra_is_named(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"needs an extra: pip install 'gemlet\[gpu\]'"):
        check_device(device)


def test_the_own_engine_brings_no_pytorch(tiny_checkpoint: Path) -> None:
    code = (
        "import sys, gemlet.cli.main, gemlet.gpu; from gemlet import Embedder; "
        f"Embedder({str(tiny_checkpoint)!r}, quantization='f32').encode('x'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_it_says_of_itself(model: Embedder) -> None:
    assert model.device == "torch:cpu"
    assert model.isa == "PyTorch on the CPU"
    assert model.threads == torch.get_num_threads()
    assert model.token_budget == 2048


def encoded(embedder: Embedder) -> np.ndarray:
    return embedder.encode(TEXTS)


def test_compiled_steps_give_the_same_vectors(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = encoded(fresh)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # traced, and run as it is
    assert fresh.compile()
    assert fresh._model._steps is not PLAIN
    np.testing.assert_allclose(encoded(fresh), before, atol=TOLERANCE)


def test_what_compiles_wrongly_or_not_at_all_is_left_out(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(step: Any, **_: Any) -> Any:
        return (lambda both: step(both).flip(-1)) if step is gated else step

    def broken(step: Any, **_: Any) -> Any:
        def run(*_: Any) -> None:
            raise RuntimeError("no compiler")

        return run

    before = encoded(fresh)
    for stand_in in (wrong, broken):
        monkeypatch.setattr(torch, "compile", stand_in)
        assert not fresh.compile()
        assert np.array_equal(encoded(fresh), before)


def test_many_tokens_compile_the_steps_by_themselves(fresh: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(torch, "compile", lambda step, **_: made.append(step) or step)
    encoded(fresh)
    assert not made  # on a processor never
    fresh._model.compile_after = int(fresh.count_tokens(TEXTS).sum())
    encoded(fresh)
    assert not made
    encoded(fresh)
    encoded(fresh)
    assert made == list(PLAIN)


def test_gemlets_own_engine_has_nothing_to_compile(tiny_checkpoint: Path) -> None:
    assert not Embedder(tiny_checkpoint).compile()
