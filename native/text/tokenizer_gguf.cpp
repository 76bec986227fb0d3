// tokenizer_gguf.cpp - see tokenizer_gguf.h.   (chapter 4)
#include "text/tokenizer_gguf.h"

#include <utility>

#include "base/error.h"

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

bool is_byte_piece(std::string_view piece) {
  auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return piece.size() == 6 && piece.starts_with("<0x") && is_hex(piece[3]) && is_hex(piece[4]) && piece[5] == '>';
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
      if (is_byte_piece(piece)) return PieceKind::kByte;
      throw Error(Code::kWeights, "token " + std::to_string(id) + " is a byte, but does not spell one");
    default:
      throw Error(Code::kUnsupported,
                  "token " + std::to_string(id) + " has type " + std::to_string(type) + "; 1 to 4 and 6 are read");
  }
}

Vocabulary read_vocabulary(const TokenArrays& arrays) {
  if (arrays.scores.size != arrays.count * sizeof(float) || arrays.types.size != arrays.count * sizeof(int32_t)) {
    throw Error(Code::kWeights, "tokens, scores and token_type are not equally long");
  }
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

}  // namespace

Tokenizer read_token_arrays(const TokenArrays& arrays, const std::string& path) {
  try {
    Vocabulary vocabulary = read_vocabulary(arrays);
    const std::vector<Merge> merges = derive_merges(vocabulary);
    return Tokenizer(std::move(vocabulary), merges);
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

OwnedTokenArrays write_token_arrays(const Vocabulary& vocabulary) {
  OwnedTokenArrays out;
  auto add = [&out](std::string_view text, float score, int32_t type) {
    const uint64_t length = text.size();
    out.tokens.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
    out.scores.push_back(score);
    out.types.push_back(type);
  };
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    switch (vocabulary.kind(id)) {
      case PieceKind::kNormal:
        add(piece, vocabulary.score(id), kNormalToken);
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
  return out;
}

}  // namespace gemlet
