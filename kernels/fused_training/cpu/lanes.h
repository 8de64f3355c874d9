// Passes over tiles of examples, each of which has a lane: a unit is a row of its values for the
// tile's examples. What is in it holds for all networks whose examples lie so.
#pragma once
#include <algorithm>

#include "losses.h"
#include "products.h"

namespace sweep {

constexpr int MOST_TILE = 32;  // examples: what a layer takes of them stays in the cache

// A tile has as many lanes as leave the fewest idle, and of these the most.
constexpr int tile_of(int examples) {
  int best = LANES;
  for (int tile = LANES; tile <= MOST_TILE; tile += LANES)
    if ((examples + tile - 1) / tile * tile <= (examples + best - 1) / best * best) best = tile;
  return best;
}
constexpr int TILE = tile_of(STEP_EXAMPLES);

// Examples become lanes: SIZE numbers of each, from x. Those that are missing in the last tile are
// copies of its last one: a lane must not hold what is not finite where the examples are.
template <int SIZE>
INLINE void to_lanes(const float* x, int count, float* to) {
  for (int n = 0; n < TILE; n += LANES) {
    for (int k = 0; k < SIZE; k += LANES) {
      const int size = std::min(LANES, SIZE - k);
      Vec rows[LANES];
      for (int i = 0; i < LANES; i++) {
        const float* from = x + int64_t(std::min(n + i, count - 1)) * INPUTS + k;
        rows[i] = Vec{};
        memcpy(&rows[i], from, sizeof(float) * size);
      }
      transpose(rows);
      for (int i = 0; i < size; i++) store(to + (k + i) * TILE + n, rows[i]);
    }
  }
}

// Examples become rows again, padded.
template <int UNITS>
INLINE void to_rows(const float* from, float* to) {
  for (int h = 0; h < UNITS; h += LANES) {
    for (int n = 0; n < TILE; n += LANES) {
      Vec rows[LANES];
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++)
        rows[i] = h + i < UNITS ? load(from + (h + i) * TILE + n) : Vec{};
      transpose(rows);
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) store(to + (n + i) * padded(UNITS) + h, rows[i]);
    }
  }
}

// to[h] (added to what is there) = the sum over the tile's examples of what stands at h * TILE.
template <int UNITS, class Term>
INLINE void sum_examples(Term term, bool add, float* to) {
  for (int h = 0; h < UNITS; h += LANES) {
    Vec rows[LANES]{}, total = add ? load(to + h) : Vec{};
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
      for (int n = 0; n < TILE && h + i < UNITS; n += LANES) rows[i] += term((h + i) * TILE + n);
    transpose(rows);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) total += rows[i];
    store(to + h, total);
  }
}

// The loss of LANES examples, of which the first `count` are real; their gradient takes the place
// of the outputs f. Rows are TILE apart.
INLINE void class_loss(float* f, Vec target, int count, bool measure, Measured& found) {
  Vec largest = load(f), at_target{}, total{};
  for (int c = 1; c < OUTPUTS; c++) {
    const Vec one = load(f + c * TILE);
    largest = select(one > largest, one, largest);
  }
  for (int c = 0; c < OUTPUTS; c++)
    at_target = select(target == float(c), load(f + c * TILE), at_target);
  if (measure) {  // the first of equals is the largest, without NaN
    Ints right = at_target == at_target;
    for (int c = 0; c < OUTPUTS; c++) {
      const Vec one = load(f + c * TILE);
      right &= (Ints)(float(c) < target) & (one < at_target) |
               (Ints)(float(c) >= target) & (one <= at_target);
    }
    found.wrong += sum(first(count, select(right, Vec{}, all(1))));
  }
  for (int c = 0; c < OUTPUTS; c++) {
    const Vec e = exp_nonpositive(load(f + c * TILE) - largest);
    store(f + c * TILE, e);
    total += e;
  }
  const Vec scale = 1.0f / (total * float(STEP_EXAMPLES));
  for (int c = 0; c < OUTPUTS; c++) {
    const Vec label = select(target == float(c), all(1.0f / STEP_EXAMPLES), Vec{});
    store(f + c * TILE, first(count, load(f + c * TILE) * scale - label));
  }
  if (measure)
    for (int i = 0; i < std::min(count, LANES); i++)
      found.loss += std::log(total[i]) + (largest[i] - at_target[i]);
}

INLINE void scalar_loss(float* f, Vec target, int count, bool measure, Measured& found) {
  const Vec output = load(f);
  const ScalarLoss one = scalar_loss_of(output, target);
  store(f, first(count, one.gradient * (1.0f / STEP_EXAMPLES)));
  if (measure) {
    const Ints right = ((output > 0.0f) == (target > 0.0f)) & (output == output);
    found.loss += sum(first(count, one.value));
    found.wrong += sum(first(count, select(right, Vec{}, all(1))));
  }
}

// N examples forward, and back where there is a gradient to find; the outputs are `delta`.
template <int N, bool BACK, class Workspace>
inline Measured pass(Workspace& w, const float* x, const float* y, bool measure) {
  Measured found;
  for (int begin = 0; begin < N; begin += TILE) {
    const int count = std::min(TILE, N - begin);
    load_inputs(w, x + int64_t(begin) * INPUTS, count);
    forward_all(w);
    for (int n = 0; n < TILE; n += LANES) {
      const Vec target = load(y + begin + n);
      if constexpr (LOSS == cross_entropy)
        class_loss(w.delta + n, target, count - n, measure, found);
      else
        scalar_loss(w.delta + n, target, count - n, measure, found);
    }
    if constexpr (BACK) backward_all(w, begin > 0);
  }
  found.loss /= N;
  return found;
}

}  // namespace sweep
