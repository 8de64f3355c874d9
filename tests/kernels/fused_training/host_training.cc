// The CUDA kernel of training as C++.
#include "host_block.h"

extern "C" void run(long long num_networks, const float* theta, const float* moments,
                    const int* counters, const float* measured, const float* hyper,
                    const int* turns, const float* x, const float* y, const int* indices,
                    const Settings* settings, float* theta_out, float* moments_out,
                    int* counters_out, float* measured_out, float* records) {
  run_blocks(num_networks, [=] {
    train_segment(theta, moments, counters, measured, hyper, turns, x, y, indices, settings,
                  theta_out, moments_out, counters_out, measured_out, records);
  });
}
