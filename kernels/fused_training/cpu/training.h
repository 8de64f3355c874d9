// Segments of training runs, one network at a time: the step, the check.
#pragma once
#include "passes.h"
#include "run.h"

namespace sweep {

INLINE void update(Workspace& w, const float* hyper, int step) {
  float *p = w.params, *g = w.gradient, *m = w.moments[0];
  const float rate = hyper[0], l2 = hyper[NUM_HYPER - 2], decay = hyper[NUM_HYPER - 1];
  if constexpr (OPTIMIZER == adam) {
    const float b1 = hyper[1], b2 = hyper[2], eps = hyper[3];
    const float unbias1 = 1 / (1 - std::pow(b1, step + 1.0f));
    const float unbias2 = 1 / (1 - std::pow(b2, step + 1.0f));
    float* v = w.moments[1];
    for (int i = 0; i < PADDED_PARAMS; i++) {
      const float slope = g[i] + l2 * p[i];
      m[i] = b1 * m[i] + (1 - b1) * slope;
      v[i] = b2 * v[i] + (1 - b2) * slope * slope;
      const float direction = m[i] * unbias1 / (__builtin_sqrtf(v[i] * unbias2) + eps);
      p[i] -= rate * (direction + decay * p[i]);
    }
  } else {
    const float momentum = hyper[1];
    for (int i = 0; i < PADDED_PARAMS; i++) {
      const float slope = g[i] + l2 * p[i];
      m[i] = slope + momentum * m[i];
      const float direction = OPTIMIZER == nesterov ? slope + momentum * m[i] : m[i];
      p[i] -= rate * (direction + decay * p[i]);
    }
  }
}

// The step of the case's minibatch, whose rows are gathered first.
INLINE void minibatch_pass(Workspace& w, const Arguments& a, const int32_t* indices) {
  if constexpr (MINIBATCH > 0) {
    for (int n = 0; n < MINIBATCH; n++) {
      memcpy(w.batch_inputs + n * INPUTS, a.x + int64_t(indices[n]) * INPUTS, 4 * INPUTS);
      w.batch_targets[n] = w.targets[indices[n]];
    }
    pass<STEP_EXAMPLES, true>(w, w.batch_inputs, w.batch_targets, false);
  }
}

inline int64_t num_items(int64_t networks) { return networks; }

INLINE void begin(const Arguments& a, Workspace& w) {
  memcpy(w.targets, a.y, sizeof(float) * EXAMPLES);
}

// Trains network r.
inline void do_item(const Arguments& a, int64_t r, Workspace& w) {
  const float* hyper = a.hyper + r * (NUM_HYPER + 2);
  Run run = load_run(a, r);
  // The padding too, in which the thread's last network may have left a NaN.
  memset(w.params, 0, sizeof w.params);
  memset(w.moments, 0, sizeof w.moments);
  copy_params<false>(const_cast<float*>(a.theta) + r * PARAMS, w.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<false>(const_cast<float*>(a.moments) + (r * NUM_MOMENTS + m) * PARAMS, w.moments[m]);

  for (int turn = 0; turn < a.turns[2 * r] && run.status == running; turn++) {
    const bool due = is_due(a, r, run);
    Measured found;
    if constexpr (MINIBATCH > 0) {
      if (due) found = pass<EXAMPLES, false>(w, a.x, w.targets, true);
    } else {
      found = pass<EXAMPLES, true>(w, a.x, w.targets, due);
    }
    if (due) {
      check_run(a, r, run, found);
      if (run.status != running) break;
    }
    minibatch_pass(w, a, a.indices + (r * a.num_index_turns + turn) * MINIBATCH);
    update(w, hyper, run.step);
    run.step++;
  }

  copy_params<true>(a.theta_out + r * PARAMS, w.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<true>(a.moments_out + (r * NUM_MOMENTS + m) * PARAMS, w.moments[m]);
  store_run(a, r, run);
}

}  // namespace sweep
