// A transition of the no-U-turn sampler, as blackjax has it: the trajectory doubles in a direction
// drawn at random until it turns on itself, and a place on it is drawn by multinomial weights.
#pragma once
#include <cmath>
#include <memory>

#include "leapfrog.h"
#include "random.h"

namespace sweep {

struct Transitions {
  const float *z, *momentum, *slope, *log_density;
  Rows scale;
  const float* weights;
  const uint32_t* keys;
  Rows x, y;
  float *z_out, *slope_out, *log_density_out, *acceptance;
  int32_t* counts;  // divergences, whether it turned, doublings, steps
  int64_t num_networks, num_items;
  int32_t most_doublings;
};

constexpr float DIVERGENCE = 1000;  // of energy, in nats

// jax.random's keys, and a number on [0, 1) as its `uniform` has it.
struct Key {
  uint32_t words[2];

  Key at(uint32_t first, uint32_t second) const {
    const Blocks found = threefry(words, Words{} + first, Words{} + second);
    return {{found.first[0], found.second[0]}};
  }
  Key with(int number) const { return at(0, number); }  // as `fold_in`, and as the key of `split`
  float share() const {
    const Key bits = at(0, 0);
    const uint32_t word = (bits.words[0] ^ bits.words[1]) >> 9 | 0x3f800000;
    float found;
    memcpy(&found, &word, sizeof found);
    return found - 1;
  }
};

struct State {
  float z[PADDED_PARAMS], momentum[PADDED_PARAMS], slope[PADDED_PARAMS];
};

// A place that was drawn from a trajectory: the trajectory's weight and sum of acceptances are
// those of all its places, as logarithms.
struct Drawn {
  float z[PADDED_PARAMS], slope[PADDED_PARAMS];
  float log_density, weight, log_acceptance;
};

struct alignas(64) Tree {
  Moving moving;
  State ends[2];
  Drawn kept, walked;
  float sum[PADDED_PARAMS], walked_sum[PADDED_PARAMS], part[PADDED_PARAMS];  // of momenta
};

// Momenta where subtrees begin, and the sums up to there.
struct Checkpoints {
  std::unique_ptr<float[]> memory;

