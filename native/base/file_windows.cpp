// file_windows.cpp - a file as read-only memory, on Windows; file.cpp is its twin.
#ifdef _WIN32
#include "base/file.h"

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace gemlet {
namespace {

constexpr intptr_t kNone = -1;
static_assert(sizeof(HANDLE) == sizeof(intptr_t));

HANDLE system_handle(intptr_t handle) { return reinterpret_cast<HANDLE>(handle); }

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(Code::kWeights, "cannot read " + path + ": " + why);
}
[[noreturn]] void fail(const std::string& path) {
  fail(path, std::system_category().message(static_cast<int>(::GetLastError())));
}

// Paths are UTF-8; the system's are UTF-16.
std::wstring wide(const std::string& path) {
  const int size = static_cast<int>(path.size());
  std::wstring out(path.size(), L'\0');  // never more units than bytes
  out.resize(static_cast<size_t>(::MultiByteToWideChar(CP_UTF8, 0, path.data(), size, out.data(), size)));
  return out;
}

intptr_t open_file(const std::string& path) {
  constexpr DWORD kShare = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  return reinterpret_cast<intptr_t>(
      ::CreateFileW(wide(path).c_str(), GENERIC_READ, kShare, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : handle_(open_file(path)), path_(path) {
  try {
    LARGE_INTEGER size;
    if (handle_ == kNone) fail(path);
    if (::GetFileType(system_handle(handle_)) != FILE_TYPE_DISK) fail(path, "not a regular file");
    if (!::GetFileSizeEx(system_handle(handle_), &size)) fail(path);
    if (size.QuadPart == 0) fail(path, "the file is empty");
    const HANDLE mapping = ::CreateFileMappingW(system_handle(handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (!mapping) fail(path);
    const void* data = ::MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    const DWORD error = ::GetLastError();
    ::CloseHandle(mapping);  // the view keeps what it needs of it
    ::SetLastError(error);
    if (!data) fail(path);
    bytes_ = {static_cast<const uint8_t*>(data), static_cast<size_t>(size.QuadPart)};
  } catch (...) {
    if (handle_ != kNone) ::CloseHandle(system_handle(handle_));
    throw;
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : handle_(std::exchange(other.handle_, kNone)),
      path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (bytes_.data) ::UnmapViewOfFile(bytes_.data);
  if (handle_ != kNone) ::CloseHandle(system_handle(handle_));
}

void MappedFile::copy(Bytes part, uint8_t* out) const {
  for (size_t done = 0; done < part.size;) {
    const auto at = static_cast<uint64_t>(part.data - bytes_.data) + done;
    OVERLAPPED place{};
    place.Offset = static_cast<DWORD>(at);
    place.OffsetHigh = static_cast<DWORD>(at >> 32);
    const DWORD wanted = static_cast<DWORD>(std::min<size_t>(part.size - done, size_t{1} << 30));
    DWORD count = 0;
    const bool read = ::ReadFile(system_handle(handle_), out + done, wanted, &count, &place);
    if (!read && ::GetLastError() != ERROR_HANDLE_EOF) fail(path_);
    if (count == 0) fail(path_, "it has become shorter since it was opened");
    done += count;
  }
}

void MappedFile::expect_pages(Bytes part) const {
  WIN32_MEMORY_RANGE_ENTRY range{const_cast<uint8_t*>(part.data), part.size};
  ::PrefetchVirtualMemory(::GetCurrentProcess(), 1, &range, 0);
}

// Unlocking pages that were never locked takes them out of the process's working set.
void MappedFile::drop_pages(Bytes part) const {
  SYSTEM_INFO system;
  ::GetSystemInfo(&system);
  const auto page = static_cast<uintptr_t>(system.dwPageSize);
  const auto begin = (reinterpret_cast<uintptr_t>(part.data) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data + part.size) / page * page;
  if (begin < end) ::VirtualUnlock(reinterpret_cast<void*>(begin), end - begin);
}

}  // namespace gemlet
#endif
