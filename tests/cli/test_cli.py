"""The command line as a user meets it: each verb by argument, file and stdin; each failure's message and exit code."""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from gguf_parts import take_apart

from gemlet import Embedder, errors
from gemlet.cli.main import COMMANDS, EXIT_CODES, main
from gemlet.gguf import write_gguf
from gemlet.verify import load_goldens

TEXTS = ["The red planet.", "", "Größe 😀"]


def run(
    *arguments: str | Path, stdin: str | bytes = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "gemlet", *map(str, arguments)],
        input=data,
        capture_output=True,
        env={**os.environ, **(env or {})},
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def vectors(stdout: str) -> np.ndarray:
    return np.array([json.loads(line)["embedding"] for line in stdout.splitlines()], np.float32)


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> list[str]:
    return ["--model", str(tiny_checkpoint)]


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS:
        done = run(name, "--help")
        assert done.returncode == 0
        assert f"gemlet {name}" in done.stdout.split("Examples:")[1], name
    done = run("--help")
    assert all(name in done.stdout for name in COMMANDS)
    assert run("--version").stdout.startswith("gemlet 0.")


def test_embed_gives_the_librarys_bits_by_every_door(tiny_checkpoint: Path, tiny: Embedder, tmp_path: Path) -> None:
    expected = tiny.encode(TEXTS)
    base = ["embed", "--model", tiny_checkpoint]
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(TEXTS) + "\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": i, "body": t}) + "\n" for i, t in enumerate(TEXTS)))
    for arguments, stdin in (
        ([*TEXTS], ""),
        (["-f", lines], ""),
        (["-f", rows, "--field", "body"], ""),
        ([], "\n".join(TEXTS)),
        (["-f", "-"], "\r\n".join(TEXTS)),
        ([], "".join(json.dumps(t) + "\n" for t in TEXTS)),
        (["--threads", "1", *TEXTS], ""),
    ):
        done = run(*base, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        assert vectors(done.stdout).tobytes() == expected.tobytes()
    kept = json.loads(run(*base, "-f", rows, "--field", "body").stdout.splitlines()[2])
    assert (kept["id"], kept["body"]) == (2, TEXTS[2])


def test_embed_into_files(tiny_checkpoint: Path, tiny: Embedder, tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(1100)]  # more than two chunks
    npy, jsonl = tmp_path / "v.npy", tmp_path / "v.jsonl"
    for output in (npy, jsonl):
        done = run("embed", "--model", tiny_checkpoint, "-o", output, stdin="\n".join(texts))
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    expected = tiny.encode(texts)
    assert np.load(npy).tobytes() == expected.tobytes()
    assert vectors(jsonl.read_text()).tobytes() == expected.tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.jsonl", "v.npy"]


def test_embed_tasks_titles_precisions_and_whole_files(tiny_checkpoint: Path, tiny: Embedder, tmp_path: Path) -> None:
    base = ["embed", "--model", tiny_checkpoint]
    assert np.array_equal(vectors(run(*base, "--task", "query", "x").stdout)[0], tiny.encode_query("x"))
    row = json.dumps({"text": "x", "title": "A"})
    titled = vectors(run(*base, "--task", "document", stdin=row).stdout)[0]
    assert np.array_equal(titled, tiny.encode_document("x", titles="A"))
    assert (
        json.loads(run(*base, "--precision", "int8", "x").stdout)["embedding"]
        == tiny.encode("x", precision="int8").tolist()
    )
    page = tmp_path / "page.md"
    page.write_text("two\nlines\n")
    whole = json.loads(run(*base, "--whole", page).stdout)
    assert whole["file"] == str(page)
    assert np.array_equal(np.array(whole["embedding"], np.float32), tiny.encode("two\nlines\n"))


def test_embed_of_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert run("embed", "--model", tiny_checkpoint, stdin="").stdout == ""
    done = run("embed", "--model", tiny_checkpoint, "-o", tmp_path / "none.npy", stdin="")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "none.npy").shape[0] == 0


