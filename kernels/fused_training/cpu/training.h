// Segments of training runs, one network at a time: the loss, the step, the check.
#pragma once
#include "network.h"

namespace sweep {

enum Status { running, fits, loss_reached, out_of_steps, diverged };
enum Rule { train_error, train_loss };

// Arrays as in plain.py, a row a network.
struct Arguments {
  const float *theta, *moments;
  const int32_t* counters;  // step, status, fit_step, fit
  const float* measured;    // loss, error
  const float* hyper;       // the optimiser's, then the limits `fit` and `loss`
  const int32_t* turns;     // num_turns, max_steps
  const float *x, *y;
  const int32_t* indices;
  float *theta_out, *moments_out;
  int32_t* counters_out;
  float *measured_out, *records;
  int64_t num_items, num_index_turns, num_records;
  int32_t every, rule, stop_at_fit;
};

constexpr int NUM_HYPER = OPTIMIZER == adam ? 6 : 4;
constexpr int NUM_MOMENTS = OPTIMIZER == adam ? 2 : 1;

// Losses with one output, for which rows of outputs are gathered where they are padded.
template <int ROWS>
INLINE void scalar_loss(Workspace& w, const float* y, bool measure, Measured& found) {
  float gathered[padded(ROWS)] = {};
  for (int n = 0; n < ROWS; n++) gathered[n] = w.outputs[n * OUTPUT_STRIDE];
  Vec loss{}, wrong{};
  for (int n = 0; n < ROWS; n += LANES) {
    const Vec f = load(gathered + n), target = load(y + n);
    const Vec sign = LOSS == squared ? target : 2 * target - 1;
    Vec value, gradient;
    if constexpr (LOSS == logistic) {
      const Vec t = -sign * f, e = exp_nonpositive(-absolute(t));
      gradient = -sign * select(t < 0.0f, e, all(1)) / (1 + e);
      value = select(t < 0.0f, Vec{}, t) + log1p_unit(e);
    } else {
      gradient = f - sign;
      value = 0.5f * gradient * gradient;
    }
    store(gathered + n, gradient * (1.0f / STEP_EXAMPLES));
    if (measure) {
      const Ints right = (f > 0.0f) == (target > 0.0f) & (f == f);
      loss += first(ROWS - n, value);
      wrong += first(ROWS - n, select(right, Vec{}, all(1)));
    }
  }
  for (int n = 0; n < ROWS; n++) w.outputs[n * OUTPUT_STRIDE] = gathered[n];
  if (measure) {
    found.loss += sum(loss);
    found.wrong += sum(wrong);
  }
}

INLINE bool is_largest(const float* f, int chosen) {  // the first of equals, without NaN
  bool right = true;
  for (int c = 0; c < OUTPUTS; c++) right &= c < chosen ? f[c] < f[chosen] : f[c] <= f[chosen];
  return right;
}

template <int ROWS>
INLINE void class_loss(Workspace& w, const float* y, bool measure, Measured& found) {
  constexpr int tail = OUTPUTS % LANES ? OUTPUTS % LANES : LANES;
  for (int n = 0; n < ROWS; n++) {
    float* f = w.outputs + n * OUTPUT_STRIDE;
    const int chosen = int(y[n]);
    float largest = f[0];
    for (int c = 1; c < OUTPUTS; c++) largest = f[c] > largest ? f[c] : largest;
    if (measure) found.wrong += !is_largest(f, chosen);
    const float margin = largest - f[chosen];
    Vec total{};
    for (int c = 0; c < OUTPUT_STRIDE; c += LANES) {
      const Vec e = exp_nonpositive(load(f + c) - largest);
      const Vec real = c + LANES < OUTPUT_STRIDE ? e : first(tail, e);
      store(f + c, real);
      total += real;
    }
    const float divisor = sum(total);
    for (int c = 0; c < OUTPUT_STRIDE; c += LANES)
      store(f + c, load(f + c) * (1.0f / (divisor * STEP_EXAMPLES)));
    f[chosen] -= 1.0f / STEP_EXAMPLES;
    if (measure) found.loss += std::log(divisor) + margin;
  }
}

// All examples forward, and back where there is a gradient to find.
template <int N, bool BACK>
INLINE Measured pass(Workspace& w, const float* x, const float* y, bool measure) {
  Measured found;
  if (BACK) transpose_weights(w);
  in_blocks<N, MOST>([&]<int ROWS>(int begin) {
    const float* inputs = x + int64_t(begin) * INPUTS;
    forward<ROWS>(w, inputs);
    if constexpr (LOSS == cross_entropy)
      class_loss<ROWS>(w, y + begin, measure, found);
    else
      scalar_loss<ROWS>(w, y + begin, measure, found);
    if constexpr (BACK) backward<ROWS>(w, inputs, w.outputs, begin > 0);
  });
  found.loss /= N;
  return found;
}

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

struct Run {
  int step, status, fit_step, fit;
  float loss, error;

