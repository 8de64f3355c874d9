// What both calls need: arrays that networks share or have rows of, and how networks are shared out.
#pragma once
#include <algorithm>

#include "passes.h"

namespace sweep {

// An array as in plain.py: a row a network, or one row of all.
struct Rows {
  const float* data;
  int64_t stride;

  const float* of(int64_t r) const { return data + r * stride; }
};

INLINE Rows rows_of(const float* data, int64_t rows, int64_t size) {
  return {data, rows == 1 ? 0 : size};
}

// Networks are taken in groups of some ten microseconds: to wake a thread takes some.
constexpr int64_t GROUP_FLOP = 1 << 20, FLOP = int64_t(6) * EXAMPLES * PARAMS;
constexpr int64_t GROUP = std::max<int64_t>(1, GROUP_FLOP / FLOP);

INLINE int64_t num_items(int64_t networks) { return (networks + GROUP - 1) / GROUP; }

// Does the networks of group i.
template <class Arguments, class One>
INLINE void each_of_group(const Arguments& a, int64_t i, One one) {
  const int64_t end = std::min((i + 1) * GROUP, a.num_networks);
  for (int64_t r = i * GROUP; r < end; r++) one(r);
}

// The mean loss and the gradient at w.params. Targets are copied: whole vectors of them are read.
// Not in line: both calls have it, and most of the time to compile goes to it.
inline __attribute__((noinline)) float loss_of(Workspace& w, const float* x, const float* y) {
  memcpy(w.targets, y, sizeof(float) * EXAMPLES);
  return pass<EXAMPLES, true>(w, x, w.targets, true).loss;
}

}  // namespace sweep
