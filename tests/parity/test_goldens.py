"""Text in, the publisher's vector out: the engine on the real checkpoint, and verify() on engines that are wrong."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gemlet import Embedder, TruncationWarning, _core
from gemlet.checkpoint import read_checkpoint
from gemlet.pretrained.pins import EMBEDDING_GEMMA
from gemlet.vectors import normalize
from gemlet.verify import BOUNDS, GOLDENS, check_vectors, compare, load_goldens, verify

HERE = Path(__file__).parent
PUBLISHED = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
ALL = load_goldens()
LITERAL = [golden for golden in ALL if not golden.control]
SHORT = [golden for golden in LITERAL if golden.tokens <= 300]
VECTORS = np.stack([golden.vector for golden in LITERAL])


# What the goldens are


def test_goldens_cover_languages_and_lengths():
    languages = {golden.language for golden in ALL if golden.id.startswith("lang-")}
    assert len(ALL) >= 64
    assert len(languages) >= 20
    lengths = {golden.tokens for golden in ALL}
    assert {2, *range(254, 261), 300, *range(511, 515), 600, 1500, 2047, 2048} <= lengths
    assert max(lengths) > 2048


def test_goldens_are_whole():
    assert len({golden.id for golden in ALL}) == len({golden.prompted for golden in ALL}) == len(ALL)
    for golden in ALL:
        assert len(golden.input_ids) == min(golden.tokens, 2048)
        assert golden.input_ids[0] == 2
        assert golden.input_ids[-1] == 1
        # A float32 division leaves 1e-7.
        assert np.linalg.norm(golden.vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


def test_goldens_were_made_from_the_pinned_checkpoint():
    made = json.loads((GOLDENS / "goldens.json").read_text(encoding="utf-8"))
    assert made["made_with"]["dtype"] == "float32"
    assert made["checkpoint"]["model.safetensors"]
    assert made["checkpoint"] == {
        pin.path: pin.sha256 for pin in EMBEDDING_GEMMA.pins if pin.path in made["checkpoint"]
    }


def test_goldens_are_small_enough_to_commit():
    files = [*GOLDENS.iterdir(), HERE / "stages.npz", HERE / "published.json"]
    assert max(file.stat().st_size for file in files if file.is_file()) <= 500_000
    assert sum(file.stat().st_size for file in files if file.is_file()) <= 700_000


# The engine on the real checkpoint


def encode_all(embedder):
    with pytest.warns(TruncationWarning, match=r"lost 552 of 2600"):
        return embedder.encode([golden.prompted for golden in LITERAL])


@pytest.mark.parametrize("quantization", ["f32", "q8_0"])
def test_every_golden_has_the_publishers_tokens(quantization, embedder, embedder_f32):
    embedder = {"f32": embedder_f32, "q8_0": embedder}[quantization]
    for golden, encoding in zip(LITERAL, embedder.tokenize([golden.prompted for golden in LITERAL]), strict=True):
        ids = encoding.ids.tolist()
        assert len(ids) == golden.tokens, golden.id
        assert [*ids[:2047], ids[-1]][: len(ids)] == golden.input_ids.tolist(), golden.id


def test_every_golden_has_the_publishers_vector(embedder_f32):
    vectors = encode_all(embedder_f32)
    cosines, differences = compare(LITERAL, vectors)
    least, most = BOUNDS["f32"]
    assert vectors.dtype == np.float32
    assert cosines.min() >= least, LITERAL[int(cosines.argmin())]
    assert differences.max() <= most, LITERAL[int(differences.argmax())]


def test_the_default_stays_within_its_bounds(embedder):
    vectors = encode_all(embedder)
    assert embedder.quantization == "q8_0"
    assert check_vectors(LITERAL, vectors, "q8_0") == []
    cosines, differences = compare(LITERAL, vectors)
    assert cosines.mean() > 0.9995  # measured 0.9997
    assert differences.max() > 1e-3  # ... and 8 bits are in use: f32 would be 1e-6 away


def test_8_bits_without_the_file_stay_within_the_same_bounds(checkpoint):
    """As where the cache cannot be written: packed from the folder's own weights at load."""
    settings = read_checkpoint(checkpoint)
    model = _core.Model(settings.config, settings.weights, "int8", 2)
    ids = [golden.input_ids for golden in SHORT]
    hidden = model.embed(np.concatenate(ids), np.cumsum([0, *map(len, ids)]).astype(np.int32))
    assert check_vectors(SHORT, normalize(hidden), "q8_0") == []


