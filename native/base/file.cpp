// file.cpp - a file as read-only memory, where the system is a Unix; file_windows.cpp is its twin.
#ifndef _WIN32
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

int descriptor(intptr_t handle) { return static_cast<int>(handle); }

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(Code::kWeights, "cannot read " + path + ": " + why);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : handle_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path_(path) {
  try {
    struct stat status;
    if (handle_ < 0 || ::fstat(descriptor(handle_), &status) != 0) fail(path, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(path, "not a regular file");
    if (status.st_size == 0) fail(path, "the file is empty");
    bytes_.size = static_cast<size_t>(status.st_size);
    void* data = ::mmap(nullptr, bytes_.size, PROT_READ, MAP_PRIVATE, descriptor(handle_), 0);
    if (data == MAP_FAILED) fail(path, std::strerror(errno));
    bytes_.data = static_cast<const uint8_t*>(data);
  } catch (...) {
    if (handle_ >= 0) ::close(descriptor(handle_));
    throw;
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : handle_(std::exchange(other.handle_, -1)),
      path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (bytes_.data) ::munmap(const_cast<uint8_t*>(bytes_.data), bytes_.size);
  if (handle_ >= 0) ::close(descriptor(handle_));
}

void MappedFile::copy(Bytes part, uint8_t* out) const {
  for (size_t done = 0; done < part.size;) {
    const auto at = static_cast<off_t>(part.data - bytes_.data) + static_cast<off_t>(done);
    const ssize_t count = ::pread(descriptor(handle_), out + done, part.size - done, at);
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
#endif
