// threads.h - one pool of threads, one way to use it.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>

namespace gemlet {

// Runs a loop's iterations on `threads` threads, the caller among them.
//
// Any number of threads may call at once: while one caller has the workers, the others run their loops alone.
// Works in a forked child (the child starts workers of its own). Workers start at the first loop and sleep between
// loops.
class ThreadPool {
 public:
  // task(i, slot): iteration i, on the thread that holds `slot` in [0, threads) for this loop. Must not throw.
  using Task = std::function<void(size_t i, size_t slot)>;

  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t threads() const { return threads_; }
  void parallel_for(size_t count, const Task& task);

 private:
  struct Crew;
  Crew& crew();

  const size_t threads_;
  std::atomic<Crew*> crew_{nullptr};
};

}  // namespace gemlet
