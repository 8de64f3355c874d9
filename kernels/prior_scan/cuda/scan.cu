// Draws of a prior on a GPU: parameters made in shared memory, the function that they compute,
// and what it misses; only labels and counts leave the chip.
//
// It follows block.cuh, which says how threads are shared out.
enum Law { normal, uniform };

constexpr Law LAW = SWEEP_LAW;
constexpr int EXAMPLES = SWEEP_INPUTS;  // inputs that the function is read on
constexpr int TILE = SWEEP_TILE;        // of them, taken at once
constexpr int ARRAYS = LAYERS * (1 + BIAS), BYTES = (EXAMPLES + 7) / 8;
static_assert(TILE % 8 == 0 || TILE >= EXAMPLES, "a tile begins with a byte of labels");

// The widest of every other layer, from the first or the second on: they take turns in two rows.
constexpr int widest_from(int l) {
  return l > LAYERS                              ? 1
         : widest_from(l + 2) > WIDTHS[l] ? widest_from(l + 2)
                                                 : WIDTHS[l];
}

struct Shared {
  float theta[PARAMS], even[TILE * odd(widest_from(0))], uneven[TILE * odd(widest_from(1))];
  int wrongs[THREADS];
  float spare[SWEEP_SPARE];  // so that networks that share a warp lie in different banks
};
static_assert(sizeof(Shared) == SWEEP_NETWORK_BYTES, "launch.py reckons another size");

// Threefry-2x32 of (key, counter), as in prior_scan/cpu/random.h.
// Salmon, Moraes, Dror & Shaw (2011), SC11: 20 rounds.
DEVICE void threefry(const unsigned* key, unsigned& x, unsigned& y) {
  const unsigned keys[] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  x += keys[0];
  y += keys[1];
#pragma unroll
  for (int group = 0; group < 5; group++) {
#pragma unroll
    for (int round = 0; round < 4; round++) {
      const int by = rotations[group % 2][round];
      x += y;
      y = x ^ (y << by | y >> (32 - by));
    }
    x += keys[(group + 1) % 3];
    y += keys[(group + 2) % 3] + group + 1;
  }
}

// The numbers below are those of cpu/random.h, of one word where that takes a vector of them; a
// test holds one to the other.

// Uniform on (-1, 1), bit for bit as `uniforms`: all but the last sum is exact.
DEVICE float uniform_of(unsigned word) { return (float)(int)(word >> 9) * 0x1p-22f - 0.99999994f; }

// ln(x) of a positive normal number (Cephes): x = 2^e m with sqrt(1/2) <= m < sqrt(2).
DEVICE float log_positive(float x) {
  union { float number; int bits; } of = {x};
  const int exponent = (of.bits - 0x3f3504f3) >> 23;
  of.bits -= exponent << 23;
  const float m = of.number - 1.0f, e = (float)exponent;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float q = m * m;
  return (m * q * p - 2.12194440e-4f * e - 0.5f * q + m) + 0.693359375f * e;
}

// sqrt(2) erfinv(u), u uniform on (-1, 1), with the polynomials of `normals`.
// Giles (2012), "Approximating the erfinv function".
DEVICE float normal_of(unsigned word) {
  const float u = uniform_of(word);
  const float w = -log_positive((1.0f - u) * (1.0f + u));
  float v, p;
  if (w < 5.0f) {
    v = w - 2.5f, p = 2.81022636e-08f;
    p = p * v + 3.43273939e-07f;
    p = p * v - 3.5233877e-06f;
    p = p * v - 4.39150654e-06f;
    p = p * v + 0.00021858087f;
    p = p * v - 0.00125372503f;
    p = p * v - 0.00417768164f;
    p = p * v + 0.246640727f;
    p = p * v + 1.50140941f;
  } else {
    v = sqrtf(w) - 3.0f, p = -0.000200214257f;
    p = p * v + 0.000100950558f;
    p = p * v + 0.00134934322f;
    p = p * v - 0.00367342844f;
    p = p * v + 0.00573950773f;
    p = p * v - 0.0076224613f;
    p = p * v + 0.00943887047f;
    p = p * v + 1.00167406f;
    p = p * v + 2.83297682f;
  }
  return 1.41421356f * (p * u);
}

