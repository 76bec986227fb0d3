// tokenizer.h - UTF-8 text → token ids, and back.
//
// The steps, as Hugging Face's `tokenizers` takes them for this tokenizer:
//   1. user-defined pieces (and control pieces, if asked for) are found in the raw text, from the left, longest first;
//   2. between them a space becomes "▁", and each character its piece, or its bytes' pieces when it has none;
//   3. of all neighbours that make a piece, the two with the lowest rank (from the left) become one, until none are
//   left.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tables.h"
#include "text/vocabulary.h"

namespace gemlet {

// What "<eos>" in a text is: five characters, or the control piece.
enum class ControlText { kLiteral, kParse };

// Where a token lies in the text, in bytes.
struct Span {
  uint32_t begin, end;
};

// Immutable; any number of threads may use one at once.
class Tokenizer {
 public:
  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

  // `merges` is derive_merges(vocabulary). Throws Error(kWeights) when the vocabulary lacks a byte, "▁", bos or eos.
  Tokenizer(const Vocabulary& vocabulary, const std::vector<Merge>& merges);
  // Reads tables that build_tables made where they lie; their owner outlives the tokenizer.
  // Throws Error(kWeights) as read_tables does, and when they lack what the other constructor asks for.
  explicit Tokenizer(Bytes tables);

  // Appends the text's tokens, without bos and eos. Any bytes are a text: what is not UTF-8 counts as U+FFFD, one for
  // each longest prefix of a valid character, as Python's errors="replace" has it.
  // All pieces of one character that was cut into bytes have the span of the whole character.
  // Throws Error(kInput) for a text over kMaxTextBytes and for a control piece outside of the vocabulary, and
  // Error(kWeights) when damaged tables lead to no piece.
  void encode(std::string_view text, ControlText control, std::vector<int32_t>& ids,
              std::vector<Span>* spans = nullptr) const;
  size_t count(std::string_view text, ControlText control) const;

  // Control pieces are left out, "▁" is a space; a run of byte pieces that is no UTF-8 gives one U+FFFD for each.
  // Throws Error(kInput) for an id outside of the vocabulary.
  std::string decode(const int32_t* ids, size_t count) const;

  const Tables& tables() const { return tables_; }
  const Pieces& pieces() const { return tables_.pieces; }

 private:
  friend class Encoder;

  Tokenizer(Buffer<uint8_t> own, Bytes others);

  Buffer<uint8_t> own_;  // empty: the tables are someone else's
  Tables tables_;
  RawPieces raw_pieces_;
  std::array<int32_t, 256> bytes_;  // byte → its piece
};

}  // namespace gemlet
