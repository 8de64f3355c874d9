// The static choices of a case, and what both kinds of networks do with one number.
enum Loss { logistic, cross_entropy, squared, squared_labels };
enum Optimizer { sgd, nesterov, adam };

constexpr Loss LOSS = SWEEP_LOSS;
constexpr Optimizer OPTIMIZER = SWEEP_OPTIMIZER;
constexpr int EXAMPLES = SWEEP_EXAMPLES, MINIBATCH = SWEEP_MINIBATCH;  // 0: full batch
constexpr int STEP_EXAMPLES = MINIBATCH ? MINIBATCH : EXAMPLES;
constexpr int NUM_HYPER = OPTIMIZER == adam ? 6 : 4, NUM_MOMENTS = OPTIMIZER == adam ? 2 : 1;

constexpr int TILE = SWEEP_TILE;  // examples that are taken at once
constexpr int SUMMING = TILE < THREADS ? TILE : THREADS;  // threads that have examples

DEVICE float times_slope(float delta, float h, const float* slope) {
  if (ACTIVATION == relu) return h > 0 ? delta : 0;
  if (ACTIVATION == tanh_) return delta * (1 - h * h);
  if (ACTIVATION == gelu) return delta * *slope;
  return delta;
}
