// tokenizer_gguf.h - the tokenizer's arrays in a GGUF file ↔ Tokenizer.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "text/tokenizer.h"

namespace gemlet {

// tokenizer.ggml.tokens, scores and token_type as they lie in the file, little-endian at any alignment.
struct TokenArrays {
  size_t count = 0;
  Bytes tokens;  // each a u64 length and its text; the lengths have been checked
  Bytes scores;  // float32
  Bytes types;   // int32
  int32_t bos = -1, eos = -1;
  std::vector<std::string_view> outside;  // control pieces that have no embedding
};

// Of a SentencePiece tokenizer ("llama") as llama.cpp's converter writes it. Gives the ids that tokenizer.json gives.
// `tables`: what write_token_arrays made of these very arrays, to be read in place as long as the tokenizer lives; when
// they are of other arrays or of another version, or there are none, the tokenizer is built from the arrays.
// Throws Error(kWeights) for arrays that do not fit together and for damaged tables, Error(kUnsupported) for a token of
// a type that this engine does not run; `path` names the file in messages.
Tokenizer read_token_arrays(const TokenArrays& arrays, Bytes tables, const std::string& path);

// The same arrays for a file, and the tables.
struct OwnedTokenArrays {
  std::string tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  std::vector<std::string> outside;
  std::string tables;

  TokenArrays view(const Tokenizer& tokenizer) const;
};
// `tokenizer` merges its pieces in the order of their ids, as every tokenizer.json that is read does.
OwnedTokenArrays write_token_arrays(const Tokenizer& tokenizer);

}  // namespace gemlet
