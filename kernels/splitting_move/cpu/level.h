// The level that a particle climbs, of its margins: as `level` and `error_level` of the engine.
#pragma once
#include <algorithm>

#include "norms.h"

namespace sweep {

struct Rule {
  int32_t allowed;  // labels that may be wrong; negative where any may
  bool climbs_errors, has_margin;
  float above, below;  // the ends of the smallest margin
};

// The distance to the nearer end, positive inside; where it rounds to 0 it keeps its sign.
inline float between(float value, float low, float high) {
  const float inf = __builtin_inff(), from_low = value - low, to_high = high - value;
  if (from_low != from_low || to_high != to_high) return -inf;
  const float distance = std::min(from_low, to_high);
  const bool inside = value - value == 0 && value > low && value < high;
  return inside ? std::max(distance, 0x1p-126f) : std::min(distance, 0.0f);
}

// Labels too many that are wrong, and below 1 what tells ties apart.
inline float errors_level(const float* margins, int allowed) {
  float nearest = -__builtin_inff();
  int wrong = 0;
  for (int n = 0; n < INPUTS; n++) {
    if (!(margins[n] <= 0)) continue;
    wrong++;
    nearest = std::max(nearest, margins[n]);
  }
  if (wrong <= allowed) return 1;
  const float root = __builtin_sqrtf(__builtin_sqrtf(__builtin_fabsf(nearest)));
  return float(allowed - wrong) + 1 / (1 + root);
}

// Margins are put into another order.
inline float level_of(float* margins, const Rule& rule, const float* theta) {
  if (rule.climbs_errors) return errors_level(margins, rule.allowed);
  const float smallest = *std::min_element(margins, margins + INPUTS);
  float level = __builtin_inff();
  if (rule.has_margin) level = between(divided(smallest, theta), rule.above, rule.below);
  if (rule.allowed < 0 || rule.allowed >= INPUTS) return level;
  if (rule.allowed == 0) return std::min(level, smallest);
  std::nth_element(margins, margins + rule.allowed, margins + INPUTS);
  return std::min(level, margins[rule.allowed]);
}

}  // namespace sweep
