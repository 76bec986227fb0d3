// gguf.cpp - any bytes as a .gguf file, and a small sound file with a few bytes changed: refused, or every tensor
// readable to its last element, and the tokenizer sound.
//
// The input: a byte n. n < 128: the rest is the file. Else n - 128 changes of three bytes to the small file: the place,
// in two, and what to put there. The tokenizer's tables are the file's last part.
#include "weights/gguf.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "text/tokenizer_gguf.h"

using namespace gemlet;

namespace {

class Writer {
 public:
  template <typename T>
  Writer& put(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Writer& text(std::string_view value) {
    put<uint64_t>(value.size());
    out_.append(value);
    return *this;
  }
  Writer& key(std::string_view name, GgufType type) { return text(name).put(static_cast<uint32_t>(type)); }
  Writer& array(std::string_view name, GgufType type, uint64_t count) {
    return key(name, GgufType::kArray).put(static_cast<uint32_t>(type)).put(count);
  }
  void pad() { out_.resize((out_.size() + 31) / 32 * 32); }
  std::string& bytes() { return out_; }

 private:
  std::string out_;
};

constexpr std::string_view kNumbers[] = {"block_count",          "context_length",         "embedding_length",
                                         "feed_forward_length",  "attention.head_count",   "attention.head_count_kv",
                                         "attention.key_length", "attention.value_length", "dense_2_feat_in",
                                         "dense_2_feat_out",     "dense_3_feat_in",        "dense_3_feat_out"};

// Three control pieces, 256 bytes and four letters.
OwnedTokenArrays small_tokenizer() {
  Vocabulary vocabulary;
  for (const char* piece : {"<pad>", "<eos>", "<bos>"}) vocabulary.add(piece, PieceKind::kControl, 0);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string hex = {"0123456789ABCDEF"[byte / 16], "0123456789ABCDEF"[byte % 16]};
    vocabulary.add("<0x" + hex + ">", PieceKind::kByte, 0);
  }
  for (const char* piece : {"▁", "a", "aa"}) vocabulary.add(piece, PieceKind::kNormal, 0);
  vocabulary.add("▁▁", PieceKind::kUserDefined, 0);
  vocabulary.bos = 2;
  vocabulary.eos = 1;
  return write_token_arrays(Tokenizer(vocabulary, derive_merges(vocabulary)));
}

constexpr uint64_t kTensors = 96 + 256 + 128 + 128;  // bytes of all of them; the tokenizer's tables follow

// The settings, the tokenizer and four tensors, one of each kind.
std::string small_file() {
  const OwnedTokenArrays tokenizer = small_tokenizer();
  Writer w;
  w.bytes() = "GGUF";
  w.put<uint32_t>(3).put<uint64_t>(4).put<uint64_t>(5 + std::size(kNumbers));
  w.key("general.architecture", GgufType::kString).text("gemma-embedding");
  for (const std::string_view name : kNumbers) {
    w.key("gemma-embedding." + std::string(name), GgufType::kU32).put<uint32_t>(32);
  }
  w.key("gemma-embedding.attention.sliding_window", GgufType::kU32).put<uint32_t>(512);
  w.array("tokens", GgufType::kString, tokenizer.types.size()).bytes() += tokenizer.tokens;
  w.array("scores", GgufType::kF32, tokenizer.types.size());
  for (const float score : tokenizer.scores) w.put(score);
  w.array("types", GgufType::kI32, tokenizer.types.size());
  for (const int32_t type : tokenizer.types) w.put(type);
  uint64_t offset = 0;
  auto tensor = [&](std::string_view name, uint32_t type, uint64_t bytes) {
    w.text(name).put<uint32_t>(2).put<uint64_t>(32).put<uint64_t>(2).put(type).put(offset);
    offset += (bytes + 31) / 32 * 32;
  };
  tensor("token_embd.weight", 8, 68);
  tensor("dense_2.weight", 0, 256);
  tensor("dense_3.weight", 30, 128);
  tensor("blk.0.attn_q.weight", 1, 128);
  w.pad();
  w.bytes().resize(w.bytes().size() + kTensors);
  return w.bytes() + tokenizer.tables;
}

std::optional<Tokenizer> read_tokenizer(const GgufFile& file) {
  const GgufValue *tokens = file.find("tokens"), *scores = file.find("scores"), *types = file.find("types");
  if (!tokens || !scores || !types || !tokens->is_array || tokens->type != GgufType::kString) return {};
  const TokenArrays arrays{tokens->count, tokens->bytes, scores->bytes, types->bytes, 2, 1, {}};
  Bytes tables;
  if (file.data.size > kTensors) tables = {file.data.data + kTensors, file.data.size - kTensors};
  return read_token_arrays(arrays, tables, "fuzz");
}

void use(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  tokenizer.encode("a aaa  <eos><pad>\xff é" + std::string(100, 'a'), ControlText::kParse, ids);
  for (int32_t id = 0; tokenizer.pieces().has(id); ++id) ids.push_back(id);
  tokenizer.decode(ids.data(), ids.size());  // whose ids must be in the vocabulary
}

void read(Bytes bytes) {
  const GgufFile file = read_gguf(bytes, "fuzz");
  for (const auto& [name, tensor] : file.tensors) {
    std::vector<float> values(tensor.size());
    read_f32(tensor, 0, values.size(), values.data());
  }
  try {
    read_gguf_config(file, "fuzz");
  } catch (const Error&) {
  }
  if (const auto tokenizer = read_tokenizer(file)) use(*tokenizer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string sound = small_file();
  if (size == 0) return 0;
  std::string changed;
  Bytes bytes{data + 1, size - 1};
  if (*data >= 128) {
    changed = sound;
    for (size_t i = 1, changes = *data - 128; changes > 0 && i + 3 <= size; --changes, i += 3) {
      changed[load<uint16_t>(data + i) % changed.size()] = static_cast<char>(data[i + 2]);
    }
    bytes = bytes_of(changed);
  }
  if (*data == 128) {  // it must be readable, and its tables must be used
    read(bytes);
    const auto tokenizer = read_tokenizer(read_gguf(bytes, "small"));
    if (tokenizer->tables().block.data + tokenizer->tables().block.size != bytes.data + bytes.size) __builtin_trap();
  }
  try {
    read(bytes);
  } catch (const Error&) {
  }
  return 0;
}
