// What CUDA kernels have in common: a few threads for one network, its layers, their products.
//
// A block of the device holds NETWORKS networks, each with THREADS threads of its own, which
// wait for one another and for no others. The same source compiles as C++ with threads and a
// barrier in their place (tests/kernels/host_block.h), which defines DEVICE, KERNEL, THREAD,
// NETWORK, SYNC and SHARED itself.
constexpr int THREADS = SWEEP_THREADS, NETWORKS = SWEEP_NETWORKS;

#ifdef __CUDACC__
#define DEVICE static __device__ __forceinline__
// So many blocks are to find registers on a multiprocessor at once.
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS * NETWORKS, SWEEP_BLOCKS)
#define THREAD ((int)threadIdx.x % THREADS)
#define GROUP ((int)threadIdx.x / THREADS)
#define NETWORK ((long long)blockIdx.x * NETWORKS + GROUP)
#define SYNC wait_for_group
#define SHARED(type, name)                  \
  extern __shared__ float4 shared_memory[]; \
  type& name = ((type*)shared_memory)[GROUP];

// Threads of one network wait for one another: those of a part of a warp, of a warp, of one of
// two pairs of warps, of the block. Barriers have numbers that the compiler knows: else it takes
// all 16 of them, and a multiprocessor has 64.
DEVICE void wait_for_group() {
  if constexpr (THREADS < 32) {
    const int first = threadIdx.x % 32 / THREADS * THREADS;
    __syncwarp(((1u << THREADS % 32) - 1) << first);
  } else if constexpr (THREADS == 32) {
    __syncwarp();
  } else if constexpr (NETWORKS > 1) {
    static_assert(NETWORKS <= 2 || THREADS < 64, "a barrier is named for each network");
    if (GROUP == 0) asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
    else asm volatile("bar.sync 2, %0;" ::"n"(THREADS) : "memory");
  } else {
    __syncthreads();
  }
}
#endif

enum Activation { relu, tanh_, gelu, linear };
constexpr int WIDTHS[] = {SWEEP_WIDTHS};
constexpr int LAYERS = sizeof(WIDTHS) / sizeof(int) - 1, INPUTS = WIDTHS[0], OUTPUTS = WIDTHS[LAYERS];
constexpr Activation ACTIVATION = SWEEP_ACTIVATION;
constexpr bool BIAS = SWEEP_BIAS;
template <int I, int... All>
struct Nth;
template <int I, int First, int... Rest>
struct Nth<I, First, Rest...> { static constexpr int value = Nth<I - 1, Rest...>::value; };
template <int First, int... Rest>
struct Nth<0, First, Rest...> { static constexpr int value = First; };
// A constant array has no address on the device; a template's argument needs none.
template <int I>
constexpr int WIDTH = Nth<I, SWEEP_WIDTHS>::value;

// Rows of odd length: neighbours in a column lie in different banks of the memory.
constexpr int odd(int n) { return n | 1; }
constexpr int flat_at(int l) {
  return l == 0 ? 0 : flat_at(l - 1) + (WIDTHS[l - 1] + BIAS) * WIDTHS[l];
}
constexpr int PARAMS = flat_at(LAYERS);

// C = A B by a network's threads: a thread has 4 x 4 elements, rows and columns apart by what
// makes neighbouring threads read neighbouring columns. end(row, column, value) takes an element.
template <int COLUMNS, class A, class B, class End>
DEVICE void product(int rows, int depth, A a, B b, End end) {
  constexpr int across = (COLUMNS + 3) / 4;
  const int down = (rows + 3) / 4;
  for (int tile = THREAD; tile < down * across; tile += THREADS) {
    int row[4], column[4];
    float c[4][4] = {};
    for (int i = 0; i < 4; i++) {
      row[i] = tile / across + i * down;
      column[i] = tile % across + i * across;
    }
    for (int k = 0; k < depth; k++) {
      float left[4], right[4];
      for (int i = 0; i < 4; i++) {
        left[i] = a(row[i] < rows ? row[i] : rows - 1, k);
        right[i] = b(k, column[i] < COLUMNS ? column[i] : COLUMNS - 1);
      }
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) c[i][j] += left[i] * right[j];
    }
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++)
        if (row[i] < rows && column[j] < COLUMNS) end(row[i], column[j], c[i][j]);
  }
  SYNC();
}

DEVICE float activate(float z, float* slope) {
  if (ACTIVATION == relu) return z < 0 ? 0 : z;  // keeps NaN
  if (ACTIVATION == tanh_) return tanhf(z);
  if (ACTIVATION == gelu) {
    const float c = 0.79788456f, d = 0.044715f, t = tanhf(c * (z + d * z * z * z));
    *slope = 0.5f * (1 + t) + 0.5f * z * (1 - t * t) * c * (1 + 3 * d * z * z);
    return 0.5f * z * (1 + t);
  }
  return z;
}

