// gguf.cpp - any bytes as a .gguf file, and a small sound file with a few bytes changed: refused, or every tensor
// readable to its last element, the packed matrices to their last byte, and the tokenizer sound.
//
// The input: a byte n. n < 128: the rest is the file. Else n - 128 changes of three bytes to the small file: the place,
// in two, and what to put there.
#include "weights/gguf.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "model/packed.h"
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

// Of a model with one layer; every width is 32. Each kind of tensor is there.
struct Part {
  std::string_view name;
  DType dtype;
  size_t rows;  // 0: a norm
};
constexpr size_t kWidth = 32;
constexpr Part kTensors[] = {{"token_embd", DType::kQ8_0, 2},
                             {"output_norm", DType::kF32, 0},
                             {"dense_2", DType::kF32, 32},
                             {"dense_3", DType::kBF16, 32},
                             {"blk.0.attn_norm", DType::kF32, 0},
                             {"blk.0.attn_q", DType::kF16, 32},
                             {"blk.0.attn_k", DType::kQ8_0, 32},
                             {"blk.0.attn_v", DType::kQ8_0, 32},
                             {"blk.0.attn_output", DType::kQ8_0, 32},
                             {"blk.0.attn_q_norm", DType::kF32, 0},
                             {"blk.0.attn_k_norm", DType::kF32, 0},
                             {"blk.0.post_attention_norm", DType::kF32, 0},
                             {"blk.0.ffn_norm", DType::kF32, 0},
                             {"blk.0.ffn_gate", DType::kQ8_0, 32},
                             {"blk.0.ffn_up", DType::kQ8_0, 32},
                             {"blk.0.ffn_down", DType::kQ8_0, 32},
                             {"blk.0.post_ffw_norm", DType::kF32, 0}};
// Behind the model, in a layer that no run reads: a row of each type that it lacks.
constexpr size_t kRow = 256;
constexpr Part kOthers[] = {
    {"blk.1.attn_q", DType::kQ4_0, 1},      {"blk.1.attn_k", DType::kQ6_K, 1},       {"blk.1.attn_v", DType::kQ4_1, 1},
    {"blk.1.attn_output", DType::kQ5_0, 1}, {"blk.1.ffn_gate", DType::kQ5_1, 1},     {"blk.1.ffn_up", DType::kQ2_K, 1},
    {"blk.1.ffn_down", DType::kQ3_K, 1},    {"blk.2.attn_q", DType::kQ4_K, 1},       {"blk.2.attn_k", DType::kQ5_K, 1},
    {"blk.2.attn_v", DType::kIQ4_NL, 1},    {"blk.2.attn_output", DType::kIQ4_XS, 1}};
constexpr size_t kMatricesOfLayer = 7, kMatricesOfHead = 2;

Config small_config() {
  Config c;
  c.vocab_size = 2;
  c.hidden_size = c.intermediate_size = c.head_dim = kWidth;
  c.num_attention_heads = c.num_key_value_heads = 1;
  c.max_position_embeddings = 8;
  c.rope_theta = c.rope_local_base_freq = 10000;
  c.sliding = {true};
  c.dense = {kWidth, kWidth};
  return c;
}

constexpr std::string_view kTablesKey = "gemlet.tokenizer_tables";

struct Places {
  uint64_t tables, packed;  // where the blocks begin, counted from the data
};

size_t size_of(const Part& part, size_t width) {
  const size_t numbers = std::max<size_t>(part.rows, 1) * width;
  return (numbers / elements_of(part.dtype) * bytes_of(part.dtype) + 31) / 32 * 32;
}

// Where the tensors end.
uint64_t size_of_tensors() {
  uint64_t size = 0;
  for (const Part& part : kTensors) size += size_of(part, kWidth);
  for (const Part& part : kOthers) size += size_of(part, kRow);
  return size;
}

// Everything before the data.
std::string small_head(const OwnedTokenArrays& tokenizer, const Places& places) {
  Writer w;
  w.bytes() = "GGUF";
  w.put<uint32_t>(3).put<uint64_t>(std::size(kTensors) + std::size(kOthers)).put<uint64_t>(7 + std::size(kNumbers));
  w.key("general.architecture", GgufType::kString).text("gemma-embedding");
  for (const std::string_view name : kNumbers) {
    w.key("gemma-embedding." + std::string(name), GgufType::kU32).put<uint32_t>(32);
  }
  w.key("gemma-embedding.attention.sliding_window", GgufType::kU32).put<uint32_t>(512);
  w.key(kTablesKey, GgufType::kU64).put(places.tables);
  w.key(kPackedKey, GgufType::kU64).put(places.packed);
  w.array("tokens", GgufType::kString, tokenizer.types.size()).bytes() += tokenizer.tokens;
  w.array("scores", GgufType::kF32, tokenizer.types.size());
  for (const float score : tokenizer.scores) w.put(score);
  w.array("types", GgufType::kI32, tokenizer.types.size());
  for (const int32_t type : tokenizer.types) w.put(type);
  uint64_t offset = 0;
  const auto place = [&](const Part& part, size_t width) {
    w.text(std::string(part.name) + ".weight").put<uint32_t>(part.rows ? 2 : 1).put<uint64_t>(width);
    if (part.rows) w.put<uint64_t>(part.rows);
    w.put(kFormats[static_cast<size_t>(part.dtype)].ggml).put(offset);
    offset += size_of(part, width);
  };
  for (const Part& part : kTensors) place(part, kWidth);
  for (const Part& part : kOthers) place(part, kRow);
  w.pad();
  return w.bytes();
}