  explicit Checkpoints(int most) : memory(new float[size_t(2) * most * PADDED_PARAMS]) {}
  float* momentum(int i) const { return memory.get() + size_t(2 * i) * PADDED_PARAMS; }
  float* sum(int i) const { return memory.get() + size_t(2 * i + 1) * PADDED_PARAMS; }
};

INLINE void begin(const Transitions&, Tree&) {}

INLINE void copy(const float* from, float* to) { memcpy(to, from, sizeof(float) * PADDED_PARAMS); }
INLINE void add(const float* from, float* to) {
  for (int i = 0; i < PADDED_PARAMS; i++) to[i] += from[i];
}

INLINE float log_sum(float a, float b) {
  const float most = std::fmax(a, b);
  if (most == -INFINITY) return most;
  return most + std::log1p(std::exp(-std::fabs(a - b)));
}

// Whether a trajectory turns on itself, from the momenta at its ends and the sum of all.
INLINE bool turns(const float* left, const float* right, const float* total) {
  Vec at_left{}, at_right{};
  for (int i = 0; i < PADDED_PARAMS; i += LANES) {
    const Vec one = load(left + i), other = load(right + i);
    const Vec between = load(total + i) - 0.5f * (one + other);
    at_left += one * between;
    at_right += other * between;
  }
  return sum(at_left) <= 0 || sum(at_right) <= 0;
}

// Whether a subtree that step n ends turns on itself; where one begins, it is noted.
INLINE bool subtree_turns(Tree& t, const Checkpoints& noted, int n) {
  const int top = __builtin_popcount(n >> 1);
  const float* momentum = t.moving.momentum;
  if (n % 2 == 0) {
    copy(momentum, noted.momentum(top));
    copy(t.walked_sum, noted.sum(top));
    return false;
  }
  const int subtrees = __builtin_popcount((~n & (n + 1)) - 1);
  for (int i = top; i > top - subtrees; i--) {
    for (int k = 0; k < PADDED_PARAMS; k++)
      t.part[k] = t.walked_sum[k] - noted.sum(i)[k] + noted.momentum(i)[k];
    if (turns(noted.momentum(i), momentum, t.part)) return true;
  }
  return false;
}

INLINE void take(const Moving& from, float log_density, Drawn& to) {
  copy(from.z, to.z);
  copy(from.slope, to.slope);
  to.log_density = log_density;
}

struct Walk {
  int steps = 0;
  bool diverges = false, turns = false;
};

// Walks from where t.moving is, and draws a place of the way.
inline Walk walk(Tree& t, const Checkpoints& noted, const float* x, const float* y,
                 const float* weights, Key key, int most_steps, float energy) {
  Walk w;
  for (; w.steps < most_steps && !w.diverges && !w.turns; w.steps++) {
    const float loss = leap(t.moving, x, y, weights);
    const float log_density =
        -weights[1] * loss - 0.5f * weights[2] * sum_of_squares(t.moving.z);
    float gain = energy - (0.5f * sum_of_squares(t.moving.momentum) - log_density);
    if (std::isnan(gain)) gain = -INFINITY;
    Drawn& drawn = t.walked;
    if (w.steps == 0) {
      take(t.moving, log_density, drawn);
      drawn.weight = gain;
      drawn.log_acceptance = std::fmin(gain, 0.0f);
      copy(t.moving.momentum, t.walked_sum);
    } else {
      const float chance = 1 / (1 + std::exp(drawn.weight - gain));
      if (key.with(w.steps).share() < chance) take(t.moving, log_density, drawn);
      drawn.weight = log_sum(drawn.weight, gain);
      drawn.log_acceptance = log_sum(drawn.log_acceptance, std::fmin(gain, 0.0f));
      add(t.moving.momentum, t.walked_sum);
    }
    w.diverges = -gain > DIVERGENCE;
    w.turns = subtree_turns(t, noted, w.steps);
  }
  return w;
}

INLINE void load_state(const Transitions& a, int64_t r, Tree& t) {
  put_row(a.scale.of(r), t.moving.scale);
  put_row(a.z + r * PARAMS, t.ends[0].z);
  put_row(a.momentum + r * PARAMS, t.ends[0].momentum);
  put_row(a.slope + r * PARAMS, t.ends[0].slope);
  t.ends[1] = t.ends[0];
  copy(t.ends[0].z, t.kept.z);
  copy(t.ends[0].slope, t.kept.slope);
  copy(t.ends[0].momentum, t.sum);
  t.kept.log_density = a.log_density[r];
  t.kept.weight = 0;
  t.kept.log_acceptance = -INFINITY;
}

// Draws between what is kept and a place of the new half, which is favoured.
INLINE void draw_half(Tree& t, Key key) {
  const float chance = std::fmin(std::exp(t.walked.weight - t.kept.weight), 1.0f);
  const float weight = log_sum(t.kept.weight, t.walked.weight);
  if (key.share() < chance) {
    const float log_acceptance = t.kept.log_acceptance;
    t.kept = t.walked;
    t.kept.log_acceptance = log_acceptance;
  }
  t.kept.weight = weight;
}

inline void do_item(const Transitions& a, int64_t r, Tree& t) {
  load_state(a, r, t);
  const Checkpoints noted(a.most_doublings);
  const Key key = {{a.keys[2 * r], a.keys[2 * r + 1]}};
  const float energy = 0.5f * sum_of_squares(t.ends[0].momentum) - t.kept.log_density;
  Walk w;
  int doublings = 0, steps = 0;
  for (; doublings < a.most_doublings && !w.diverges && !w.turns; doublings++) {
    const Key own = key.with(doublings);
    const bool forward = own.with(0).share() < 0.5f;
    State& end = t.ends[forward];
    copy(end.z, t.moving.z);
    copy(end.momentum, t.moving.momentum);
    copy(end.slope, t.moving.slope);
    const float* given = a.weights + 3 * r;
    const float weights[] = {forward ? given[0] : -given[0], given[1], given[2]};
    w = walk(t, noted, a.x.of(r), a.y.of(r), weights, own.with(1), 1 << doublings, energy);
    if (!w.diverges && !w.turns) draw_half(t, own.with(2));
    t.kept.log_acceptance = log_sum(t.kept.log_acceptance, t.walked.log_acceptance);
    copy(t.moving.z, end.z);
    copy(t.moving.momentum, end.momentum);
    copy(t.moving.slope, end.slope);
    add(t.walked_sum, t.sum);
    w.turns |= turns(t.ends[0].momentum, t.ends[1].momentum, t.sum);
    steps += w.steps;
  }
  copy_params<true>(a.z_out + r * PARAMS, t.kept.z);
  copy_params<true>(a.slope_out + r * PARAMS, t.kept.slope);
  a.log_density_out[r] = t.kept.log_density;
  a.acceptance[r] = std::exp(t.kept.log_acceptance) / steps;
  const int32_t counts[] = {w.diverges, w.turns, doublings, steps};
  memcpy(a.counts + 4 * r, counts, sizeof counts);
}

}  // namespace sweep
