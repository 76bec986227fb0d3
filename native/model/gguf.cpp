// gguf.cpp - see gguf.h.
#include "model/gguf.h"

#include "base/error.h"
#include "text/tokenizer_gguf.h"

namespace gemlet {
namespace {

constexpr const char* kTablesKey = "gemlet.tokenizer_tables";

const GgufValue& require(const GgufFile& file, const std::string& path, const char* key, GgufType type, bool is_array) {
  const GgufValue* value = file.find(key);
  if (!value) throw Error(Code::kUnsupported, path + ": `" + key + "` is missing");
  if (value->type != type || value->is_array != is_array) {
    throw Error(Code::kUnsupported, path + ": `" + std::string(key) + "` is of another type than this engine reads");
  }
  return *value;
}

}  // namespace

// The strings of an array of strings.
std::vector<std::string_view> strings_of(const GgufValue& array) {
  std::vector<std::string_view> strings;
  const uint8_t* at = array.bytes.data;
  for (uint64_t i = 0; i < array.count; ++i) {
    strings.push_back(Bytes{at + sizeof(uint64_t), load<uint64_t>(at)}.text());
    at += sizeof(uint64_t) + strings.back().size();
  }
  return strings;
}

Config to_config(const GgufConfig& config) {
  const auto number = [&](const char* name) {
    const auto found = config.numbers.find(name);
    if (found == config.numbers.end()) throw Error(Code::kUnsupported, std::string("the config has no `") + name + "`");
    return found->second;
  };
  const auto count = [&](const char* name) { return static_cast<size_t>(number(name)); };
  Config c;
  c.vocab_size = count("vocab_size");
  c.hidden_size = count("hidden_size");
  c.intermediate_size = count("intermediate_size");
  c.num_attention_heads = count("num_attention_heads");
  c.num_key_value_heads = count("num_key_value_heads");
  c.head_dim = count("head_dim");
  c.max_position_embeddings = count("max_position_embeddings");
  c.window = count("window");
  c.query_pre_attn_scalar = static_cast<float>(number("query_pre_attn_scalar"));
  c.rms_norm_eps = static_cast<float>(number("rms_norm_eps"));
  c.rope_theta = number("rope_theta");
  c.rope_local_base_freq = number("rope_local_base_freq");
  c.sliding = config.sliding;
  c.dense = config.dense;
  return c;
}

Tokenizer read_tokenizer(const GgufFile& file, const std::string& path) {
  const GgufValue& model = require(file, path, "tokenizer.ggml.model", GgufType::kString, false);
  if (model.bytes.text() != "llama") {
    throw Error(Code::kUnsupported, path + ": tokenizer.ggml.model is `" +
                                        std::string(model.bytes.text().substr(0, 40)) +
                                        "`; this engine runs a SentencePiece tokenizer, `llama`");
  }
  const GgufValue* prefix = file.find("tokenizer.ggml.add_space_prefix");  // without it llama.cpp adds one
  if (!prefix || prefix->is_array || prefix->type != GgufType::kBool || prefix->number() != 0) {
    throw Error(Code::kUnsupported, path + ": tokenizer.ggml.add_space_prefix is not false");
  }
  TokenArrays arrays;
  const GgufValue& tokens = require(file, path, "tokenizer.ggml.tokens", GgufType::kString, true);
  arrays.count = tokens.count;
  arrays.tokens = tokens.bytes;
  arrays.scores = require(file, path, "tokenizer.ggml.scores", GgufType::kF32, true).bytes;
  arrays.types = require(file, path, "tokenizer.ggml.token_type", GgufType::kI32, true).bytes;
  auto id = [&](const char* key) {
    const double number = require(file, path, key, GgufType::kU32, false).number();
    if (number >= static_cast<double>(arrays.count)) throw Error(Code::kWeights, path + ": `" + key + "` is no token");
    return static_cast<int32_t>(number);
  };
  arrays.bos = id("tokenizer.ggml.bos_token_id");
  arrays.eos = id("tokenizer.ggml.eos_token_id");
  if (file.find("gemlet.tokens_outside")) {
    arrays.outside = strings_of(require(file, path, "gemlet.tokens_outside", GgufType::kString, true));
  }
  return read_token_arrays(arrays, block_in(file, kTablesKey, path), path);
}

}  // namespace gemlet
