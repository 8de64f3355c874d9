// Leapfrog steps in the standard normals z of theta = scale * z, all of them in the cache.
#pragma once
#include "arguments.h"

namespace sweep {

struct Trajectories {
  const float *z, *momentum, *slope;
  Rows scale;
  const float* weights;  // the step's size, what the loss and half the sum of squares count
  const int32_t* num_steps;
  Rows x, y;
  float *z_out, *momentum_out, *slope_out, *log_density;
  int64_t num_networks, num_items;
};

// Padded as the parameters are; what is padded is 0.
struct alignas(64) Moving {
  float z[PADDED_PARAMS], momentum[PADDED_PARAMS], slope[PADDED_PARAMS], scale[PADDED_PARAMS];
  Workspace network;
};

INLINE void begin(const Trajectories&, Moving&) {}

// The padding too, in which the thread's last network may have left a NaN.
INLINE void put_row(const float* row, float* to) {
  memset(to, 0, sizeof(float) * PADDED_PARAMS);
  copy_params<false>(const_cast<float*>(row), to);
}

INLINE float sum_of_squares(const float* z) {
  Vec total[4]{};
  for (int i = 0; i < PADDED_PARAMS; i += LANES)
    total[i / LANES % 4] += load(z + i) * load(z + i);
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

// Half a step of the momentum, a step of z, the slope there, half a step of the momentum.
INLINE float leap(Moving& m, const float* x, const float* y, const float* weights) {
  const float step = weights[0], by_loss = weights[1], by_square = weights[2], half = 0.5f * step;
  for (int i = 0; i < PADDED_PARAMS; i++) {
    m.momentum[i] += half * m.slope[i];
    m.z[i] += step * m.momentum[i];
    m.network.params[i] = m.scale[i] * m.z[i];
  }
  const float loss = loss_of(m.network, x, y);
  for (int i = 0; i < PADDED_PARAMS; i++) {
    m.slope[i] = -by_loss * m.scale[i] * m.network.gradient[i] - by_square * m.z[i];
    m.momentum[i] += half * m.slope[i];
  }
  return loss;
}

inline void do_item(const Trajectories& a, int64_t i, Moving& m) {
  each_of_group(a, i, [&](int64_t r) {
    put_row(a.z + r * PARAMS, m.z);
    put_row(a.momentum + r * PARAMS, m.momentum);
    put_row(a.slope + r * PARAMS, m.slope);
    put_row(a.scale.of(r), m.scale);
    const float* weights = a.weights + 3 * r;
    float loss = 0;
    for (int turn = 0; turn < a.num_steps[r]; turn++)
      loss = leap(m, a.x.of(r), a.y.of(r), weights);
    a.log_density[r] = -weights[1] * loss - 0.5f * weights[2] * sum_of_squares(m.z);
    copy_params<true>(a.z_out + r * PARAMS, m.z);
    copy_params<true>(a.momentum_out + r * PARAMS, m.momentum);
    copy_params<true>(a.slope_out + r * PARAMS, m.slope);
  });
}

}  // namespace sweep
