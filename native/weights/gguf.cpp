// gguf.cpp - see gguf.h.
#include "weights/gguf.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"

namespace gemlet {
namespace {

// llama.cpp's name for it, and Ollama's. A file's settings stand under the name it gives.
constexpr std::array<std::string_view, 2> kArchitectures = {"gemma-embedding", "gemma3"};
constexpr uint64_t kMaxCount = uint64_t{1} << 24;  // of a setting: tokens, widths, layers

[[noreturn]] void fail(const std::string& path, const std::string& fault) {
  throw Error(Code::kWeights, path + ": " + fault + "; the file is damaged: fetch or write it again");
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(Code::kUnsupported, path + ": " + what);
}

// A name of the file for a message; it may be any bytes.
std::string quote(std::string_view name) {
  std::string text = "`";
  for (const char c : name.substr(0, 80)) text.push_back(c >= ' ' && c <= '~' ? c : '?');
  return text + "`";
}

// Bytes of one element; 0: not of a fixed size.
size_t size_of(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

// What llama.cpp calls the types of tensors, by their numbers; a null has no type.   Source: ggml.h, enum ggml_type
constexpr std::array<const char*, 40> kTensorTypes = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   nullptr, nullptr, "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   nullptr, nullptr, nullptr,  "TQ1_0", "TQ2_0", nullptr,   nullptr,  nullptr,   "MXFP4"};

std::optional<DType> to_dtype(uint32_t type) {
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (kFormats[i].ggml == type) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string spell_read_types() {
  std::string text;
  for (const Format& format : kFormats) text += (text.empty() ? "" : ", ") + std::string(format.name);
  return text;
}

std::string spell_type(uint32_t type) {
  if (type < kTensorTypes.size() && kTensorTypes[type]) return kTensorTypes[type];
  return "number " + std::to_string(type);
}

// The name of a tensor in the file → in the checkpoint; empty: EmbeddingGemma has no such tensor.
std::string checkpoint_name(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kModel = {{
      {"token_embd.weight", "embed_tokens.weight"},
      {"output_norm.weight", "norm.weight"},
      {"dense_2.weight", "dense.0.linear.weight"},
      {"dense_3.weight", "dense.1.linear.weight"},
  }};
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kLayer = {{
      {"attn_norm.weight", "input_layernorm.weight"},
      {"attn_q.weight", "self_attn.q_proj.weight"},
      {"attn_k.weight", "self_attn.k_proj.weight"},
      {"attn_v.weight", "self_attn.v_proj.weight"},
      {"attn_output.weight", "self_attn.o_proj.weight"},
      {"attn_q_norm.weight", "self_attn.q_norm.weight"},
      {"attn_k_norm.weight", "self_attn.k_norm.weight"},
      {"post_attention_norm.weight", "post_attention_layernorm.weight"},
      {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
      {"ffn_gate.weight", "mlp.gate_proj.weight"},
      {"ffn_up.weight", "mlp.up_proj.weight"},
      {"ffn_down.weight", "mlp.down_proj.weight"},
      {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
  }};
  for (const auto& [ours, theirs] : kModel) {
    if (name == ours) return std::string(theirs);
  }
  if (!name.starts_with("blk.")) return {};
  uint32_t layer = 0;
  const char* const end = name.data() + name.size();
  const auto [dot, error] = std::from_chars(name.data() + 4, end, layer);
  if (error != std::errc() || dot == end || *dot != '.') return {};
  const std::string_view part = name.substr(static_cast<size_t>(dot + 1 - name.data()));
  for (const auto& [ours, theirs] : kLayer) {
    if (part == ours) return "layers." + std::to_string(layer) + "." + std::string(theirs);
  }
  return {};
}

class Reader {
 public:
  Reader(Bytes file, const std::string& path) : file_(file), path_(path) {}
  GgufFile read();

 private:
  struct Place {
    uint64_t offset;
    size_t size;
    std::string name;
  };

  Bytes take(uint64_t size);
  template <typename T>
  T take() {
    return load<T>(take(sizeof(T)).data);
  }
  // How many things of at least `least` bytes follow.
  uint64_t take_count(size_t least, const char* things);
  std::string_view take_string();
  GgufType take_type(const std::string& key);
  GgufValue take_value(const std::string& key);
  void take_header(uint64_t& tensors, uint64_t& values);
  void take_metadata(uint64_t count, GgufFile& out);
  void take_tensor(GgufFile& out);
  void place(GgufFile& out);

  Bytes file_;
  const std::string& path_;
  size_t at_ = 0;
  std::vector<Place> places_;
};

Bytes Reader::take(uint64_t size) {
  if (size > file_.size - at_) fail(path_, "it ends in its header, at byte " + std::to_string(file_.size));
  const Bytes part{file_.data + at_, static_cast<size_t>(size)};
  at_ += part.size;
  return part;
}

uint64_t Reader::take_count(size_t least, const char* things) {
  const auto count = take<uint64_t>();
  if (count > (file_.size - at_) / least) {
    fail(path_, "it claims " + std::to_string(count) + " " + things + ", more than fit into it");
  }
  return count;
}

std::string_view Reader::take_string() { return take(take_count(1, "letters in a string")).text(); }

GgufType Reader::take_type(const std::string& key) {
  const auto type = take<uint32_t>();
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    fail(path_, quote(key) + " has the unknown type " + std::to_string(type));
  }
  return static_cast<GgufType>(type);
}

GgufValue Reader::take_value(const std::string& key) {
  GgufValue value{take_type(key), false, 1, {}};
  if (value.type == GgufType::kString) {
    const std::string_view text = take_string();
    value.bytes = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  } else if (value.type == GgufType::kArray) {
    value.is_array = true;
    value.type = take_type(key);
    if (value.type == GgufType::kArray) refuse(path_, quote(key) + " is an array of arrays");
    const size_t size = size_of(value.type);
    value.count = take_count(size ? size : sizeof(uint64_t), "array elements");
    const size_t begin = at_;
    if (size) {
      take(value.count * size);
    } else {
      for (uint64_t i = 0; i < value.count; ++i) take_string();
    }
    value.bytes = {file_.data + begin, at_ - begin};
  } else {
    value.bytes = take(size_of(value.type));
  }
  return value;
}

void Reader::take_header(uint64_t& tensors, uint64_t& values) {
  if (file_.size < 4 || file_.text().substr(0, 4) != "GGUF") fail(path_, "it does not begin with `GGUF`");
  at_ = 4;
  const auto version = take<uint32_t>();
  if (version != 2 && version != 3) {
    const bool swapped = version != 0 && (version & 0xffff) == 0;
    refuse(path_, swapped ? "a big-endian GGUF; this engine reads little-endian files"
                          : "GGUF version " + std::to_string(version) + "; 2 and 3 are read");
  }
  tensors = take_count(24, "tensors");
  values = take_count(13, "metadata values");
}

void Reader::take_metadata(uint64_t count, GgufFile& out) {
  for (uint64_t i = 0; i < count; ++i) {
    std::string key(take_string());
    const GgufValue value = take_value(key);
    if (!out.metadata.emplace(key, value).second) fail(path_, "the key " + quote(key) + " is there twice");
  }
}

void Reader::take_tensor(GgufFile& out) {
  const std::string name(take_string());
  const auto dims = take<uint32_t>();
  if (dims < 1 || dims > 4) fail(path_, "tensor " + quote(name) + " has " + std::to_string(dims) + " dimensions");
  std::vector<size_t> shape(dims);
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) *extent = take<uint64_t>();  // innermost first
  const auto type = take<uint32_t>();
  const auto offset = take<uint64_t>();

  const std::string known = checkpoint_name(name);
  if (known.empty())
    refuse(path_, "tensor " + quote(name) + " is none of EmbeddingGemma's: vectors without it may be wrong");
  const std::optional<DType> dtype = to_dtype(type);
  if (!dtype)
    refuse(path_,
           "tensor " + quote(name) + ": " + spell_type(type) + " is not read yet; these are: " + spell_read_types());
  if (shape.back() % elements_of(*dtype)) {
    fail(path_, "tensor " + quote(name) + " has rows of " + std::to_string(shape.back()) +
                    ", which are no whole blocks of " + std::to_string(elements_of(*dtype)) + ", as " +
                    name_of(*dtype) + " needs");
  }
  size_t size = 1;
  for (const size_t extent : shape) {
    if (extent == 0 || __builtin_mul_overflow(size, extent, &size)) {
      fail(path_, "tensor " + quote(name) + " has an impossible shape");
    }
  }
  if (__builtin_mul_overflow(size / elements_of(*dtype), bytes_of(*dtype), &size)) {
    fail(path_, "tensor " + quote(name) + " has an impossible shape");
  }
  if (!out.tensors.emplace(known, Tensor{*dtype, std::move(shape), {}}).second) {
    fail(path_, "tensor " + quote(name) + " is there twice");
  }
  places_.push_back({offset, size, name});
}

// Gives each tensor its bytes. They may leave holes, but not overlap.
void Reader::place(GgufFile& out) {
  uint64_t alignment = 32;
  if (const GgufValue* value = out.find("general.alignment")) {
    const double number = value->number();
    if (value->is_array || value->type != GgufType::kU32 || number < 8 || number > 65536) {
      fail(path_, "`general.alignment` is no number from 8 to 65536");
    }
    alignment = static_cast<uint64_t>(number);
    if (alignment & (alignment - 1)) fail(path_, "`general.alignment` is no power of two");
  }
  const uint64_t begin = (at_ + alignment - 1) / alignment * alignment;
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (const Place& place : places_) {
    if (begin > file_.size || place.offset > file_.size - begin || place.size > file_.size - begin - place.offset) {
      fail(path_, "tensor " + quote(place.name) + " lies outside the file");
    }
    if (place.offset % alignment) fail(path_, "tensor " + quote(place.name) + " is not aligned");
    if (place.offset < end) fail(path_, "tensor " + quote(place.name) + " overlaps another");
    end = place.offset + place.size;
    out.tensors.find(checkpoint_name(place.name))->second.bytes = {file_.data + begin + place.offset, place.size};
  }
  if (begin < file_.size) out.data = {file_.data + begin, file_.size - begin};
}

GgufFile Reader::read() {
  GgufFile out;
  uint64_t tensors = 0, values = 0;
  take_header(tensors, values);
  take_metadata(values, out);
  const GgufValue* architecture = out.find("general.architecture");
  const bool named = architecture && !architecture->is_array && architecture->type == GgufType::kString;
  if (!named || std::ranges::find(kArchitectures, architecture->bytes.text()) == kArchitectures.end()) {
    const std::string found = named ? quote(architecture->bytes.text()) : "missing";
    refuse(path_, "general.architecture is " + found + "; gemlet runs EmbeddingGemma, `gemma-embedding` or `gemma3`");
  }
  for (uint64_t i = 0; i < tensors; ++i) take_tensor(out);
  place(out);
  return out;
}

// Reads settings of one file by their keys.
class Settings {
 public:
  Settings(const GgufFile& file, const std::string& path) : file_(file), path_(path) {}

  double number(const std::string& key, std::optional<double> missing = {}) const {
    const GgufValue* value = file_.find(prefixed(key));
    if (!value && missing) return *missing;
    if (!value) refuse(path_, quote(prefixed(key)) + " is missing");
    const bool fits = !value->is_array && (value->is_integer() || value->type == GgufType::kF32);
    if (!fits || !(value->number() > 0) || value->number() > static_cast<double>(kMaxCount)) {
      refuse(path_, quote(prefixed(key)) + " is no number that this engine runs");
    }
    return value->number();
  }

  size_t count(const std::string& key, std::optional<double> missing = {}) const {
    const double found = number(key, missing);
    const auto whole = static_cast<size_t>(found);
    if (static_cast<double>(whole) != found) refuse(path_, quote(prefixed(key)) + " is not a whole number");
    return whole;
  }

  void expect(const std::string& key, size_t wanted, std::optional<double> missing = {}) const {
    const size_t found = count(key, missing);
    if (found != wanted) {
      refuse(path_,
             quote(prefixed(key)) + " is " + std::to_string(found) + "; this engine runs " + std::to_string(wanted));
    }
  }

  // Every sixth layer sees all, unless the file says otherwise: by a number, or for each layer.
  std::vector<bool> sliding() const {
    const size_t layers = count("block_count");
    const std::string key = "attention.sliding_window_pattern";
    const GgufValue* value = file_.find(prefixed(key));
    std::vector<bool> sliding(layers);
    if (value && value->is_array) {
      if (value->type != GgufType::kBool || value->count != layers) {
        refuse(path_,
               quote(prefixed(key)) + " does not say for each of " + std::to_string(layers) + " layers if it slides");
      }
      for (size_t i = 0; i < layers; ++i) sliding[i] = value->bytes.data[i] != 0;
    } else {
      const size_t every = count(key, 6);
      for (size_t i = 0; i < layers; ++i) sliding[i] = (i + 1) % every != 0;
    }
    return sliding;
  }

 private:
  std::string prefixed(const std::string& key) const {
    return std::string(file_.find("general.architecture")->bytes.text()) + "." + key;
  }

  const GgufFile& file_;
  const std::string& path_;
};

}  // namespace

bool GgufValue::is_integer() const {
  return type != GgufType::kF32 && type != GgufType::kF64 && type != GgufType::kBool && size_of(type) != 0;
}

double GgufValue::number() const {
  const uint8_t* p = bytes.data;
  switch (is_array ? GgufType::kArray : type) {
    case GgufType::kU8:
    case GgufType::kBool:
      return load<uint8_t>(p);
    case GgufType::kI8:
      return load<int8_t>(p);
    case GgufType::kU16:
      return load<uint16_t>(p);
    case GgufType::kI16:
      return load<int16_t>(p);
    case GgufType::kU32:
      return load<uint32_t>(p);
    case GgufType::kI32:
      return load<int32_t>(p);
    case GgufType::kF32:
      return static_cast<double>(load<float>(p));
    case GgufType::kU64:
      return static_cast<double>(load<uint64_t>(p));
    case GgufType::kI64:
      return static_cast<double>(load<int64_t>(p));
    case GgufType::kF64:
      return load<double>(p);
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

GgufFile read_gguf(Bytes file, const std::string& path) { return Reader(file, path).read(); }

Bytes block_in(const GgufFile& file, std::string_view key, const std::string& path) {
  const GgufValue* value = file.find(key);
  if (!value) return {};
  if (value->is_array || value->type != GgufType::kU64) {
    refuse(path, quote(key) + " is of another type than this engine reads");
  }
  const auto offset = load<uint64_t>(value->bytes.data);
  if (offset >= file.data.size) return {};
  return {file.data.data + offset, file.data.size - static_cast<size_t>(offset)};
}

GgufConfig read_gguf_config(const GgufFile& file, const std::string& path) {
  const Settings settings(file, path);
  const auto table = file.tensors.find("embed_tokens.weight");
  if (table == file.tensors.end()) fail(path, "it has no tensor `token_embd.weight`");
  if (!file.tensors.contains("dense.0.linear.weight") || !file.tensors.contains("dense.1.linear.weight")) {
    throw Error(Code::kWeights,
                path +
                    ": it has no dense head (dense_2, dense_3), and every vector would be wrong; convert the "
                    "checkpoint with llama.cpp's --sentence-transformers-dense-modules, or with `gemlet quantize`");
  }
  const size_t window = settings.count("attention.sliding_window");
  if (window != 512 && window != 257) {  // both sides together, or one side and the token itself
    refuse(path, "attention.sliding_window is " + std::to_string(window) + "; this engine runs 512");
  }
  const auto rows_of = [&](const std::string& dense) {  // where no key says how wide it is
    return static_cast<double>(file.tensors.find(dense + ".linear.weight")->second.shape[0]);
  };
  const size_t head_dim = settings.count("attention.key_length");
  const size_t hidden = settings.count("embedding_length"),
               between = settings.count("dense_2_feat_out", rows_of("dense.0"));
  settings.expect("attention.value_length", head_dim);
  settings.expect("pooling_type", 1, 1);  // the mean
  settings.expect("dense_2_feat_in", hidden, static_cast<double>(hidden));
  settings.expect("dense_3_feat_in", between, static_cast<double>(between));

  GgufConfig config;
  auto set = [&](const char* name, size_t value) { config.numbers[name] = static_cast<double>(value); };
  set("vocab_size", table->second.shape[0]);
  set("hidden_size", hidden);
  set("intermediate_size", settings.count("feed_forward_length"));
  set("num_attention_heads", settings.count("attention.head_count"));
  set("num_key_value_heads", settings.count("attention.head_count_kv"));
  set("head_dim", head_dim);
  set("max_position_embeddings", settings.count("context_length"));
  set("window", 256);
  set("query_pre_attn_scalar", head_dim);  // the format has no key for it
  config.numbers["rms_norm_eps"] = settings.number("attention.layer_norm_rms_epsilon");
  config.numbers["rope_theta"] = settings.number("rope.freq_base", 1000000);
  config.numbers["rope_local_base_freq"] = settings.number("rope.freq_base_swa", 10000);
  config.sliding = settings.sliding();
  config.dense = {between, settings.count("dense_3_feat_out", rows_of("dense.1"))};
  return config;
}

}  // namespace gemlet