// The settings, the tokenizer, a model of zeros, the tokenizer's tables and the packed matrices.
std::string small_file() {
  const OwnedTokenArrays tokenizer = small_tokenizer();
  const Gemm &int8 = default_kernels().int8, &bf16 = default_kernels().bf16;
  const size_t data = small_head(tokenizer, {}).size();
  Places places{};
  places.tables = size_of_tensors();
  places.packed = (data + places.tables + tokenizer.tables.size() + 63) / 64 * 64 - data;
  std::string file = small_head(tokenizer, places);
  file.resize(data + places.tables);
  file += tokenizer.tables;
  file.resize(data + places.packed);
  const PackedHead head = packed_head(read_gguf(bytes_of(file), "small").tensors);
  file.append(head.begin(), head.end());
  file.append(kMatricesOfLayer * packed_bytes(kWidth, kWidth, int8), '\1');
  file.append(kMatricesOfHead * packed_bytes(kWidth, kWidth, bf16), '\1');
  return file;
}

std::optional<Tokenizer> read_tokenizer(const GgufFile& file) {
  const GgufValue *tokens = file.find("tokens"), *scores = file.find("scores"), *types = file.find("types");
  if (!tokens || !scores || !types || !tokens->is_array || tokens->type != GgufType::kString) return {};
  const TokenArrays arrays{tokens->count, tokens->bytes, scores->bytes, types->bytes, 2, 1, {}};
  return read_token_arrays(arrays, block_in(file, kTablesKey, "fuzz"), "fuzz");
}

void use(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  tokenizer.encode("a aaa  <eos><pad>\xff é" + std::string(100, 'a'), ControlText::kParse, ids);
  for (int32_t id = 0; tokenizer.pieces().has(id); ++id) ids.push_back(id);
  tokenizer.decode(ids.data(), ids.size());  // whose ids must be in the vocabulary
}

Weights read_weights(const GgufFile& file) {
  static ThreadPool pool(1);
  const auto ignore = [](Bytes) {};
  const Source source{file.tensors, true, block_in(file, kPackedKey, "fuzz"), "fuzz", ignore, ignore};
  return pack_weights(small_config(), source, Storage::kInt8, default_kernels(), pool);
}

size_t panels(const gemlet::Part& part) { return (part.n + kPanel - 1) / kPanel; }

void use(const Linear& linear) {
  const std::vector<float> ones(kWidth, 1.0f);
  Buffer<uint8_t> row(linear.row_bytes());
  linear.prepare(ones.data(), row.data(), 1, 0);
  for (const gemlet::Part& part : linear.parts) {
    std::vector<float> out(panels(part) * kPanel);
    part.gemm->multiply(row.data() + part.before, 1, row.size(), part.packed, panels(part), linear.k,
                        part.gemm->panel_bytes(linear.k), out.data(), out.size());
  }
}

// Multiplies with every matrix.
void use(const Weights& weights) {
  const Layer& layer = weights.layers[0];
  for (const Linear* linear : {&layer.qkv_proj, &layer.o_proj, &layer.gate_up_proj, &layer.down_proj}) use(*linear);
  for (const Linear& linear : weights.dense) use(linear);
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
  try {
    use(read_weights(file));
  } catch (const Error&) {
  }
  if (const auto tokenizer = read_tokenizer(file)) use(*tokenizer);
}

// The small file must be readable, and its blocks must be used.
void check_small(Bytes bytes) {
  read(bytes);
  const GgufFile file = read_gguf(bytes, "small");
  const auto tokenizer = read_tokenizer(file);
  if (tokenizer->tables().block.data != block_in(file, kTablesKey, "small").data) __builtin_trap();
  const Weights weights = read_weights(file);
  const Linear& dense = weights.dense[1];
  const gemlet::Part& last = dense.parts.back();
  if (last.packed + panels(last) * last.gemm->panel_bytes(dense.k) != bytes.data + bytes.size) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string sound = small_file();
  if (size == 0) return 0;
  const bool small = *data >= 128;
  const Bytes from = small ? bytes_of(sound) : Bytes{data + 1, size - 1};
  Buffer<uint8_t> file(from.size);  // as aligned as a mapped file, and nothing behind it
  std::copy_n(from.data, from.size, file.data());
  if (small) {
    for (size_t i = 1, changes = *data - 128; changes > 0 && i + 3 <= size; --changes, i += 3) {
      file.data()[load<uint16_t>(data + i) % file.size()] = data[i + 2];
    }
  }
  const Bytes bytes{file.data(), file.size()};
  if (*data == 128) check_small(bytes);
  try {
    read(bytes);
  } catch (const Error&) {
  }
  return 0;
}
