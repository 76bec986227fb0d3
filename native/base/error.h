// error.h - the one thing that native code throws.   (what everyone stands on)
//
// bind/ maps each Code to one Python exception class; a test holds that table total.
#pragma once
#include <stdexcept>
#include <string>

namespace gemlet {

enum class Code {
  kWeights,      // a weight file is truncated, lies, or lacks a tensor
  kUnsupported,  // a well-formed file of something that this engine does not run
  kInput,        // the caller's arguments do not fit together
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

}  // namespace gemlet
