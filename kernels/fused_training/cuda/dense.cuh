// Passes of a perceptron over a tile of examples.
constexpr int weights_at(int l) {
  return l == 0 ? 0 : weights_at(l - 1) + (WIDTHS[l - 1] + BIAS) * odd(WIDTHS[l]);
}
constexpr int hidden_before(int l) { return l <= 1 ? 0 : hidden_before(l - 1) + odd(WIDTHS[l - 1]); }
constexpr int SIZE = weights_at(LAYERS), HIDDEN = hidden_before(LAYERS);
constexpr int THETA = PARAMS;

struct Network {
  float params[SIZE], gradient[SIZE], moments[NUM_MOMENTS * SIZE];
  float inputs[TILE * odd(INPUTS)], hidden[TILE * HIDDEN + 1], outputs[TILE * odd(OUTPUTS)];
  float slope[ACTIVATION == gelu ? TILE * HIDDEN + 1 : 1];  // gelu'(z)
};

// Where number i of a tile of inputs lies.
DEVICE float* input_at(Network& s, int i) {
  return &s.inputs[i / INPUTS * odd(INPUTS) + i % INPUTS];
}

// Activations that enter layer L, and the gradient of those that leave it; their row lengths.
template <int L>
DEVICE float* entering(Network& s) {
  return L == 0 ? s.inputs : s.hidden + TILE * hidden_before(L);
}
template <int L>
DEVICE float* leaving(Network& s) {
  return L == LAYERS - 1 ? s.outputs : s.hidden + TILE * hidden_before(L + 1);
}

template <int L>
DEVICE void forward(Network& s, int rows) {
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
DEVICE void backward(Network& s, int rows, bool add) {
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

DEVICE void begin(Network&) {}
DEVICE void forward_all(Network& s, int rows) { forward<0>(s, rows); }
DEVICE void backward_all(Network& s, int rows, bool add) { backward<LAYERS - 1>(s, rows, add); }
