// Threads that walk through one step together: the same function on each, with barriers between its parts.
//
// A waiting thread spins for a moment and then sleeps in the kernel: beside other programs a team that only spins
// takes the processor from the one it waits for.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <immintrin.h>
#include <memory>
#include <thread>
#include <vector>

namespace instar {

constexpr int SPINS = 1500;  // some 60 microseconds

inline void wait_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < SPINS; i++) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

class Team {
 public:
  explicit Team(int size) : size_(size) {
    for (int i = 1; i < size; i++) threads_.emplace_back([this, i] { live(i); });
  }

  ~Team() {
    work_ = nullptr;
    start();
    for (auto& t : threads_) t.join();
  }

  int size() const { return size_; }

  // Runs work(0) here and work(1), work(2), ... in the other threads; returns when all are through.
  void run(const std::function<void(int)>& work) {
    work_ = &work;
    start();
    work(0);
    barrier();
  }

  void barrier() {
    if (size_ == 1) return;
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(size_)) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.fetch_add(1, std::memory_order_release);
      phase_.notify_all();
    } else {
      wait_while(phase_, phase);
    }
  }

 private:
  void start() {
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }

  void live(int me) {
    for (uint32_t seen = 0;;) {
      wait_while(round_, seen);
      seen++;
      if (!work_) return;
      (*work_)(me);
      barrier();
    }
  }

  const int size_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<uint32_t> round_{0}, arrived_{0}, phase_{0};
  std::vector<std::thread> threads_;
};

// The pieces of a phase, 0 to count. Each thread has a range of its own, always the same, so that what it writes is
// still in its cache the next time; when that is done it takes from the others. What is computed does not change.
class Pieces {
 public:
  explicit Pieces(int threads) : threads_(threads), taken_(new std::atomic<int>[threads]) { reset(); }

  void reset() {
    for (int i = 0; i < threads_; i++) taken_[i].store(0, std::memory_order_relaxed);
  }

  // One that nobody has taken; `count` if there is none.
  int take(int me, int count) {
    for (int i = 0; i < threads_; i++) {
      const int whose = (me + i) % threads_;
      const int from = begin(whose, count), to = begin(whose + 1, count);
      if (taken_[whose].load(std::memory_order_relaxed) >= to - from) continue;
      const int piece = from + taken_[whose].fetch_add(1, std::memory_order_relaxed);
      if (piece < to) return piece;
    }
    return count;
  }

 private:
  int begin(int whose, int count) const { return static_cast<int>(static_cast<long>(count) * whose / threads_); }

  int threads_;
  std::unique_ptr<std::atomic<int>[]> taken_;
};

}  // namespace instar
