// gguf.cpp - any bytes as a .gguf file, and a small sound file with a few bytes changed: refused, or every tensor
// readable to its last element, and the tokenizer sound.
//
// The input: a byte n. n < 128: the rest is the file. Else n - 128 changes of three bytes to the small file: the place,
// in two, and what to put there.
#include "weights/gguf.h"

#include <cstdint>
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

// No token but 256 bytes, three control pieces and four letters; three tensors, one of each kind.
std::string small_file() {
  Writer w;
  w.bytes() = "GGUF";
  w.put<uint32_t>(3).put<uint64_t>(4).put<uint64_t>(5 + std::size(kNumbers));
  w.key("general.architecture", GgufType::kString).text("gemma-embedding");
  for (const std::string_view name : kNumbers) {
    w.key("gemma-embedding." + std::string(name), GgufType::kU32).put<uint32_t>(32);
  }
  w.key("gemma-embedding.attention.sliding_window", GgufType::kU32).put<uint32_t>(512);
  std::vector<std::string> pieces = {"<pad>", "<eos>", "<bos>"};
  for (int byte = 0; byte < 256; ++byte) {
    pieces.push_back(std::string("<0x") + "0123456789ABCDEF"[byte / 16] + "0123456789ABCDEF"[byte % 16] + ">");
  }
  for (const char* piece : {"▁", "a", "aa", "  "}) pieces.emplace_back(piece);
  w.array("tokens", GgufType::kString, pieces.size());
  for (const std::string& piece : pieces) w.text(piece);
  w.array("scores", GgufType::kF32, pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) w.put(-static_cast<float>(i));
  w.array("types", GgufType::kI32, pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) w.put<int32_t>(i < 3 ? 3 : i < 259 ? 6 : i < 262 ? 1 : 4);
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
  w.bytes().resize(w.bytes().size() + offset);
  return w.bytes();
}

Bytes bytes_of_text(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

void read_tokenizer(const GgufFile& file) {
  const GgufValue *tokens = file.find("tokens"), *scores = file.find("scores"), *types = file.find("types");
  if (!tokens || !scores || !types || !tokens->is_array || tokens->type != GgufType::kString) return;
  const TokenArrays arrays{tokens->count, tokens->bytes, scores->bytes, types->bytes, 2, 1, {}};
  const Tokenizer tokenizer = read_token_arrays(arrays, "fuzz");
  std::vector<int32_t> ids;
  tokenizer.encode("a aaa  <eos><pad>\xff é", ControlText::kParse, ids);
  tokenizer.decode(ids.data(), ids.size());
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
  read_tokenizer(file);
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
    bytes = bytes_of_text(changed);
  }
  if (*data == 128) read(bytes);  // it must be readable
  try {
    read(bytes);
  } catch (const Error&) {
  }
  return 0;
}
