// Items of work pulled one at a time by the threads of XLA's pool.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace sweep {

// Does items one after the other. Who works on several at once has a do_items of its own.
template <class Arguments, class Workspace, class Take>
void do_items(const Arguments& arguments, Workspace& workspace, Take take) {
  for (int64_t i = take(); i >= 0; i = take()) do_item(arguments, i, workspace);
}

// Whether a thread flushes denormal numbers to 0 must not depend on whose thread it is.
class FlushDenormals {
#if defined(__SSE__)
  unsigned before_ = _mm_getcsr();

 public:
  FlushDenormals() { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }
#endif
};

// Shared by the threads. It outlives the call: a thread of the pool may come to it late, when
// nothing is left to do. Nobody waits for a thread that has not begun, which could wait for us.
// begin(arguments, workspace) is called once a thread, then do_items(arguments, workspace, take).
template <class Arguments, class Workspace>
class Queue {
  const Arguments arguments_;
  std::atomic<int64_t> next_{0};
  int64_t finished_ = 0;
  std::mutex mutex_;
  std::condition_variable all_finished_;

 public:
  explicit Queue(const Arguments& arguments) : arguments_(arguments) {}

  void work() {
    const int64_t first = next_++;
    if (first >= arguments_.num_items) return;
    FlushDenormals flush;
    void* memory = aligned_alloc(64, sizeof(Workspace));
    Workspace& workspace = *static_cast<Workspace*>(memset(memory, 0, sizeof(Workspace)));
    begin(arguments_, workspace);
    int64_t mine = 0;
    do_items(arguments_, workspace, [&]() -> int64_t {  // the next item; -1: none is left
      const int64_t i = mine ? next_++ : first;
      if (i >= arguments_.num_items) return -1;
      mine++;
      return i;
    });
    free(memory);
    std::lock_guard<std::mutex> lock(mutex_);
    finished_ += mine;
    if (finished_ == arguments_.num_items) all_finished_.notify_all();
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    all_finished_.wait(lock, [&] { return finished_ == arguments_.num_items; });
  }
};

// Does all items, this thread and those of the pool that are free.
template <class Workspace, class Arguments, class Pool>
void do_all(const Arguments& arguments, const Pool& pool) {
  auto queue = std::make_shared<Queue<Arguments, Workspace>>(arguments);
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), arguments.num_items) - 1;
  for (int64_t i = 0; i < helpers; i++) pool.schedule([queue] { queue->work(); });
  queue->work();
  queue->wait();
}

}  // namespace sweep
