// What JAX calls: networks are pulled by the threads of XLA's pool, one at a time each.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "training.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using sweep::Arguments;
using sweep::Workspace;

namespace {

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
struct Queue {
  const Arguments arguments;
  std::atomic<int64_t> next{0};
  int64_t finished = 0;
  std::mutex mutex;
  std::condition_variable all_finished;

  explicit Queue(const Arguments& a) : arguments(a) {}

  void work() {
    int64_t r = next++;
    if (r >= arguments.num_networks) return;
    FlushDenormals flush;
    void* memory = aligned_alloc(64, sizeof(Workspace));
    Workspace& workspace = *static_cast<Workspace*>(memset(memory, 0, sizeof(Workspace)));
    memcpy(workspace.targets, arguments.y, sizeof(float) * sweep::EXAMPLES);
    int64_t mine = 0;
    for (; r < arguments.num_networks; r = next++, mine++)
      sweep::train_network(arguments, r, workspace);
    free(memory);
    std::lock_guard<std::mutex> lock(mutex);
    finished += mine;
    if (finished == arguments.num_networks) all_finished.notify_all();
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex);
    all_finished.wait(lock, [&] { return finished == arguments.num_networks; });
  }
};

using Floats = ffi::Buffer<ffi::F32>;
using Integers = ffi::Buffer<ffi::S32>;

ffi::Error Train(ffi::ThreadPool pool, Floats theta, Floats moments, Integers counters,
                 Floats measured, Floats hyper, Integers turns, Floats x, Floats y,
                 Integers indices, ffi::Result<Floats> theta_out, ffi::Result<Floats> moments_out,
                 ffi::Result<Integers> counters_out, ffi::Result<Floats> measured_out,
                 ffi::Result<Floats> records, int32_t every, int32_t rule, int32_t stop_at_fit) {
  const int64_t num_networks = theta.dimensions()[0];
  auto queue = std::make_shared<Queue>(Arguments{
      theta.typed_data(), moments.typed_data(), counters.typed_data(), measured.typed_data(),
      hyper.typed_data(), turns.typed_data(), x.typed_data(), y.typed_data(),
      indices.typed_data(), theta_out->typed_data(), moments_out->typed_data(),
      counters_out->typed_data(), measured_out->typed_data(), records->typed_data(),
      num_networks, indices.dimensions()[1], records->dimensions()[1],
      every, rule, stop_at_fit});
  const int64_t helpers = std::min(pool.num_threads(), num_networks) - 1;
  for (int64_t i = 0; i < helpers; i++) pool.Schedule([queue] { queue->work(); });
  queue->work();
  queue->wait();
  return ffi::Error::Success();
}

}  // namespace

// The same without JAX and in one thread, for the tests.
extern "C" void train_networks(const Arguments* arguments) { Queue(*arguments).work(); }

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    train_segment, Train,
    ffi::Ffi::Bind()
        .Ctx<ffi::ThreadPool>()
        .Arg<Floats>().Arg<Floats>().Arg<Integers>().Arg<Floats>().Arg<Floats>()
        .Arg<Integers>().Arg<Floats>().Arg<Floats>().Arg<Integers>()
        .Ret<Floats>().Ret<Floats>().Ret<Integers>().Ret<Floats>().Ret<Floats>()
        .Attr<int32_t>("every").Attr<int32_t>("rule").Attr<int32_t>("stop_at_fit"));
