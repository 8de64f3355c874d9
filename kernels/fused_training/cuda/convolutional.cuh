// Passes of a convolutional network over a tile of examples: products of windows and weights.
//
// The gradient of what a layer is given is gathered, position by position, so that no two threads
// write one number and the order of every sum is fixed.

// Calls f for the units of a window of ROWS x COLUMNS, which is the u-th of its kind.
template <int ROWS, int COLUMNS, class F>
DEVICE void of_window(const Unit& u, F f) {
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) f(Unit{u.example, u.y * ROWS + i, u.x * COLUMNS + j, u.channel});
}
// Those whose largest value is taken, and those whose mean is.
template <int L, class F>
DEVICE void of_max_window(const Unit& u, F f) {
  of_window<layer(L).window.max_y, layer(L).window.max_x>(u, f);
}
template <int L, class F>
DEVICE void of_mean_window(const Unit& u, F f) {
  of_window<layer(L).window.mean_y, layer(L).window.mean_x>(u, f);
}

// The largest value of a window; NaN if one is.
template <int L>
DEVICE float largest(Network& s, const Unit& u) {
  constexpr int rows = layer(L).window.max_y, columns = layer(L).window.max_x;
  float found = *made_at<L>(s, {u.example, u.y * rows, u.x * columns, u.channel});
  of_max_window<L>(u, [&](const Unit& one) {
    const float h = *made_at<L>(s, one);
    found = found >= h || found != found ? found : h;
  });
  return found;
}

// Calls f for what pooling leaves of layer L, each by one thread.
template <int L, class F>
DEVICE void of_left(int rows, F f) {
  constexpr int across = layer(L).left.x, down = layer(L).left.y, channels = layer(L).left.channels;
  for (int i = THREAD; i < rows * down * across * channels; i += THREADS) {
    const int position = i / channels % (down * across);
    f(Unit{i / (channels * down * across), position / across, position % across, i % channels});
  }
}

template <int L>
DEVICE void pool(Network& s, int rows) {
  constexpr float share = 1.0f / (layer(L).window.mean_y * layer(L).window.mean_x);
  of_left<L>(rows, [&](const Unit& u) {
    float total = 0;
    of_mean_window<L>(u, [&](const Unit& one) { total += largest<L>(s, one); });
    *left_at<L>(s, u) = total * share;
  });
  SYNC();
}

// Equal largest values share the gradient.
template <int L>
DEVICE void through_max(Network& s, const Unit& u, float d) {
  const float top = largest<L>(s, u);
  float number = 0;
  of_max_window<L>(u, [&](const Unit& one) { number += *made_at<L>(s, one) == top; });
  of_max_window<L>(u, [&](const Unit& one) {
    float* h = made_at<L>(s, one);
    *h = *h == top ? times_slope(d / number, *h, slope_at<L>(s, one)) : 0;
  });
}

// From the gradient of what pooling left to that of the sums.
template <int L>
DEVICE void through_pooling(Network& s, int rows) {
  constexpr Window w = layer(L).window;
  constexpr int down = layer(L).left.y * w.max_y * w.mean_y;
  constexpr int across = layer(L).left.x * w.max_x * w.mean_x;
  constexpr float share = 1.0f / (w.mean_y * w.mean_x);
  of_left<L>(rows, [&](const Unit& u) {
    const float each = *left_at<L>(s, u) * share;
    of_mean_window<L>(u, [&](const Unit& one) { through_max<L>(s, one, each); });
  });
  if constexpr (down < layer(L).made.y || across < layer(L).made.x) {  // these are in no window
    constexpr int channels = layer(L).made.channels;
    for (int i = THREAD; i < rows * layer(L).units(); i += THREADS) {
      const Unit u = unit_of<L>(i / channels, i % channels);
      if (u.y >= down || u.x >= across) *made_at<L>(s, u) = 0;
    }
  }
  SYNC();
}

template <int L>
DEVICE void forward(Network& s, int rows) {
  constexpr int n = layer(L).fan_in(), m = layer(L).made.channels;
  const float *weights = s.params + weights_at(L), *in = framed<L>(s);
  product<m>(
      rows * layer(L).positions(), n,
      [=](int i, int k) { return in[window_at<L>(unit_of<L>(i, 0)) + in_window<L>(k)]; },
      [=](int k, int j) { return weights[k * odd(m) + j]; },
      [=, &s](int i, int j, float z) {
        if (BIAS) z += weights[n * odd(m) + j];
        const Unit u = unit_of<L>(i, j);
        *made_at<L>(s, u) = L < DEPTH - 1 ? activate(z, slope_at<L>(s, u)) : z;
      });
  if constexpr (layer(L).pools()) pool<L>(s, rows);
  if constexpr (L < DEPTH - 1) forward<L + 1>(s, rows);
}

