// vectors.cpp - a .gguf file and lines of text → the bits of their vectors, without Python: for CPUs that are emulated.
//
//   vectors FILE.gguf [THREADS]     prints the instruction set, then for each line of stdin its numbers in hexadecimal
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "base/error.h"
#include "model/gguf.h"
#include "model/model.h"

namespace gemlet {
namespace {

Storage storage_of(const GgufFile& file) {
  switch (file.tensors.at("layers.0.mlp.down_proj.weight").dtype) {
    case DType::kF32:
    case DType::kF16:
      return Storage::kF32;
    case DType::kBF16:
      return Storage::kBF16;
    default:
      return Storage::kInt8;
  }
}

std::vector<float> embed(const Model& model, const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids{tokenizer.tables().bos};
  tokenizer.encode(text, ControlText::kLiteral, ids);
  ids.push_back(tokenizer.tables().eos);
  const int32_t cu_seqlens[] = {0, static_cast<int32_t>(ids.size())};
  std::vector<float> vector(model.config().embedding_size());
  model.embed({ids.data(), cu_seqlens, 1}, vector.data());
  return vector;
}

void print(const std::vector<float>& vector) {
  for (const float x : vector) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    std::printf("%08x", bits);
  }
  std::printf("\n");
}

void run(const std::string& path, size_t threads) {
  const MappedFile file(path);
  const GgufFile content = read_gguf(file.bytes(), path);
  const Tokenizer tokenizer = read_tokenizer(content, path);
  const Config config = to_config(read_gguf_config(content, path));
  const Model model(config, {{path, ""}}, storage_of(content), default_kernels(), threads);
  std::printf("%s\n", model.kernels().name);
  for (std::string text; std::getline(std::cin, text);) print(embed(model, tokenizer, text));
}

}  // namespace
}  // namespace gemlet

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: vectors FILE.gguf [THREADS]\n");
    return 2;
  }
  try {
    gemlet::run(argv[1], argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vectors: %s\n", error.what());
    return 1;
  }
}
