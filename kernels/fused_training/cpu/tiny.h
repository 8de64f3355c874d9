// Segments of training runs of tiny networks: a network in each lane of the vectors.
//
// A network of few units does not fill a vector; as many networks as a vector has lanes do. They
// are of one shape and meet the same operations, so that no lane's bits depend on its place or on
// its neighbours. A lane whose run has ended, or has taken its turns, takes the next network.
#pragma once
#include <algorithm>

#include "losses.h"
#include "network.h"
#include "run.h"

namespace sweep {

constexpr int NETWORKS_PER_ITEM = LANES;  // neighbours in memory, which no other thread writes to

constexpr int units_before(int l) { return l <= 1 ? 0 : units_before(l - 1) + WIDTHS[l - 1]; }
constexpr int UNITS = units_before(LAYERS);  // hidden

// Examples go forward, to their losses and back in groups: what follows from one another is long
// for one example, and the processor does several at once. Their units stay in the cache.
constexpr int GROUP = UNITS == 0 ? 8 : UNITS > 128 ? 1 : UNITS > 32 ? 2 : 8;

struct alignas(64) Networks {
  Vec params[PARAMS], gradient[PARAMS], moments[NUM_MOMENTS][PARAMS];
  Vec hyper[NUM_HYPER];
  Vec inputs[GROUP][INPUTS], units[GROUP][UNITS + 1], slope[GROUP][UNITS + 1];  // gelu'(z)
  Vec outputs[GROUP][OUTPUTS], loss, wrong;
  Run runs[LANES];
  int64_t network[LANES];  // -1: none
  int turn[LANES];
  int32_t first_examples[MINIBATCH + 1];  // zeros; not static, which all loaded kernels share
};

template <int L = 0>
INLINE void forward(Networks& w, int e, const Vec* in) {
  constexpr int n = WIDTHS[L], m = WIDTHS[L + 1];
  const Vec *weights = w.params + flat_at(L), *bias = weights + n * m;
  Vec* units = w.units[e] + units_before(L + 1);
  for (int j = 0; j < m; j++) {
    Vec z = BIAS ? bias[j] : Vec{};
#pragma GCC unroll 8
    for (int k = 0; k < n; k++) z += in[k] * weights[k * m + j];
    if constexpr (L == LAYERS - 1)
      w.outputs[e][j] = z;
    else
      units[j] = activate(z, (float*)(w.slope[e] + units_before(L + 1) + j));
  }
  if constexpr (L < LAYERS - 1) forward<L + 1>(w, e, units);
}

// Adds to the gradient of layers L, L - 1, ... what SIZE examples add, in their order; `delta(e)`
// is an example's gradient by the outputs of layer L. Each sum is read and written once a group.
template <int SIZE, int L = LAYERS - 1, class Delta>
INLINE void backward(Networks& w, Delta delta) {
  constexpr int n = WIDTHS[L], m = WIDTHS[L + 1];
  const Vec* weights = w.params + flat_at(L);
  Vec* gradient = w.gradient + flat_at(L);
  const auto units = [&](int e) { return w.units[e] + units_before(L); };
  for (int k = 0; k < n; k++) {
    for (int j = 0; j < m; j++) {
      Vec g = gradient[k * m + j];
#pragma GCC unroll 8
      for (int e = 0; e < SIZE; e++) g += (L == 0 ? w.inputs[e] : units(e))[k] * delta(e)[j];
      gradient[k * m + j] = g;
    }
  }
  for (int j = 0; BIAS && j < m; j++) {
    Vec g = gradient[n * m + j];
#pragma GCC unroll 8
    for (int e = 0; e < SIZE; e++) g += delta(e)[j];
    gradient[n * m + j] = g;
  }
  if constexpr (L > 0) {
    for (int k = 0; k < n; k++) {
#pragma GCC unroll 8
      for (int e = 0; e < SIZE; e++) {
        Vec d{};
#pragma GCC unroll 8
        for (int j = 0; j < m; j++) d += delta(e)[j] * weights[k * m + j];
        // The gradient of a unit takes its place.
        units(e)[k] = times_slope(d, units(e)[k], (const float*)(w.slope[e] + units_before(L) + k));
      }
    }
    backward<SIZE, L - 1>(w, units);
  }
}

// The loss of one example; its gradient takes the place of the outputs f.
INLINE void class_loss(Networks& w, Vec* f, Vec target, bool measure) {
  Vec largest = f[0], at_target{}, total{};
  for (int c = 1; c < OUTPUTS; c++)
    largest = select(f[c] > largest, f[c], largest);
  for (int c = 0; c < OUTPUTS; c++)
    at_target = select(target == float(c), f[c], at_target);
  if (measure) {  // the first of equals is the largest, without NaN
    Ints right = at_target == at_target;
    for (int c = 0; c < OUTPUTS; c++)
      right &= (Ints)(float(c) < target) & (f[c] < at_target) |
               (Ints)(float(c) >= target) & (f[c] <= at_target);
    w.wrong += select(right, Vec{}, all(1));
  }
  const Vec margin = largest - at_target;
  for (int c = 0; c < OUTPUTS; c++) {
    f[c] = exp_nonpositive(f[c] - largest);
    total += f[c];
  }
  for (int c = 0; c < OUTPUTS; c++)
    f[c] = (f[c] / total - select(target == float(c), all(1), Vec{})) *
                   (1.0f / STEP_EXAMPLES);
  if (measure)
    for (int i = 0; i < LANES; i++) w.loss[i] += std::log(total[i]) + margin[i];
}

INLINE void scalar_loss(Networks& w, Vec* f, Vec target, bool measure) {
  const Vec output = *f;
  const ScalarLoss found = scalar_loss_of(output, target);
  *f = found.gradient * (1.0f / STEP_EXAMPLES);
  if (measure) {
    const Ints right = ((output > 0.0f) == (target > 0.0f)) & (output == output);
    w.loss += found.value;
    w.wrong += select(right, Vec{}, all(1));
  }
}

// N examples forward, and back where there is a gradient to find: input(n, k), target(n).
template <int N, bool BACK, class Input, class Target>
INLINE void pass(Networks& w, Input input, Target target, bool measure) {
  if (BACK) memset(w.gradient, 0, sizeof w.gradient);
  if (measure) w.loss = w.wrong = Vec{};
  in_blocks<N, GROUP>([&]<int SIZE>(int begin) {
    for (int e = 0; e < SIZE; e++) {
      for (int k = 0; k < INPUTS; k++) w.inputs[e][k] = input(begin + e, k);
      forward(w, e, w.inputs[e]);
    }
#pragma GCC unroll 8
    for (int e = 0; e < SIZE; e++) {
      if constexpr (LOSS == cross_entropy)
        class_loss(w, w.outputs[e], target(begin + e), measure);
      else
        scalar_loss(w, w.outputs[e], target(begin + e), measure);
    }
    if constexpr (BACK) backward<SIZE>(w, [&](int e) { return w.outputs[e]; });
  });
  if (measure) w.loss /= float(N);
}

template <bool BACK>
INLINE void pass_all(const Arguments& a, Networks& w, bool measure) {
  pass<EXAMPLES, BACK>(
      w, [&](int n, int k) { return all(a.x[n * INPUTS + k]); },
      [&](int n) { return all(a.y[n]); }, measure);
}

// The step of every lane's own minibatch; an idle lane takes the first example again and again.
INLINE void pass_minibatches(const Arguments& a, Networks& w) {
  if constexpr (MINIBATCH > 0) {
    const int32_t* indices[LANES];
    for (int i = 0; i < LANES; i++)
      indices[i] = w.network[i] < 0 ? w.first_examples
                                    : a.indices + (w.network[i] * a.num_index_turns + w.turn[i]) *
                                                      MINIBATCH;
    pass<MINIBATCH, true>(
        w,
        [&](int n, int k) {
          Vec v;
          for (int i = 0; i < LANES; i++) v[i] = a.x[int64_t(indices[i][n]) * INPUTS + k];
          return v;
        },
        [&](int n) {
          Vec v;
          for (int i = 0; i < LANES; i++) v[i] = a.y[indices[i][n]];
          return v;
        },
        false);
  }
}

INLINE void update(Networks& w) {
  Vec *p = w.params, *g = w.gradient, *m = w.moments[0];
  const Vec rate = w.hyper[0], l2 = w.hyper[NUM_HYPER - 2], decay = w.hyper[NUM_HYPER - 1];
  if constexpr (OPTIMIZER == adam) {
    const Vec b1 = w.hyper[1], b2 = w.hyper[2], eps = w.hyper[3];
    Vec unbias1, unbias2, *v = w.moments[NUM_MOMENTS - 1];
    for (int i = 0; i < LANES; i++) {
      unbias1[i] = 1 / (1 - std::pow(b1[i], w.runs[i].step + 1.0f));
      unbias2[i] = 1 / (1 - std::pow(b2[i], w.runs[i].step + 1.0f));
    }
    for (int i = 0; i < PARAMS; i++) {
      const Vec slope = g[i] + l2 * p[i];
      m[i] = b1 * m[i] + (1 - b1) * slope;
      v[i] = b2 * v[i] + (1 - b2) * slope * slope;
      const Vec direction = m[i] * unbias1 / (square_root(v[i] * unbias2) + eps);
      p[i] -= rate * (direction + decay * p[i]);
    }
  } else {
    const Vec momentum = w.hyper[1];
    for (int i = 0; i < PARAMS; i++) {
      const Vec slope = g[i] + l2 * p[i];
      m[i] = slope + momentum * m[i];
      const Vec direction = OPTIMIZER == nesterov ? slope + momentum * m[i] : m[i];
      p[i] -= rate * (direction + decay * p[i]);
    }
  }
}

INLINE bool is_over(const Arguments& a, const Networks& w, int lane) {
  return w.runs[lane].status != running || w.turn[lane] >= a.turns[2 * w.network[lane]];
}

INLINE void store_network(const Arguments& a, Networks& w, int lane) {
  const int64_t r = w.network[lane];
  for (int i = 0; i < PARAMS; i++) a.theta_out[r * PARAMS + i] = w.params[i][lane];
  for (int m = 0; m < NUM_MOMENTS; m++)
    for (int i = 0; i < PARAMS; i++)
      a.moments_out[(r * NUM_MOMENTS + m) * PARAMS + i] = w.moments[m][i][lane];
  store_run(a, r, w.runs[lane]);
  w.network[lane] = -1;
}

// Networks that a thread has taken and no lane has yet.
struct Waiting {
  int64_t next = 0, end = 0;
  bool is_last = false;
};

// Gives a lane the next network that has a turn to take; one that has none is copied.
template <class Take>
INLINE void fill(const Arguments& a, Networks& w, int lane, Waiting& waiting, Take& take) {
  while (w.network[lane] < 0 && !waiting.is_last) {
    if (waiting.next == waiting.end) {
      const int64_t item = take();
      waiting.is_last = item < 0;
      if (waiting.is_last) return;
      waiting.next = item * NETWORKS_PER_ITEM;
      waiting.end = std::min(waiting.next + NETWORKS_PER_ITEM, a.num_networks);
    }
    const int64_t r = w.network[lane] = waiting.next++;
    w.turn[lane] = 0;
    w.runs[lane] = load_run(a, r);
    for (int i = 0; i < PARAMS; i++) w.params[i][lane] = a.theta[r * PARAMS + i];
    for (int m = 0; m < NUM_MOMENTS; m++)
      for (int i = 0; i < PARAMS; i++)
        w.moments[m][i][lane] = a.moments[(r * NUM_MOMENTS + m) * PARAMS + i];
    for (int i = 0; i < NUM_HYPER; i++) w.hyper[i][lane] = a.hyper[r * (NUM_HYPER + 2) + i];
    if (is_over(a, w, lane)) store_network(a, w, lane);
  }
}

inline int64_t num_items(int64_t networks) {
  return (networks + NETWORKS_PER_ITEM - 1) / NETWORKS_PER_ITEM;
}

INLINE void begin(const Arguments&, Networks&) {}

// Trains networks as long as there are any.
template <class Take>
void do_items(const Arguments& a, Networks& w, Take take) {
  Waiting waiting;
  for (int i = 0; i < LANES; i++) {
    w.network[i] = -1;
    fill(a, w, i, waiting, take);
  }
  while (true) {
    bool any_busy = false, any_due = false, due[LANES];
    for (int i = 0; i < LANES; i++) {
      const bool busy = w.network[i] >= 0;
      due[i] = busy && is_due(a, w.network[i], w.runs[i]);
      any_busy |= busy;
      any_due |= due[i];
    }
    if (!any_busy) break;
    if (!MINIBATCH)
      pass_all<true>(a, w, any_due);
    else if (any_due)
      pass_all<false>(a, w, true);
    for (int i = 0; i < LANES; i++) {
      if (!due[i]) continue;
      check_run(a, w.network[i], w.runs[i], {w.loss[i], w.wrong[i]});
      if (w.runs[i].status != running) store_network(a, w, i);
    }
    pass_minibatches(a, w);
    update(w);
    for (int i = 0; i < LANES; i++) {
      if (w.network[i] >= 0) {
        w.runs[i].step++;
        w.turn[i]++;
        if (is_over(a, w, i)) store_network(a, w, i);
      }
      fill(a, w, i, waiting, take);
    }
  }
}

}  // namespace sweep
