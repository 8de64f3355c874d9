// Draws of a prior on a GPU: parameters made in shared memory, the function that they compute,
// and what it misses; only labels and counts leave the chip.
//
// It follows block.cuh, which says how threads are shared out.
enum Norm { none, frobenius, path };
constexpr Norm NORM = SWEEP_NORM;
enum Numbers { normal, truncated_normal, uniform, laplace, sign, direction, ones };  // see case.py

struct Block {
  Numbers numbers;
  int arrays;
};
constexpr Block LAW[] = {SWEEP_LAW};
constexpr int NUM_BLOCKS = sizeof(LAW) / sizeof(Block);
constexpr int first_array(int b) { return b == 0 ? 0 : first_array(b - 1) + LAW[b - 1].arrays; }
constexpr int array_at(int a) {
  return flat_at(a / (1 + BIAS)) + (BIAS && a % 2 ? WIDTHS[a / 2] * WIDTHS[a / 2 + 1] : 0);
}
constexpr int EXAMPLES = SWEEP_INPUTS;  // inputs that the function is read on
constexpr int TILE = SWEEP_TILE;        // of them, taken at once
constexpr int ARRAYS = LAYERS * (1 + BIAS);
constexpr bool HAS_BITS = OUTPUTS <= 2;  // two labels: eight a byte
constexpr int A_BYTE = HAS_BITS ? 8 : 1, BYTES = (EXAMPLES + A_BYTE - 1) / A_BYTE;
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
  float parts[THREADS];  // of a length, or of the smallest margin
  float spare[SWEEP_SPARE];  // so that networks that share a warp lie in different banks
};
static_assert(sizeof(Shared) == SWEEP_NETWORK_BYTES, "launch.py reckons another size");

// Threefry-2x32 of (key, counter), as in native/random.h.
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

// The numbers below are those of native/random.h, of one word where that takes a vector of them; a
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