def test_bf16_weights_stay_within_their_bounds(checkpoint):
    given = Embedder(checkpoint, quantization="bf16").encode([golden.prompted for golden in SHORT])
    assert check_vectors(SHORT, given, "bf16") == []
    # ... and are in use: f32 would be 1e-6 away.
    assert compare(SHORT, given)[1].max() > 1e-4


def test_parsed_control_tokens_are_the_publishers(checkpoint):
    parsing = Embedder(checkpoint, control_tokens="parse", quantization="f32")
    spelled = [golden for golden in ALL if golden.control]
    assert spelled
    for golden in spelled:
        assert parsing.tokenize(golden.prompted).ids.tolist() == golden.input_ids.tolist()
        assert np.abs(parsing.encode(golden.prompted) - golden.vector).max() <= BOUNDS["f32"][1]


def test_names_of_prompts_and_titles_give_the_goldens(embedder_f32):
    for golden in SHORT:
        if golden.title is not None:
            given = embedder_f32.encode_document(golden.text, titles=golden.title)
        elif golden.prompt_name is not None:
            given = embedder_f32.encode(golden.text, prompt_name=golden.prompt_name)
        else:
            continue
        assert np.abs(given - golden.vector).max() <= BOUNDS["f32"][1], golden.id


@pytest.mark.parametrize("text", ["lang-te", "len-300"])
def test_every_layer_is_the_publishers(text, embedder_f32):
    key = {"lang-te": "short", "len-300": "long"}[text]
    ids = next(golden.input_ids for golden in ALL if golden.id == text)
    rows = [0, len(ids) // 2, len(ids) - 1]
    cu_seqlens = np.array([0, len(ids)], np.int32)
    with np.load(HERE / "stages.npz", allow_pickle=False) as stages:
        expected = dict(zip(stages["token_stages"].tolist(), stages[f"tokens_{key}"], strict=True))
        norms = dict(zip(stages["token_stages"].tolist(), stages[f"norms_{key}"], strict=True))
        columns = stages["columns_768"]
    given = {
        f"layers.{number}.output": embedder_f32._model.hidden_states(ids, cu_seqlens, number + 1)
        for number in range(24)
    }
    given["embed"] = embedder_f32._model.hidden_states(ids, cu_seqlens, 0)
    given["final_norm"] = embedder_f32._model.token_embeddings(ids, cu_seqlens)
    for name, values in given.items():
        # Of the norm of the row. Measured 4.6e-7, and 2.1e-6 for the NumPy reference: two orders of float32 sums.
        error = np.abs(values[rows][:, columns] - expected[name]) / norms[name][:, None]
        assert error.max() <= 1e-5, name


@pytest.mark.parametrize("entry", PUBLISHED["vectors"], ids=lambda entry: entry["prompted"])
def test_published_vectors(entry, embedder_f32):
    given = embedder_f32.encode(entry["prompted"])[: len(entry["starts"])]
    assert np.abs(given - entry["starts"]).max() <= entry["tolerance"], entry["source"]


@pytest.mark.parametrize("entry", PUBLISHED["similarities"], ids=lambda entry: f"{entry['b'][-12:]}-{entry['dim']}")
def test_published_similarities(entry, embedder_f32):
    a, b = embedder_f32.encode([entry["a"], entry["b"]], truncate_dim=entry["dim"])
    assert float(a @ b) == pytest.approx(entry["cosine"], abs=entry["tolerance"]), entry["source"]


@pytest.mark.parametrize("quantization", ["f32", "q8_0"])
def test_verify_passes_the_real_engine(quantization, embedder, embedder_f32):
    report = verify({"f32": embedder_f32, "q8_0": embedder}[quantization])
    assert report.quantization == quantization
    assert report.passed, report.lines
    assert report.lines[-1] == "PASS"
    assert report.texts == len(LITERAL)
    json.dumps(report.to_dict())


# verify() names what is wrong, without a checkpoint


class Answers:
    """An embedder that knows the goldens by heart and gets one thing wrong."""

    quantization = "f32"
    device = "cpu"
    max_seq_length = 2048
    control_tokens = "literal"

    def __init__(self, vectors=VECTORS, **changes):
        self.known = {golden.prompted: vector for golden, vector in zip(LITERAL, vectors, strict=True)}
        self.ids = {golden.prompted: golden.input_ids for golden in LITERAL}
        vars(self).update(changes)

    def encode(self, texts, **_):
        return np.stack([self.known.get(text, VECTORS[0]) for text in texts])

    def encode_query(self, texts, **_):
        return self.encode([f"task: search result | query: {text}" for text in texts])

    def encode_document(self, texts, *, titles, **_):
        pairs = zip(titles, texts, strict=True)
        return self.encode([f"title: {title or 'none'} | text: {text}" for title, text in pairs])

    def tokenize(self, texts):
        return [SimpleNamespace(ids=self.full_ids(text)) for text in texts]

    def full_ids(self, text):
        ids = self.ids[text]
        tokens = next(golden.tokens for golden in LITERAL if golden.prompted == text)
        return np.concatenate([ids[:-1], np.full(tokens - len(ids), 9, np.int32), ids[-1:]])


def problem_of(embedder):
    report = verify(embedder)
    assert not report.passed
    assert report.lines[-1] == "FAIL"
    return " ".join(report.problems)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def noisy(rows, size=0.3):
    noise = np.random.default_rng(0).standard_normal(VECTORS.shape) * size / np.sqrt(768)
    return unit(VECTORS + noise * np.asarray(rows)[:, None])


def test_right_answers_pass():
    assert verify(Answers()).problems == []
    assert verify(Answers(), quick=True).texts == len(SHORT)


def test_progress_counts_to_the_end():
    seen = []
    verify(Answers(), quick=True, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(SHORT), len(SHORT))
    assert seen == sorted(seen)


@pytest.mark.parametrize("last_right", [255, 256, 257])
def test_a_wrong_window_is_named(last_right):
    tokens = np.array([golden.tokens for golden in LITERAL])
    problem = problem_of(Answers(noisy(tokens > last_right)))
    assert f"up to {last_right} tokens are right" in problem
    assert "window of the sliding layers is not ±256" in problem


def test_long_texts_that_are_wrong_are_named():
    tokens = np.array([golden.tokens for golden in LITERAL])
    problem = problem_of(Answers(noisy(tokens > 511)))
    assert "up to 511 tokens are right, all of 512 and more are wrong: long texts are cut or split" in problem


def test_a_missing_dense_head_is_named():
    pooled = np.zeros_like(VECTORS)
    pooled[:, 407] = 0.56  # the mean of that coordinate over the goldens before the dense head
    rest = np.random.default_rng(1).standard_normal(VECTORS.shape) * np.sqrt((1 - 0.56**2) / 768)
    assert "dense head" in problem_of(Answers(unit(pooled + rest)))


def test_a_causal_mask_or_other_weights_are_named():
    assert "a causal mask" in problem_of(Answers(noisy(np.ones(len(LITERAL)), size=1.0)))


def test_a_lower_precision_is_named():
    everywhere = noisy(np.ones(len(LITERAL)), size=0.01)
    assert "lower precision" in problem_of(Answers(everywhere))
    assert verify(Answers(everywhere, quantization="bf16")).passed


def test_rows_out_of_order_are_named():
    assert "rows are out of order" in problem_of(Answers(np.roll(VECTORS, 1, axis=0)))


def test_one_flipped_bit_that_matters_is_seen():
    vectors = VECTORS.copy()
    vectors[40].view(np.uint32)[100] ^= 1 << 24
    assert f"`{LITERAL[40].id}`" in problem_of(Answers(vectors))


def test_nan_and_length_are_named():
    assert "NaN" in problem_of(Answers(np.where(np.arange(768) == 7, np.nan, VECTORS).astype(np.float32)))
    assert "unit length" in problem_of(Answers(VECTORS * np.float32(1.001)))
    assert "shape" in problem_of(Answers(VECTORS[:, :512]))


def test_a_wrong_tokenizer_is_named():
    wrong = Answers()
    wrong.ids = {text: np.where(ids == 107, 108, ids) for text, ids in wrong.ids.items()}
    problem = problem_of(wrong)
    assert "tokenizer: " in problem
    assert "is 108, not 107" in problem


def test_a_vector_that_depends_on_its_batch_is_named():
    class Depends(Answers):
        def encode(self, texts, **_):
            return super().encode(texts) * np.float32(1 + 2e-7 * (len(texts) > 1))

    assert "other vectors alone" in problem_of(Depends())


def test_a_forgotten_title_is_named():
    class Forgets(Answers):
        def encode_document(self, texts, *, titles, **options):
            return super().encode_document(texts, titles=[None] * len(titles), **options)

    assert "encode_document" in problem_of(Forgets())


def test_an_unknown_quantization_is_refused():
    with pytest.raises(ValueError, match="q3"):
        verify(Answers(quantization="q3"))
