// Segments of training runs on a GPU: a network's parameters, gradient, optimiser state and
// activations stay in a block's shared memory for all of its steps.
//
// Exact float32. It follows block.cuh, which says how threads are shared out.
enum Loss { logistic, cross_entropy, squared, squared_labels };
enum Optimizer { sgd, nesterov, adam };
enum Status { running, fits, loss_reached, out_of_steps, diverged };
enum Rule { train_error, train_loss };

constexpr Loss LOSS = SWEEP_LOSS;
constexpr Optimizer OPTIMIZER = SWEEP_OPTIMIZER;
constexpr int EXAMPLES = SWEEP_EXAMPLES, MINIBATCH = SWEEP_MINIBATCH;  // 0: full batch
constexpr int STEP_EXAMPLES = MINIBATCH ? MINIBATCH : EXAMPLES;
constexpr int NUM_HYPER = OPTIMIZER == adam ? 6 : 4, NUM_MOMENTS = OPTIMIZER == adam ? 2 : 1;

constexpr int weights_at(int l) {
  return l == 0 ? 0 : weights_at(l - 1) + (WIDTHS[l - 1] + BIAS) * odd(WIDTHS[l]);
}
constexpr int hidden_before(int l) { return l <= 1 ? 0 : hidden_before(l - 1) + odd(WIDTHS[l - 1]); }
constexpr int SIZE = weights_at(LAYERS), HIDDEN = hidden_before(LAYERS);

constexpr int TILE = SWEEP_TILE;  // examples that are taken at once
constexpr int SUMMING = TILE < THREADS ? TILE : THREADS;  // threads that have examples

struct Run {
  int step, status, fit_step, fit;
  float loss, error;
};

struct Shared {
  float params[SIZE], gradient[SIZE], moments[NUM_MOMENTS * SIZE];
  float inputs[TILE * odd(INPUTS)], hidden[TILE * HIDDEN + 1], outputs[TILE * odd(OUTPUTS)];
  float slope[ACTIVATION == gelu ? TILE * HIDDEN + 1 : 1];  // gelu'(z)
  float losses[THREADS], wrongs[THREADS];
  Run run;
  float spare[SWEEP_SPARE];  // so that networks that share a warp lie in different banks
};
static_assert(sizeof(Shared) == SWEEP_NETWORK_BYTES, "launch.py reckons another size");

struct Settings {
  int num_networks, num_index_turns, num_records, every, rule, stop_at_fit;
};

DEVICE float times_slope(float delta, float h, const float* slope) {
  if (ACTIVATION == relu) return h > 0 ? delta : 0;
  if (ACTIVATION == tanh_) return delta * (1 - h * h);
  if (ACTIVATION == gelu) return delta * *slope;
  return delta;
}

// Activations that enter layer L, and the gradient of those that leave it; their row lengths.
template <int L>
DEVICE float* entering(Shared& s) {
  return L == 0 ? s.inputs : s.hidden + TILE * hidden_before(L);
}
template <int L>
DEVICE float* leaving(Shared& s) {
  return L == LAYERS - 1 ? s.outputs : s.hidden + TILE * hidden_before(L + 1);
}

template <int L>
DEVICE void forward(Shared& s, int rows) {
  constexpr int n = WIDTH<L>, m = WIDTH<L + 1>, at = weights_at(L), slopes = hidden_before(L + 1);
  const float *in = entering<L>(s), *weights = s.params + at;
  float* out = leaving<L>(s);
  product<m>(
      rows, n, [=](int i, int k) { return in[i * odd(n) + k]; },
      [=](int k, int j) { return weights[k * odd(m) + j]; },
      [=, &s](int i, int j, float z) {
        if (BIAS) z += weights[n * odd(m) + j];
        float* slope = s.slope + (ACTIVATION == gelu ? TILE * slopes + i * odd(m) + j : 0);
        out[i * odd(m) + j] = L < LAYERS - 1 ? activate(z, slope) : z;
      });
  if constexpr (L < LAYERS - 1) forward<L + 1>(s, rows);
}

template <int L>
DEVICE void backward(Shared& s, int rows, bool add) {
  constexpr int n = WIDTH<L>, m = WIDTH<L + 1>, at = weights_at(L), slopes = hidden_before(L);
  float* in = entering<L>(s);
  float* gradient = s.gradient + at;
  const float *delta = leaving<L>(s), *weights = s.params + at;
  if (BIAS)
    for (int j = THREAD; j < m; j += THREADS) {
      float total = add ? gradient[n * odd(m) + j] : 0;
      for (int i = 0; i < rows; i++) total += delta[i * odd(m) + j];
      gradient[n * odd(m) + j] = total;
    }
  product<m>(
      n, rows, [=](int k, int i) { return in[i * odd(n) + k]; },
      [=](int i, int j) { return delta[i * odd(m) + j]; },
      [=](int k, int j, float g) {
        float* to = gradient + k * odd(m) + j;
        *to = add ? *to + g : g;
      });
  if constexpr (L > 0) {
    product<n>(
        rows, m, [=](int i, int j) { return delta[i * odd(m) + j]; },
        [=](int j, int k) { return weights[k * odd(m) + j]; },
        [=, &s](int i, int k, float d) {
          float* h = in + i * odd(n) + k;  // its gradient takes its place
          *h = times_slope(d, *h, s.slope + (ACTIVATION == gelu ? TILE * slopes + i * odd(n) + k : 0));
        });
    backward<L - 1>(s, rows, add);
  }
}

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
      s.inputs[i / INPUTS * odd(INPUTS) + i % INPUTS] = x[(long long)n * INPUTS + i % INPUTS];
    }
    SYNC();
    forward<0>(s, rows);
    for (int i = THREAD; i < rows; i += THREADS)
      example_loss(s.outputs + i * odd(OUTPUTS), y[indices ? indices[begin + i] : begin + i], loss, wrong);
    SYNC();
    if (back) backward<LAYERS - 1>(s, rows, begin > 0);
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

// Between rows of odd length and theta.
template <bool TO_FLAT, int L = 0>
DEVICE void copy_params(float* flat, float* params) {
  constexpr int m = WIDTH<L + 1>, from = flat_at(L), at = weights_at(L);
  for (int i = THREAD; i < (WIDTH<L> + BIAS) * m; i += THREADS) {
    float *one = flat + from + i, *other = params + at + i / m * odd(m) + i % m;
    if (TO_FLAT) *one = *other;
    else *other = *one;
  }
  if constexpr (L < LAYERS - 1) copy_params<TO_FLAT, L + 1>(flat, params);
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
  SYNC();
  copy_params<false>((float*)theta + r * PARAMS, s.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<false>((float*)moments + (r * NUM_MOMENTS + m) * PARAMS, s.moments + m * SIZE);
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
  copy_params<true>(theta_out + r * PARAMS, s.params);
  for (int m = 0; m < NUM_MOMENTS; m++)
    copy_params<true>(moments_out + (r * NUM_MOMENTS + m) * PARAMS, s.moments + m * SIZE);
  if (THREAD == 0) {
    const Run& run = s.run;
    const int ends[] = {run.step, run.status, run.fit_step, run.fit};
    for (int i = 0; i < 4; i++) counters_out[4 * r + i] = ends[i];
    measured_out[2 * r] = run.loss;
    measured_out[2 * r + 1] = run.error;
  }
}