def test_a_cut_text_is_said_in_one_line(tiny_checkpoint: Path) -> None:
    done = run("embed", "--model", tiny_checkpoint, stdin="word " * 9000)
    assert done.returncode == 0
    assert done.stderr.startswith("gemlet: 1 of 1 texts are longer than 2048 tokens and were cut: text 0 lost")
    assert len(done.stderr.splitlines()) == 1
    done = run("embed", "--model", tiny_checkpoint, "--truncation", "error", stdin="word " * 9000)
    assert done.returncode == 2
    assert "the limit is 2048" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["-f", "/no/such/file"], "", 2, "cannot read /no/such/file: No such file"),
        (["-f", "/"], "", 2, "cannot read /: Is a directory"),
        (["--whole", "/no/such/file"], "", 2, "cannot read /no/such/file"),
        (["-o", "/no/such/folder/x.npy", "x"], "", 2, "cannot write"),
        (["-o", "x.csv", "x"], "", 2, "name a .npy or .jsonl file"),
        (["--task", "qurey", "x"], "", 2, "no prompt is named 'qurey'"),
        ([], '{"no": "text"}', 2, "-:1 has no text in 'text'"),
        ([], '{"text": 3}', 2, "-:1 has no text"),
        ([], '{"text": "a"}\n{broken', 2, "-:2 is not JSON"),
        (["--dim", "100", "x"], "", 2, "100"),
    ],
)
def test_mistakes(tiny_checkpoint: Path, arguments: list[str], stdin: str, code: int, message: str) -> None:
    done = run("embed", "--model", tiny_checkpoint, *arguments, stdin=stdin)
    assert done.returncode == code
    assert message in done.stderr


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    done = run("embed", "--model", tmp_path / "none", "x")
    assert done.returncode == 1
    assert str(tmp_path / "none") in done.stderr


def test_bytes_that_are_no_utf8(tiny_checkpoint: Path, tiny: Embedder) -> None:
    done = run("embed", "--model", tiny_checkpoint, stdin=b"caf\xe9")
    assert np.array_equal(vectors(done.stdout)[0], tiny.encode("caf\ufffd"))


def test_a_failed_run_leaves_no_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "v.npy"
    done = run("embed", "--model", tiny_checkpoint, "-o", target, stdin='"fine"\n{broken')
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tiny_checkpoint: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gemlet", "embed", "--model", str(tiny_checkpoint), "x"],
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("gemlet: ")
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_leaves(tiny_checkpoint: Path) -> None:
    command = f"{sys.executable} -m gemlet embed --model {tiny_checkpoint} | head -n 1"
    done = subprocess.run(["bash", "-c", command], input=b"text\n" * 3000, capture_output=True)
    assert done.stdout.count(b"\n") == 1
    assert not done.stderr


def test_similarity(tiny_checkpoint: Path, tiny: Embedder) -> None:
    done = run("similarity", "--model", tiny_checkpoint, "a", "b", "a")
    assert done.stdout.splitlines()[0] == " 1.0000  a"
    answer = json.loads(run("similarity", "--json", "--search", "--model", tiny_checkpoint, "q", "d", "e").stdout)
    expected = tiny.similarity(tiny.encode_query("q"), tiny.encode_document(["d", "e"]))[0]
    assert [row["score"] for row in answer["similarities"]] == pytest.approx(expected.tolist(), abs=1e-6)
    assert run("similarity", "--model", tiny_checkpoint, "alone").returncode == 2
    assert run("similarity", "--search", "--task", "STS", "--model", tiny_checkpoint, "a", "b").returncode == 2


