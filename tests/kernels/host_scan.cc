// The CUDA kernel of prior scans as C++.
#include "host_block.h"

extern "C" void run(long long num_draws, const unsigned* keys, const float* scales, const float* x,
                    const int* targets, unsigned char* functions, int* wrong, float* margins) {
  const int num = num_draws;
  run_blocks(num_draws, [=, &num] {
    scan(keys, scales, x, targets, &num, functions, wrong, margins);
  });
}

// theta of one draw.
extern "C" void draw_theta(const unsigned* keys, const float* scales, float* out) {
  run_blocks(1, [=] {
    if (NETWORK > 0) return;
    SHARED(Shared, s)
    draw(keys, scales, s);
    if (THREAD == 0) memcpy(out, s.theta, sizeof s.theta);
  });
}
