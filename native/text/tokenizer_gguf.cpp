// tokenizer_gguf.cpp - see tokenizer_gguf.h.
#include "text/tokenizer_gguf.h"

#include "base/error.h"
#include "base/hash.h"

namespace gemlet {
namespace {

// Source: llama.cpp, enum llama_token_type
enum TokenType : int32_t {
  kNormalToken = 1,
  kUnknownToken,
  kControlToken,
  kUserDefinedToken,
  kUnusedToken,
  kByteToken
};

constexpr float kNoScore = -1000;  // what the converter gives to all that is not made by merging

// User-defined pieces that the converter calls control pieces.   Source: conversion/base.py, does_token_look_special
bool looks_special(std::string_view piece) {
  return piece == "<mask>" || (piece.starts_with("<unused") && piece.ends_with(">"));
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at; (at = text.find(from)) != text.npos; text.remove_prefix(at + from.size())) {
    out.append(text.substr(0, at)).append(to);
  }
  return out.append(text);
}

PieceKind kind_of(int32_t type, std::string_view piece, size_t id) {
  switch (type) {
    case kNormalToken:
      return PieceKind::kNormal;
    case kUnknownToken:
      return PieceKind::kControl;
    case kControlToken:
      return looks_special(piece) ? PieceKind::kUserDefined : PieceKind::kControl;
    case kUserDefinedToken:
      return PieceKind::kUserDefined;
    case kByteToken:
      if (byte_of(piece) >= 0) return PieceKind::kByte;
      throw Error(Code::kWeights, "token " + std::to_string(id) + " is a byte, but does not spell one");
    default:
      throw Error(Code::kUnsupported,
                  "token " + std::to_string(id) + " has type " + std::to_string(type) + "; 1 to 4 and 6 are read");
  }
}

// Of all that the tables follow from.
uint64_t hash_of(const TokenArrays& arrays) {
  Hash hash;
  hash.add(arrays.count).add(arrays.tokens).add(arrays.scores).add(arrays.types);
  hash.add(static_cast<uint64_t>(arrays.bos)).add(static_cast<uint64_t>(arrays.eos));
  for (const std::string_view piece : arrays.outside) hash.add(bytes_of(piece));
  return hash.value();
}

Vocabulary read_vocabulary(const TokenArrays& arrays) {
  Vocabulary vocabulary;
  const uint8_t* at = arrays.tokens.data;
  for (size_t id = 0; id < arrays.count; ++id) {
    const std::string_view piece = Bytes{at + sizeof(uint64_t), load<uint64_t>(at)}.text();
    at += sizeof(uint64_t) + piece.size();
    const PieceKind kind = kind_of(load<int32_t>(arrays.types.data + 4 * id), piece, id);
    if (kind == PieceKind::kNormal) {
      vocabulary.add(piece, kind, load<float>(arrays.scores.data + 4 * id));
    } else if (kind == PieceKind::kUserDefined) {
      vocabulary.add(replace_all(piece, " ", kSpaceMark), kind, 0);
    } else {
      vocabulary.add(piece, kind, 0);
    }
  }
  for (const std::string_view piece : arrays.outside) vocabulary.add_outside(piece);
  vocabulary.bos = arrays.bos;
  vocabulary.eos = arrays.eos;
  return vocabulary;
}

Tokenizer derive_tokenizer(const TokenArrays& arrays) {
  const Vocabulary vocabulary = read_vocabulary(arrays);
  return Tokenizer(vocabulary, derive_merges(vocabulary));
}

}  // namespace

Tokenizer read_token_arrays(const TokenArrays& arrays, Bytes tables, const std::string& path) {
  try {
    if (arrays.scores.size != arrays.count * sizeof(float) || arrays.types.size != arrays.count * sizeof(int32_t)) {
      throw Error(Code::kWeights, "tokens, scores and token_type are not equally long");
    }
    return tables.size && are_tables_of(tables, hash_of(arrays)) ? Tokenizer(tables) : derive_tokenizer(arrays);
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

OwnedTokenArrays write_token_arrays(const Tokenizer& tokenizer) {
  OwnedTokenArrays out;
  const Pieces& pieces = tokenizer.pieces();
  auto add = [&out](std::string_view text, float score, int32_t type) {
    const uint64_t length = text.size();
    out.tokens.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
    out.scores.push_back(score);
    out.types.push_back(type);
  };
  int32_t first_normal = -1;
  for (int32_t id = 0; pieces.has(id); ++id) {
    const std::string_view piece = pieces.piece(id);
    const PieceKind kind = pieces.kind(id);
    if (kind == PieceKind::kNormal && first_normal < 0) first_normal = id;
    switch (kind) {
      case PieceKind::kNormal:
        add(piece, static_cast<float>(first_normal - id), kNormalToken);
        break;
      case PieceKind::kUserDefined:
        add(replace_all(piece, kSpaceMark, " "), kNoScore, looks_special(piece) ? kControlToken : kUserDefinedToken);
        break;
      case PieceKind::kControl:
        add(piece, kNoScore, kControlToken);
        break;
      case PieceKind::kByte:
        add(piece, 0, kByteToken);
    }
  }
  for (size_t id = pieces.size(); id < pieces.size_with_outside(); ++id) {
    out.outside.emplace_back(pieces.piece(static_cast<int32_t>(id)));
  }
  const Bytes block = tokenizer.tables().block;
  out.tables.assign(block.text());
  stamp_tables(reinterpret_cast<uint8_t*>(out.tables.data()), hash_of(out.view(tokenizer)));
  return out;
}

TokenArrays OwnedTokenArrays::view(const Tokenizer& tokenizer) const {
  auto bytes = [](const auto& values) {
    return Bytes{reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(values[0])};
  };
  return {types.size(),
          bytes(tokens),
          bytes(scores),
          bytes(types),
          tokenizer.tables().bos,
          tokenizer.tables().eos,
          {outside.begin(), outside.end()}};
}

}  // namespace gemlet