def test_tokenize(tiny_checkpoint: Path, tiny: Embedder) -> None:
    base = ["tokenize", "--model", tiny_checkpoint]
    answer = json.loads(run(*base, "--json", TEXTS[2]).stdout)
    assert answer["ids"] == tiny.tokenize(TEXTS[2]).ids.tolist()
    assert answer["pieces"] == tiny.tokenize(TEXTS[2]).pieces
    assert run(*base, "--count", stdin="\n".join(TEXTS)).stdout.split() == [str(n) for n in tiny.count_tokens(TEXTS)]
    assert "'<bos>':2" in run(*base, "x").stdout
    assert json.loads(run(*base, "--json", "--parse-control", "<eos>").stdout)["ids"] == [2, 1, 1]


def test_quantize(tiny_checkpoint: Path, tiny_f32: Embedder, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    report = json.loads(run("quantize", tiny_checkpoint, file, "--type", "f32", "--json").stdout)
    assert report["bytes"] == file.stat().st_size
    assert report["cosine_to_fp32"]["smallest"] > 1 - 1e-6
    row = json.loads(run("embed", "--model", file, "--task", "query", TEXTS[2]).stdout)
    assert np.array(row["embedding"], np.float32).tobytes() == tiny_f32.encode_query(TEXTS[2]).tobytes()

    done = run("quantize", tiny_checkpoint, tmp_path / "small.gguf", "--no-check")
    assert "Q8_0" in done.stdout
    assert "cosine" not in done.stdout
    assert json.loads(run("info", "--json", tmp_path / "small.gguf").stdout)["stored as"] == "q8_0"
    assert run("tokenize", "--count", "--model", tmp_path / "small.gguf", "x").stdout == "3\n"


def test_quantize_compares_what_runs(tiny_checkpoint: Path, tiny: Embedder, tiny_f32: Embedder, tmp_path: Path) -> None:
    done = run("quantize", tiny_checkpoint, tmp_path / "small.gguf")
    texts = [golden.prompted for golden in load_goldens() if golden.tokens <= 64]
    cosines = np.sum(tiny.encode(texts) * tiny_f32.encode(texts), axis=1)
    assert len(texts) > 90
    said = f"cosine to fp32 on {len(texts)} texts: mean {cosines.mean():.6f}, smallest {cosines.min():.6f}"
    assert done.stdout.splitlines()[1] == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tiny}", "{out}/x.bin"], "does not end in .gguf"),
        (["{tiny}", "{out}/none/x.gguf"], "is no folder: make it first"),
        (["{out}/none", "{out}/x.gguf"], "there is no such file or folder"),
        (["{tiny}/config.json", "{out}/x.gguf", "--type", "q3"], "q3"),
    ],
)
def test_quantize_mistakes(tiny_checkpoint: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run("quantize", *(part.format(tiny=tiny_checkpoint, out=tmp_path) for part in arguments))
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_info(tiny_checkpoint: Path) -> None:
    facts = json.loads(run("info", "--json", tiny_checkpoint).stdout)
    assert facts["folder"] == str(tiny_checkpoint)
    assert facts["prompts"]["query"] == "task: search result | query: "
    assert "fact checking" in run("info", tiny_checkpoint).stdout


def test_the_8_bit_file_is_pulled_shown_and_used(tiny_checkpoint: Path, tmp_path: Path) -> None:
    env = {"GEMLET_CACHE": str(tmp_path)}
    assert json.loads(run("info", "--json", tiny_checkpoint, env=env).stdout)["8-bit file"].endswith("not written yet")
    report = json.loads(run("pull", "--json", tiny_checkpoint, env=env).stdout)
    file = Path(report["q8_0"])
    assert report["path"] == str(tiny_checkpoint)
    assert file.is_relative_to(tmp_path.resolve())
    shown = json.loads(run("info", "--json", tiny_checkpoint, env=env).stdout)["8-bit file"]
    assert shown == f"{file}, {file.stat().st_size:,} bytes"
    assert "8-bit file" not in json.loads(run("info", "--json", file, env=env).stdout)
    written = file.stat().st_mtime_ns
    assert run("embed", "--model", tiny_checkpoint, "x", env=env).stderr == ""
    assert file.stat().st_mtime_ns == written
    assert run("pull", tiny_checkpoint, env=env).stdout == f"{tiny_checkpoint}\n"


def test_a_pull_of_what_cannot_run_is_done_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    done = run("pull", "--json", tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"name": str(tmp_path), "path": str(tmp_path), "q8_0": None}
    assert done.stderr.startswith("no 8-bit file was written: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"GEMLET_CACHE": str(tmp_path / "file")}
    done = run("embed", "--model", tiny_checkpoint, "x", env=env)
    assert done.returncode == 0
    assert vectors(done.stdout).shape == (1, 64)
    assert done.stderr.startswith("gemlet: cannot keep the 8-bit file ")
    assert len(done.stderr.splitlines()) == 1
    pulled = run("pull", "--json", tiny_checkpoint, env=env)
    assert json.loads(pulled.stdout)["q8_0"] is None
    assert run("embed", "--model", tiny_checkpoint, "--quantization", "f32", "x", env=env).stderr == ""


def test_verify_says_what_is_wrong_with_another_model(tiny_checkpoint: Path) -> None:
    done = run("verify", "--quick", "--model", tiny_checkpoint)
    assert done.returncode == 1
    assert "this is not EmbeddingGemma-300M" in done.stdout
    assert done.stdout.endswith("FAIL\n")


def test_ctrl_c_is_one_line_and_130(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Embedder, "encode", interrupted)
    monkeypatch.setattr(sys, "argv", ["gemlet", "embed", "--model", str(tiny_checkpoint), "x"])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main() puts its own in its place
    monkeypatch.setattr(gc, "freeze", lambda: None)  # this process is not on its way out
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert capsys.readouterr().err.strip() == "gemlet: interrupted"


def test_exit_codes_cover_every_error() -> None:
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.GemletError):
            assert any(issubclass(error, kind) for kind, _ in EXIT_CODES)


def test_the_command_line_starts_light() -> None:
    """`gemlet --help` must not pay for what only some commands need."""
    heavy = {"huggingface_hub", "tqdm", "platformdirs", "torch", "numpy", "importlib.metadata"}
    code = f"import sys, gemlet.cli.main; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_second_start_imports_only_what_it_runs(tiny_checkpoint: Path) -> None:
    heavy = {
        *("huggingface_hub", "tqdm", "platformdirs", "hashlib", "tempfile", "importlib.metadata", "concurrent.futures"),
        *("numpy.random", "numpy.testing", "numpy.ma", "gemlet.gguf", "gemlet.verify"),
    }
    command = [sys.executable, "-X", "importtime", "-m", "gemlet", "embed", "--model", str(tiny_checkpoint), "x"]
    subprocess.run(command, capture_output=True, check=True)
    log = subprocess.run(command, capture_output=True, check=True, text=True).stderr
    imported = {line.rsplit("|", 1)[1].strip() for line in log.splitlines() if line.startswith("import time:")}
    assert "gemlet.quantized" in imported
    assert not imported & heavy


def test_info_of_a_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    assert run("quantize", tiny_checkpoint, file, "--no-check").returncode == 0
    facts = json.loads(run("info", "--json", "--tensors", file).stdout)
    assert facts["types"].keys() == {"Q8_0", "F32"}
    matrices = 2 * 7 + 3
    assert facts["types"]["Q8_0"].startswith(f"{matrices} tensors, ")
    assert facts["tensors"]["embed_tokens.weight"] == "Q8_0 [512, 64]"
    assert "tensors" not in json.loads(run("info", "--json", file).stdout)
    file.write_bytes(file.read_bytes()[:5000])
    broken = run("info", file)
    assert broken.returncode == 1
    assert broken.stdout == ""
    assert "the file is damaged: fetch or write it again" in broken.stderr


@pytest.mark.parametrize(
    ("quantization", "kinds"),
    [("q4_0", ["int4", "int8", "bf16"]), ("q8_0", ["int8", "bf16"]), ("bf16", ["bf16"]), ("f32", ["f32"])],
)
def test_info_tells_how_a_file_runs(tiny_checkpoint: Path, tmp_path: Path, quantization: str, kinds: list[str]) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(tiny_checkpoint, file, dtype=quantization)
    facts = json.loads(run("info", "--json", file).stdout)
    named = [part.split()[0] for part in facts["runs as"].removeprefix("matrices in ").split(", ")]
    assert sorted(named) == sorted(kinds)
    assert re.fullmatch(r"about \d+ MB for one query, \d+ MB for a text of 2,048 tokens", facts["memory"])
    assert facts["missing"] == "nothing"
    assert facts["architecture"] == "gemma-embedding"
    other = "bf16" if quantization == "f32" else "f32"
    assert f"but the file holds {quantization}" in run("info", "--quantization", other, file).stderr


def test_info_tells_how_a_folder_runs(tiny_checkpoint: Path) -> None:
    facts = json.loads(run("info", "--json", "--tensors", tiny_checkpoint).stdout)
    assert facts["types"].keys() == {"F32"}
    assert facts["tensors"]["dense.1.linear.weight"].startswith("F32 [")
    assert facts["runs as"].startswith("matrices in int8 ")
    exact = json.loads(run("info", "--json", "--quantization", "f32", tiny_checkpoint).stdout)
    assert exact["runs as"].startswith("matrices in f32 ")


NORM, VALUES = "blk.1.attn_norm.weight", "blk.0.attn_v.weight"


@pytest.mark.parametrize(
    ("tensors", "key", "missing"),
    [
        (["dense_2.weight"], None, "it has no dense head (dense_2, dense_3), and every vector would be wrong; convert"),
        (["token_embd.weight"], None, "it has no tensor `token_embd.weight`; the file is damaged: fetch or write it"),
        ([], "gemma-embedding.block_count", "`gemma-embedding.block_count` is missing"),
        ([NORM], None, "tensor `layers.1.input_layernorm.weight`: take a complete checkpoint, or write"),
        ([NORM, VALUES], None, "2 tensors, the first `layers.0.self_attn.v_proj.weight`: take a complete"),
        ([], "tokenizer.ggml.tokens", "a tokenizer ({file}: `tokenizer.ggml.tokens` is missing): take a complete"),
    ],
)
def test_info_describes_a_file_and_says_what_it_lacks(
    tiny_checkpoint: Path, tmp_path: Path, tensors: list[str], key: str | None, missing: str
) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(tiny_checkpoint, file)
    parts = take_apart(file.read_bytes())
    for name in tensors:
        parts.drop_tensor(name)
    parts.drop(key or "no such key")
    file.write_bytes(parts.join())
    told = run("info", "--tensors", file)
    facts = json.loads(run("info", "--json", "--tensors", file).stdout)
    assert told.returncode == 1
    assert missing.format(file=file) in facts["missing"]
    assert f"missing:           {facts['missing']}\n" in told.stdout
    assert len(facts["tensors"]) == len(parts.tensors)
    assert facts["types"].keys() == {"Q8_0", "F32"}
    assert run("embed", "--model", file, "x").returncode == 1


def test_info_of_a_folder_without_its_tokenizer(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "tokenizer.json").unlink()
    told = run("info", folder)
    assert told.returncode == 1
    assert f"missing:           a tokenizer (cannot read {folder / 'tokenizer.json'}: No such" in told.stdout


def test_info_of_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(b"GGML" + bytes(100))
    told = run("info", file)
    assert (told.returncode, told.stdout) == (1, "")
    assert (
        told.stderr == f"gemlet: {file}: it does not begin with `GGUF`; the file is damaged: fetch or write it again\n"
    )
