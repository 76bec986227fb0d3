// tables.cpp - see tables.h.   (chapter 4)
#include "text/tables.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

constexpr size_t kMaxProbes = 1024;

}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges) {
  while (size_t{1} << (64 - shift_) < 2 * merges.size()) --shift_;
  slots_.assign(size_t{1} << (64 - shift_), kFree);
  wholes_.reserve(merges.size());
  for (const Merge& merge : merges) {
    const uint64_t k = key(merge.left, merge.right);
    size_t i = first_slot(k), probes = 0;
    for (; slots_[i] != kFree; i = (i + 1) & (slots_.size() - 1)) {
      if (++probes > kMaxProbes) throw Error(Code::kWeights, "too many merges share a hash");
    }
    slots_[i] = k << 24 | wholes_.size();
    wholes_.push_back(merge.whole);
  }
}

uint32_t MergeTable::rank(int32_t left, int32_t right) const {
  const uint64_t k = key(left, right);
  for (size_t i = first_slot(k);; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i] >> 24 == k) return slots_[i] & 0xffffff;
    if (slots_[i] == kFree) return kNone;
  }
}

CharacterTable::CharacterTable(const Vocabulary& vocabulary) : pages_(0x1100), ids_(256, -1) {
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    const Utf8Char c = decode_utf8(piece.data(), piece.data() + piece.size());
    if (c.length == piece.size() && vocabulary.merges(id)) set(c.code, id);
  }
  set(' ', find(0x2581));  // kSpaceMark
}

void CharacterTable::set(uint32_t code, int32_t id) {
  uint32_t& page = pages_[code >> 8];
  if (page == 0) {
    page = static_cast<uint32_t>(ids_.size());
    ids_.resize(ids_.size() + 256, -1);
  }
  ids_[page + (code & 0xff)] = id;
}

NeighbourTable::NeighbourTable(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    if (!vocabulary.merges(id)) continue;
    const std::string_view piece = vocabulary.piece(id);
    std::string_view last;
    for (size_t i = 0; i < piece.size(); i += last.size()) {
      const std::string_view next = piece.substr(i, decode_utf8(&piece[i], piece.data() + piece.size()).length);
      if (i > 0) meets_[back(last)].set(front(next));
      last = next;
    }
  }
}

RawPieces::RawPieces(const Vocabulary& vocabulary) {
  auto id = static_cast<int32_t>(vocabulary.size());
  for (const std::string& piece : vocabulary.outside()) add(piece, id++, true);
  for (id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const PieceKind kind = vocabulary.kind(id);
    if (kind == PieceKind::kUserDefined || kind == PieceKind::kControl) {
      add(vocabulary.piece(id), id, kind == PieceKind::kControl);
    }
  }
}

void RawPieces::add(std::string_view piece, int32_t id, bool control) {
  uint32_t parent = 0, node = roots_[static_cast<uint8_t>(piece[0])];
  for (const char byte : piece) {
    while (node && nodes_[node].byte != byte) node = nodes_[node].sibling;
    if (!node) {
      node = static_cast<uint32_t>(nodes_.size());
      uint32_t& head = parent ? nodes_[parent].child : roots_[static_cast<uint8_t>(byte)];
      nodes_.push_back({std::exchange(head, node), 0, -1, byte, false});
    }
    parent = node;
    node = nodes_[node].child;
  }
  nodes_[parent].id = id;
  nodes_[parent].control = control;
}

RawPieces::Match RawPieces::longest(const char* p, const char* end, bool control) const {
  Match match;
  const char* at = p;
  for (uint32_t node = roots_[static_cast<uint8_t>(*p)]; at != end; node = nodes_[node].child) {
    while (node && nodes_[node].byte != *at) node = nodes_[node].sibling;
    if (!node) break;
    ++at;
    if (nodes_[node].id >= 0 && (control || !nodes_[node].control)) {
      match = {nodes_[node].id, static_cast<uint32_t>(at - p)};
    }
  }
  return match;
}

}  // namespace gemlet
