// gguf.h - a .gguf file as the model and the tokenizer take it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"

namespace gemlet {

// The strings of an array of strings, in place.
std::vector<std::string_view> strings_of(const GgufValue& array);

// Throws Error(kUnsupported) that names a number which is missing.
Config to_config(const GgufConfig& config);

// May read its tables where the file is mapped, which then outlives it. Throws Error(kWeights), Error(kUnsupported).
Tokenizer read_tokenizer(const GgufFile& file, const std::string& path);

}  // namespace gemlet
