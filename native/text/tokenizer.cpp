// tokenizer.cpp - see tokenizer.h.
#include "text/tokenizer.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

void append_with_spaces(std::string& text, std::string_view piece) {
  for (size_t at; (at = piece.find(kSpaceMark)) != piece.npos; piece.remove_prefix(at + kSpaceMark.size())) {
    text.append(piece.substr(0, at)).push_back(' ');
  }
  text.append(piece);
}

[[noreturn]] void lacks(const std::string& piece) { throw Error(Code::kWeights, "the vocabulary lacks " + piece); }

std::array<int32_t, 256> find_bytes(const Pieces& pieces) {
  std::array<int32_t, 256> ids;
  ids.fill(-1);
  for (int32_t id = 0; pieces.has(id); ++id) {
    if (pieces.kind(id) != PieceKind::kByte) continue;
    const int byte = byte_of(pieces.piece(id));
    if (byte < 0) throw Error(Code::kWeights, "piece " + std::to_string(id) + " is a byte, but does not spell one");
    ids[static_cast<size_t>(byte)] = id;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    if (ids[byte] < 0) lacks(std::string("the byte piece `<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">`");
  }
  return ids;
}

}  // namespace

// One text on its way through the steps.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, bool control, std::vector<int32_t>* ids, std::vector<Span>* spans)
      : t_(tokenizer), control_(control), ids_(ids), spans_(spans) {}

  size_t run(std::string_view text);  // how many tokens it has

 private:
  // A piece on its way to a token. It ends where the next one begins.
  struct Symbol {
    int32_t id;
    uint32_t begin;
    uint32_t rank;  // of the merge with the next symbol
  };
  // Up to here, looking through all symbols for the lowest rank is faster than a heap.
  static constexpr size_t kShortWord = 64;

  void emit(int32_t id, uint32_t begin, uint32_t end);
  [[noreturn]] void refuse(int32_t id, uint32_t begin);
  void end_word(uint32_t end);
  void merge_short();
  void merge_long();
  uint32_t rank(size_t left, size_t right) const { return t_.tables_.merges.rank(word_[left].id, word_[right].id); }

  const Tokenizer& t_;
  const bool control_;
  std::vector<int32_t>* const ids_;
  std::vector<Span>* const spans_;
  size_t count_ = 0;
  std::vector<Symbol> word_;  // characters that may merge with each other
};

size_t Encoder::run(std::string_view text) {
  if (text.size() > Tokenizer::kMaxTextBytes) {
    throw Error(Code::kInput, std::to_string(text.size()) + " bytes are over the limit of 2^30 for one text: split it");
  }
  const char* const end = text.data() + text.size();
  auto offset = [&](const char* p) { return static_cast<uint32_t>(p - text.data()); };
  uint8_t last = 0;
  for (const char* p = text.data(); p != end;) {
    if (t_.raw_pieces_.may_start(*p)) {
      const RawPieces::Match match = t_.raw_pieces_.longest(p, end, control_);
      if (match.length) {
        end_word(offset(p));
        emit(match.id, offset(p), offset(p) + match.length);
        p += match.length;
        continue;
      }
    }
    const Utf8Char c = decode_utf8(p, end);
    const int32_t id = t_.tables_.characters.find(c.code);
    const std::string_view bytes = c.valid ? std::string_view(p, c.length) : kReplacement;
    if (id < 0 || !t_.tables_.neighbours.meet(last, NeighbourTable::front(bytes))) end_word(offset(p));
    if (id < 0) {
      for (const char byte : bytes) emit(t_.bytes_[static_cast<uint8_t>(byte)], offset(p), offset(p) + c.length);
    } else {
      word_.push_back({id, offset(p), MergeTable::kNone});
    }
    last = NeighbourTable::back(bytes);
    p += c.length;
  }
  end_word(offset(end));
  return count_;
}

void Encoder::emit(int32_t id, uint32_t begin, uint32_t end) {
  if (!t_.pieces().has(id)) refuse(id, begin);
  ++count_;
  if (ids_) ids_->push_back(id);
  if (spans_) spans_->push_back({begin, end});
}

void Encoder::refuse(int32_t id, uint32_t begin) {
  if (id < 0 || static_cast<size_t>(id) >= t_.pieces().size_with_outside()) {
    throw Error(Code::kWeights, "the tokenizer's tables are damaged, they name a piece " + std::to_string(id) +
                                    ": write the file again");
  }
  throw Error(Code::kInput, "the control token `" + std::string(t_.pieces().piece(id)) + "` at byte " +
                                std::to_string(begin) + ": its id " + std::to_string(id) +
                                " has no embedding; take it out, or read control tokens as literal text");
}

void Encoder::end_word(uint32_t end) {
  if (word_.size() > kShortWord) {
    merge_long();
  } else if (word_.size() > 1) {
    merge_short();
  }
  for (size_t i = 0; i < word_.size(); ++i) {
    emit(word_[i].id, word_[i].begin, i + 1 < word_.size() ? word_[i + 1].begin : end);
  }
  word_.clear();
}

void Encoder::merge_short() {
  for (size_t i = 0; i + 1 < word_.size(); ++i) word_[i].rank = rank(i, i + 1);
  for (;;) {
    const auto best =
        std::min_element(word_.begin(), word_.end(), [](const Symbol& a, const Symbol& b) { return a.rank < b.rank; });
    if (best->rank == MergeTable::kNone) return;
    best->id = t_.tables_.merges.whole(best->rank);
    word_.erase(best + 1);
    const auto i = static_cast<size_t>(best - word_.begin());
    word_[i].rank = i + 1 < word_.size() ? rank(i, i + 1) : MergeTable::kNone;
    if (i > 0) word_[i - 1].rank = rank(i - 1, i);
  }
}

// The same with a heap of (rank, place) and a list of the symbols that are left: n log n for n characters.
void Encoder::merge_long() {
  const auto size = static_cast<uint32_t>(word_.size());
  struct Links {
    uint32_t previous, next;
  };
  std::vector<Links> links(size);
  std::vector<uint64_t> entries;
  auto entry = [&](uint32_t i) { return uint64_t{word_[i].rank} << 32 | i; };
  for (uint32_t i = 0; i < size; ++i) {
    links[i] = {i - 1, i + 1};
    word_[i].rank = i + 1 < size ? rank(i, i + 1) : MergeTable::kNone;
    if (word_[i].rank != MergeTable::kNone) entries.push_back(entry(i));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap({}, std::move(entries));

  auto renew = [&](uint32_t i) {
    word_[i].rank = links[i].next < size ? rank(i, links[i].next) : MergeTable::kNone;
    if (word_[i].rank != MergeTable::kNone) heap.push(entry(i));
  };
  while (!heap.empty()) {
    const uint64_t top = heap.top();
    heap.pop();
    const auto i = static_cast<uint32_t>(top);
    if (top != entry(i)) continue;  // one of the two has merged with another since
    const uint32_t gone = links[i].next;
    word_[i].id = t_.tables_.merges.whole(word_[i].rank);
    word_[gone].rank = MergeTable::kNone;
    links[i].next = links[gone].next;
    if (links[i].next < size) links[links[i].next].previous = i;
    renew(i);
    if (i > 0) renew(links[i].previous);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i < size; i = links[i].next) word_[kept++] = word_[i];
  word_.resize(kept);
}

Tokenizer::Tokenizer(const Vocabulary& vocabulary, const std::vector<Merge>& merges)
    : Tokenizer(build_tables(vocabulary, merges), {}) {}

Tokenizer::Tokenizer(Bytes tables) : Tokenizer({}, tables) {}

Tokenizer::Tokenizer(Buffer<uint8_t> own, Bytes others)
    : own_(std::move(own)),
      tables_(read_tables(own_.size() ? Bytes{own_.data(), own_.size()} : others)),
      raw_pieces_(tables_.pieces),
      bytes_(find_bytes(tables_.pieces)) {
  auto require = [this](const char* piece, int32_t id, PieceKind kind) {
    if (!pieces().has(id) || pieces().kind(id) != kind) lacks(piece);
  };
  require("a control piece for bos", tables_.bos, PieceKind::kControl);
  require("a control piece for eos", tables_.eos, PieceKind::kControl);
  require("the piece `▁`", tables_.characters.find(' '), PieceKind::kNormal);
}

void Tokenizer::encode(std::string_view text, ControlText control, std::vector<int32_t>& ids,
                       std::vector<Span>* spans) const {
  Encoder(*this, control == ControlText::kParse, &ids, spans).run(text);
}

size_t Tokenizer::count(std::string_view text, ControlText control) const {
  return Encoder(*this, control == ControlText::kParse, nullptr, nullptr).run(text);
}

std::string Tokenizer::decode(const int32_t* ids, size_t count) const {
  std::string text, bytes;
  auto end_bytes = [&] {
    if (find_invalid_utf8(bytes) == bytes.size()) {
      text.append(bytes);
    } else {
      for (size_t i = 0; i < bytes.size(); ++i) append_utf8(text, 0xfffd);
    }
    bytes.clear();
  };
  for (const int32_t* id = ids; id != ids + count; ++id) {
    if (!pieces().has(*id)) {
      throw Error(Code::kInput, "token " + std::to_string(id - ids) + " has id " + std::to_string(*id) +
                                    ", the vocabulary has " + std::to_string(pieces().size()));
    }
    const std::string_view piece = pieces().piece(*id);
    switch (pieces().kind(*id)) {
      case PieceKind::kControl:
        break;
      case PieceKind::kByte:
        bytes.push_back(static_cast<char>(byte_of(piece)));
        break;
      case PieceKind::kNormal:
      case PieceKind::kUserDefined:
        end_bytes();
        append_with_spaces(text, piece);
    }
  }
  end_bytes();
  return text;
}

}  // namespace gemlet