  void check(const Arguments& a, const float* limits, int max_steps, Measured found) {
    loss = found.loss;
    error = LOSS == squared ? NAN : found.wrong / EXAMPLES;
    const bool finite = std::isfinite(loss);
    const bool holds = a.rule == train_error ? found.wrong <= limits[0] * EXAMPLES + 1e-3f
                                             : loss <= limits[0];
    fit = finite && holds;
    if (fit && fit_step < 0) fit_step = step;
    status = !finite                             ? diverged
             : fit_step >= 0 && a.stop_at_fit    ? fits
             : loss <= limits[1]                 ? loss_reached
             : step >= max_steps                 ? out_of_steps
                                                 : running;
  }
};

INLINE void begin(const Arguments& a, Workspace& w) {
  memcpy(w.targets, a.y, sizeof(float) * EXAMPLES);
}

// Trains network r.
inline void do_item(const Arguments& a, int64_t r, Workspace& w) {
  const float* hyper = a.hyper + r * (NUM_HYPER + 2);
  const int32_t *turns = a.turns + 2 * r, *counters = a.counters + 4 * r;
  Run run{counters[0],       counters[1],           counters[2], counters[3],
          a.measured[2 * r], a.measured[2 * r + 1]};
  // The padding too, in which the thread's last network may have left a NaN.
  memset(w.params, 0, sizeof w.params);
  memset(w.moments, 0, sizeof w.moments);
  copy_params<false>(const_cast<float*>(a.theta) + r * PARAMS, w.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<false>(const_cast<float*>(a.moments) + (r * NUM_MOMENTS + m) * PARAMS, w.moments[m]);
  float* records = a.records + r * a.num_records * 2;
  for (int64_t i = 0; i < 2 * a.num_records; i++) records[i] = NAN;
  const int first_check = (run.step + a.every - 1) / a.every;

  for (int turn = 0; turn < turns[0] && run.status == running; turn++) {
    const bool regular = run.step % a.every == 0, due = regular || run.step >= turns[1];
    Measured found;
    if constexpr (MINIBATCH > 0) {
      if (due) found = pass<EXAMPLES, false>(w, a.x, w.targets, true);
    } else {
      found = pass<EXAMPLES, true>(w, a.x, w.targets, due);
    }
    if (due) {
      run.check(a, hyper + NUM_HYPER, turns[1], found);
      const int slot = run.step / a.every - first_check;
      if (regular && slot < a.num_records) {
        records[2 * slot] = run.loss;
        records[2 * slot + 1] = run.error;
      }
      if (run.status != running) break;
    }
    minibatch_pass(w, a, a.indices + (r * a.num_index_turns + turn) * MINIBATCH);
    update(w, hyper, run.step);
    run.step++;
  }

  copy_params<true>(a.theta_out + r * PARAMS, w.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<true>(a.moments_out + (r * NUM_MOMENTS + m) * PARAMS, w.moments[m]);
  const int32_t ends[] = {run.step, run.status, run.fit_step, run.fit};
  memcpy(a.counters_out + 4 * r, ends, sizeof ends);
  a.measured_out[2 * r] = run.loss;
  a.measured_out[2 * r + 1] = run.error;
}

}  // namespace sweep
