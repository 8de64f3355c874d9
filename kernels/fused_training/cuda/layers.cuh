// The layers of a convolutional network and where their arrays lie: convolutions, each with its
// pooling, then dense layers.
//
// A dense layer is a convolution of one position, whose window is all that it is given. Signals
// are images of one row.

// As the Python side lists it: see `_window` in arrays.py.
struct Window {
  int channels, kernel_y, kernel_x, stride_y, stride_x, low_y, high_y, low_x, high_x;
  int max_y, max_x, mean_y, mean_x;
};
struct Image {
  int y, x, channels;
};

constexpr Window WINDOWS[] = {SWEEP_CONVOLUTIONS};
constexpr int CONVOLUTIONS = sizeof(WINDOWS) / sizeof(Window), DEPTH = CONVOLUTIONS + LAYERS;

// What a layer is given, with zeros around it; what it gives; and what pooling leaves of that.
struct Layer {
  Window window;
  Image given, framed, made, left;
  bool is_dense;

  // Numbers of a position: odd, but a dense layer takes positions as one row.
  constexpr int step() const { return is_dense ? given.channels : odd(given.channels); }
  constexpr int framed_size() const { return odd(framed.y * framed.x * step()); }
  constexpr int fan_in() const { return window.kernel_y * window.kernel_x * given.channels; }
  constexpr int positions() const { return made.y * made.x; }
  constexpr int units() const { return positions() * made.channels; }
  constexpr int params() const { return (fan_in() + BIAS) * odd(made.channels); }
  constexpr bool pools() const {
    return window.max_y * window.max_x * window.mean_y * window.mean_x > 1;
  }
  constexpr int unpooled_size() const {
    return pools() ? odd(positions() * odd(made.channels)) : 0;
  }
};

constexpr Layer layer_of(Image given, Window w, bool is_dense) {
  const Image framed = {given.y + w.low_y + w.high_y, given.x + w.low_x + w.high_x, given.channels};
  const Image made = {(framed.y - w.kernel_y) / w.stride_y + 1,
                      (framed.x - w.kernel_x) / w.stride_x + 1, w.channels};
  const Image left = {made.y / w.max_y / w.mean_y, made.x / w.max_x / w.mean_x, w.channels};
  return {w, given, framed, made, left, is_dense};
}

constexpr Layer layer(int l) {
  const Image given = l ? layer(l - 1).left : Image{SWEEP_IMAGE};
  if (l < CONVOLUTIONS) return layer_of(given, WINDOWS[l], false);
  const Window all = {WIDTHS[l - CONVOLUTIONS + 1], 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1};
  return layer_of({1, 1, given.y * given.x * given.channels}, all, true);
}

constexpr int weights_at(int l) { return l ? weights_at(l - 1) + layer(l - 1).params() : 0; }
constexpr int theta_at(int l) {
  return l ? theta_at(l - 1) + (layer(l - 1).fan_in() + BIAS) * layer(l - 1).made.channels : 0;
}
constexpr int framed_before(int l) {
  return l ? framed_before(l - 1) + layer(l - 1).framed_size() : 0;
}
constexpr int unpooled_before(int l) {
  return l ? unpooled_before(l - 1) + layer(l - 1).unpooled_size() : 0;
}
constexpr int units_before(int l) { return l ? units_before(l - 1) + layer(l - 1).units() : 0; }
constexpr int SIZE = weights_at(DEPTH), THETA = theta_at(DEPTH);
constexpr int SLOPES = ACTIVATION == gelu ? units_before(DEPTH - 1) : 0;

struct Network {
  float params[SIZE], gradient[SIZE], moments[NUM_MOMENTS * SIZE];
  float framed[TILE * framed_before(DEPTH)];  // what layers are given; the zeros around it stay 0
  float unpooled[TILE * unpooled_before(DEPTH) + 1];
  float outputs[TILE * odd(OUTPUTS)], slope[TILE * SLOPES + 1];  // gelu'(z)
};

// A unit that a layer gives, or its place among those that pooling leaves.
struct Unit {
  int example, y, x, channel;
};
template <int L>
DEVICE Unit unit_of(int row, int channel) {
  constexpr int across = layer(L).made.x, positions = layer(L).positions();
  return {row / positions, row % positions / across, row % across, channel};
}

// Where the window of a unit begins in what its layer is given, and a place k of any window.
template <int L>
DEVICE int window_at(const Unit& u) {
  constexpr int row = layer(L).framed.x * layer(L).step(), size = layer(L).framed_size();
  constexpr int down = layer(L).window.stride_y * row, across = layer(L).window.stride_x * layer(L).step();
  return u.example * size + u.y * down + u.x * across;
}
template <int L>
DEVICE int in_window(int k) {
  constexpr int channels = layer(L).given.channels, kernel_x = layer(L).window.kernel_x;
  constexpr int step = layer(L).step(), row = layer(L).framed.x * step;
  const int place = k / channels;
  return place / kernel_x * row + place % kernel_x * step + k % channels;
}

template <int L>
DEVICE float* framed(Network& s) {
  return s.framed + TILE * framed_before(L);
}
// A number that layer L is given.
template <int L>
DEVICE float* given_at(Network& s, const Unit& u) {
  constexpr int low_y = layer(L).window.low_y, low_x = layer(L).window.low_x;
  constexpr int step = layer(L).step(), row = layer(L).framed.x * step;
  constexpr int size = layer(L).framed_size();
  return framed<L>(s) + u.example * size + (u.y + low_y) * row + (u.x + low_x) * step + u.channel;
}
// A number that is left of layer L: the next one is given it.
template <int L>
DEVICE float* left_at(Network& s, Unit u) {
  if constexpr (L == DEPTH - 1) {
    return s.outputs + u.example * odd(OUTPUTS) + u.channel;
  } else {
    constexpr int across = layer(L).left.x, channels = layer(L).left.channels;
    if (layer(L + 1).is_dense) u = {u.example, 0, 0, (u.y * across + u.x) * channels + u.channel};
    return given_at<L + 1>(s, u);
  }
}
// A unit that layer L gives before pooling; its gradient takes its place.
template <int L>
DEVICE float* made_at(Network& s, const Unit& u) {
  if constexpr (layer(L).pools()) {
    constexpr int across = layer(L).made.x, step = odd(layer(L).made.channels);
    constexpr int size = layer(L).unpooled_size();
    float* all = s.unpooled + TILE * unpooled_before(L);
    return all + u.example * size + (u.y * across + u.x) * step + u.channel;
  } else {
    return left_at<L>(s, u);
  }
}
template <int L>
DEVICE float* slope_at(Network& s, const Unit& u) {
  if (ACTIVATION != gelu) return s.slope;
  constexpr int across = layer(L).made.x, channels = layer(L).made.channels;
  constexpr int units = layer(L).units();
  float* all = s.slope + TILE * units_before(L);
  return all + u.example * units + (u.y * across + u.x) * channels + u.channel;
}
