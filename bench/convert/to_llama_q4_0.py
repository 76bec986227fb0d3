"""A GGUF file of full precision → llama.cpp's own Q4_0 of it.   (file → file)

    python bench/convert/to_llama_q4_0.py IN.gguf OUT.gguf

bench/rivals/README.md has the environment that it needs; `gemlet quantize --type bf16` writes IN.
"""

import sys

import llama_cpp


def main(source: str, target: str) -> None:
    """Quantize as `llama-quantize IN OUT Q4_0` does."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    if llama_cpp.llama_model_quantize(source.encode(), target.encode(), params):
        raise SystemExit(f"{source}: llama.cpp could not quantize it")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
