// threads.cpp - one pool of threads, one way to use it.
#include "base/threads.h"

#ifndef _WIN32
#include <pthread.h>
#endif

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace gemlet {
namespace {

// A loop of the model lasts 10 to 1,000 us and the next one follows at once: waiting this many pauses (some 30 us)
// before sleeping keeps a short query from paying for a wake-up at each of its hundred loops.
constexpr int kSpins = 1000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::atomic<uint64_t> forks{0};
#ifdef _WIN32
constexpr int watch_forks = 0;  // a process cannot fork there
#else
void count_fork() { forks.fetch_add(1); }
const int watch_forks = pthread_atfork(nullptr, nullptr, count_fork);
#endif

}  // namespace

// The workers and the loop that they are in. A worker enters a loop by raising `inside` and then finding `open` true;
// the caller closes the loop and waits until nobody is inside, so no worker ever sees a loop that has ended.
struct ThreadPool::Crew {
  explicit Crew(size_t threads) : shares(threads) {
    (void)watch_forks;
    for (size_t slot = 1; slot < threads; ++slot) workers.emplace_back([this, slot] { work(slot); });
  }

  ~Crew() {
    {
      std::lock_guard lock(sleep);
      stop = true;
    }
    wake.notify_all();
    for (auto& worker : workers) worker.join();
  }

  void run(size_t count, const Task& body) {
    task = &body;
    const size_t threads = shares.size();
    for (size_t slot = 0; slot < threads; ++slot) {
      shares[slot].next = count * slot / threads;
      shares[slot].end = count * (slot + 1) / threads;
    }
    open = true;
    {
      std::lock_guard lock(sleep);
      ++loops;
    }
    wake.notify_all();
    take_part(0);
    open = false;
    while (inside != 0) pause();
  }

  // One's own share first, then what others have left.
  void take_part(size_t slot) {
    for (size_t i = 0; i < shares.size(); ++i) {
      Share& share = shares[(slot + i) % shares.size()];
      for (size_t at; (at = share.next.fetch_add(1)) < share.end;) (*task)(at, slot);
    }
  }

  void work(size_t slot) {
    uint64_t seen = 0;
    while (wait_for_loop(seen)) {
      inside.fetch_add(1);
      if (open) take_part(slot);
      inside.fetch_sub(1);
    }
  }

  // False when the pool is closing.
  bool wait_for_loop(uint64_t& seen) {
    for (int i = 0; i < kSpins && loops == seen; ++i) pause();
    if (loops == seen) {
      std::unique_lock lock(sleep);
      wake.wait(lock, [&] { return stop || loops != seen; });
    }
    seen = loops;
    return !stop;
  }

  // A part of the loop's iterations, in one piece: a thread walks through memory in order, and meets in one loop what
  // it left in its cache in the loop before.
  struct alignas(64) Share {
    std::atomic<size_t> next{0}, end{0};
  };

  const uint64_t born = forks;
  std::mutex busy;  // held by the caller whose loop the workers are in
  std::atomic<const Task*> task{nullptr};
  std::vector<Share> shares;  // one for each thread
  std::atomic<size_t> inside{0};
  std::atomic<bool> open{false}, stop{false};
  std::atomic<uint64_t> loops{0};
  std::mutex sleep;
  std::condition_variable wake;
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(size_t threads) : threads_(threads ? threads : 1) {}

ThreadPool::~ThreadPool() {
  Crew* crew = crew_.load();
  if (crew && crew->born == forks) delete crew;  // after a fork its threads are not ours to join
}

// The crew of this process. One that a fork left behind has no threads and locks in an unknown state: it is abandoned.
ThreadPool::Crew& ThreadPool::crew() {
  Crew* crew = crew_.load();
  if (crew && crew->born == forks) return *crew;
  auto fresh = std::make_unique<Crew>(threads_);
  if (crew_.compare_exchange_strong(crew, fresh.get())) return *fresh.release();
  return *crew;
}

void ThreadPool::parallel_for(size_t count, const Task& task) {
  if (threads_ > 1 && count > 1) {
    Crew& workers = crew();
    if (std::unique_lock only(workers.busy, std::try_to_lock); only) return workers.run(count, task);
  }
  for (size_t i = 0; i < count; ++i) task(i, 0);
}

}  // namespace gemlet
