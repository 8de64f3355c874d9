// What training needs to know of a run, however its network lies in memory.
#pragma once
#include "case.h"

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
  int64_t num_networks, num_items, num_index_turns, num_records;
  int32_t every, rule, stop_at_fit;
};

constexpr int NUM_HYPER = OPTIMIZER == adam ? 6 : 4;

struct Run {
  int step, status, fit_step, fit;
  float loss, error;
  int64_t next_check;  // the step; a division a step would be a tenth of a tiny network's
  int slot;

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

INLINE Run load_run(const Arguments& a, int64_t r) {
  const int32_t* counters = a.counters + 4 * r;
  float* records = a.records + r * a.num_records * 2;
  for (int64_t i = 0; i < 2 * a.num_records; i++) records[i] = NAN;
  const int64_t checks = (int64_t(counters[0]) + a.every - 1) / a.every;
  return {counters[0],       counters[1],           counters[2],      counters[3],
          a.measured[2 * r], a.measured[2 * r + 1], checks * a.every, 0};
}

INLINE void store_run(const Arguments& a, int64_t r, const Run& run) {
  const int32_t ends[] = {run.step, run.status, run.fit_step, run.fit};
  memcpy(a.counters_out + 4 * r, ends, sizeof ends);
  a.measured_out[2 * r] = run.loss;
  a.measured_out[2 * r + 1] = run.error;
}

INLINE bool is_due(const Arguments& a, int64_t r, const Run& run) {
  return run.step == run.next_check || run.step >= a.turns[2 * r + 1];
}

// Checks network r, and records it.
INLINE void check_run(const Arguments& a, int64_t r, Run& run, Measured found) {
  run.check(a, a.hyper + r * (NUM_HYPER + 2) + NUM_HYPER, a.turns[2 * r + 1], found);
  if (run.step != run.next_check) return;
  if (run.slot < a.num_records) {
    float* record = a.records + (r * a.num_records + run.slot) * 2;
    record[0] = run.loss;
    record[1] = run.error;
  }
  run.slot++;
  run.next_check += a.every;
}

}  // namespace sweep
