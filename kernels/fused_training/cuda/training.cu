// Segments of training runs on a GPU: a network's parameters, gradient, optimiser state and
// activations stay in a block's shared memory for all of its steps.
//
// Exact float32. It follows block.cuh, which says how threads are shared out, case.cuh, and the
// passes of a kind of network: dense.cuh, or layers.cuh and convolutional.cuh.
enum Status { running, fits, loss_reached, out_of_steps, diverged };
enum Rule { train_error, train_loss };

struct Run {
  int step, status, fit_step, fit;
  float loss, error;
};

struct Shared : Network {
  float losses[THREADS], wrongs[THREADS];
  Run run;
  float spare[SWEEP_SPARE];  // so that networks that share a warp lie in different banks
};
static_assert(sizeof(Shared) == SWEEP_NETWORK_BYTES, "launch.py reckons another size");

struct Settings {
  int num_networks, num_index_turns, num_records, every, rule, stop_at_fit;
};

// One example's loss, in place of whose outputs their gradient is left.
DEVICE void example_loss(float* f, float y, float& loss, float& wrong) {
  const float scale = 1.0f / STEP_EXAMPLES;
  if (LOSS == cross_entropy) {
    const int chosen = (int)y;
    float largest = f[0], total = 0;
    bool right = true;
    for (int c = 0; c < OUTPUTS; c++) {
      largest = f[c] > largest ? f[c] : largest;
      right &= c < chosen ? f[c] < f[chosen] : f[c] <= f[chosen];
    }
    const float margin = largest - f[chosen];
    for (int c = 0; c < OUTPUTS; c++) total += f[c] = expf(f[c] - largest);
    for (int c = 0; c < OUTPUTS; c++) f[c] *= scale / total;
    f[chosen] -= scale;
    loss += logf(total) + margin;
    wrong += !right;
    return;
  }
  const float sign = LOSS == squared ? y : 2 * y - 1;
  wrong += !((f[0] > 0) == (y > 0) && f[0] == f[0]);
  if (LOSS == logistic) {
    const float t = -sign * f[0], e = expf(-fabsf(t));
    loss += (t < 0 ? 0 : t) + log1pf(e);
    f[0] = -sign * (t < 0 ? e : 1) / (1 + e) * scale;
  } else {
    const float residual = f[0] - sign;
    loss += 0.5f * residual * residual;
    f[0] = residual * scale;
  }
}

// All of `count` examples forward, and back where a gradient is wanted. The sums of loss and
// wrong labels are left in `losses` and `wrongs`, one part a thread.
DEVICE void pass(Shared& s, const float* x, const float* y, const int* indices, int count, bool back) {
  float loss = 0, wrong = 0;
  for (int begin = 0; begin < count; begin += TILE) {
    const int rows = count - begin < TILE ? count - begin : TILE;
    for (int i = THREAD; i < rows * INPUTS; i += THREADS) {
      const int n = indices ? indices[begin + i / INPUTS] : begin + i / INPUTS;
      *input_at(s, i) = x[(long long)n * INPUTS + i % INPUTS];
    }
    SYNC();
    forward_all(s, rows);
    for (int i = THREAD; i < rows; i += THREADS)
      example_loss(s.outputs + i * odd(OUTPUTS), y[indices ? indices[begin + i] : begin + i], loss, wrong);
    SYNC();
    if (back) backward_all(s, rows, begin > 0);
    SYNC();
  }
  s.losses[THREAD] = loss;
  s.wrongs[THREAD] = wrong;
  SYNC();
}

DEVICE void check(Shared& s, const Settings& set, const float* limits, int max_steps) {
  Run& run = s.run;
  float loss = 0, wrong = 0;
  for (int i = 0; i < SUMMING; i++) {
    loss += s.losses[i];
    wrong += s.wrongs[i];
  }
  run.loss = loss / EXAMPLES;
  run.error = LOSS == squared ? nanf("") : wrong / EXAMPLES;
  const bool finite = isfinite(run.loss);
  const bool holds = set.rule == train_error ? wrong <= limits[0] * EXAMPLES + 1e-3f
                                             : run.loss <= limits[0];
  run.fit = finite && holds;
  if (run.fit && run.fit_step < 0) run.fit_step = run.step;
  run.status = !finite                                ? diverged
               : run.fit_step >= 0 && set.stop_at_fit ? fits
               : run.loss <= limits[1]                ? loss_reached
               : run.step >= max_steps                ? out_of_steps
                                                      : running;
}

