// Mean losses of networks, and their gradients.
#pragma once
#include "arguments.h"

namespace sweep {

struct Gradients {
  const float* theta;
  Rows x, y;
  float *loss, *gradient;
  int64_t num_networks, num_items;
};

INLINE void begin(const Gradients&, Workspace&) {}

inline void do_item(const Gradients& a, int64_t i, Workspace& w) {
  each_of_group(a, i, [&](int64_t r) {
    copy_params<false>(const_cast<float*>(a.theta) + r * PARAMS, w.params);
    a.loss[r] = loss_of(w, a.x.of(r), a.y.of(r));
    copy_params<true>(a.gradient + r * PARAMS, w.gradient);
  });
}

}  // namespace sweep
