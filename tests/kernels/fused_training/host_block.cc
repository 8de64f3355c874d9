// The CUDA kernel as C++: threads and a barrier stand in for a block, which takes the networks
// one after the other. Shared memory is full of NaN when a block begins.
#include <barrier>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

static thread_local int thread_index;
static thread_local long long network_index;
static std::barrier<>* barrier;
static void* shared_memory;

using std::isfinite;
#define DEVICE static inline
#define KERNEL static void
#define THREAD thread_index
#define NETWORK network_index
#define SYNC() barrier->arrive_and_wait()
#define SHARED(type, name) type& name = *(type*)shared_memory;
#include "training_cu.h"

extern "C" void run_blocks(long long num_networks, const float* theta, const float* moments,
                           const int* counters, const float* measured, const float* hyper,
                           const int* turns, const float* x, const float* y, const int* indices,
                           const Settings* settings, float* theta_out, float* moments_out,
                           int* counters_out, float* measured_out, float* records) {
  shared_memory = aligned_alloc(64, (sizeof(Shared) + 63) / 64 * 64);
  std::barrier<> all(THREADS);
  barrier = &all;
  std::vector<std::thread> threads;
  for (int t = 0; t < THREADS; t++)
    threads.emplace_back([=] {
      thread_index = t;
      for (network_index = 0; network_index < num_networks; network_index++) {
        if (t == 0) memset(shared_memory, 0xff, sizeof(Shared));
        SYNC();
        train_segment(theta, moments, counters, measured, hyper, turns, x, y, indices, settings,
                      theta_out, moments_out, counters_out, measured_out, records);
        SYNC();
      }
    });
  for (auto& thread : threads) thread.join();
  free(shared_memory);
}