DEVICE void update(Shared& s, const float* hyper, int step) {
  const float rate = hyper[0], l2 = hyper[NUM_HYPER - 2], decay = hyper[NUM_HYPER - 1];
  const float b1 = hyper[1], b2 = OPTIMIZER == adam ? hyper[2] : 0, eps = OPTIMIZER == adam ? hyper[3] : 0;
  const float unbias1 = OPTIMIZER == adam ? 1 / (1 - powf(b1, step + 1.0f)) : 1;
  const float unbias2 = OPTIMIZER == adam ? 1 / (1 - powf(b2, step + 1.0f)) : 1;
  for (int i = THREAD; i < SIZE; i += THREADS) {
    const float p = s.params[i], slope = s.gradient[i] + l2 * p;
    float direction, m = s.moments[i];
    if (OPTIMIZER == adam) {
      float& v = s.moments[(NUM_MOMENTS - 1) * SIZE + i];
      m = b1 * m + (1 - b1) * slope;
      v = b2 * v + (1 - b2) * slope * slope;
      direction = m * unbias1 / (sqrtf(v * unbias2) + eps);
    } else {
      m = slope + b1 * m;
      direction = OPTIMIZER == nesterov ? slope + b1 * m : m;
    }
    s.moments[i] = m;
    s.params[i] = p - rate * (direction + decay * p);
  }
  SYNC();
}

KERNEL train_segment(const float* theta, const float* moments, const int* counters,
                     const float* measured, const float* hyper, const int* turns, const float* x,
                     const float* y, const int* indices, const Settings* settings,
                     float* theta_out, float* moments_out, int* counters_out, float* measured_out,
                     float* records) {
  SHARED(Shared, s)
  const long long r = NETWORK;
  const Settings set = *settings;
  if (r >= set.num_networks) return;
  hyper += r * (NUM_HYPER + 2);
  const int num_turns = turns[2 * r], max_steps = turns[2 * r + 1];
  records += r * set.num_records * 2;
  for (int i = THREAD; i < 2 * set.num_records; i += THREADS) records[i] = nanf("");
  for (int i = THREAD; i < SIZE; i += THREADS) {
    s.params[i] = s.gradient[i] = 0;
    for (int m = 0; m < NUM_MOMENTS; m++) s.moments[m * SIZE + i] = 0;
  }
  begin(s);
  SYNC();
  copy_params<false>((float*)theta + r * THETA, s.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<false>((float*)moments + (r * NUM_MOMENTS + m) * THETA, s.moments + m * SIZE);
  if (THREAD == 0)
    s.run = Run{counters[4 * r], counters[4 * r + 1], counters[4 * r + 2], counters[4 * r + 3],
                measured[2 * r], measured[2 * r + 1]};
  SYNC();
  const int first_check = (s.run.step + set.every - 1) / set.every;

  for (int turn = 0; turn < num_turns && s.run.status == running; turn++) {
    const int step = s.run.step;
    const bool regular = step % set.every == 0, due = regular || step >= max_steps;
    if (due || !MINIBATCH) pass(s, x, y, nullptr, EXAMPLES, !MINIBATCH);
    if (due) {
      if (THREAD == 0) {
        check(s, set, hyper + NUM_HYPER, max_steps);
        const int slot = step / set.every - first_check;
        if (regular && slot < set.num_records) {
          records[2 * slot] = s.run.loss;
          records[2 * slot + 1] = s.run.error;
        }
      }
      SYNC();
      if (s.run.status != running) break;
    }
    if (MINIBATCH)
      pass(s, x, y, indices + (r * set.num_index_turns + turn) * MINIBATCH, MINIBATCH, true);
    update(s, hyper, step);
    if (THREAD == 0) s.run.step = step + 1;
    SYNC();
  }

  SYNC();
  copy_params<true>(theta_out + r * THETA, s.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<true>(moments_out + (r * NUM_MOMENTS + m) * THETA, s.moments + m * SIZE);
  if (THREAD == 0) {
    const Run& run = s.run;
    const int ends[] = {run.step, run.status, run.fit_step, run.fit};
    for (int i = 0; i < 4; i++) counters_out[4 * r + i] = ends[i];
    measured_out[2 * r] = run.loss;
    measured_out[2 * r + 1] = run.error;
  }
}
