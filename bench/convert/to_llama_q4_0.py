"""A GGUF file of full precision → llama.cpp's own Q4_0 of it.   (file → file)

    python bench/convert/to_llama_q4_0.py LIBRARIES IN.gguf OUT.gguf

LIBRARIES is a folder with llama.cpp's shared libraries; bench/rivals/README.md says where one comes from. `gemlet
quantize --type bf16` writes IN.
"""

import ctypes
import sys
from pathlib import Path

Q4_0 = 2  # Source: llama.h, LLAMA_FTYPE_MOSTLY_Q4_0


class Params(ctypes.Structure):
    """The beginning of llama_model_quantize_params, and room for what follows in any version."""

    _fields_ = (("nthread", ctypes.c_int32), ("ftype", ctypes.c_int), ("rest", ctypes.c_byte * 512))


def main(libraries: Path, source: str, target: str) -> None:
    """Quantize as `llama-quantize IN OUT Q4_0` does."""
    loaded = [load(libraries, name) for name in ("libggml-base", "libggml", "libllama")]
    loaded[1].ggml_backend_load_all_from_path(str(libraries).encode())
    llama = loaded[2]
    llama.llama_backend_init()
    llama.llama_model_quantize_default_params.restype = Params
    params = llama.llama_model_quantize_default_params()
    params.ftype = Q4_0
    if llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        raise SystemExit(f"{source}: llama.cpp could not quantize it")


def load(folder: Path, name: str) -> ctypes.CDLL:
    """Load NAME.so or NAME.VERSION.so."""
    found = sorted([*folder.glob(f"{name}.so*"), *folder.glob(f"{name}.v*.so")])
    if not found:
        raise SystemExit(f"{folder} has no {name}.so")
    return ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
