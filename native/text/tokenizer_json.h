// tokenizer_json.h - a Hugging Face tokenizer.json → Tokenizer.
#pragma once
#include <string>

#include "base/bytes.h"
#include "text/tokenizer.h"

namespace gemlet {

// Reads the file and proves that it says what Tokenizer does: the same steps, and merges that equal derive_merges.
// Throws Error(kWeights) for a damaged file and Error(kUnsupported), which names the field, for another tokenizer.
// `path` names the file in messages.
Tokenizer read_tokenizer_json(Bytes file, const std::string& path);

}  // namespace gemlet
