// file.h - a file as read-only memory.
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace gemlet {

// Maps a whole regular file; pages are read when touched and shared between processes.
// Throws Error(kWeights) that names the path when it cannot be opened, is no regular file or is empty.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  MappedFile& operator=(MappedFile&&) = delete;

  Bytes bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

  bool holds(Bytes part) const { return part.data >= bytes_.data && part.data < bytes_.data + bytes_.size; }

  // A copy of `part` that leaves its pages outside of this process: a page that is touched in the mapping brings its
  // neighbours along, some 64 KB for one row of a table. Throws Error(kWeights) when the file has become shorter.
  void copy(Bytes part, uint8_t* out) const;

  // Tells the kernel that `part` will be read soon, so that many parts come from the disk at once.
  void expect_pages(Bytes part) const;

  // Lets the kernel take back the pages that lie wholly inside `part`; reading them again reads the file.
  void drop_pages(Bytes part) const;

 private:
  intptr_t handle_ = -1;  // the system's; -1 when there is none
  std::string path_;
  Bytes bytes_;
};

}  // namespace gemlet
