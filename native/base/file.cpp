// file.cpp - a file as read-only memory.   (chapter 1)
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace gemlet {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(Code::kWeights, "cannot read " + path + ": " + why);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path_(path) {
  try {
    struct stat status;
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail(path, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(path, "not a regular file");
    if (status.st_size == 0) fail(path, "the file is empty");
    bytes_.size = static_cast<size_t>(status.st_size);
    void* data = ::mmap(nullptr, bytes_.size, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (data == MAP_FAILED) fail(path, std::strerror(errno));
    bytes_.data = static_cast<const uint8_t*>(data);
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (bytes_.data) ::munmap(const_cast<uint8_t*>(bytes_.data), bytes_.size);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::copy(Bytes part, uint8_t* out) const {
  for (size_t done = 0; done < part.size;) {
    const auto at = static_cast<off_t>(part.data - bytes_.data) + static_cast<off_t>(done);
    const ssize_t count = ::pread(descriptor_, out + done, part.size - done, at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, std::strerror(errno));
    if (count == 0) fail(path_, "it has become shorter since it was opened");
    done += static_cast<size_t>(count);
  }
}

void MappedFile::expect_pages(Bytes part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), reinterpret_cast<uintptr_t>(part.data + part.size) - begin, MADV_WILLNEED);
}

void MappedFile::drop_pages(Bytes part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data + part.size) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace gemlet
