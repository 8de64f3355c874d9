// A GPU's block as C++: threads and a barrier for each of its networks. Blocks come one after
// the other. Shared memory is full of NaN when one begins.
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

static thread_local int thread_index, group_index;
static thread_local long long network_index;
static std::vector<std::unique_ptr<std::barrier<>>> barriers;
static void* shared_memory;

using std::isfinite;
#define DEVICE static inline
#define KERNEL static void
#define THREAD thread_index
#define NETWORK network_index
#define SYNC() barriers[group_index]->arrive_and_wait()
#define SHARED(type, name) type& name = ((type*)shared_memory)[group_index];
#include "kernel_cu.h"

// Runs a kernel for so many networks; the last block may be too large for them.
template <class Kernel>
static void run_blocks(long long num_networks, Kernel kernel) {
  shared_memory = aligned_alloc(64, (NETWORKS * sizeof(Shared) + 63) / 64 * 64);
  barriers.clear();
  for (int i = 0; i < NETWORKS; i++) barriers.push_back(std::make_unique<std::barrier<>>(THREADS));
  std::vector<std::thread> threads;
  for (int t = 0; t < NETWORKS * THREADS; t++)
    threads.emplace_back([=] {
      thread_index = t % THREADS;
      group_index = t / THREADS;
      network_index = group_index;
      for (long long block = 0; block * NETWORKS < num_networks; block++) {
        if (thread_index == 0) memset((Shared*)shared_memory + group_index, 0xff, sizeof(Shared));
        SYNC();
        kernel();
        SYNC();
        network_index += NETWORKS;
      }
    });
  for (auto& thread : threads) thread.join();
  free(shared_memory);
}