// Biases are the weights of a place that is 1 in every window.
template <int L>
DEVICE void weights_gradient(Network& s, int rows, bool add) {
  constexpr int n = layer(L).fan_in(), m = layer(L).made.channels;
  const float* in = framed<L>(s);
  float* gradient = s.gradient + weights_at(L);
  product<m>(
      n + BIAS, rows * layer(L).positions(),
      [=](int k, int i) {
        return BIAS && k == n ? 1 : in[window_at<L>(unit_of<L>(i, 0)) + in_window<L>(k)];
      },
      [&](int i, int j) { return *made_at<L>(s, unit_of<L>(i, j)); },
      [=](int k, int j, float g) {
        float* to = gradient + k * odd(m) + j;
        *to = add ? *to + g : g;
      });
}

// The gradient of a unit whose window has a number of layer L at a place; 0 if there is none.
template <int L>
DEVICE float delta_at(Network& s, const Unit& given, int place, int channel) {
  constexpr Window w = layer(L).window;
  const int y = given.y + w.low_y - place / w.kernel_x, x = given.x + w.low_x - place % w.kernel_x;
  if (y < 0 || x < 0 || y % w.stride_y || x % w.stride_x) return 0;
  const Unit u = {given.example, y / w.stride_y, x / w.stride_x, channel};
  return u.y < layer(L).made.y && u.x < layer(L).made.x ? *made_at<L>(s, u) : 0;
}

// The unit of the layer before that gives a number of layer L, without pooling between.
template <int L>
DEVICE Unit maker_of(const Unit& u) {
  if (!layer(L).is_dense) return u;
  constexpr int across = layer(L - 1).left.x, channels = layer(L - 1).left.channels;
  const int position = u.channel / channels;
  return {u.example, position / across, position % across, u.channel % channels};
}

// The gradient of what a layer is given takes its place, times the activation's slope if no
// pooling stands between.
template <int L>
DEVICE void inputs_gradient(Network& s, int rows) {
  constexpr int m = layer(L).made.channels, places = layer(L).window.kernel_y * layer(L).window.kernel_x;
  constexpr int channels = layer(L).given.channels, across = layer(L).given.x;
  constexpr int positions = layer(L).given.y * across;
  const float* weights = s.params + weights_at(L);
  auto unit = [=](int i, int c) {
    return Unit{i / positions, i % positions / across, i % across, c};
  };
  product<channels>(
      rows * positions, places * m,
      [&](int i, int k) { return delta_at<L>(s, unit(i, 0), k / m, k % m); },
      [=](int k, int c) { return weights[(k / m * channels + c) * odd(m) + k % m]; },
      [&](int i, int c, float d) {
        float* h = given_at<L>(s, unit(i, c));
        if (layer(L - 1).pools()) *h = d;
        else *h = times_slope(d, *h, slope_at<L - 1>(s, maker_of<L>(unit(i, c))));
      });
  if constexpr (layer(L - 1).pools()) through_pooling<L - 1>(s, rows);
}

template <int L>
DEVICE void backward(Network& s, int rows, bool add) {
  weights_gradient<L>(s, rows, add);
  if constexpr (L > 0) {
    inputs_gradient<L>(s, rows);
    backward<L - 1>(s, rows, add);
  }
}

// Between rows of odd length and theta.
template <bool TO_FLAT, int L = 0>
DEVICE void copy_params(float* flat, float* params) {
  constexpr int m = layer(L).made.channels, rows = layer(L).fan_in() + BIAS;
  constexpr int from = theta_at(L), at = weights_at(L);
  for (int i = THREAD; i < rows * m; i += THREADS) {
    float *one = flat + from + i, *other = params + at + i / m * odd(m) + i % m;
    if (TO_FLAT) *one = *other;
    else *other = *one;
  }
  if constexpr (L < DEPTH - 1) copy_params<TO_FLAT, L + 1>(flat, params);
}

DEVICE void begin(Network& s) {
  for (int i = THREAD; i < TILE * framed_before(DEPTH); i += THREADS) s.framed[i] = 0;
}
// Where number i of a tile of inputs lies.
DEVICE float* input_at(Network& s, int i) {
  constexpr int across = layer(0).given.x, channels = layer(0).given.channels;
  const int position = i % INPUTS / channels;
  return given_at<0>(s, {i / INPUTS, position / across, position % across, i % channels});
}
DEVICE void forward_all(Network& s, int rows) { forward<0>(s, rows); }
DEVICE void backward_all(Network& s, int rows, bool add) { backward<DEPTH - 1>(s, rows, add); }
