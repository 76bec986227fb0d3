// best.h - the k best of the rows that are offered.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gemlet {

struct Hit {
  float score;
  int64_t row;
};

// Of equal scores the lower row is better: one order over all rows, whoever offers them when.
inline bool better(const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

// A heap with the worst of the k on top. What is no number is never among them. offer() takes no memory: it may run in
// a loop of the pool.
class Best {
 public:
  explicit Best(size_t k) : k_(k) { hits_.reserve(k); }

  void offer(Hit hit) {
    if (hits_.size() == k_ && !(k_ > 0 && better(hit, hits_.front()))) return;
    if (hit.score != hit.score) return;
    if (hits_.size() == k_) {
      std::pop_heap(hits_.begin(), hits_.end(), better);
      hits_.back() = hit;
    } else {
      hits_.push_back(hit);
    }
    std::push_heap(hits_.begin(), hits_.end(), better);
  }

  void offer(const Best& others) {
    for (const Hit& hit : others.hits_) offer(hit);
  }

  // Best first; leaves nothing behind.
  std::vector<Hit> take() {
    std::sort(hits_.begin(), hits_.end(), better);
    return std::move(hits_);
  }

 private:
  size_t k_;
  std::vector<Hit> hits_;
};

}  // namespace gemlet
