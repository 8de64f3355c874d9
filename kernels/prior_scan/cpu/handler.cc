// Draws of a prior: parameters made on chip, the function they compute, what it misses.
#include "queue.h"

#define SWEEP_LOSS logistic
#define SWEEP_OPTIMIZER sgd
#define SWEEP_MINIBATCH 0
#include "network.h"
#include "random.h"
#include "xla/ffi/api/ffi.h"

namespace sweep {

constexpr int BYTES = (EXAMPLES + 7) / 8;

struct ScanArguments {
  const uint32_t* keys;  // two a draw
  const float *scale, *x;
  const int32_t* targets;
  uint8_t* functions;
  int32_t* wrong;
  int64_t num_items;
};

struct ScanWorkspace {
  Workspace network;
  float theta[PARAMS + LANES];
  uint8_t labels[8 * BYTES];  // those past the last input stay 0
};

INLINE void begin(const ScanArguments&, ScanWorkspace&) {}

inline void do_item(const ScanArguments& a, int64_t r, ScanWorkspace& w) {
  const Vec scale = all(a.scale[r]);
  for (int i = 0; i < PARAMS; i += LANES) {
    const Ints bits = random_bits(a.keys[2 * r], a.keys[2 * r + 1], i);
    store(w.theta + i, scale * (SWEEP_LAW == uniform ? uniform_of(bits) : normal_of(bits)));
  }
  copy_params<false>(w.theta, w.network.params);
  in_blocks<EXAMPLES, MOST>([&]<int ROWS>(int first) {
    forward<ROWS>(w.network, a.x + int64_t(first) * INPUTS);
    for (int n = 0; n < ROWS; n++) w.labels[first + n] = w.network.outputs[n * OUTPUT_STRIDE] > 0;
  });
  int wrong = 0;
  for (int n = 0; n < EXAMPLES; n++)
    wrong += (a.targets[n] >= 0) & (w.labels[n] != (a.targets[n] > 0));
  a.wrong[r] = wrong;
  for (int byte = 0; byte < BYTES; byte++) {
    int packed = 0;
    for (int bit = 0; bit < 8; bit++) packed = 2 * packed + w.labels[8 * byte + bit];
    a.functions[r * BYTES + byte] = packed;
  }
}

}  // namespace sweep

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;

static ffi::Error Scan(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> keys, Floats scale, Floats x,
                       ffi::Buffer<ffi::S32> targets, ffi::Result<ffi::Buffer<ffi::U8>> functions,
                       ffi::Result<ffi::Buffer<ffi::S32>> wrong) {
  sweep::do_all<sweep::ScanWorkspace>(
      sweep::ScanArguments{keys.typed_data(), scale.typed_data(), x.typed_data(),
                           targets.typed_data(), functions->typed_data(), wrong->typed_data(),
                           static_cast<int64_t>(scale.element_count())},
      pool);
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(scan, Scan,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::U32>>().Arg<Floats>().Arg<Floats>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::U8>>().Ret<ffi::Buffer<ffi::S32>>());

// Standard draws of one key, for the tests.
extern "C" void draw_standard(const uint32_t* key, float* out) {
  using namespace sweep;
  float theta[PARAMS + LANES];
  for (int i = 0; i < PARAMS; i += LANES) {
    const Ints bits = random_bits(key[0], key[1], i);
    store(theta + i, SWEEP_LAW == uniform ? uniform_of(bits) : normal_of(bits));
  }
  memcpy(out, theta, sizeof(float) * PARAMS);
}
