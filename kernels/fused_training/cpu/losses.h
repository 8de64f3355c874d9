// The losses of one output.
#pragma once
#include "case.h"

namespace sweep {

struct ScalarLoss {
  Vec value, gradient;
};

// The loss of one output of every lane, and its derivative.
INLINE ScalarLoss scalar_loss_of(Vec f, Vec target) {
  const Vec sign = LOSS == squared ? target : 2 * target - 1;
  if constexpr (LOSS == logistic) {
    const Vec t = -sign * f, e = exp_nonpositive(-absolute(t));
    return {select(t < 0.0f, Vec{}, t) + log1p_unit(e),
            -sign * select(t < 0.0f, e, all(1)) / (1 + e)};
  } else {
    const Vec gradient = f - sign;
    return {0.5f * gradient * gradient, gradient};
  }
}

}  // namespace sweep