// sqrt(2) erfinv(u) of u in (-1, 1), with the polynomials of `threefry.erfinv`.
// Giles (2012), "Approximating the erfinv function".
DEVICE float normal_at(float u) {
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

// A normal number within two deviations of 0: as `truncated_normals`.
DEVICE float truncated_normal_of(unsigned word) {
  const float low = -0x1.e8b42ep-1f, width = 0x1.e8b43p+0f;
  const float u = (float)(int)(word >> 9) * 0x1p-23f * width + low;
  const float z = normal_at(u < low ? low : u);
  return z > 2 ? 2 : z < -2 ? -2 : z;
}

// Of density exp(-|x|) / 2, as `laplaces`.
DEVICE float laplace_of(unsigned word) {
  const float u = uniform_of(word), size = -log_positive(1.0f - fabsf(u));
  return u < 0 ? -size : size;
}

// A number of a word; that of a direction before it is divided by the length of all.
template <Numbers NUMBERS>
DEVICE float number_of(unsigned word) {
  if (NUMBERS == ones) return 1;
  if (NUMBERS == uniform) return uniform_of(word);
  if (NUMBERS == laplace) return laplace_of(word);
  if (NUMBERS == sign) return (int)word < 0 ? 1 : -1;
  if (NUMBERS == truncated_normal) return truncated_normal_of(word);
  return normal_at(uniform_of(word));
}

// What parameter i of the arrays from A on is multiplied by.
template <int A>
DEVICE float scale_of(int i, const float* scales) {
  if constexpr (A < ARRAYS - 1)
    if (i >= array_at(A + 1)) return scale_of<A + 1>(i, scales);
  return scales[A];
}

// theta, block by block: of its first half the first words, of the rest the second ones, but for a
// direction both words at once, as jax.random does.
template <int B = 0>
DEVICE void draw(const unsigned* keys, const float* scales, Shared& s) {
  if constexpr (B < NUM_BLOCKS) {
    constexpr Numbers numbers = LAW[B].numbers;
    constexpr bool is_direction = numbers == direction;
    constexpr int from = first_array(B), begin = array_at(from);
    constexpr int size = array_at(from + LAW[B].arrays) - begin, half = (size + 1) / 2;
    constexpr int step = is_direction ? size : half;
    float* theta = s.theta + begin;
    float squares = 0;
    for (int i = THREAD; i < step; i += THREADS) {
      unsigned words[] = {is_direction ? 0 : (unsigned)i, is_direction ? (unsigned)i : 0};
      if (numbers != ones) threefry(keys + 2 * B, words[0], words[1]);
      if (is_direction) words[0] ^= words[1];
      for (int j = i, word = 0; j < size && word < 2; j += step, word++) {
        const float z = number_of<numbers>(words[word]);
        theta[j] = is_direction ? z : scale_of<from>(begin + j, scales) * z;
        squares += z * z;
      }
    }
    if constexpr (is_direction) {
      s.parts[THREAD] = squares;
      SYNC();
      squares = 0;
      for (int i = 0; i < THREADS; i++) squares += s.parts[i];
      const float factor = 1 / sqrtf(squares);
      for (int j = THREAD; j < size; j += THREADS)
        theta[j] *= scale_of<from>(begin + j, scales) * factor;
    }
    SYNC();
    draw<B + 1>(keys, scales, s);
  }
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

DEVICE float infinity() {
  union { int bits; float number; } of = {0x7f800000};
  return of.number;
}

// The label of an input. Of one output it is 1 where that is > 0, of several the largest, the first
// of equals; NaN counts as largest, and as wrong. Counts a target that is missed, and keeps the
// smallest margin over the others: without one, at 0 or NaN, it is inf or -inf by the label.
DEVICE int read(const float* outputs, int target, int& wrong, float& least) {
  int label = OUTPUTS == 1 && outputs[0] > 0;
  bool has_nan = false;
  float best = outputs[0], right = -infinity(), other = -infinity();
  for (int c = 0; c < OUTPUTS; c++) {
    const float z = outputs[c];
    has_nan |= z != z;
    if (OUTPUTS > 1 && (z > best || (z != z && best == best))) best = z, label = c;
    if (c == target) right = z;
    else if (z > other) other = z;
  }
  if (target < 0) return label;
  const bool is_right = label == (OUTPUTS == 1 ? target > 0 : target) && !has_nan;
  float margin = OUTPUTS > 1 ? right - other : target > 0 ? outputs[0] : -outputs[0];
  if (has_nan || !(margin < 0 || margin > 0)) margin = is_right ? infinity() : -infinity();
  wrong += !is_right;
  if (margin < least) least = margin;
  return label;
}

// The norms by which margins may be divided, as in native/norms.h.
template <int L = 0>
DEVICE float frobenius_product(Shared& s) {
  constexpr int size = WIDTH<L> * WIDTH<L + 1>;
  float squares = 0;
  for (int i = THREAD; i < size; i += THREADS) {
    const float w = s.theta[flat_at(L) + i];
    squares += w * w;
  }
  s.parts[THREAD] = squares;
  SYNC();
  squares = 0;
  for (int i = 0; i < THREADS; i++) squares += s.parts[i];
  SYNC();
  if constexpr (L < LAYERS - 1) return sqrtf(squares) * frobenius_product<L + 1>(s);
  return sqrtf(squares);
}

template <int L = 0>
DEVICE float path_norm(Shared& s) {
  constexpr int n = WIDTH<L>, m = WIDTH<L + 1>;
  const float *reached = L % 2 ? s.uneven : s.even, *weights = s.theta + flat_at(L);
  float* next = L % 2 ? s.even : s.uneven;
  for (int j = THREAD; j < m; j += THREADS) {
    float total = BIAS ? fabsf(weights[n * m + j]) : 0;
    for (int k = 0; k < n; k++) total += (L ? reached[k] : 1) * fabsf(weights[k * m + j]);
    next[j] = total;
  }
  SYNC();
  if constexpr (L < LAYERS - 1) return path_norm<L + 1>(s);
  float whole = 0;
  for (int j = 0; j < m; j++) whole += next[j];
  SYNC();  // inputs follow in the same place
  return whole;
}

// A margin of the outputs divided by their norm; -inf where that is no positive number.
DEVICE float divided(float margin, float norm) {
  if (NORM == none) return margin;
  return norm > 0 && norm < infinity() ? margin / norm : -infinity();
}

KERNEL scan(const unsigned* keys, const float* scales, const float* x, const int* targets,
            const int* num_draws, unsigned char* functions, int* wrong_out, float* margin_out) {
  SHARED(Shared, s)
  const long long r = NETWORK;
  if (r >= *num_draws) return;
  draw(keys + 2 * NUM_BLOCKS * r, scales + r * ARRAYS, s);
  float norm = 1, margin = infinity();
  if constexpr (NORM == path) norm = path_norm(s);
  if constexpr (NORM == frobenius) norm = frobenius_product(s);
  int wrong = 0;
  for (int begin = 0; begin < EXAMPLES; begin += TILE) {
    const int rows = EXAMPLES - begin < TILE ? EXAMPLES - begin : TILE;
    for (int i = THREAD; i < rows * INPUTS; i += THREADS)
      s.even[i / INPUTS * odd(INPUTS) + i % INPUTS] = x[(long long)begin * INPUTS + i];
    SYNC();
    const float* outputs = forward(s, rows);
    for (int first = A_BYTE * THREAD; first < rows; first += A_BYTE * THREADS) {
      int byte = 0;
      for (int i = first; i < rows && i < first + A_BYTE; i++)
        byte |= read(outputs + i * odd(OUTPUTS), targets[begin + i], wrong, margin)
                << (HAS_BITS ? 7 - (i - first) : 0);
      functions[r * BYTES + (begin + first) / A_BYTE] = byte;
    }
    SYNC();
  }
  s.wrongs[THREAD] = wrong;
  s.parts[THREAD] = margin;
  SYNC();
  if (THREAD == 0) {
    for (int i = 1; i < THREADS; i++) {
      wrong += s.wrongs[i];
      if (s.parts[i] < margin) margin = s.parts[i];
    }
    wrong_out[r] = wrong;
    margin_out[r] = divided(margin, norm);
  }
}