// What parameter i is multiplied by.
template <int L = 0>
DEVICE float scale_of(int i, const float* scales) {
  if (i < flat_at(L) + WIDTH<L> * WIDTH<L + 1>) return scales[L * (1 + BIAS)];
  if (BIAS && i < flat_at(L + 1)) return scales[L * (1 + BIAS) + 1];
  if constexpr (L < LAYERS - 1) return scale_of<L + 1>(i, scales);
  return 0;
}

// theta: of its first half the first words of the blocks, of the rest the second ones.
DEVICE void draw(const unsigned* key, const float* scales, float* theta) {
  constexpr int half = (PARAMS + 1) / 2;
  for (int i = THREAD; i < half; i += THREADS) {
    unsigned words[] = {(unsigned)i, 0};
    threefry(key, words[0], words[1]);
    for (int j = i, second = 0; j < PARAMS && second < 2; j += half, second++)
      theta[j] = scale_of(j, scales) *
                 (LAW == uniform ? uniform_of(words[second]) : normal_of(words[second]));
  }
  SYNC();
}

// The outputs of a tile, whose inputs stand in `s.even`.
template <int L = 0>
DEVICE const float* forward(Shared& s, int rows) {
  constexpr int n = WIDTH<L>, m = WIDTH<L + 1>;
  const float *in = L % 2 ? s.uneven : s.even, *weights = s.theta + flat_at(L);
  float* out = L % 2 ? s.even : s.uneven;
  product<m>(
      rows, n, [=](int i, int k) { return in[i * odd(n) + k]; },
      [=](int k, int j) { return weights[k * m + j]; },
      [=](int i, int j, float z) {
        float unused;
        if (BIAS) z += weights[n * m + j];
        out[i * odd(m) + j] = L < LAYERS - 1 ? activate(z, &unused) : z;
      });
  if constexpr (L < LAYERS - 1) return forward<L + 1>(s, rows);
  return out;
}

// Eight labels to a byte, the first in the highest bit; counts the targets that they miss.
DEVICE unsigned char labels_of(const float* outputs, const int* targets, int count, int& wrong) {
  int labels = 0;
  for (int i = 0; i < count; i++) {
    const bool label = outputs[i] > 0, misses = label != (targets[i] > 0) || outputs[i] != outputs[i];
    wrong += misses && targets[i] >= 0;
    labels |= label << (7 - i);
  }
  return labels;
}

KERNEL scan(const unsigned* keys, const float* scales, const float* x, const int* targets,
            const int* num_draws, unsigned char* functions, int* wrong_out) {
  SHARED(Shared, s)
  const long long r = NETWORK;
  if (r >= *num_draws) return;
  draw(keys + 2 * r, scales + r * ARRAYS, s.theta);
  int wrong = 0;
  for (int begin = 0; begin < EXAMPLES; begin += TILE) {
    const int rows = EXAMPLES - begin < TILE ? EXAMPLES - begin : TILE;
    for (int i = THREAD; i < rows * INPUTS; i += THREADS)
      s.even[i / INPUTS * odd(INPUTS) + i % INPUTS] = x[(long long)begin * INPUTS + i];
    SYNC();
    const float* outputs = forward(s, rows);
    for (int i = 8 * THREAD; i < rows; i += 8 * THREADS)
      functions[r * BYTES + (begin + i) / 8] =
          labels_of(outputs + i, targets + begin + i, rows - i < 8 ? rows - i : 8, wrong);
    SYNC();
  }
  s.wrongs[THREAD] = wrong;
  SYNC();
  if (THREAD == 0) {
    for (int i = 1; i < THREADS; i++) wrong += s.wrongs[i];
    wrong_out[r] = wrong;
  }
}
